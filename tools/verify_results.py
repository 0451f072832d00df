"""Cases of tools/verify for tools/reproduce: all of it in seconds, of no physical sense, and its quick form."""
import json
import re
import signal
import subprocess
import sys
import time

import h5py
import numpy as np

from plots.interface import cell_distances, largest_region
from verify import ROOT, at_least, at_most, equal, finished

TOOL = [sys.executable, str(ROOT / "tools/reproduce.py"), "results"]
FIGURES = 9


def reproduce(output, *options):
    return subprocess.run([*TOOL, "--output", str(output), *options], capture_output=True, text=True, check=False)


def stopped(output, task, *options):
    """Runs until a task is done, then asks it to end; the exit code."""
    process = subprocess.Popen([*TOOL, "--output", str(output), *options], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    path = output / "times.json"
    while process.poll() is None and not (path.exists() and f'"{task}"' in path.read_text()):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    return process.wait()


def page_and_figures(output):
    figures = list((output / "figures").glob("*.png"))
    yield equal("figures", len(figures), FIGURES)
    yield at_most("figures_MB", sum(path.stat().st_size for path in figures) / 1e6, 3)
    page = output / "results.md"
    text = page.read_text() if page.exists() else "{{"
    named = set(re.findall(r"\(figures/(\w+\.png)\)", text))
    yield equal("figures_on_the_page", " ".join(sorted(named ^ {path.name for path in figures})) or "all", "all")
    yield equal("left_to_fill_in", text.count("{{") + text.count("nan "), 0)


def numbers_of(output):
    return json.loads((output / "numbers.json").read_text())


def jackknife(above, below):
    """Of a quotient of sums, over single frames."""
    without = (above.sum() - above) / (below.sum() - below)
    return np.sqrt((len(without) - 1) * np.mean((without - above.sum() / below.sum())**2))


def numbers_are_the_files(output):
    """Beside the program's own certificate, distances and phases, and beside NumPy."""
    found = numbers_of(output)["sets"]["phi-0.5"]
    with h5py.File(output / "evaluations/response/phi-0.5/evaluation.h5") as file:
        columns = {name: file[f"particles/evaluation/{name}"][()]
                   for name in ("sigma", "interface_distance", "position")}
        own = dict(file["certificate"].attrs)
        packing = np.pi * file["fields/density"][()]
        spacing = np.broadcast_to(file["fields/density"].attrs["spacing"], 2)
    model = found["models"]["response"]
    yield at_most("fraction_off", abs(model["resolved"][0] / model["exact"][0] / own["resolved_fraction"] - 1), 1e-9)
    near = np.abs(columns["interface_distance"]) <= 4
    sums = np.where(near, columns["sigma"], 0).sum(axis=1), columns["sigma"].sum(axis=1)
    share, error = found["interface"]["sigma_2"]
    yield at_most("share_off", abs(share - sums[0].sum() / sums[1].sum()), 1e-12)
    yield at_least("error_beside_jackknife", error / jackknife(*sums), 1 - 1e-9)
    off = []
    for frame, density in enumerate(packing):
        distance = cell_distances(density > 0.5, tuple(spacing), 6)
        cell = np.floor(columns["position"][frame] / spacing).astype(int) % density.shape[::-1]
        at = distance[cell[:, 1], cell[:, 0]]
        good = np.isfinite(at)
        off.append(np.max(np.abs(at - columns["interface_distance"][frame])[good]))
    yield at_most("distances_off_in_cells", max(off) / spacing[0], 1.01)  # those of particles are interpolated


def regions_are_right():
    """The largest region of random cells, beside one that is filled from cell to cell."""
    mask = np.random.default_rng(1).random((40, 50)) > 0.45
    left, largest = {tuple(cell) for cell in np.argwhere(mask)}, 0
    while left:
        region, edge = 0, [left.pop()]
        while edge:
            y, x = edge.pop()
            region += 1
            beside = {((y + 1) % 40, x), ((y - 1) % 40, x), (y, (x + 1) % 50), (y, (x - 1) % 50)} & left
            left -= beside
            edge += beside
        largest = max(largest, region)
    return equal("largest_region", int(largest_region(mask).sum()), largest)


def results(folder):
    """tools/reproduce at toy size: interrupted and resumed, to the figures and the page; numbers beside NumPy."""
    yield equal("stopped_exit_code", stopped(folder, "data/phi-0.5", "--size", "toy"), 75)
    done = reproduce(folder, "--size", "toy")
    yield finished("resumed_exit_code", done)
    if done.returncode != 0:
        return
    times = json.loads((folder / "times.json").read_text())
    yield equal("states", " ".join(sorted({task["state"] for task in times.values()})), "done")
    again = reproduce(folder, "--size", "toy", "--only", "evaluate")
    yield equal("repeated", len(re.findall(r": done in", again.stdout)), 0)
    other = reproduce(folder, "--quick")
    yield equal("other_size", "refused" if other.returncode == 1 and "--output" in other.stderr else "not", "refused")
    yield from page_and_figures(folder)
    yield from numbers_are_the_files(folder)
    yield regions_are_right()
    for row in numbers_of(folder)["scaling"]["messages"]:  # two ranks, which say where particles are in every step
        yield at_least("messages_a_step", row["step"]["messages"], 2)
        yield at_least("bytes_of_a_message", row["step"]["bytes"] / row["step"]["messages"], 100)
        yield at_least("bytes_a_frame", row["frame"]["bytes"], 1)


# ---- the quick form ----

def results_quick(folder):
    """tools/reproduce results --quick: a quarter of an hour; what small and short runs allow of the results' bars."""
    begun = time.monotonic()
    done = reproduce(folder, "--quick")
    yield finished("exit_code", done)
    if done.returncode != 0:
        return
    yield at_most("seconds", time.monotonic() - begun, 900)
    yield from page_and_figures(folder)
    yield from numbers_are_the_files(folder)
    sets = numbers_of(folder)["sets"]
    half = sets["phi-0.5"]["models"]["response"]
    yield at_least("resolved_0.5", half["fraction"][0], 0.72)
    for name, one in sets.items():
        model = one["models"]["response"]
        if name.startswith("phi-") and 0.29 < one["phi"] < 0.81:
            yield at_least(f"resolved_{name}", model["fraction"][0], 0.58)
        if name.startswith("n-"):  # larger boxes separate further than 1024 particles can: they resolve no less
            yield at_least(f"resolved_{name}", model["fraction"][0], 0.72)
        yield at_most(f"total_{name}_off", abs(model["excess"][0]), 0.15)
        yield at_most(f"windowed_{name}", one["models"]["window-xg"]["fraction"][0], 0.1)
