"""Two evaluations of the same frames by different models, side by side: what tools/compare-models shows."""
import re

import matplotlib.pyplot as plt
import numpy as np

from plots.certificate import estimates
from plots.classes import ClassTable, fraction_axis
from plots.files import (Skip, attribute, box_sides, dataset, finished, group_of, last_frame, open_file, parameter,
                         required, rows_of)
from plots.particles import draw_particles, with_images
from plots.profile import scale_of_rates, with_errors
from plots.style import BLUE, GREY, INK, ORANGE, TWO_COLUMNS, colour_bar, colours, frame_of_box, robust_log, with_error

COLOURS = (BLUE, ORANGE)
HATCHES = ("", "//")  # bars are told apart without colours, too
TABLES = (("by_phase", "phase"), ("by_contacts", "contacts"), ("by_density", "local density"))
OF_FRAMES = ("grid", "smoothing", "interface_density", "interface_width", "profile_bin", "profile_extent",
             "contact_distance")


class Different(Exception):
    """Why two evaluations cannot be compared."""


class Evaluation:
    """evaluation.h5 of a run, complete."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.file = finished(open_file(folder, "evaluation.h5"))
        self.particles = group_of(self.file, "particles/evaluation")
        self.certificate = group_of(self.file, "certificate")
        self.estimates = estimates(self.file)
        if not self.estimates:
            raise Skip("the exact entropy production is not known, and with it what is resolved")
        if "by_phase" not in self.certificate:
            raise Skip("no certificate by class: evaluate again with this version of epflow")

    def provenance(self, what):
        return attribute(group_of(self.file, "provenance"), what, "unknown")

    def table(self, name):
        return ClassTable(self.file, name)


# ---- the same frames? ----

def different_values(a, b, section, keys=None):
    """Names of parameters that differ."""
    first, second = (e.file[f"parameters/{section}"].attrs for e in (a, b))
    return [k for k in keys or sorted(set(first) | set(second))
            if k not in first or k not in second or np.any(first[k] != second[k])]


def require_same_frames(a, b):
    """Raises Different unless both are of the same particles at the same times; a line about where they came from."""
    for section, keys in (("system", None), ("evaluation", OF_FRAMES)):
        names = different_values(a, b, section, keys)
        if names:
            raise Different(f"the two differ in {section}.{names[0]}: evaluate both models with the same input")
    sources = [a.provenance("trajectories"), b.provenance("trajectories")]
    frames = [re.findall(r"\(([^()]*)\)", s) for s in sources]  # (seed ..., frames ... to ...)
    steps = [required(e.particles, "step")[()] for e in (a, b)]
    if frames[0] != frames[1] or not np.array_equal(*steps):
        raise Different(f"not the same frames: {a.folder} is of {sources[0]}, {b.folder} of {sources[1]}. Evaluate "
                        "both models on one trajectory (evaluation.trajectories), with evaluation.frames: all where "
                        "they hold out other frames")
    for name in ("position", "propulsion"):
        first, second = (required(e.particles, name) for e in (a, b))
        if first.shape != second.shape or any(not np.array_equal(first[t], second[t]) for t in range(len(first))):
            raise Different(f"not the same particles: {name} differs between {a.folder} and {b.folder}, though both "
                            f"say {frames[0][0] if frames[0] else 'nothing'} of their frames")
    moved = "" if sources[0] == sources[1] else f", which {b.folder} has as {sources[1]}"
    return f"{len(steps[0])} frames of {first.shape[1]} particles: {sources[0]}{moved}"


# ---- numbers ----

def block_error(series):
    """Standard error of the mean of a series in time: over blocks of 1, 2, 4, ... of it, at least 4, the largest."""
    largest, size = np.nan, 1
    while len(series) // size >= (2 if size == 1 else 4):
        blocks = series[:len(series) // size * size].reshape(-1, size).mean(axis=1)
        largest = np.fmax(largest, blocks.std(ddof=1) / np.sqrt(len(blocks)))
        size *= 2
    return largest


def gained(a, b):
    """Resolved fraction of B less that of A with its error, which is smaller than theirs: the frames are the same."""
    exact = np.mean(required(a.particles, "exact")[()], axis=1)
    more = np.mean(required(b.particles, "resolved")[()] - required(a.particles, "resolved")[()], axis=1)
    gain = more.mean() / exact.mean()
    return gain, block_error(more - gain * exact) / exact.mean()


def class_names(table):
    if table.names:
        return [n for n, there in zip(table.names, table.there) if there]
    return [f"{c - w / 2:.2f} to {c + w / 2:.2f}" for c, w in zip(table.at, table.width)]


def write_table(a, b, frames, out):
    """The numbers of both, as text."""
    def row(what, *values):
        print(f"{what:34} {values[0]:>22} {values[1] if len(values) > 1 else '':>22}", file=out)

    print(frames, file=out)
    for mark, e in (("A", a), ("B", b)):
        print(f"{mark}  {e.name}: {e.folder}, model {e.provenance('model')}", file=out)
    print(file=out)
    row("", "A", "B")
    row("exact EPR per particle", with_error(*a.estimates["exact"]))
    captured = [e.table("by_phase") for e in (a, b)]
    row("EPR of the model's flow", *(f"{np.sum(t.count * t.column('captured')[0]) / np.sum(t.count):.4g}"
                                     for t in captured))
    for what, name in (("resolved EPR", "resolved"), ("certified total EPR", "certified_total"),
                       ("resolved fraction", "resolved_fraction")):
        row(what, *(with_error(*e.estimates[name]) for e in (a, b)))
    row("  B less A", "", with_error(*gained(a, b)))
    for name, title in TABLES:
        print(f"\nresolved fraction by {title}", file=out)
        tables = [e.table(name) for e in (a, b)]
        values = [t.column("resolved_fraction") for t in tables]
        for k, label in enumerate(class_names(tables[0])):
            row(f"  {label} ({tables[0].count[k]:.4g} particles)", *(with_error(v[0][k], v[1][k]) for v in values))


# ---- the picture ----

def draw_map(figure, axes, evaluations):
    """Every particle of the last frame by its entropy production, on one scale."""
    sides = box_sides(evaluations[0].file, 2)
    frame = last_frame(evaluations[0].file, evaluations[0].particles)
    one = int(parameter(evaluations[0].file, "system", "particles"))  # copies lie on each other
    values = [required(e.particles, "sigma")[frame][:one].astype(float) for e in evaluations]
    position = rows_of(required(evaluations[0].particles, "position"), frame)[:one]
    low, high = ((np.zeros(2), sides) if sides is not None else
                 (np.full(2, -np.abs(position).max() - 1), np.full(2, np.abs(position).max() + 1)))
    norm = robust_log(np.concatenate(values))
    if sides is not None:
        position, values = with_images(position, values, sides)
    for panel, value, e in zip(axes, values, evaluations):
        artist = draw_particles(panel, position, value, norm, colours("magma"))
        panel.set_title(f"{e.name}\nresolved fraction {with_error(*e.estimates['resolved_fraction'])}")
        frame_of_box(panel, low, high)
    colour_bar(figure, artist, list(axes), np.concatenate(values), "EPR per particle, of the model's flow (1/time)")


def draw_rates(panel, evaluations):
    """Across the interface; by local density where there is none."""
    groups = [group_of(e.file, "profiles") for e in evaluations]
    across = np.sum(np.isfinite(required(groups[0], "exact")[()])) > 1
    if across:
        places = [(required(g, "distance")[()], g, "epr") for g in groups]
        panel.axvline(0, color=GREY, linewidth=0.8, linestyle=":")
        panel.set(title="Across the interface", xlabel=r"distance to the interface ($r_0$), dense phase on the right")
    else:
        tables = [e.table("by_density") for e in evaluations]
        places = [(t.at, t.columns(), "captured") for t in tables]
        panel.set(title="By local density", xlabel="local packing fraction")
    drawn = [with_errors(panel, *places[0][:2], "exact", GREY, r"exact, without a network", "s")]
    for (x, group, captured), e, colour in zip(places, evaluations, COLOURS):
        drawn.append(with_errors(panel, x, group, captured, colour, f"{e.name}, its flow", "o"))
        drawn.append(with_errors(panel, x, group, "resolved", colour, f"{e.name}, resolved", "^", line="--"))
    scale_of_rates(panel, np.concatenate(drawn))
    panel.set_ylabel("EPR per particle (1/time)")
    panel.legend()


def draw_fractions(panel, evaluations):
    tables = [e.table("by_phase") for e in evaluations]
    shown = []
    for shift, table, e, colour, hatch in zip((-0.2, 0.2), tables, evaluations, COLOURS, HATCHES):
        value, error = table.column("resolved_fraction")
        panel.bar(table.at + shift, value, 0.38, yerr=error, color=colour, alpha=0.75, hatch=hatch, label=e.name,
                  ecolor=INK)
        shown.append(value)
    fraction_axis(panel, np.concatenate(shown))
    tables[0].label_axis(panel, "phase")
    panel.set(title="Resolved fraction by phase", ylabel="resolved / exact")
    panel.legend()


def picture(a, b):
    both = (a, b)
    maps = int(parameter(a.file, "system", "dimension", 2)) == 2 and dataset(a.particles, "sigma") is not None
    figure, axes = plt.subplots(1 + maps, 2, figsize=(TWO_COLUMNS, 6.9 if maps else 3.2), squeeze=False,
                                height_ratios=(1.55, 1) if maps else (1,))
    if maps:
        draw_map(figure, axes[0], both)
    draw_rates(axes[-1, 0], both)
    draw_fractions(axes[-1, 1], both)
    return figure
