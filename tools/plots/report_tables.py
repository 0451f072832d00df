"""The tables of a run's page."""
import os

import numpy as np

from plots.certificate import form_of
from plots.classes import LEAST_SHARE, ClassTable
from plots.compare import class_names
from plots.files import Skip, attribute, tables_with
from plots.page import Cell, Html, joined, measured, table, tag
from plots.style import number

FORMULAS = {
    "I0": "\u27e8F\u00b7b\u27e9 + \u03b5\u27e8div<sub>x</sub> F\u27e9 = (dt/2)\u27e8b\u00b7K b\u27e9",
    "I1_x": "\u27e8|s<sub>x</sub>|\u00b2\u27e9 = \u2212\u27e8div<sub>x</sub> s<sub>x</sub>\u27e9",
    "I1_g": "\u27e8|s<sub>g</sub>|\u00b2\u27e9 = \u2212\u27e8div<sub>g</sub> s<sub>g</sub>\u27e9",
    "I2": "\u27e8div<sub>g</sub> v<sub>g</sub>\u27e9 = \u2212\u27e8div<sub>x</sub> v<sub>x</sub>\u27e9",
    "I2_vs": "\u27e8v<sub>x</sub>\u00b7s<sub>x</sub>\u27e9 = \u2212\u27e8v<sub>g</sub>\u00b7s<sub>g</sub>\u27e9",
    "I3": "\u27e8|v<sub>g</sub>|\u00b2\u27e9/\u03b3 = \u2212\u27e8div<sub>x</sub> b\u27e9",
    "I4": "\u27e8\u03c3\u27e9 = \u27e8|b|\u00b2\u27e9/\u03b5 + \u27e8div<sub>x</sub> b\u27e9",
    "resolved": "resolved \u2264 exact rate",
}
CLASSES = (("by_phase", "phase"), ("by_density", "local packing fraction"), ("by_contacts", "contacts"))
SECTIONS = ("system", "simulation", "training", "evaluation", "network", "response", "data", "run", "output")
SHORT = 24  # letters of a value that stay in one line
LONG = ("command_line", "flags", "libraries", "model", "trajectories")


def finished_certificate(results):
    file = results.files.get("evaluation.h5")
    return file.get("certificate") if file is not None and results.complete("evaluation.h5") else None


# ---- certificate ----

def identity_table(results):
    group = finished_certificate(results)
    if group is None:
        return Html("")
    rows = []
    for name in [n for n in FORMULAS if n in group]:
        left, right, difference, error, z = (attribute(group[name], key)
                                             for key in ("left", "right", "difference", "error", "z"))
        if not np.isfinite(left):
            continue  # says nothing of this system
        off = np.isfinite(z) and abs(z) > 3
        rows.append((name.replace("_", " "), Cell(Html(FORMULAS[name]), "formula"), measured(left), measured(right),
                     measured(difference, text=number(difference, form_of("difference", difference))),
                     measured(error, text=number(error, form_of("error", error))),
                     Cell(measured(z, text=number(z, form_of("z", z))), "n off" if off else "n")))
    convention = attribute(group, "epr_convention", "")
    noise = {z: attribute(group, f"noise_{z}", np.nan) for z in "xg"}
    width = ", ".join(f"{v:g} on {z}" for z, v in noise.items() if np.isfinite(v))
    return joined(
        table(("identity", "", "left side", "right side", "difference", "error", "z"), rows, "wide", range(2, 7)),
        tag("p", "Per particle. z: the difference over its standard error; beyond 3 it is marked. I0 tests the "
                 "trajectory alone, without a network; I1 the score, on samples noised as in training. I2, I3, I4 and "
                 "resolved differ by what the network misses of the flow.", class_="note"),
        tag("p", f"EPR: {convention or 'not stated'}." + (f" Noise in training: {width}." if width else ""),
            class_="note"))


