"""The pictures of docs/results.md, from numbers.json and the files of tools/reproduce."""
import csv
import os
import pathlib
import shutil

import h5py
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import Normalize

from plots.files import box_sides, parameter, required
from plots.interface import cell_distances
from plots.particles import draw_particles, with_images
from plots.profile import EXACT, RATES, label_of, scale_of_rates, with_errors
from plots.style import (BLUE, GREEN, GREY, INK, ONE_COLUMN, ORANGE, TWO_COLUMNS, colour_bar, colours, frame_of_box,
                         robust_log, save, whole, with_error)

DPI, DPI_OF_MAPS = 170, 130  # all pictures together stay below 3 MB
NAMES = {"response": "response network", "window-xg": "windowed, noise on x and g", "window-g": "windowed, noise on g"}
LOOKS = {"response": (BLUE, "o"), "window-xg": (ORANGE, "s"), "window-g": (GREEN, "^")}


# ---- from the numbers ----

def by_density(numbers):
    """Sets of one size at all packing fractions, in their order."""
    return [one for name, one in numbers["sets"].items() if name.startswith("phi-")]


def by_size(numbers):
    """Sets of one packing fraction, from small to large."""
    sets = [numbers["sets"]["phi-0.5"], *(one for name, one in numbers["sets"].items() if name.startswith("n-"))]
    return sorted(sets, key=lambda one: one["particles"])


def points(axes, x, pairs, colour, marker, label=None, line="-", scale=1.0):
    """Values with their errors, where there are any."""
    value, error = (np.array([np.nan if pair[k] is None else pair[k] for pair in pairs], float) * scale for k in (0, 1))
    good = np.isfinite(value)
    axes.errorbar(np.asarray(x, float)[good], value[good], np.where(np.isfinite(error), error, 0)[good], color=colour,
                  marker=marker, linestyle=line, markersize=3.5, linewidth=0.9, label=label)
    return value[good]


def phases(_, numbers):
    """Phase diagram: packing fractions of gas and dense phase, and the dense phase's share of area."""
    sets = by_density(numbers)
    phi = [one["phi"] for one in sets]
    figure, (left, right) = plt.subplots(1, 2, figsize=(TWO_COLUMNS, 2.6))
    for name, colour, marker, label in (("gas", ORANGE, "o", "gas"), ("dense", BLUE, "s", "dense phase")):
        points(left, [one["interface"][name][0] for one in sets], [[p, 0] for p in phi], colour, marker, label, "")
        value = np.array([one["interface"][name] for one in sets], float)
        left.errorbar(value[:, 0], phi, xerr=np.nan_to_num(value[:, 1]), color=colour, linestyle="none", linewidth=0.9)
    left.plot(phi, phi, color=GREY, linewidth=0.8, linestyle=":", label="all particles")
    left.set(xlabel="packing fraction of the phase", ylabel="packing fraction of all", title="Coexisting densities")
    left.legend()
    points(right, phi, [one["interface"]["dense_area"] for one in sets], BLUE, "s", "measured")
    lever = [(p - one["interface"]["gas"][0]) / (one["interface"]["dense"][0] - one["interface"]["gas"][0])
             for p, one in zip(phi, sets)]
    right.plot(phi, lever, color=GREY, linewidth=0.9, linestyle="--", label="by the lever rule")
    right.set(xlabel="packing fraction of all", ylabel="share of area", title="Dense phase", ylim=(0, 1))
    right.legend()
    return figure


def fractions(_, numbers):
    """What each network resolves, by packing fraction and by size."""
    figure, axes = plt.subplots(2, 2, figsize=(TWO_COLUMNS, 4.6), sharex="col", sharey="row", height_ratios=(1.1, 1))
    columns = ((by_density(numbers), "phi", "packing fraction"), (by_size(numbers), "particles", "particles"))
    for column, (sets, key, label) in enumerate(columns):
        x, drawn = [one[key] for one in sets], []
        points(axes[0, column], x, [one["models"]["response"]["exact"] for one in sets], INK, "D", "exact")
        drawn += [one["models"]["response"]["exact"][0] for one in sets]
        for model, (colour, marker) in LOOKS.items():
            rates = [one["models"][model]["resolved"] for one in sets]  # on a scale without zero: where positive
            rates = [rate if (rate[0] or 0) > 0 else [np.nan, np.nan] for rate in rates]
            drawn += points(axes[0, column], x, rates, colour, marker, NAMES[model]).tolist()
        points(axes[1, column], x, [one["models"]["response"]["fraction"] for one in sets], *LOOKS["response"])
        scale_of_rates(axes[0, column], np.array(drawn, float))
        axes[1, column].set_xlabel(label)
        axes[1, column].axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    for panel in axes[:, 1]:
        panel.set_xscale("log", base=2)
        panel.set_xticks([one["particles"] for one in by_size(numbers)],
                         [str(one["particles"]) for one in by_size(numbers)])
        panel.minorticks_off()
    axes[0, 0].set(ylabel="EPR per particle (1/time)", title="Exact and resolved, by packing fraction")
    axes[0, 1].set_title("by size, at a packing fraction of one half")
    axes[1, 0].set(ylabel="resolved fraction", title="Resolved fraction of the response network")
    axes[0, 0].legend(fontsize=6)
    return figure


