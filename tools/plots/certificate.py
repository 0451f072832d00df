"""The identities that an exact score obeys, and how much a network resolves."""
import matplotlib.pyplot as plt
import numpy as np

from plots import style
from plots.files import Skip, attribute, finished, group_of, open_file, parameter
from plots.style import GREY, INK, RULE, TWO_COLUMNS, number, with_error


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


def form_of(column, value):
    """How a number of the table is written."""
    return {"z": "{:.1f}" if abs(value) < 1000 else "{:.0f}", "error": "{:.2g}",
            "difference": "{:.3g}"}.get(column, "{:.4g}")


def estimates(file):
    """Value and standard error of the certificate's numbers; empty where they are not known (yet)."""
    group = file.get("certificate")
    if group is None or file.attrs.get("complete", 1) != 1 or not np.isfinite(attribute(group, "exact")):
        return {}
    return {name: (attribute(group, name), attribute(group, name + "_error"))
            for name in ("exact", "resolved", "exact_total", "certified_total", "resolved_fraction")}


def verdict(file):
    """What a map of the entropy production is worth, for the line under it."""
    found = estimates(file)
    if not found or style.in_use == "page":  # the page says it once, for all pictures
        return ""
    return (f"resolved fraction {with_error(*found['resolved_fraction'])} of the exact entropy production;\n"
            f"certified: at least {with_error(*found['certified_total'])} of {with_error(*found['exact_total'])} "
            "in total, per unit time")


def certificate(folder):
    file = finished(open_file(folder, "evaluation.h5"))
    group = group_of(file, "certificate")
    names = [n for n in MEANINGS if n in group] + [n for n in group if n not in MEANINGS]
    names = [n for n in names if np.isfinite(attribute(group[n], "left"))]  # the others say nothing of this system
    if not names or "resolved_fraction" not in group.attrs:
        raise Skip("no certificate in evaluation.h5")
    figure, axes = plt.subplots(figsize=(TWO_COLUMNS, 1.75 + 0.27 * len(names)), constrained_layout=False)
    axes.set(xlim=(0, 1), ylim=(-len(names) - 2.0, 2.6), position=(0.02, 0.02, 0.96, 0.96))
    axes.axis("off")
    found, convention = estimates(file), attribute(group, "epr_convention", "")
    title, note = "Identities that the exact score obeys", "the exact EPR is not known without the dynamics"
    if found:
        title = f"The network resolves {with_error(*found['resolved_fraction'])} of the exact entropy production"
        note = (f"certified EPR: at least {with_error(*found['resolved'])} of {with_error(*found['exact'])} per "
                "particle and unit time" + (f" ({convention})" if convention else ""))
    axes.text(0.01, 2.0, title, fontsize=10.5, weight="bold")
    axes.text(0.01, 1.15, note, color=GREY)
    axes.text(0.01, 0.15, "identity", weight="bold")
    for name, x in COLUMNS:
        axes.text(x, 0.15, {"left": "left side", "right": "right side", "z": "z-score"}.get(name, name),
                  weight="bold", ha="right")
    axes.plot([0, 1], [-0.15, -0.15], color=INK, linewidth=0.9, clip_on=False)
    for row, name in enumerate(names):
        item, y = group[name], -0.85 - row
        axes.text(0.01, y, name.replace("_", " "), color=GREY)
        axes.text(0.11, y, MEANINGS.get(name, attribute(item, "description", "")))
        for column, x in COLUMNS:
            value = attribute(item, column)
            axes.text(x, y, number(value, form_of(column, value)), ha="right")
        axes.plot([0, 1], [y - 0.3] * 2, color=RULE, linewidth=0.6, clip_on=False)
    sigma = attribute(group, "sigma")
    noise = f" Width of the noise in training: {sigma:.3g}." if np.isfinite(sigma) and sigma > 0 else ""
    aligned = (r" I3, I4: and $\langle |a|^2\rangle/\gamma + \langle \mathrm{div}_g a\rangle$ of alignment."
               if parameter(file, "system", "alignment", 0) > 0 else "")
    axes.text(0.01, -len(names) - 1.75,
              "z-score: difference over its standard error. I0 tests the trajectory alone; I1 the score of the "
              "smoothed density.\nI2, I3, I4, resolved differ by what the network misses." + aligned + noise,
              fontsize=7, color=GREY, linespacing=1.4)
    return figure
