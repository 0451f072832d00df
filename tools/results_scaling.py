"""The evaluation of a model on more and more ranks, and what ranks say to each other: a part of tools/reproduce.

Evaluates the same particles (strong) and so many a rank (weak) on every number of ranks of a list, in states that are
tiled from the last frame of a trajectory and have gone on for a while, and counts messages: bytes and numbers are the
differences of two runs, one of which simulates more steps, or evaluates more frames (count_messages.c, which mpicc
builds, counts them). Writes evaluation.json: rows of the table, and messages by number of ranks.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys

import h5py

from plots.files import box_sides, parameter
from running import CROWDED, EPFLOW, ROOT
from scaling import near_square

SECTIONS = ("reading and halos", "network", "fields and profiles")  # without files
INPUTS = ROOT / "inputs/results"
FRAMES = (1, 3)
COUNTER = "count_messages.so"
COUNTS = ("bytes", "messages", "collective_bytes", "collective_calls")


def epflow(ranks, verb, source, output, settings, monitor=None):
    """Runs the program anew; what --json says of the stage."""
    start = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    if monitor:
        start += ["env", f"LD_PRELOAD={monitor.parent / COUNTER}", f"EPFLOW_MESSAGES={monitor / 'rank'}"]
    settings = {**settings, "run.device": "cpu"}
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    command = [*start, EPFLOW, verb, str(INPUTS / f"{source}.yaml"), "--output", str(output), *options, "--overwrite",
               "--json"]
    done = subprocess.run(command, env={**os.environ, **CROWDED}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"results_scaling: error: {' '.join(command)}: exit code {done.returncode}:\n{done.stderr[-1500:]}")
    return json.loads(done.stdout)["stages"][0]


class Start:
    """The state that tiles are made of."""

    def __init__(self, path):
        self.path = path
        with h5py.File(path, "r") as file:
            self.side = [float(x) for x in box_sides(file, 2)]
            self.particles = int(parameter(file, "system", "particles"))

    def settings(self, tiles, frames, burn_in):
        box = [count * side for count, side in zip(tiles, self.side)]
        return {"system.particles": self.particles * tiles[0] * tiles[1], "system.box": f"[{box[0]!r}, {box[1]!r}]",
                "simulation.start": f"{self.path}@last", "simulation.burn_in": burn_in, "simulation.frames": frames,
                "simulation.frame_interval": 20, "simulation.seed": 700}


def tiled(options, start, tiles, frames):
    """The trajectory of so many frames in so many tiles; made once."""
    folder = options.output / f"tiles-{tiles[0]}-{tiles[1]}-{frames}"
    if not folder.exists():
        epflow(1, "simulate", "tiles", folder, start.settings(tiles, frames, 10))
    return folder / "trajectory.h5"


def evaluated(options, ranks, trajectory, monitor=None):
    return epflow(ranks, "evaluate", "mips", options.output / "evaluated", {
        "evaluation.models": f"[{options.model}]", "evaluation.trajectories": f"[{trajectory}]", "evaluation.grid": 4},
        monitor)


def row_of(kind, ranks, particles, said):
    seconds = {section["section"]: section for section in said["sections"]}
    mean = sum(seconds[name]["mean"] for name in SECTIONS)
    return {"kind": kind, "ranks": ranks, "particles": particles, "seconds_a_frame": mean / FRAMES[1],
            "network_mean": seconds["network"]["mean"], "network_max": seconds["network"]["max"],
            "particles_a_second": particles * FRAMES[1] / mean}


def measure(options, start, kind, ranks):
    tiles = near_square((options.strong if kind == "strong" else start.particles * ranks) // start.particles)
    said = evaluated(options, ranks, tiled(options, start, tiles, FRAMES[1]))
    return row_of(kind, ranks, start.particles * tiles[0] * tiles[1], said)


def add_efficiencies(rows):
    for row in rows:
        first = next(other for other in rows if other["kind"] == row["kind"])
        row["efficiency"] = row["particles_a_second"] / row["ranks"] * first["ranks"] / first["particles_a_second"]


# ---- messages ----

def build_counter(folder):
    command = ["mpicc", "-O2", "-shared", "-fPIC", str(ROOT / "tools/count_messages.c"), "-o", str(folder / COUNTER)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"results_scaling: error: {' '.join(command)}: {done.stderr[-1500:]}")


def counted(folder):
    """What all ranks sent, COUNTS."""
    ranks = [file.read_text().split() for file in folder.glob("rank.*")]
    return [sum(float(row[part]) for row in ranks) for part in range(len(COUNTS))]


def difference(options, once, more, count):
    """Of what was sent in one of `count` repetitions that the second run has more than the first."""
    sums = []
    for run in (once, more):
        folder = options.output / "messages"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        run(folder)
        sums.append(counted(folder))
    return {name: (b - a) / count for name, a, b in zip(COUNTS, *sums)}


def messages(options, start, ranks):
    """Of a step of the simulation and of an evaluated frame, of the particles of `strong`."""
    tiles = near_square(options.strong // start.particles)
    steps = 200

    def simulated(factor):
        return lambda monitor: epflow(ranks, "simulate", "tiles", options.output / "messages-data",
                                      start.settings(tiles, 1, 0.1 * steps * factor), monitor)

    def evaluation(frames):
        return lambda monitor: evaluated(options, ranks, tiled(options, start, tiles, frames), monitor)

    return {"ranks": ranks, "particles": options.strong,
             "step": difference(options, simulated(1), simulated(3), 2 * steps),
             "frame": difference(options, evaluation(FRAMES[0]), evaluation(FRAMES[1]), FRAMES[1] - FRAMES[0])}


def remove_runs(output):
    """Also those of an attempt that was interrupted."""
    for path in (*output.glob("tiles-*"), *(output / name for name in ("evaluated", "messages", "messages-data"))):
        shutil.rmtree(path, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(prog="tools/results_scaling.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, nargs="+", required=True)
    parser.add_argument("--kinds", nargs="+", choices=("strong", "weak"), default=("strong", "weak"))
    parser.add_argument("--start", type=pathlib.Path, required=True, help="trajectory whose last frame is tiled")
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--strong", type=int, required=True, metavar="N", help="a whole number of tiles")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    remove_runs(options.output)
    build_counter(options.output)
    start = Start(options.start)
    rows = [measure(options, start, kind, ranks) for kind in options.kinds for ranks in options.ranks]
    add_efficiencies(rows)
    found = {"rows": rows, "messages": [messages(options, start, ranks) for ranks in options.ranks if ranks > 1]}
    (options.output / "evaluation.json").write_text(json.dumps(found, indent=1))
    remove_runs(options.output)


if __name__ == "__main__":
    main()
