"""Density and rates across the interface between the phases."""
import matplotlib.pyplot as plt
import numpy as np

from plots.files import Skip, dataset, finished, group_of, open_file, parameter, required
from plots.style import BLUE, GREEN, GREY, ONE_COLUMN, ORANGE


EXACT = (r"exact, $-\mathrm{div}_x\, b$", GREY, "s")  # label, colour, marker
CAPTURED = (r"of the network, $|v_g|^2/\gamma$", ORANGE, "o")
RESOLVED = ("resolved (lower bound)", GREEN, "^")
RATES = (("exact", *EXACT), ("epr", *CAPTURED), ("resolved", *RESOLVED))


def label_of(file, label):
    """Formulas are those of eps = 0."""
    return label.split(",")[0] if parameter(file, "system", "eps", 0) > 0 else label


def scale_of_rates(axes, values):
    """Logarithmic, but linear about 0 where rates are not positive: nothing may be resolved."""
    values = values[np.isfinite(values)]
    if not np.any(values > 0):
        return
    axes.margins(y=0.1)
    if np.all(values > 0):
        axes.set_yscale("log")
        return
    size = np.abs(values[values != 0])
    least = int(np.floor(np.log10(max(np.percentile(size, 10), size.max() * 1e-6))))
    most = max(int(np.floor(np.log10(size.max()))), least)
    axes.set_yscale("symlog", linthresh=10.0**least)
    powers = 10.0 ** np.arange(most, least if most > least else least - 1, -max(1, (most - least) // 3))
    axes.set_yticks([*-powers, 0, *powers])  # the least ones are too near to 0 for a number
    axes.axhline(0, color=GREY, linewidth=0.6)


def with_errors(axes, x, group, name, colour, label=None, marker="o", factor=1.0, line="-"):
    value, error = factor * required(group, name)[()], dataset(group, name + "_error")
    good = np.isfinite(value)
    if error is not None:
        error = np.where(np.isfinite(error[()]), factor * error[()], 0)[good]
    axes.errorbar(x[good], value[good], error, color=colour, label=label, marker=marker, markersize=2.8,
                  linestyle=line, linewidth=0.9, elinewidth=0.8)
    return value[good]


def profile(folder):
    file = finished(open_file(folder, "evaluation.h5"))
    group = group_of(file, "profiles")
    x = required(group, "distance")[()]
    if np.sum(np.isfinite(required(group, "density")[()])) < 2:
        raise Skip("no interface between two phases was found")
    dimension = int(parameter(file, "system", "dimension", 2))
    volume = {1: 2, 2: np.pi, 3: 4 * np.pi / 3}[dimension]
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(ONE_COLUMN, 3.9), sharex=True, height_ratios=(1, 1.5))
    with_errors(top, x, group, "density", BLUE, factor=volume)
    top.set(ylabel="packing fraction", title="Across the interface")
    top.set_ylim(0, 1.2 * top.get_ylim()[1])

    drawn = [with_errors(bottom, x, group, name, colour, label_of(file, label), marker)
             for name, label, colour, marker in RATES]
    scale_of_rates(bottom, np.concatenate(drawn))
    bottom.set(xlabel=r"distance to the interface ($r_0$)", ylabel="EPR per particle (1/time)")
    bottom.legend(loc="best")
    for panel in (top, bottom):
        panel.axvline(0, color=GREY, linewidth=0.8, linestyle=":")
    for place, word in ((0.03, "gas"), (0.97, "dense phase")):
        top.text(place, 0.97, word, transform=top.transAxes, ha="left" if place < 0.5 else "right", va="top",
                 fontsize=7, color=GREY, style="italic")
    return figure
