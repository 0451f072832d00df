"""The cases of tools/verify for the simulation itself: its speed, on one core and on two, the same bits for every
instruction set and number of ranks, statistics beside a reference in float64, and scaling."""
import csv
import json
import os
import pathlib
import statistics
import subprocess

import h5py
import numpy as np

import states
from running import EPFLOW
from verify import ROOT, at_least, at_most, differences, equal, finished, run, write_small

REFERENCE = pathlib.Path(EPFLOW).parent / "epflow64"
BLOCKS = 16  # of frames, for errors; shorter than 1/gamma, so that errors come out small rather than large


# ---- speed ----

def beside_lammps(folder):
    """One core: particle-steps a second over LAMMPS's, at its best setting, by turns."""
    result = subprocess.run([ROOT / "tools/compare/simulation-speed", "--json", "--folder", folder / "lammps", "--ranks",
                             "1", "--rounds", "3"], capture_output=True, text=True, check=False)
    yield finished("lammps_exit_code", result)
    if result.returncode == 0:
        for row in json.loads(result.stdout)["million_particle_steps_a_second"]:
            yield at_least(f"epflow_over_lammps_{row['particles']}", row["ratio"], 3)


def by_turns(rounds, *runs):
    """Medians of the ratios of rates, of every run's over the first's."""
    rates = [[states.rate(states.simulate(path, ranks)) for path, ranks in runs] for _ in range(rounds)]
    return [statistics.median(row[m] / row[0] for row in rates) for m in range(1, len(runs))]


def sizes_and_ranks(folder):
    files = states.phase_separated(folder / "lammps", (8, 4), 1e5)
    paths = {}
    for particles, tiles, steps in ((4096, (2, 2), 30000), (32768, (8, 4), 4000), (1048576, (32, 32), 400)):
        start = files.get(tiles, files[(8, 4)])
        paths[particles] = states.write_input(folder / f"speed-{particles}.yaml", tiles, steps * states.DT, 3,
                                              f"{start}@last")
    two, = by_turns(5, (paths[32768], 1), (paths[32768], 2))
    yield at_least("efficiency_2_ranks_32768", two / 2, 0.9)
    million, = by_turns(5, (paths[4096], 1), (paths[1048576], 1))
    yield at_most("cost_of_a_million_over_4096", 1 / million, 1.5)


# ---- bits ----

def same_bits(folder):
    """Plain C, AVX2 and AVX-512, where the processor has them; 16 ranks, which share the cores, and one."""
    source = write_small(folder, "plain", particles=1024, frames=20)
    yield finished("plain_exit_code", run(0, "simulate", source, "--set", "run.simd=plain"))
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    for name, flag, ranks in (("avx2", "avx2", 0), ("avx512", "avx512dq", 0), ("auto", "", 16)):
        if flag not in flags:
            yield f"{name}_skipped", "no_such_instructions", "-", True
            continue
        result = run(ranks, "simulate", write_small(folder, name, particles=1024, frames=20), "--set",
                     f"run.simd={name}")
        yield finished(f"{name}_{ranks}_ranks_exit_code", result)
        said = differences(folder / "plain/trajectory.h5", folder / f"{name}/trajectory.h5", "/particles/trajectory")
        yield equal(f"differences_plain_{name}_{ranks}", said, "none")


# ---- statistics ----

def averages(path, side):
    """Of every block of frames: -div b and |b|^2 a particle, and the local densities below which a tenth of the particles
    are, and nine tenths (particles within 5 of each, itself too)."""
    with h5py.File(path, "r") as file:
        x = file["particles/trajectory/position/value"][:, :, :2]
        n = x.shape[1]
        scalars = [factor * file[f"parameters/scalars/{name}"][:] / n
                   for name, factor in (("div_b", -1), ("b_squared", 1))]
    dense = []
    for frame in x[::4]:
        near = np.zeros(n)
        for axis_x, axis_y in zip(np.array_split(frame[:, :1], 8), np.array_split(frame[:, 1:], 8)):
            gap = [axis - frame[None, :, a] for a, axis in enumerate((axis_x, axis_y))]
            square = sum((g - side * np.round(g / side))**2 for g in gap)
            near += (square < 25).sum(0)
        dense.append(np.percentile(near / (np.pi * 25), (10, 90)))
    columns = [*scalars, *np.array(dense).T]
    return np.array([[block.mean() for block in np.array_split(column, BLOCKS)] for column in columns])


def beside_float64(folder):
    """The same means as the program in float64 with a tenth of the time steps, other noise, from the same start."""
    built = subprocess.run(["cmake", "--build", "--preset", "release", "--target", "epflow64", "-j", "2"], cwd=ROOT,
                           capture_output=True, text=True, check=False)
    yield finished("reference_build", built)
    start = states.phase_separated(folder / "lammps", (1, 1), 1e5)[(1, 1)]
    found = {}
    for name, program, dt, seed in (("float32", EPFLOW, states.DT, 21), ("float64", REFERENCE, states.DT / 10, 22)):
        path = folder / f"{name}.yaml"
        path.write_text(f"""
system: {{particles: {states.TILE}, box: [{states.SIDE!r}, {states.SIDE!r}], v0: {states.V0}, gamma: {states.GAMMA}}}
simulation: {{dt: {dt}, burn_in: 1000, frames: 320, frame_interval: 125, refine_dt: {0.4 * dt}, seed: {seed},
             start: "{start}@last"}}
output: {{directory: {folder / name}}}
""")
        result = subprocess.run(["mpirun", "-n", str(len(states.CORES)), str(program), "simulate", str(path)],
                                capture_output=True, text=True, check=False, env=dict(os.environ))
        yield finished(f"{name}_exit_code", result)
        found[name] = averages(folder / name / "trajectory.h5", states.SIDE)
    for m, name in enumerate(("minus_div_b", "b_squared", "dilute_density", "dense_density")):
        mean, error = zip(*((blocks[m].mean(), blocks[m].std(ddof=1) / BLOCKS**0.5) for blocks in found.values()))
        yield at_most(f"{name}_off_in_errors", abs(mean[0] - mean[1]) / np.hypot(*error), 3)
        yield at_most(f"{name}_off", abs(mean[0] / mean[1] - 1), 0.1)


def simulation_speed(folder):
    """The simulation beside LAMMPS, on two ranks, with a million particles; its bits and its statistics."""
    yield from same_bits(folder)
    yield from beside_lammps(folder)
    yield from sizes_and_ranks(folder)
    yield from beside_float64(folder)


# ---- scaling ----

def scaling(folder):
    """tools/scaling on one and two ranks: its table, its picture, its model beside what was measured."""
    result = subprocess.run([ROOT / "tools/scaling", "--ranks", "1", "2", "--output", folder], capture_output=True,
                            text=True, check=False)
    yield finished("exit_code", result)
    if result.returncode != 0:
        return
    with open(folder / "scaling.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    yield equal("rows", len(rows), 4)
    for row in rows:
        if row["ranks"] == "2":
            measured, model = float(row["microseconds_a_step"]), float(row["model_microseconds_a_step"])
            yield at_least(f"{row['kind']}_efficiency", float(row["efficiency"]), 0.9 if row["kind"] == "strong" else 0.8)
            yield at_most(f"{row['kind']}_model_off", abs(model / measured - 1), 0.25)
    yield at_least("picture_bytes", (folder / "scaling.png").stat().st_size, 20000)