def class_tables(results):
    if finished_certificate(results) is None:
        return Html("")
    parts = []
    for name, title in CLASSES:
        try:
            classes = ClassTable(results.files["evaluation.h5"], name, LEAST_SHARE)
        except Skip:
            continue
        columns = {what: classes.column(what) for what in ("exact", "captured", "resolved", "resolved_fraction")}
        rows = [(label, measured(classes.count[k], text=number(classes.count[k])),
                 *(measured(value[k], error[k]) for value, error in columns.values()))
                for k, label in enumerate(class_names(classes))]
        parts.append(table((title, "particles", "exact", "of the network", "resolved", "resolved / exact"), rows,
                           "wide", range(1, 6)))
    if parts:
        parts.append(tag("p", "Rates per particle and unit time. Class by class the exact rate is \u2212div b (or its "
                              "equal for \u03b5 > 0), which currents carry from class to class: resolved / exact may "
                              f"exceed 1. Classes of fewer than {LEAST_SHARE:.1%} of the particles are left out.",
                         class_="note"))
    return joined(*parts)


# ---- training ----

def training_table(results):
    file = results.files.get("model.h5")
    if file is None:
        return Html("")
    rows = [("weights of the network", measured(float(attribute(file.get("network", file), "parameters", np.nan)))),
            ("steps", measured(float(attribute(file, "step"))))]
    tests = tables_with(file, "step", "resolved_fraction")
    if tests and len(tests[0]["step"]):
        last = {key: column[-1] for key, column in tests[0].items()}
        rows.append(("resolved fraction on held-out frames, last",
                     measured(last["resolved_fraction"], last.get("error", np.nan))))
    logs = tables_with(file, "step", "particles_per_second")
    if logs and len(logs[0]["step"]):
        speed = float(np.median(logs[0]["particles_per_second"]))
        rows.append(("particles a second, median", measured(speed)))
    return table(None, rows, numbers=(1,))


# ---- parameters ----

def shown(value):
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value) if str(value) else "\u2013"


def parameter_tables(results):
    units, parts = results.units(), []
    for section in SECTIONS:
        found = results.parameters(section)
        if not found or section == "response" and results.parameter("network", "kind") != "response":
            continue
        rows = [(key, Cell(shown(value), "n" if len(shown(value)) < SHORT else None),
                 units.get(f"{section}.{key}", "")) for key, value in found.items()]
        parts.append(tag("section", tag("h3", section), table(None, rows)))
    conventions = [tag("p", f"{name.replace('_', ' ')}: {units[name]}.", class_="note")
                   for name in ("length", "time", "time_reversal") if name in units]
    return joined(tag("div", *parts, class_="columns"), *conventions)


# ---- provenance and files ----

def provenance_table(results):
    found = results.provenance()
    if not found:
        return Html("")
    names = list(found)
    keys = list(dict.fromkeys(key for columns in found.values() for key in columns))
    keys.sort(key=lambda key: (key in LONG, key != "version", key))
    rows = []
    for key in keys:
        values = [found[name].get(key, "\u2013") for name in names]
        shown_as = [tag("code", str(v)) if key in LONG and v != "\u2013" else str(v) for v in values]
        same = len(set(map(str, values))) == 1
        rows.append((key.replace("_", " "),
                     *([Cell(shown_as[0], span=len(names))] if same else shown_as)))
    return table(("", *names), rows, "wide")


def file_table(results):
    rows = []
    for name in sorted(os.listdir(results.folder)):
        path = os.path.join(results.folder, name)
        if not (name.endswith((".h5", ".xdmf")) or name == "log.txt") or not os.path.isfile(path):
            continue
        size = os.path.getsize(path)
        if name in results.files:
            state = "complete" if results.complete(name) else "not complete"
        else:
            state = "cannot be read" if any(name in text for text in results.problems) else ""
        rows.append((name, Cell(f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB", "n"), state))
    return joined(tag("h3", "Files"), table(None, rows))
