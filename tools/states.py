"""Phase-separated particles of the paper's system, as the tools that time simulations start from, and their speed."""
import math
import os
import re
import shlex
import subprocess
import sys

from running import EPFLOW

CORES = sorted(os.sched_getaffinity(0))
V0, GAMMA, BETA, DT, CUTOFF = 0.025, 1e-4, 7.5, 0.1, 3.2
TOLERANCE = math.log1p(math.exp(BETA * (2 - CUTOFF))) / BETA  # the force at the cut
TILE = 1024  # particles, in a square at a packing fraction of one half
SIDE = (TILE * math.pi / 0.5)**0.5
CHAIN = ((1, 1), (2, 2), (8, 4))  # tiles of states that are made one from the other
SECTIONS = ("forces", "integration and noise", "messages", "neighbour lists")


def write_input(path, tiles, burn_in, seed, start="random"):
    """Simulates tiles[0] x tiles[1] times the smallest system for burn_in and writes one frame."""
    box = [SIDE * count for count in tiles]
    path.write_text(f"""
system:
  {{particles: {TILE * tiles[0] * tiles[1]}, box: [{box[0]!r}, {box[1]!r}], v0: {V0}, beta: {BETA}, gamma: {GAMMA}}}
simulation:
  {{dt: {DT}, cutoff_tolerance: {TOLERANCE!r}, burn_in: {burn_in}, frames: 1, frame_interval: 1, refine: 0,
   start: "{start}", seed: {seed}}}
output: {{directory: {path.with_suffix('')}}}
""")
    return path


def launched(ranks, launcher):
    """How to start so many ranks: by the launcher, or one by itself on the last core."""
    if launcher is None:
        return ["taskset", "-c", str(CORES[-1])] if ranks == 1 else ["mpirun", "-n", str(ranks)]
    return shlex.split(launcher.format(ranks=ranks))


def simulate(path, ranks, launcher=None):
    """Runs an input to its end: the seconds of its table of timings, as timings()."""
    crowded = {"OMPI_MCA_rmaps_base_oversubscribe": "1"}
    if ranks > len(CORES):
        crowded["OMPI_MCA_mpi_yield_when_idle"] = "1"
    result = subprocess.run([*launched(ranks, launcher), EPFLOW, "simulate", str(path), "--overwrite"],
                            capture_output=True, text=True, check=False, env={**os.environ, **crowded})
    if result.returncode != 0:
        raise OSError(f"epflow simulate {path}: exit code {result.returncode}: {result.stderr}")
    return timings((path.with_suffix("") / "log.txt").read_text())


def timings(log):
    """Of a simulation's log: particle-steps done, and (least, mean, most) seconds of the ranks by section."""
    table = log[log.rindex("section (seconds)"):]
    found = {"particle_steps": float(re.findall(r"([\d.e+]+) particle-steps,", log)[-1])}
    for name in SECTIONS:
        found[name] = tuple(map(float, re.search(rf"{name} +([\d.]+) +([\d.]+) +([\d.]+)", table).groups()))
    return found


def rate(found):
    """Million particle-steps a second, without files."""
    return found["particle_steps"] / sum(found[name][1] for name in SECTIONS) / 1e6


def phase_separated(folder, longest, burn_in, launcher=None):
    """Trajectory files whose last frame is phase-separated, {tiles: file}, each made from tiles of the one before up to
    `longest` of the chain. Those that are there already are taken."""
    files, start = {}, "random"
    for step, tiles in enumerate(CHAIN[:CHAIN.index(longest) + 1]):
        path = folder / f"state-{TILE * tiles[0] * tiles[1]}.yaml"
        files[tiles] = path.with_suffix("") / "trajectory.h5"
        if not (path.with_suffix("") / "finished").exists():
            print(f"a phase-separated state of {TILE * tiles[0] * tiles[1]} particles", file=sys.stderr, flush=True)
            write_input(path, tiles, burn_in * 0.1**step, 100 + step, start)
            simulate(path, 1 if tiles == (1, 1) else len(CORES), launcher)
            (path.with_suffix("") / "finished").touch()
        start = f"{files[tiles]}@last"
    return files
