"""Cases of tools/verify about what an evaluation says: the certificate by class, and two models on the same frames."""
import re
import subprocess
import sys

import h5py
import numpy as np

from verify import ROOT, at_most, equal, finished, run, write_small

TABLES = ("by_phase", "by_density", "by_contacts")
RATES = ("exact", "captured", "resolved")
COLUMN = {"exact": "exact", "captured": "sigma", "resolved": "resolved"}
SLOW = ("--set", "training.checkpoint_interval=10", "--set", "simulation.restart_interval=10",
        "--set", "training.steps=500")


def read(folder):
    """Columns of the particles, tables by class, and attributes of the certificate."""
    with h5py.File(folder / "evaluation.h5", "r") as file:
        columns = {name: item[()] for name, item in file["particles/evaluation"].items()}
        certificate = file["certificate"]
        tables = {name: {key: item[()] for key, item in certificate[name].items()} for name in TABLES}
        return columns, tables, dict(certificate.attrs)


# ---- by NumPy, from the columns alone ----

def classes_of(name, table, columns):
    """The class of every particle in every frame."""
    if name == "by_phase":
        return columns["phase"]
    if name == "by_contacts":
        return np.minimum(columns["contacts"], 6)
    return np.searchsorted(table["edges"], columns["local_density"]) - 1