def concentration(_, numbers):
    """Shares of the entropy production near the interface beside its shares of area and of particles."""
    sets = by_density(numbers)
    phi = [one["phi"] for one in sets]
    figure, axes = plt.subplots(1, 2, figsize=(TWO_COLUMNS, 2.8), sharey=True)
    rows = (("area", GREY, "D", "area", "--"), ("particles", INK, "v", "particles", "--"),
            ("sigma", ORANGE, "o", "EPR of the response network", "-"), ("resolved", GREEN, "^", "resolved EPR", "-"),
            ("exact", BLUE, "s", r"$-\mathrm{div}_x\, b$", ":"))
    for near, panel in zip((1, 2), axes):
        for name, colour, marker, label, line in rows:
            points(panel, phi, [one["interface"][f"{name}_{near}"] for one in sets], colour, marker, label, line)
        width = ("one diameter", "two diameters")[near - 1]
        panel.set(xlabel="packing fraction", title=f"Within {width} of the interface")
    axes[0].set_ylim(0, 1.05 * max(one["interface"][f"{row[0]}_2"][0] for one in sets for row in rows))
    axes[0].set_ylabel("share")
    axes[0].legend(fontsize=6)
    return figure


def radials(_, numbers):
    """Round the droplet and round the bubble."""
    figure, axes = plt.subplots(2, 2, figsize=(TWO_COLUMNS, 3.8), sharex="col", height_ratios=(1, 1.3))
    for column, (name, title) in enumerate(((numbers["droplet"], "Droplet"), ("phi-0.7", "Bubble"))):
        found = numbers["sets"][name].get("radial")
        axes[1, column].set_xlabel(r"distance to its centre ($r_0$)")
        if found is None:
            axes[0, column].set_title(f"{title}: none")
            continue
        points(axes[0, column], found["r"], found["packing"], BLUE, ".")
        drawn = [points(axes[1, column], found["r"], found[key], colour, ".", label)
                 for key, colour, label in (("exact", EXACT[1], EXACT[0]), ("epr", ORANGE, "of the network"))]
        scale_of_rates(axes[1, column], np.concatenate(drawn))
        for panel in axes[:, column]:
            panel.axvline(found["radius"][0], color=GREY, linewidth=0.8, linestyle=":")
        axes[0, column].set_title(f"{title} at a packing fraction of {numbers['sets'][name]['phi']:.2g}, mean radius "
                                  f"{found['radius'][0]:.0f} $r_0$", fontsize=7.5)
    axes[0, 0].set_ylabel("packing fraction")
    axes[1, 0].set_ylabel(r"EPR per area (1/(time $r_0^2$))")
    axes[1, 0].legend(fontsize=6)
    return figure


# ---- from the files ----

def largest(numbers):
    return max((name for name in numbers["sets"] if name.startswith("n-")), key=lambda name: int(name[2:]))


def evaluation(output, model, name):
    return h5py.File(os.path.join(output, "evaluations", model, name, "evaluation.h5"), "r")


def last_particles(file):
    """Position, EPR and box of the last frame."""
    group = file["particles/evaluation"]
    return required(group, "position")[-1], required(group, "sigma")[-1].astype(float), box_sides(file, 2)


def map_of_largest(output, numbers):
    """Entropy production of every particle of the largest set, and the density on the grid."""
    name = largest(numbers)
    with evaluation(output, "response", name) as file:
        position, sigma, sides = last_particles(file)
        packing = np.pi * file["fields/density"][-1]
    position, (sigma,) = with_images(position, [sigma], sides)
    height = 2 * (0.84 * TWO_COLUMNS * sides[1] / sides[0] + 0.5)
    figure, axes = plt.subplots(2, 1, figsize=(TWO_COLUMNS, min(height, 8.5)))
    artist = draw_particles(axes[0], position, sigma, robust_log(sigma), colours("magma"))
    colour_bar(figure, artist, axes[0], sigma, "EPR per particle (1/time)", "right")
    count = whole(numbers["sets"][name]["particles"])
    axes[0].set_title(f"Entropy production of {count} particles, by the response network")
    image = axes[1].imshow(packing, origin="lower", extent=(0, sides[0], 0, sides[1]), interpolation="nearest",
                           norm=Normalize(0, np.percentile(packing, 99.9)), cmap=colours("cividis"))
    colour_bar(figure, image, axes[1], packing, "packing fraction", "right")
    axes[1].set_title("Density")
    for panel in axes:
        frame_of_box(panel, np.zeros(2), sides)
    return figure


