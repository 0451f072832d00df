#!/usr/bin/env python3
"""Draws the results of a run: tools/plot.py DIR [--output DIR].

    particles.png    every particle by its entropy production rate (EPR), and by the local density
    fields.png       EPR per area and density on a grid, with the interface between gas and dense phase
    profile.png      density and EPR across the interface, with standard errors
    training.png     loss, gradient, learning rate, resolved fraction on held-out frames
    certificate.png  the identities that an exact score obeys, and the resolved fraction

and where epflow check has held the evaluation against an exact flow:

    check.png        the network's velocities and EPR against the exact ones, particle by particle
    ring.png         two particles on a ring: both flows, and their difference, in the relative coordinates
    crystal.png      a crystal's particles by their EPR, of the network and exact, and the difference

It reads files only (evaluation.h5, check.h5, model.h5, and trajectory.h5 where there is no evaluation yet),
draws what there is and says what it skips. A run in progress may be drawn too.
"""
import argparse
import os
import sys

os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")  # the run may still be writing

import h5py
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import EllipseCollection
from matplotlib.colors import LogNorm, Normalize

MOST_CIRCLES = 20000  # beyond it particles are drawn as points
MOST_POINTS = 20000  # of a scatter plot
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"  # told apart by everyone

plt.rcParams.update({
    "figure.dpi": 100, "savefig.dpi": 140, "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.1, "figure.constrained_layout.h_pad": 0.1,
    "font.size": 11, "axes.titlesize": 12, "axes.titlepad": 8, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": False, "image.cmap": "viridis",
})


class Skip(Exception):
    """Why a picture cannot be drawn."""


# ---- reading ----

