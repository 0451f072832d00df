"""Every particle of the last frame, coloured by its entropy production and by the local density."""
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import EllipseCollection
from matplotlib.colors import Normalize

from plots.certificate import verdict
from plots.files import (Skip, box_sides, dataset, group_of, last_frame, open_file, parameter, required, rows_of)
from plots.style import as_pixels, colour_bar, colours, frame_of_box, robust_linear, robust_log, size_of_maps

MOST_CIRCLES = 400000  # beyond it a particle is about a pixel: pixels are coloured by the mean of what is in them
PIXELS = 900  # along a side of that map


def with_images(position, values, sides):
    """Particles that overlap an edge of the periodic box, repeated at the other side."""
    for axis in range(2):
        low, high = position[:, axis] < 1, position[:, axis] > sides[axis] - 1
        step = np.eye(2)[axis] * sides[axis]
        position = np.concatenate([position, position[low] + step, position[high] - step])
        values = [np.concatenate([v, v[low], v[high]]) for v in values]
    return position, values


def circles(axes, position, values, norm, cmap, radii=None):
    """The particles, of radius 1 or other radii."""
    size = np.full(len(position), 2.0) if radii is None else 2 * radii
    artist = EllipseCollection(size, size, 0 * size, units="xy", offsets=position, offset_transform=axes.transData,
                               array=values, norm=norm, cmap=cmap, linewidths=0,
                               rasterized=as_pixels(len(position)))
    axes.add_collection(artist)
    return artist


def mean_of_pixels(axes, position, values, norm, cmap):
    """A map of the mean over the particles in every pixel."""
    good = np.isfinite(values)
    low, high = position.min(axis=0), position.max(axis=0)
    shape = np.maximum(1, np.round(PIXELS * (high - low) / np.max(high - low))).astype(int)
    edges = [np.linspace(low[a], high[a], shape[a] + 1) for a in range(2)]
    total, count = (np.histogram2d(*position[good].T, bins=edges, weights=w)[0].T for w in (values[good], None))
    mean = np.ma.masked_invalid(np.where(count > 0, total / np.maximum(count, 1), np.nan))
    return axes.imshow(mean, origin="lower", extent=(low[0], high[0], low[1], high[1]), norm=norm,
                       cmap=cmap.with_extremes(bad=(0, 0, 0, 0)), interpolation="nearest")


def draw_particles(axes, position, values, norm, cmap, radii=None):
    if len(position) > MOST_CIRCLES:
        return mean_of_pixels(axes, position, values, norm, cmap)
    return circles(axes, position, values, norm, cmap, radii)


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
    times = dataset(group, "time")
    time = times[frame] if times is not None else position_time(group, frame)
    return file, time, position[one], {name: item[frame][one] for name, item in columns if item is not None}


def position_time(group, frame):
    """The time of a frame of an H5MD trajectory; None where it is not known."""
    times = group.get("position/time")
    return times[frame] if times is not None and times.ndim else None


def in_plane(position, sides):
    """Two coordinates of particles and their radii: in 3 dimensions those that a plane through the middle cuts, and
    the circles of the cut; which particles they are; words about it."""
    if position.shape[1] == 2:
        return position, None, slice(None), ""
    middle = sides[2] / 2 if sides is not None else 0.0
    height = position[:, 2] - middle
    cut = np.flatnonzero(np.abs(height) < 1)
    return position[cut, :2], np.sqrt(1 - height[cut]**2), cut, f"cut through $z$ = {middle:.3g} $r_0$"


def limits(position, sides):
    """Corners of what is drawn: the box; in open space a square about the origin."""
    if sides is not None:
        return np.zeros(2), np.asarray(sides[:2])
    reach = np.abs(position).max() + 1
    return np.full(2, -reach), np.full(2, reach)


LOOKS = {
    "sigma": ("Entropy production rate of each particle", "EPR per particle (1/time)", "magma", robust_log),
    "local_density": ("Local density", "local packing fraction", "cividis", robust_linear),
}


def particles(folder):
    file, time, position, columns = particle_columns(folder)
    dimension = position.shape[1]
    if dimension not in (2, 3):
        raise Skip(f"particles are drawn in 2 dimensions and in a cut through 3, not in {dimension}")
    sides, count = box_sides(file, dimension), len(position)
    low, high = limits(position[:, :2], sides)
    position, radii, chosen, cut = in_plane(position, sides)
    when = f"time {time:g}" if time is not None else ""
    values = [v[chosen].astype(float) for v in columns.values()]
    if sides is not None:
        position, values = with_images(position, values + ([radii] if radii is not None else []), sides)
        radii = values.pop() if radii is not None else None
    panels = max(1, len(columns))
    note = "\n".join(filter(None, ["; ".join(filter(None, [when, cut])), verdict(file)]))
    width, height = size_of_maps(2, low, high, len(note.splitlines()), bool(columns))
    figure, axes = plt.subplots(1, panels, figsize=(width / 2 * panels, height), squeeze=False)
    for panel, name, value in zip(axes[0], columns, values):
        title, label, cmap, scale = LOOKS[name]
        artist = draw_particles(panel, position, value, scale(value), colours(cmap), radii)
        panel.set_title(title)
        colour_bar(figure, artist, panel, value, label)
    if not columns:
        draw_particles(axes[0][0], position, np.full(len(position), 0.45), Normalize(0, 1), colours("cividis"), radii)
        axes[0][0].set_title(f"{count} particles (not evaluated yet)")
    for panel in axes[0]:
        frame_of_box(panel, low, high)
    figure.supxlabel(note)
    return figure