def ratio_error(above, below):
    """Largest error of sum(above) / sum(below), by the jackknife over blocks of 1, 2, 4, ... frames, at least 4."""
    largest, size = np.nan, 1
    while len(above) // size >= (2 if size == 1 else 4):
        a, b = (x[:len(x) // size * size].reshape(-1, size).sum(axis=1) for x in (above, below))
        there = (a != 0) | (b != 0)
        a, b = a[there], b[there]
        if len(a) > 1:
            without = (a.sum() - a) / (b.sum() - b) - a.sum() / b.sum()
            largest = np.fmax(largest, np.sqrt((len(a) - 1) / len(a) * np.sum(without**2)))
        size *= 2
    return largest


def by_hand(name, table, columns):
    """Means and errors by frames of a table."""
    classes, frames = classes_of(name, table, columns), len(columns["step"])
    n = len(table["count"])
    own = {key: np.full(n, np.nan) for key in ("count", "resolved_fraction", *RATES)}
    error = {key: np.full(n, np.nan) for key in own}
    for k in range(n):
        chosen = classes == k
        count = chosen.sum(axis=1).astype(float)
        sums = {key: np.where(chosen, columns[COLUMN[key]], 0).sum(axis=1) for key in RATES}
        own["count"][k], error["count"][k] = count.mean(), ratio_error(count, np.ones(frames))
        if count.sum() == 0:
            continue
        for key in RATES:
            own[key][k], error[key][k] = sums[key].sum() / count.sum(), ratio_error(sums[key], count)
        if sums["exact"].sum() > 0:
            own["resolved_fraction"][k] = sums["resolved"].sum() / sums["exact"].sum()
            error["resolved_fraction"][k] = ratio_error(sums["resolved"], sums["exact"])
    return own, error


def apart(a, b):
    """Largest difference relative to the largest value; what is NaN in one must be in the other."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape or np.any(np.isnan(a) != np.isnan(b)):
        return np.inf
    return float(np.nanmax(np.abs(a - b), initial=0) / max(np.nanmax(np.abs(b), initial=0), 1e-300))


def judge_tables(what, columns, tables, totals):
    """Of an evaluation: the tables against NumPy, and their sums against the totals."""
    differences, smaller, sums = [], [], []
    for name, table in tables.items():
        own, error = by_hand(name, table, columns)
        differences += [apart(table[key], own[key]) for key in own]
        differences.append(apart(table["count_error"], error["count"]))
        # judged by particles too: errors are these by frames, or larger
        smaller += [np.nanmax(1 - table[key + "_error"] / np.where(error[key] > 0, error[key], np.nan))
                    for key in (*RATES, "resolved_fraction") if np.any(error[key] > 0)]
        n = columns["exact"].shape[1]
        sums.append(apart([table["count"].sum()], [n]))
        sums += [apart([np.nansum(table["count"] * table[key]) / n], [totals[key]]) for key in ("exact", "resolved")]
    yield at_most(f"{what}_differ_from_numpy", max(differences), 1e-9)
    yield at_most(f"{what}_errors_too_small", max(smaller), 1e-9)
    yield at_most(f"{what}_sums_off", max(sums), 1e-9)


# ---- the case ----

def tool(name, *arguments):
    return subprocess.run([sys.executable, ROOT / "tools" / name, *map(str, arguments)], capture_output=True,
                          text=True, check=False)


def judge_comparison(folder, first, second):
    """compare-models of two models, and what it refuses."""
    picture = folder / "comparison.png"
    said = tool("compare-models", folder / first, folder / second, "--output", picture)
    yield finished("compare_exit_code", said)
    yield equal("compare_picture", "there" if picture.exists() else "missing", "there")
    line = re.search(r"^resolved fraction  +(\S+) ± \S+ +(\S+) ±", said.stdout, re.MULTILINE)
    found = [float(x.replace("\u2212", "-")) for x in line.groups()] if line else [np.nan, np.nan]
    stored = [read(folder / name)[2] for name in (first, second)]
    off = max(abs(f - s["resolved_fraction"]) / s["resolved_fraction_error"] for f, s in zip(found, stored))
    yield at_most("compare_fractions_off", off, 0.1)  # two digits of the error are printed
    for what, other in (("other_frames", "held"), ("other_phases", "gas")):
        refused = tool("compare-models", folder / first, folder / other, "--output", folder / "none.png")
        words = {"other_frames": "frames", "other_phases": "interface_density"}[what]
        good = refused.returncode == 2 and words in refused.stderr and not (folder / "none.png").exists()
        yield equal(f"compare_{what}", "refused" if good else "not", "refused")


def compare(folder):
    """The certificate by class against NumPy, also on 2 ranks and with empty classes; two models on the same frames."""
    source = write_small(folder, "first", frames=24)
    trajectory, model = folder / "first/trajectory.h5", folder / "first/model.h5"
    same = ("--set", f"evaluation.trajectories=[{trajectory}]")
    first = (*same, "--set", f"evaluation.models=[{model}]")
    yield finished("first_exit_code", run(0, "run", source, *SLOW, "--set", "network.kind=response"))
    others = {  # ranks, command, its options
        "ranks": (2, "evaluate", first),
        "gas": (0, "evaluate", (*first, "--set", "evaluation.interface_density=3")),
        "held": (0, "evaluate", (*first, "--set", "evaluation.frames=held_out")),
        "second": (0, "train", ("--set", f"training.trajectories=[{{file: {trajectory}, weight: 1}}]",
                                "--set", "network.kind=window", "--set", "training.sigma=0.3")),
    }
    for name, (ranks, command, options) in others.items():
        yield finished(f"{name}_exit_code",
                       run(ranks, command, source, *SLOW, *options, "--output", folder / name))
    yield finished("second_evaluate", run(0, "evaluate", source, *SLOW, *same, "--output", folder / "second"))

    results = {name: read(folder / name) for name in ("first", "ranks", "gas", "second")}
    for name in ("first", "gas"):
        yield from judge_tables(name, *results[name])
    tables, others = results["first"][1], results["ranks"][1]
    for key, allowed in (("count", 1e-12), ("edges", 1e-12), ("exact", 1e-9), ("exact_error", 1e-6),
                         ("captured", 1e-4), ("resolved", 1e-4)):  # the network is in float32
        off = [apart(tables[name][key], others[name][key]) for name in TABLES if key in tables[name]]
        yield at_most(f"ranks_{key}", max(off), allowed)
    phases = results["gas"][1]["by_phase"]
    yield equal("empty_classes", int(np.sum((phases["count"] == 0) & np.isnan(phases["resolved_fraction"])
                                            & np.isnan(phases["exact"]))), 2)
    for name in ("first", "gas"):
        said = tool("plot.py", folder / name)
        good = said.returncode == 0 and (folder / name / "classes.png").exists()
        yield equal(f"{name}_pictures", "there" if good else said.stderr[-200:].replace(" ", "_"), "there")
    yield from judge_comparison(folder, "first", "second")
