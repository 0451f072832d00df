"""The certificate by class: exact, captured and resolved rates by phase, local density and contacts."""
import matplotlib.pyplot as plt
import numpy as np

from plots.certificate import verdict
from plots.files import Skip, dataset, finished, group_of, open_file, required
from plots.profile import CAPTURED, EXACT, RESOLVED, label_of, scale_of_rates
from plots.style import BLUE, GREY

TABLES = (("by_phase", "By phase", "phase"),
          ("by_density", "By local density", "local packing fraction"),
          ("by_contacts", "By number of contacts", r"neighbours closer than $2\,r_0$"))
RATES = (("exact", *EXACT), ("captured", *CAPTURED), ("resolved", *RESOLVED))
LEAST_FRACTION = -1.0  # below it a network is worse than none, and it does not matter how much


class ClassTable:
    """A table of /certificate: of the classes with particles, their places on an axis, and columns."""

    def __init__(self, file, name):
        group = group_of(file, f"certificate/{name}")
        count = required(group, "count")[()]
        self.group, self.there = group, count > 0
        self.count = count[self.there]
        edges, names = dataset(group, "edges"), dataset(group, "names")
        if edges is not None:
            self.names = None
            self.at = (0.5 * (edges[:-1] + edges[1:]))[self.there]
            self.width = np.diff(edges[()])[self.there]
        else:
            self.names = [n.decode().replace(" or more", "+") for n in names[()]]
            self.at = np.arange(len(count))[self.there].astype(float)
            self.width = np.ones(self.at.size)

    def column(self, name):
        """Values and standard errors; unknown errors are 0."""
        value, error = (required(self.group, name + end)[self.there] for end in ("", "_error"))
        return value, np.where(np.isfinite(error), error, 0)

    def columns(self):
        """All of them by name, errors too."""
        names = [name for name in self.group if name not in ("edges", "names")]
        return {name: required(self.group, name)[self.there] for name in names}

    def label_axis(self, axes, label):
        axes.set_xlabel(label)
        if self.names:
            axes.set_xticks(range(len(self.names)), self.names)
            axes.set_xlim(-0.6, len(self.names) - 0.4)


def fraction_axis(axes, values):
    """Room for fractions up to 1; what is below the least is at the edge."""
    good = values[np.isfinite(values)]
    low = max(LEAST_FRACTION, min(0, good.min())) if good.size else 0
    axes.set_ylim(low * 1.08 - 0.04, max(1.05, good.max() * 1.05 if good.size else 1))
    axes.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    axes.axhline(0, color=GREY, linewidth=0.6)


def draw_rates(file, axes, table):
    """The three rates with their errors; returns what was drawn."""
    drawn = []
    for shift, (name, label, colour, marker) in zip((-0.15, 0, 0.15), RATES):
        value, error = table.column(name)
        axes.errorbar(table.at + shift * table.width, value, error, color=colour, marker=marker, markersize=5,
                      linewidth=1, linestyle=":" if table.names else "-", capsize=2, label=label_of(file, label))
        drawn.append(value)
    return np.concatenate(drawn)


def draw_fraction(axes, table):
    """Bars of resolved / exact; returns what was drawn."""
    value, error = table.column("resolved_fraction")
    shown = np.maximum(value, LEAST_FRACTION)
    below = value < LEAST_FRACTION
    axes.bar(table.at, shown, 0.8 * table.width, color=RESOLVED[1], alpha=0.55)
    axes.errorbar(table.at[~below], value[~below], error[~below], color="black", linestyle="none", capsize=2,
                  linewidth=1)
    axes.plot(table.at[below], shown[below], "v", color="black")
    return shown


def classes(folder):
    file = finished(open_file(folder, "evaluation.h5"))
    if "certificate/by_phase" not in file:
        raise Skip("no certificate by class in evaluation.h5")
    figure, axes = plt.subplots(3, 3, figsize=(13, 9.4), sharex="col", sharey="row", height_ratios=(1.6, 1.2, 0.7))
    rates, fractions = [], []
    for column, (name, title, label) in zip(axes.T, TABLES):
        table = ClassTable(file, name)
        rates.append(draw_rates(file, column[0], table))
        fractions.append(draw_fraction(column[1], table))
        column[2].bar(table.at, table.count, 0.8 * table.width, color=BLUE, alpha=0.6)
        column[0].set_title(title)
        table.label_axis(column[2], label)
    for panel in axes[0]:
        scale_of_rates(panel, np.concatenate(rates))
    for panel in axes[1]:
        fraction_axis(panel, np.concatenate(fractions))
    for row, label in zip(axes[:, 0], ("EPR per particle (1/time)", "resolved / exact", "particles")):
        row.set_ylabel(label)
    axes[0, 0].legend(loc="best", fontsize=10)
    figure.supxlabel(verdict(file), fontsize=11)
    return figure