def open_file(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        raise Skip(f"no {name}")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise Skip(f"{name} cannot be read: {error}")


def dataset(group, name):
    """A dataset, or the value of an H5MD element; None where there is none."""
    item = group.get(name)
    if isinstance(item, h5py.Group):
        item = item.get("value")
    return item


def required(group, name):
    item = dataset(group, name)
    if item is None:
        raise Skip(f"no {name} in {os.path.basename(group.file.filename)}")
    return item


def group_of(file, name):
    if name not in file:
        raise Skip(f"no {name} in {os.path.basename(file.filename)}")
    return file[name]


def finished(file):
    """Of an evaluation in progress, profiles and certificate are made, but still zero."""
    if file.attrs.get("complete", 1) != 1:
        raise Skip("the evaluation is not complete")
    return file


def last_frame(file, group):
    """The last frame that is complete: those not written yet have step -1."""
    for place in (group, group.get("position"), file):
        step = place.get("step") if isinstance(place, h5py.Group) else None
        if step is not None:
            written = int(np.sum(np.cumprod(step[()] >= 0)))
            if written == 0:
                raise Skip(f"no frame in {os.path.basename(file.filename)} yet")
            return written - 1
    return -1


def parameter(file, section, key, fallback=None):
    group = file.get(f"parameters/{section}")
    value = group.attrs.get(key, fallback) if group is not None else fallback
    return value.decode() if isinstance(value, bytes) else value


def attribute(group, name, fallback=np.nan):
    value = group.attrs.get(name, fallback)
    return value.decode() if isinstance(value, bytes) else value


def rows_of(item, frame=slice(None)):
    """Rows of a column of vectors, (..., d) also for d = 1."""
    rows = item[frame]
    return rows[..., None] if item.ndim == 2 else rows


def tables_with(file, *names):
    """Every group of datasets, or dataset of records, that has all these columns."""
    found = []

    def look(_, item):
        if isinstance(item, h5py.Group):
            columns = {k: item[k] for k in item if isinstance(item[k], h5py.Dataset)}
        else:
            columns = {k: item[k] for k in (item.dtype.names or ())}
        if all(name in columns for name in names):
            found.append({k: np.asarray(v) for k, v in columns.items()})
    file.visititems(look)
    return found


def box_sides(file, dimension):
    """Sides of the periodic box; None in open space."""
    sides = parameter(file, "system", "box")
    if isinstance(sides, str):
        sides = [float(x) for x in sides.strip("[] ").split(",") if x.strip()]
    sides = np.atleast_1d(sides) if sides is not None else np.array([])
    if parameter(file, "system", "trap", 0) > 0:
        return None
    if sides.size == 0 or not np.all(sides > 0):
        volume = {1: 2, 2: np.pi, 3: 4 * np.pi / 3}[dimension]
        count = parameter(file, "system", "particles")
        fraction = parameter(file, "system", "packing_fraction")
        sides = [(count * volume / fraction) ** (1 / dimension)] if count and fraction else []
    sides = np.asarray(sides, float)
    return np.broadcast_to(sides, (dimension,)) if sides.size in (1, dimension) else None


# ---- colours ----

def robust_log(values, low=2, high=99.8, decades=6):
    """A logarithmic scale between percentiles, of at most so many decades."""
    positive = values[np.isfinite(values) & (values > 0)]
    if positive.size == 0:
        return Normalize(0, 1)
    bottom, top = np.percentile(positive, [low, high])
    bottom = max(bottom, top * 10.0 ** -decades)
    return LogNorm(bottom, top if top > bottom else bottom * 1.01)


def robust_linear(values, high=99.8):
    values = values[np.isfinite(values)]
    return Normalize(0, np.percentile(values, high) if values.size and values.max() > 0 else 1)


def colours(name):
    """A colour map that shows what a logarithmic scale cannot, zero, as the lowest value."""
    found = matplotlib.colormaps[name]
    return found.with_extremes(bad=found(0.0))


def extend_of(values, norm):
    values = values[np.isfinite(values)]
    below, above = np.any(values < norm.vmin), np.any(values > norm.vmax)
    return {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[(int(below), int(above))]


def colour_bar(figure, artist, axes, values, label):
    bar = figure.colorbar(artist, ax=axes, location="bottom", shrink=0.86, aspect=32, pad=0.02,
                          extend=extend_of(values, artist.norm))
    bar.set_label(label)
    bar.outline.set_visible(False)


def frame_of_box(axes, low, high):
    """A square picture of the box: sides only, with a ruler."""
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=GREY, linewidth=0.8)
    width = high[0] - low[0]
    rulers = [m * 10**e for e in range(6) for m in (1, 2, 5)]
    length = next((r for r in rulers if r >= width / 8), width)
    axes.annotate("", (low[0] + length, -0.035), (low[0], -0.035), xycoords=("data", "axes fraction"),
                  arrowprops={"arrowstyle": "|-|", "mutation_scale": 2.5, "shrinkA": 0, "shrinkB": 0})
    axes.annotate(f"{length:g} particle radii", (low[0] + 1.2 * length, -0.035),
                  xycoords=("data", "axes fraction"), va="center", fontsize=9, annotation_clip=False)


# ---- particles ----

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
    return figure


# ---- fields ----

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

    figure, axes = plt.subplots(1, 2, figsize=(9.8, 5.7))
    shown = [(axes[0], epr, "Entropy production per area", r"EPR density (1/(time $r_0^2$))", "magma",
              robust_log(epr, low=1, high=99.9)),
             (axes[1], packing, "Density", r"packing fraction $\pi r_0^2 \rho$", "cividis",
              Normalize(0, max(packing.max(), level)))]
    for panel, value, title, label, cmap, norm in shown:
        image = panel.imshow(value, origin="lower", extent=(low[0], high[0], low[1], high[1]), norm=norm,
                             cmap=colours(cmap), interpolation="nearest")
        if packing.min() < level < packing.max():
            panel.contour(*centres, padded, levels=[level], colors="white", linewidths=1.3)
            title += ", with the interface"
        panel.set_title(title)
        colour_bar(figure, image, panel, value, label)
        frame_of_box(panel, low, high)
    return figure


# ---- profile ----

RATES = (  # column, label, colour
    ("exact", r"exact, $-\mathrm{div}_x\, b$", GREY),
    ("captured", r"of the network, $|v_g|^2/\gamma$", ORANGE),
    ("sigma", r"of the network, $|v_g|^2/\gamma$", ORANGE),
    ("epr", r"of the network, $|v_g|^2/\gamma$", ORANGE),
    ("resolved", "resolved (lower bound)", GREEN),
)


def with_errors(axes, x, group, name, colour, label=None, factor=1.0):
    value, error = factor * required(group, name)[()], dataset(group, name + "_error")
    good = np.isfinite(value)
    if error is not None:
        error = np.where(np.isfinite(error[()]), factor * error[()], 0)[good]
    axes.errorbar(x[good], value[good], error, color=colour, label=label, marker="o", markersize=3.5,
                  linewidth=1.2, elinewidth=1)
    return value[good]


def profile(folder):
    file = finished(open_file(folder, "evaluation.h5"))
    group = group_of(file, "profiles")
    x = required(group, "distance")[()]
    if np.sum(np.isfinite(required(group, "density")[()])) < 2:
        raise Skip("no interface between two phases was found")
    dimension = int(parameter(file, "system", "dimension", 2))
    volume = {1: 2, 2: np.pi, 3: 4 * np.pi / 3}[dimension]
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(7.2, 6.4), sharex=True, height_ratios=(1, 1.5))
    with_errors(top, x, group, "density", BLUE, factor=volume)
    top.set(ylabel="packing fraction", title="Across the interface (mean and standard error)")
    top.set_ylim(bottom=0)

    drawn, labels = [np.zeros(0)], set()
    for name, label, colour in RATES:
        if parameter(file, "system", "eps", 0) > 0:
            label = label.split(",")[0]  # its formula is that of eps = 0
        if dataset(group, name) is not None and label not in labels:
            labels.add(label)
            drawn.append(with_errors(bottom, x, group, name, colour, label))
    drawn = np.concatenate(drawn)
    if np.any(drawn > 0):
        # logarithmic, but linear about 0, since the resolved rate may be negative where nothing is resolved
        positive = drawn[drawn > 0]
        if np.all(drawn > 0):
            bottom.set_yscale("log")
        else:
            bottom.set_yscale("symlog", linthresh=max(np.percentile(np.abs(drawn[drawn != 0]), 10),
                                                      positive.max() * 1e-6))
            bottom.axhline(0, color=GREY, linewidth=0.6)
    bottom.set(xlabel=r"distance to the interface ($r_0$)", ylabel="EPR per particle (1/time)")
    if labels:
        bottom.legend(loc="best", fontsize=10)
    for panel in (top, bottom):
        panel.axvline(0, color=GREY, linewidth=0.8, linestyle=":")
    for side, word in (("left", "gas"), ("right", "dense phase")):
        top.set_title(word, loc=side, fontsize=11, color=GREY, style="italic")
    return figure


