"""A crystal's particles: the network's entropy production and the exact one."""
import matplotlib.pyplot as plt
import numpy as np

from plots.exact import Comparison, relative_rms
from plots.files import Skip, box_sides, dataset, last_frame, required, rows_of
from plots.particles import draw_particles, with_images
from plots.style import colour_bar, colours, frame_of_box, number, odd_scale, robust_log, size_of_maps


def crystal(folder):
    c = Comparison(folder)
    if c.system("kind") != "crystal":
        raise Skip("not a crystal")
    if c.system("dimension", 2) != 2:
        raise Skip(f"crystals are drawn in 2 dimensions, not {c.system('dimension')}")
    frame, sides = last_frame(c.file, c.model), box_sides(c.file, 2)
    count = int(c.system("particles"))  # of the first copy
    position = rows_of(required(c.model, "position"), frame)[:count] % sides
    model, exact = (v[:count] for v in c.scalars("sigma", frame))
    ratio = relative_rms(model, exact)
    position, (model, exact) = with_images(position, [model, exact], sides)
    same = robust_log(np.concatenate([model, exact]), high=99.8, decades=4)
    shown = ((model, same, "magma", "Network", r"EPR per particle (1/time)"),
             (exact, same, "magma", "Exact", r"EPR per particle (1/time)"),
             (model - exact, odd_scale(model - exact), "RdBu_r",
              f"Network \u2212 exact, rel. rms {number(ratio, '{:.3f}')}", "difference of EPR (1/time)"))
    figure, axes = plt.subplots(1, 3, figsize=size_of_maps(3, np.zeros(2), sides, 7))
    for panel, (value, norm, cmap, title, label) in zip(axes, shown):
        artist = draw_particles(panel, position, value, norm, colours(cmap) if cmap == "magma" else cmap)
        panel.set_title(title)
        colour_bar(figure, artist, panel, np.concatenate([model, exact]) if norm is same else value, label)
        frame_of_box(panel, np.zeros(2), sides)
    times = dataset(c.model, "time")
    when = f" at time {times[frame]:g}" if times is not None else ""
    c.heading(figure, f"Entropy production rate of a crystal's particles{when}")
    return figure
