"""The certificate by class: exact, captured and resolved rates by phase, local density and contacts."""
import matplotlib.pyplot as plt
import numpy as np

from plots.certificate import verdict
from plots.files import Skip, dataset, finished, group_of, open_file, parameter, required
from plots.profile import CAPTURED, EXACT, RESOLVED, label_of, scale_of_rates
from plots.style import BLUE, GREY, INK, TWO_COLUMNS

TABLES = (("by_phase", "By phase", "phase"),
          ("by_density", "By local density", "local packing fraction"),
          ("by_contacts", "By number of contacts", "neighbours nearer than {contact_distance:g} $r_0$"))
RATES = (("exact", *EXACT), ("captured", *CAPTURED), ("resolved", *RESOLVED))
LEAST_FRACTION, MOST_FRACTION = -1.0, 1.3  # what is beyond is drawn at the edge
LEAST_SHARE = 1e-3  # of the particles: of rarer classes too little is known


class ClassTable:
    """A table of /certificate: places on an axis and columns of the classes with more than a share of the particles."""

    def __init__(self, file, name, share=0.0):
        group = group_of(file, f"certificate/{name}")
        count = required(group, "count")[()]
        self.group, self.there = group, count > share * count.sum()
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
    """Room for fractions up to 1, and for what is beyond to the edges."""
    good = values[np.isfinite(values)]
    low, high = (min(0, good.min()), max(1, good.max())) if good.size else (0, 1)
    axes.set_ylim(1.08 * max(LEAST_FRACTION, low) - 0.04, 1.05 * min(MOST_FRACTION, high))
    axes.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    axes.axhline(0, color=GREY, linewidth=0.6)


def draw_rates(file, axes, table):
    """The three rates with their errors; returns what was drawn."""
    drawn = []
    for shift, (name, label, colour, marker) in zip((-0.15, 0, 0.15), RATES):
        value, error = table.column(name)
        axes.errorbar(table.at + shift * table.width, value, error, color=colour, marker=marker, markersize=3.5,
                      linewidth=0.9, linestyle=":" if table.names else "-", label=label_of(file, label))
        drawn.append(value)
    return np.concatenate(drawn)


def draw_fraction(axes, table):
    """Bars of resolved / exact; returns what was drawn."""
    value, error = table.column("resolved_fraction")
    axes.bar(table.at, value, 0.8 * table.width, color=RESOLVED[1], alpha=0.55)
    inside = (value >= LEAST_FRACTION) & (value <= MOST_FRACTION)
    axes.errorbar(table.at[inside], value[inside], error[inside], color=INK, linestyle="none", linewidth=0.9)
    for beyond, edge, marker in ((value < LEAST_FRACTION, LEAST_FRACTION, "v"),
                                 (value > MOST_FRACTION, MOST_FRACTION, "^")):
        axes.plot(table.at[beyond], np.full(beyond.sum(), edge), marker, color=INK, linestyle="none")
    return value


def classes(folder):
    file = finished(open_file(folder, "evaluation.h5"))
    if "certificate/by_phase" not in file:
        raise Skip("no certificate by class in evaluation.h5")
    figure, axes = plt.subplots(3, 3, figsize=(TWO_COLUMNS, 5.8), sharex="col", sharey="row",
                                height_ratios=(1.6, 1.2, 0.7))
    rates, fractions = [], []
    for column, (name, title, label) in zip(axes.T, TABLES):
        table = ClassTable(file, name, LEAST_SHARE)
        rates.append(draw_rates(file, column[0], table))
        fractions.append(draw_fraction(column[1], table))
        column[2].bar(table.at, table.count, 0.8 * table.width, color=BLUE, alpha=0.6)
        column[0].set_title(title)
        table.label_axis(column[2], label.format(contact_distance=parameter(file, "evaluation", "contact_distance")))
    for panel in axes[0]:
        scale_of_rates(panel, np.concatenate(rates))
    for panel in axes[1]:
        fraction_axis(panel, np.concatenate(fractions))
    for row, label in zip(axes[:, 0], ("EPR per particle (1/time)", "resolved / exact", "particles")):
        row.set_ylabel(label)
    axes[0, 0].legend(loc="best")
    note = f"(classes with fewer than {LEAST_SHARE:.1%} of the particles are left out)"
    figure.supxlabel("\n".join(filter(None, [verdict(file), note])))
    return figure
