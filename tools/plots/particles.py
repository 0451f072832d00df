"""Every particle of the last frame, coloured by its entropy production and by the local density."""
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import EllipseCollection
from matplotlib.colors import Normalize

from plots.certificate import verdict
from plots.files import (Skip, box_sides, dataset, group_of, last_frame, open_file, parameter, required, rows_of)
from plots.style import colour_bar, colours, frame_of_box, robust_linear, robust_log

MOST_CIRCLES = 20000  # beyond it particles are drawn as points


def with_images(position, values, sides):
    """Particles that overlap an edge of the periodic box, repeated at the other side."""
    for axis in range(2):
        low, high = position[:, axis] < 1, position[:, axis] > sides[axis] - 1
        step = np.eye(2)[axis] * sides[axis]
        position = np.concatenate([position, position[low] + step, position[high] - step])
        values = [np.concatenate([v, v[low], v[high]]) for v in values]
    return position, values


def draw_particles(axes, position, values, norm, cmap):
    if len(position) <= MOST_CIRCLES:
        two = np.full(len(position), 2.0)
        artist = EllipseCollection(two, two, 0 * two, units="xy", offsets=position,
                                   transOffset=axes.transData, array=values, norm=norm, cmap=cmap,
                                   linewidths=0)
        axes.add_collection(artist)
        return artist
    order = np.argsort(values)  # the strongest on top
    diameter = 2 * 300 / np.ptp(position[:, 0])  # in points, in a panel of about 300
    return axes.scatter(*position[order].T, s=diameter**2, c=values[order], norm=norm, cmap=cmap, lw=0)


def particle_columns(folder):
    """Position, EPR and local density of the last frame; without an evaluation the position alone."""
    try:
        file = open_file(folder, "evaluation.h5")
        group = group_of(file, "particles/evaluation")
        frame = last_frame(file, group)
    except Skip:
        file = open_file(folder, "trajectory.h5")
        group = group_of(file, "particles/trajectory")
        frame = last_frame(file, group)
    columns = [(name, dataset(group, name)) for name in ("sigma", "local_density")]
    dimension = int(parameter(file, "system", "dimension", 2))
    position = rows_of(required(group, "position"), frame)[:, :dimension]
    one = slice(len(position) // int(parameter(file, "system", "copies", 1)))  # copies lie on each other
    return file, position[one], {name: item[frame][one] for name, item in columns if item is not None}


LOOKS = {
    "sigma": ("Entropy production rate of each particle", "EPR per particle (1/time)", "magma", robust_log),
    "local_density": ("Local density", "local packing fraction", "cividis", robust_linear),
}


def particles(folder):
    file, position, columns = particle_columns(folder)
    if position.shape[1] != 2:
        raise Skip(f"particles are drawn in 2 dimensions, not {position.shape[1]}")
    sides = box_sides(file, 2)
    low, high = ((np.zeros(2), sides) if sides is not None else
                 (np.full(2, -np.abs(position).max() - 1), np.full(2, np.abs(position).max() + 1)))
    names = list(columns)
    values = [columns[name].astype(float) for name in names]
    count = len(position)
    if sides is not None:
        position, values = with_images(position, values, sides)
    panels = max(1, len(names))
    figure, axes = plt.subplots(1, panels, figsize=(4.9 * panels, 5.7), squeeze=False)
    for panel, name, value in zip(axes[0], names, values):
        title, label, cmap, scale = LOOKS[name]
        norm = scale(value)
        artist = draw_particles(panel, position, value, norm, colours(cmap))
        panel.set_title(title)
        colour_bar(figure, artist, panel, value, label)
    if not names:
        draw_particles(axes[0][0], position, np.full(len(position), 0.4), Normalize(0, 1), "cividis")
        axes[0][0].set_title(f"{count} particles (not evaluated yet)")
    for panel in axes[0]:
        frame_of_box(panel, low, high)
    figure.supxlabel(verdict(file), fontsize=11)
    return figure
