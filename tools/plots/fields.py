"""Gridded fields of the last frame."""
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import Collection
from matplotlib.colors import Normalize

from plots.certificate import verdict
from plots.files import Skip, attribute, box_sides, group_of, last_frame, open_file, parameter, required
from plots.style import MOST_VECTORS, colour_bar, colours, frame_of_box, robust_log, size_of_maps


def interface(panel, x, y, density, level):
    """A line, thin where there is much of it, and then of pixels in a vector picture."""
    lines = panel.contour(x, y, density, levels=[level], colors="white",
                          linewidths=np.clip(300 / (x[-1] - x[0]), 0.25, 0.9))
    parts = [lines] if isinstance(lines, Collection) else lines.collections  # since Matplotlib 3.8; before
    for part in parts:
        part.set_rasterized(sum(len(path) for path in part.get_paths()) > 4 * MOST_VECTORS)


def fields(folder):
    file = open_file(folder, "evaluation.h5")
    group = group_of(file, "fields")
    frame = last_frame(file, group_of(file, "particles/evaluation"))
    density, epr = required(group, "density")[frame], required(group, "epr")[frame]
    dimension = int(parameter(file, "system", "dimension", density.ndim))
    if dimension != 2 or density.ndim != 2:
        raise Skip(f"fields are drawn in 2 dimensions, not {dimension}")
    spacing = np.atleast_1d(attribute(group, "spacing", attribute(group["density"], "spacing", 1.0)))
    origin = np.atleast_1d(attribute(group, "origin", attribute(group["density"], "origin", 0.0)))
    low = np.broadcast_to(origin, 2) if origin.size <= 2 else origin[:2]
    step = np.broadcast_to(spacing, 2) if spacing.size <= 2 else spacing[:2]
    high = low + step * density.shape[::-1]
    packing = np.pi * density  # of discs of radius 1
    # One cell more on every side, so that the contour reaches the edge of the box.
    padded = np.pad(packing, 1, mode="wrap" if box_sides(file, 2) is not None else "edge")
    centres = [low[a] + (np.arange(padded.shape[1 - a]) - 0.5) * step[a] for a in range(2)]
    level = parameter(file, "evaluation", "interface_density", 0.5)

    note = verdict(file)
    figure, axes = plt.subplots(1, 2, figsize=size_of_maps(2, low, high, len(note.splitlines())))
    shown = [(axes[0], epr, "Entropy production per area", r"EPR density (1/(time $r_0^2$))", "magma",
              robust_log(epr, low=1, high=99.9)),
             (axes[1], packing, "Density", r"packing fraction $\pi r_0^2 \rho$", "cividis",
              Normalize(0, max(packing.max(), level)))]
    for panel, value, title, label, cmap, norm in shown:
        image = panel.imshow(value, origin="lower", extent=(low[0], high[0], low[1], high[1]), norm=norm,
                             cmap=colours(cmap), interpolation="nearest")
        if packing.min() < level < packing.max():
            interface(panel, *centres, padded, level)
            title += ", with the interface"
        panel.set_title(title)
        colour_bar(figure, image, panel, value, label)
        frame_of_box(panel, low, high)
    figure.supxlabel(note)
    return figure