def maps_of_models(output, numbers):
    """One frame by all three networks, each on a scale of its own."""
    figure, axes = plt.subplots(1, 3, figsize=(TWO_COLUMNS, 3.5))
    for panel, model in zip(axes, NAMES):
        with evaluation(output, model, "phi-0.5") as file:
            position, sigma, sides = last_particles(file)
        position, (sigma,) = with_images(position, [sigma], sides)
        artist = draw_particles(panel, position, sigma, robust_log(sigma), colours("magma"))
        colour_bar(figure, artist, panel, sigma, "EPR per particle (1/time)")
        fraction = numbers["sets"]["phi-0.5"]["models"][model]["fraction"]
        panel.set_title(f"{NAMES[model]}\nresolves {with_error(*fraction)}")
        frame_of_box(panel, np.zeros(2), sides)
    return figure


def profiles(output, numbers):
    """Across the interface of the largest set: density, rates, and area at that distance."""
    name = largest(numbers)
    with evaluation(output, "response", name) as file:
        group = file["profiles"]
        x = required(group, "distance")[()]
        figure, (top, bottom) = plt.subplots(2, 1, figsize=(ONE_COLUMN, 3.9), sharex=True, height_ratios=(1, 1.5))
        with_errors(top, x, group, "density", BLUE, factor=np.pi)
        drawn = [with_errors(bottom, x, group, key, colour, label_of(file, label), marker)
                 for key, label, colour, marker in RATES]
        spacing = np.broadcast_to(np.atleast_1d(file["fields/density"].attrs["spacing"]), 2)
        level = parameter(file, "evaluation", "interface_density")
        away = cell_distances(np.pi * file["fields/density"][-1] > level, tuple(spacing), 20)
    shares = np.histogram(away[np.isfinite(away)], np.append(x - 0.5 * (x[1] - x[0]), x[-1] + 0.5 * (x[1] - x[0])))[0]
    other = top.twinx()
    other.plot(x, shares / away.size / (x[1] - x[0]), color=GREY, linewidth=0.8)
    other.set_ylabel(r"share of area per $r_0$", color=GREY)
    if any(len(values) for values in drawn):
        scale_of_rates(bottom, np.concatenate(drawn))
    count = whole(numbers["sets"][name]["particles"])
    top.set(ylabel="packing fraction", title=f"Across the interface, {count} particles")
    bottom.set(xlabel=r"distance to the interface ($r_0$), dense phase to the right",
               ylabel="EPR per particle (1/time)")
    bottom.legend(fontsize=6)
    for panel in (top, bottom):
        panel.axvline(0, color=GREY, linewidth=0.8, linestyle=":")
    return figure


def scaling(output, numbers):
    """Efficiency of simulation and evaluation, and bytes sent."""
    with open(os.path.join(output, "scaling/scaling.csv"), newline="", encoding="utf-8") as file:
        simulated = list(csv.DictReader(file))
    found = numbers["scaling"]
    figure, axes = plt.subplots(1, 3, figsize=(TWO_COLUMNS, 2.6))
    for panel, rows, title in ((axes[0], simulated, "Simulation"), (axes[1], found["rows"], "Evaluation")):
        for kind, colour, marker in (("strong", BLUE, "o"), ("weak", ORANGE, "s")):
            chosen = [row for row in rows if row["kind"] == kind]
            panel.plot([int(row["ranks"]) for row in chosen], [float(row["efficiency"]) for row in chosen],
                       color=colour, marker=marker, label=kind)
        panel.set(title=title, xlabel="ranks", ylabel="efficiency")
        panel.set_ylim(0, max(1.1, panel.get_ylim()[1]))
        panel.legend()
    ranks = [row["ranks"] for row in found["messages"]]
    axes[2].plot(ranks, [row["step"]["bytes"] / row["ranks"] for row in found["messages"]], color=BLUE, marker="o",
                 label="a step of the simulation")
    axes[2].plot(ranks, [row["frame"]["bytes"] / row["ranks"] for row in found["messages"]], color=ORANGE, marker="s",
                 label="a frame evaluated")
    axes[2].set(title="Bytes that a rank sends to others", xlabel="ranks", yscale="log")
    low, high = axes[2].get_ylim()
    axes[2].set_ylim(10.0**np.floor(np.log10(low)), 10.0**np.ceil(np.log10(high)))
    axes[2].legend()
    for panel in axes:
        panel.set_xscale("log", base=2)
        panel.set_xticks(numbers["size"]["ranks"], [str(count) for count in numbers["size"]["ranks"]])
        panel.minorticks_off()
    return figure


PICTURES = {"phases": phases, "fractions": fractions, "map": map_of_largest, "models": maps_of_models,
            "interface": profiles, "concentration": concentration, "radial": radials, "ranks": scaling}


def draw_all(output, numbers):
    folder = pathlib.Path(output) / "figures"
    folder.mkdir(exist_ok=True)
    for name, picture in PICTURES.items():
        figure = picture(output, numbers)
        save(figure, folder / f"{name}.png", DPI_OF_MAPS if name in ("map", "models") else DPI)
        plt.close(figure)
    shutil.copy(pathlib.Path(output) / "scaling/scaling.png", folder / "scaling.png")