# ---- training ----

def running_median(x, y, windows=60):
    width = max(1, len(x) // windows)
    usable = len(x) // width * width
    return (np.median(a[:usable].reshape(-1, width), axis=1) for a in (x, y))


def training(folder):
    file = open_file(folder, "model.h5")
    logs = tables_with(file, "step", "loss")
    if not logs or not np.any(logs[0]["step"] > 0):
        raise Skip("no training log in model.h5")
    log = {k: v[logs[0]["step"] > 0] for k, v in logs[0].items() if len(v) == len(logs[0]["step"])}
    tests = tables_with(file, "step", "resolved_fraction")
    figure, axes = plt.subplots(2, 2, figsize=(9.8, 6.4), sharex=True)
    losses = {"denoising": "Denoising loss", "score_matching": "Score matching loss", "velocity": "Velocity loss"}
    panels = [("loss", losses.get(parameter(file, "training", "loss"), "Loss"), "loss"),
              ("gradient_norm", "Gradient norm, before clipping", "norm"),
              ("rate", "Learning rate", "rate")]
    for panel, (name, title, label) in zip(axes.flat, panels):
        panel.set(title=title, ylabel=label)
        if name not in log:
            continue
        if name == "rate":
            panel.plot(log["step"], log[name], color=BLUE)
            panel.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
            continue
        panel.plot(log["step"], log[name], color=BLUE, alpha=0.25, linewidth=0.8)
        panel.plot(*running_median(log["step"], log[name]), color=BLUE, linewidth=1.8)
        numbers = log[name][np.isfinite(log[name])]
        low, high = np.percentile(numbers, [0.5, 99.5]) if numbers.size else (0, 0)
        if name == "gradient_norm" and low > 0:
            panel.set_yscale("log")
            clip = parameter(file, "training", "clip", 0)
            if clip:
                panel.axhline(clip, color=GREY, linestyle=":", linewidth=1)
                panel.annotate("clipped above", (1, clip), xycoords=("axes fraction", "data"), ha="right",
                               va="bottom", fontsize=9, color=GREY)
        elif high > low:
            panel.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    panel = axes[1, 1]
    panel.set(title="Resolved fraction on held-out frames", ylabel="resolved fraction")
    panel.axhline(0, color=GREY, linewidth=0.6)
    if tests and len(tests[0]["step"]):
        test = tests[0]
        error = np.nan_to_num(test["error"]) if "error" in test else None
        panel.errorbar(test["step"], test["resolved_fraction"], error, color=ORANGE, marker="o", markersize=4)
    else:
        panel.text(0.5, 0.5, "not tested yet", transform=panel.transAxes, ha="center", color=GREY)
    for panel in axes[1]:
        panel.set_xlabel("training step")
    return figure


# ---- certificate ----

MEANINGS = {
    "I0": (r"$\langle F\cdot b\rangle + \varepsilon \langle \mathrm{div}_x F\rangle"
           r" = (dt/2)\, \langle b\cdot K b\rangle$"),
    "I1_x": r"$\langle |s_x|^2\rangle = -\langle \mathrm{div}_x s_x\rangle$",
    "I1_g": r"$\langle |s_g|^2\rangle = -\langle \mathrm{div}_g s_g\rangle$",
    "I2": r"$\langle \mathrm{div}_g v_g\rangle = -\langle \mathrm{div}_x v_x\rangle$",
    "I2_vs": r"$\langle v_x\cdot s_x\rangle = -\langle v_g\cdot s_g\rangle$",
    "I3": r"$\langle |v_g|^2\rangle/\gamma = -\langle \mathrm{div}_x b\rangle$",
    "I4": r"$\langle \sigma\rangle = \langle |b|^2\rangle/\varepsilon + \langle \mathrm{div}_x b\rangle$",
    "resolved": "resolved rate against exact rate",
}
COLUMNS = (("left", 0.53), ("right", 0.65), ("difference", 0.78), ("error", 0.89), ("z", 0.98))


def number(value, form="{:.4g}"):
    return form.format(value).replace("-", "\u2212") if np.isfinite(value) else "\u2013"


def certificate(folder):
    file = finished(open_file(folder, "evaluation.h5"))
    group = group_of(file, "certificate")
    names = [n for n in MEANINGS if n in group] + [n for n in group if n not in MEANINGS]
    names = [n for n in names if np.isfinite(attribute(group[n], "left"))]  # the others say nothing of this system
    if not names or "resolved_fraction" not in group.attrs:
        raise Skip("no certificate in evaluation.h5")
    figure, axes = plt.subplots(figsize=(9.8, 2.6 + 0.42 * len(names)), constrained_layout=False)
    axes.set(xlim=(0, 1), ylim=(-len(names) - 2.1, 2.6), position=(0.02, 0.02, 0.96, 0.96))
    axes.axis("off")
    fraction, error = attribute(group, "resolved_fraction"), attribute(group, "resolved_fraction_error")
    axes.text(0.01, 2.0, f"The network resolves {number(fraction, '{:.3g}')} ± {number(error, '{:.1g}')} "
              "of the exact entropy production", fontsize=15, weight="bold")
    convention = attribute(group, "epr_convention", "")
    axes.text(0.01, 1.15, f"exact EPR {number(attribute(group, 'exact'))}, resolved at least "
              f"{number(attribute(group, 'resolved'))}, per particle and unit time"
              + (f" ({convention})" if convention else ""), color="#444444")
    axes.text(0.01, 0.15, "identity", weight="bold")
    for name, x in COLUMNS:
        axes.text(x, 0.15, {"left": "left side", "right": "right side", "z": "z-score"}.get(name, name),
                  weight="bold", ha="right")
    axes.plot([0, 1], [-0.15, -0.15], color="black", linewidth=1.2, clip_on=False)
    for row, name in enumerate(names):
        item, y = group[name], -0.85 - row
        axes.text(0.01, y, name.replace("_", " "), color=GREY)
        axes.text(0.11, y, MEANINGS.get(name, attribute(item, "description", "")))
        for column, x in COLUMNS:
            form = {"z": "{:.1f}", "error": "{:.2g}", "difference": "{:.3g}"}.get(column, "{:.4g}")
            axes.text(x, y, number(attribute(item, column), form), ha="right")
        axes.plot([0, 1], [y - 0.3] * 2, color="#dddddd", linewidth=0.8, clip_on=False)
    sigma = attribute(group, "sigma")
    noise = f" Width of the noise in training: {sigma:.3g}." if np.isfinite(sigma) and sigma > 0 else ""
    axes.text(0.01, -len(names) - 1.85,
              "z-score: difference over its standard error. I0 tests the trajectory alone; I1 the score of\n"
              "the smoothed density. I2, I3, I4, resolved differ by what the network misses." + noise,
              fontsize=9.5, color=GREY, linespacing=1.4)
    return figure


# ---- against the exact flow ----

class Comparison:
    """check.h5 beside its evaluation.h5."""

    def __init__(self, folder):
        self.check = open_file(folder, "check.h5")
        self.file = finished(open_file(folder, "evaluation.h5"))
        self.model = group_of(self.file, "particles/evaluation")
        self.exact = group_of(self.check, "particles/exact")
        if required(self.exact, "sigma").shape != required(self.model, "sigma").shape:
            raise Skip("check.h5 is not of this evaluation.h5: run epflow check again")

    def vectors(self, name, frame=slice(None)):
        """Of the network, and exact: (..., particles, d)."""
        return (rows_of(required(group, name), frame).astype(float) for group in (self.model, self.exact))

    def scalars(self, name, frame=slice(None)):
        return (required(group, name)[frame].astype(float) for group in (self.model, self.exact))

    def system(self, key, fallback=None):
        return parameter(self.file, "system", key, fallback)

    def numbers(self, name):
        """Of the network, exact, standard error of the network's; NaN where not compared."""
        group = self.check.get(f"comparison/{name}")
        return [attribute(group, key) if group is not None else np.nan for key in ("model", "exact", "error")]

    def footer(self):
        """What is exact, noise, totals."""
        group = group_of(self.file, "certificate")
        noise_x, noise_g = (attribute(group, "noise_" + name, 0.0) for name in "xg")
        noisy = noise_x > 0 or noise_g > 0
        first = (f"Exact: {attribute(self.check, 'reference', 'unknown')}. Noise widths in training: "
                 f"{noise_x:g} $r_0$ on x, {noise_g:g} on g")
        if noisy:
            first += "; the exact density is " + ("smoothed by it too" if self.system("kind") == "crystal" else
                                                  "not smoothed")
        model, exact, error = self.numbers("total")
        samples, exact_samples, _ = (like_error(value, error) for value in self.numbers("total_of_samples"))
        what = "all particles" if self.system("copies", 1) == 1 else "one copy"
        totals = f"network {with_error(model, error)}, exact {like_error(exact, error)}"
        if noisy:
            return (f"{first}\nEPR of {what} (1/time), with the noise of training: {totals}; "
                    f"at the evaluation's samples: network {samples}, exact {exact_samples}")
        return f"{first}\nEPR of {what} (1/time): {totals}; exact flow at the same samples: {exact_samples}"

    def heading(self, figure, title, note=""):
        figure.suptitle(title, fontsize=14, weight="bold")
        figure.supxlabel(note + self.footer(), fontsize=10.5, color="#444444", linespacing=1.5)


def digits_of(error):
    """Decimals that show two digits of an error."""
    return max(0, 1 - int(np.floor(np.log10(error)))) if np.isfinite(error) and error > 0 else None


def like_error(value, error):
    digits = digits_of(error)
    return number(value) if digits is None else number(value, f"{{:.{digits}f}}")


def with_error(value, error):
    text = like_error(value, error)
    return text if digits_of(error) is None else f"{text} ± {like_error(error, error)}"


def relative_rms(model, exact):
    good = np.isfinite(model) & np.isfinite(exact)
    square = np.sum(exact[good]**2)
    return np.sqrt(np.sum((model - exact)[good]**2) / square) if square > 0 else np.nan


def scatter(figure, panel, model, exact, symbol, unit):
    good = np.isfinite(model) & np.isfinite(exact)
    model, exact = model[good], exact[good]
    if not model.size:
        raise Skip(f"no values of {symbol} in check.h5")
    if model.size > MOST_POINTS:
        chosen = np.random.default_rng(0).choice(model.size, MOST_POINTS, replace=False)
        model, exact = model[chosen], exact[chosen]
    both = np.concatenate([model, exact])
    low, high = np.percentile(both, [0.05, 99.95])
    low, high = (0, high) if both.min() >= 0 else (-max(-low, high), max(-low, high))
    high = high if high > low else low + 1
    limits = (low - (0.03 * (high - low) if low else 0), high + 0.03 * (high - low))
    inside = (exact >= limits[0]) & (exact <= limits[1]) & (model >= limits[0]) & (model <= limits[1])
    image = panel.hexbin(exact[inside], model[inside], gridsize=70, bins="log", mincnt=1, cmap="viridis_r",
                         extent=(*limits, *limits), linewidths=0.1)
    panel.plot(limits, limits, color=ORANGE, linewidth=1)
    panel.set(xlim=limits, ylim=limits, aspect="equal", xlabel=f"exact {symbol} ({unit})",
              ylabel=f"{symbol} of the network ({unit})")
    panel.locator_params(nbins=5)
    bar = figure.colorbar(image, ax=panel, location="bottom", shrink=0.86, aspect=32, pad=0.02)
    bar.set_label("values in a cell" if inside.all() else
                  f"values in a cell ({np.sum(~inside)} of {inside.size} outside)")
    bar.outline.set_visible(False)


FLOW = (  # name in files, title, symbol, unit
    ("v_g", "Velocity in g", "$v_g$", "1/time"),
    ("v_x", "Velocity in x", "$v_x$", r"$r_0$/time"),
    ("sigma", "Entropy production rate", r"$\sigma$", "1/time"),
)


def check(folder):
    c = Comparison(folder)
    figure, axes = plt.subplots(1, 3, figsize=(14.4, 6.7))
    for panel, (name, title, symbol, unit) in zip(axes, FLOW):
        model, exact = (v.ravel() for v in (c.scalars if name == "sigma" else c.vectors)(name))
        scatter(figure, panel, model, exact, symbol, unit)
        difference, size, _ = c.numbers(name)
        ratio = difference / size if size > 0 else relative_rms(model, exact)
        note = f"relative rms difference {number(ratio, '{:.3f}')}"
        if name == "v_x" and c.system("eps", 0) == 0:
            note = "the drift b for both, since eps = 0"
        panel.set_title(f"{title}\n{note}")
    frames, count = required(c.exact, "sigma").shape
    c.heading(figure, f"The network's flow against the exact one: {frames} frames of {count} particles")
    return figure


# ---- a ring ----

def binned(x, y, edges, values):
    """Mean of the values in every bin, (y, x); NaN in empty ones."""
    total, _, _ = np.histogram2d(y, x, bins=edges[::-1], weights=values)
    count, _, _ = np.histogram2d(y, x, bins=edges[::-1])
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def odd_scale(*maps, high=99.5):
    values = np.abs(np.concatenate([m[np.isfinite(m)] for m in maps]))
    top = np.percentile(values, high) if values.size else 0
    return Normalize(-top, top) if top > 0 else Normalize(-1, 1)


def even_scale(*maps, high=99.5):
    return robust_linear(np.concatenate([m.ravel() for m in maps]), high)


def ring_samples(c):
    """Relative coordinates of both particles, either as the first; of both flows v_x, v_g and EPR."""
    side = box_sides(c.file, 1)[0]

    def relative(values, factor=1.0):
        pair = values.reshape(-1, 2)
        first = factor * (pair[:, 0] - pair[:, 1])
        return np.concatenate([first, -first])

    x = relative(rows_of(required(c.model, "position")))
    x -= side * np.floor(x / side + 0.5)
    g = relative(rows_of(required(c.model, "propulsion")), np.sqrt(0.5))
    flows = [[relative(v) for v in c.vectors("v_x")], [relative(v, np.sqrt(0.5)) for v in c.vectors("v_g")]]
    sigma = [vx**2 / (2 * c.system("eps")) + vg**2 / c.system("gamma") for vx, vg in zip(*flows)]
    values = np.array([*flows, sigma])  # (quantity, network or exact, sample)
    good = np.all(np.isfinite(values), axis=(0, 1))
    return side, x[good], g[good], values[:, :, good]


def current_arrows(panel, x, g, edges, vx, vg):
    """The direction of the current, from means in coarse bins."""
    coarse = [np.linspace(e[0], e[-1], n + 1) for e, n in zip(edges, (14, 8))]
    at_x, at_g, u, v = (binned(x, g, coarse, values).ravel() for values in (x, g, vx, vg))
    length = np.hypot(u, v)
    good = np.isfinite(length) & (length > 0)
    panel.quiver(at_x[good], at_g[good], (u / length)[good], (v / length)[good], angles="xy",
                 scale=22, width=0.006, pivot="mid", color="white", edgecolor="black", linewidth=0.5)


RING = (  # symbol, label, colours, scale
    ("$v_x$", r"$v_x = v_{x,1} - v_{x,2}$ ($r_0$/time)", "RdBu_r", odd_scale),
    ("$v_g$", r"$v_g = (v_{g,1} - v_{g,2})/\sqrt{2}$ (1/time)", "RdBu_r", odd_scale),
    (r"$\sigma$", r"$\sigma = v_x^2/2\varepsilon + v_g^2/\gamma$ (1/time)", "magma", even_scale),
)


def ring(folder):
    c = Comparison(folder)
    if c.system("kind", "aoup") != "aoup" or c.system("dimension") != 1 or c.system("particles") != 2:
        raise Skip("not two particles on a ring")
    if not c.system("eps") > 0 or box_sides(c.file, 1) is None:
        raise Skip("the ring is drawn for eps > 0 and in a periodic box")
    side, x, g, values = ring_samples(c)
    bins = int(np.clip(np.sqrt(len(x) / 8), 16, 96))
    reach = max(1.0, np.percentile(np.abs(g), 99.9))
    edges = [np.linspace(-side / 2, side / 2, bins + 1), np.linspace(-reach, reach, bins // 3 * 2 + 1)]
    figure, axes = plt.subplots(3, 3, figsize=(13.5, 13), sharex=True, sharey=True)
    for column, (symbol, label, cmap, scale), (model, exact) in zip(range(3), RING, values):
        maps = [binned(x, g, edges, v) for v in (model, exact, model - exact)]
        scales = [scale(*maps[:2])] * 2 + [odd_scale(maps[2])]
        titles = (f"{symbol} of the network", f"{symbol}, exact",
                  f"network \u2212 exact, relative rms {number(relative_rms(model, exact), '{:.3f}')}")
        images = []
        for panel, value, norm, title in zip(axes[:, column], maps, scales, titles):
            images.append(panel.pcolormesh(*edges, value, norm=norm, rasterized=True,
                                           cmap="RdBu_r" if panel is axes[2, column] else cmap))
            panel.set_title(title)
            panel.set_facecolor("#c8c8c8")
        colour_bar(figure, images[1], list(axes[:2, column]), np.concatenate(maps[:2]), label)
        colour_bar(figure, images[2], axes[2, column], maps[2], label.split(" = ")[0] + "$ difference "
                   + label[label.rindex("("):])
    for row in range(2):
        current_arrows(axes[row, 2], x, g, edges, values[0, row], values[1, row])
    for panel in axes[:, 0]:
        panel.set_ylabel(r"$g = (g_1 - g_2)/\sqrt{2}$")
    for panel in axes.flat:
        panel.tick_params(labelbottom=True)
        panel.set_xlabel("$x = x_1 - x_2$ ($r_0$)")
    centre = c.system("v0")**2 / c.system("eps")
    c.heading(figure, "Flow and entropy production of two particles on a ring, network and exact",
              "Means over the samples in a bin; grey: no samples; arrows: direction of the current. "
              "EPR $\\sigma$ of the relative motion; the centre of mass\n"
              f"adds $v_0^2/\\varepsilon$ = {centre:.3g} to the totals. Relative rms: over the samples.\n")
    return figure


# ---- a crystal ----

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
              f"Network \u2212 exact, relative rms {number(ratio, '{:.3f}')}", "difference of EPR (1/time)"))
    figure, axes = plt.subplots(1, 3, figsize=(14.4, np.clip(2.6 + 4.5 * sides[1] / sides[0], 4, 10)))
    for panel, (value, norm, cmap, title, label) in zip(axes, shown):
        artist = draw_particles(panel, position, value, norm, colours(cmap) if cmap == "magma" else cmap)
        panel.set_title(title)
        colour_bar(figure, artist, panel, np.concatenate([model, exact]) if norm is same else value, label)
        frame_of_box(panel, np.zeros(2), sides)
    times = dataset(c.model, "time")
    when = f" at time {times[frame]:g}" if times is not None else ""
    c.heading(figure, f"Entropy production rate of a crystal's particles{when}")
    return figure


# ---- all of them ----

PICTURES = (particles, fields, profile, training, certificate, check, ring, crystal)


def main():
    parser = argparse.ArgumentParser(description="Draws the results of a run.")
    parser.add_argument("directory", help="output folder of the run")
    parser.add_argument("--output", help="folder for the pictures (default: the same)")
    options = parser.parse_args()
    if not os.path.isdir(options.directory):
        parser.error(f"{options.directory} is not a folder")
    output = options.output or options.directory
    os.makedirs(output, exist_ok=True)
    drawn = 0
    for picture in PICTURES:
        name = picture.__name__ + ".png"
        try:
            figure = picture(options.directory)
        except Skip as why:
            print(f"skipped {name}: {why}")
            continue
        figure.savefig(os.path.join(output, name))
        plt.close(figure)
        print(f"wrote {os.path.join(output, name)}")
        drawn += 1
    return 0 if drawn else 1


if __name__ == "__main__":
    sys.exit(main())
