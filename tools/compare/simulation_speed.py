"""Particle-steps a second of epflow and of LAMMPS, side by side: the paper's MIPS system at a packing fraction of one
half, phase-separated, 4096 and 32768 particles, on one core and on two ranks.

Both start from the same frame, which epflow makes (a minute). The pair force is the same: softplus, cut at 3.2; of
LAMMPS it is a table, linear in the square of the distance. Its packages have no Ornstein-Uhlenbeck propulsion yet
(fix propel/ou came later): swimmers of constant speed v0 sqrt(2) that turn at the same rate stand in, fix
brownian/sphere with fix propel/self, whose cost is the same (three random numbers a particle and step instead of two
normal ones). LAMMPS's settings, the plain or the OpenMP kernels and the skin, are tried first and the fastest taken.
Then both run by turns, so that both see the same machine. Run it by tools/compare/simulation-speed.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import h5py  # noqa: E402
import numpy as np  # noqa: E402

import states  # noqa: E402

TILES = {1024: (1, 1), 4096: (2, 2), 32768: (8, 4), 1048576: (32, 32)}
SKINS = (0.3, 0.4, 0.6)
SUFFIXES = ("", "omp")


# ---- LAMMPS ----

SCRIPT = """
units lj
dimension 2
newton on
atom_style hybrid sphere dipole
boundary p p p
read_data {data}
pair_style table linear 4000
pair_coeff 1 1 {table} SOFTPLUS {cutoff}
neighbor {skin} bin
neigh_modify every 1 delay 0 check yes
fix swim all propel/self dipole {speed}
fix move all brownian/sphere 1e-12 4711 gamma_t 1 gamma_r {drag} rng uniform
timestep {dt}
thermo {steps}
run {warm_up} post no
run {steps}
"""


def write_table(path):
    r = np.sqrt(np.linspace(0.05**2, states.CUTOFF**2, 4000))
    force = np.logaddexp(0, states.BETA * (2 - r)) / states.BETA
    work = np.concatenate(([0], np.cumsum((force[1:] + force[:-1]) / 2 * np.diff(r))))
    rows = "\n".join(f"{i + 1} {a:.15g} {e:.15g} {f:.15g}"
                     for i, (a, e, f) in enumerate(zip(r, work[-1] - work, force)))
    path.write_text(f"SOFTPLUS\nN {len(r)} RSQ 0.05 {states.CUTOFF}\n\n{rows}\n")


def write_data(path, trajectory):
    with h5py.File(trajectory, "r") as file:
        x = file["particles/trajectory/position/value"][-1, :, :2]
        side = file["particles/trajectory/box/edges/value"][-1].diagonal()[:2].tolist()
    angle = np.random.default_rng(1).uniform(0, 2 * np.pi, len(x))
    rows = "\n".join(f"{i + 1} 1 {a:.12g} {b:.12g} 0 2 1 0 {np.cos(t):.9g} {np.sin(t):.9g} 0"
                     for i, ((a, b), t) in enumerate(zip(x, angle)))
    path.write_text(f"swimmers\n\n{len(x)} atoms\n1 atom types\n\n0 {side[0]!r} xlo xhi\n0 {side[1]!r} ylo yhi\n"
                    f"-0.5 0.5 zlo zhi\n\nAtoms # hybrid\n\n{rows}\n")


class Lammps:
    """LAMMPS on the particles of a trajectory's last frame."""

    def __init__(self, programs, folder, trajectory):
        self.programs, self.folder = pathlib.Path(programs), folder
        self.data, self.table = folder / "swimmers.data", folder / "softplus.table"
        write_data(self.data, trajectory)
        write_table(self.table)

    def rate(self, steps, skin, suffix, ranks):
        """Million particle-steps a second."""
        script = self.folder / "in.swimmers"
        script.write_text(SCRIPT.format(data=self.data, table=self.table, cutoff=states.CUTOFF, skin=skin, dt=states.DT,
                                        speed=states.V0 * 2**0.5, drag=1e-12 / states.GAMMA, steps=steps,
                                        warm_up=max(steps // 20, 10)))
        command = [*states.launched(1, None), str(self.programs / "lmp")]
        if ranks > 1:
            command = [str(self.programs / "mpiexec"), "-n", str(ranks), str(self.programs / "lmp")]
        if suffix:
            command += ["-sf", suffix, "-pk", suffix, "1"]
        result = subprocess.run([*command, "-in", str(script), "-log", "none", "-nocite"], capture_output=True,
                                text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
        loops = re.findall(r"Loop time of ([\d.e+-]+) on (\d+) procs for (\d+) steps with (\d+) atoms",
                           result.stdout)
        if result.returncode != 0 or not loops or int(loops[-1][1]) != ranks:
            raise OSError(f"LAMMPS: exit code {result.returncode}: {result.stdout[-2000:]}{result.stderr}")
        seconds, _, steps, atoms = map(float, loops[-1])
        return steps * atoms / seconds / 1e6

    def best(self, steps, ranks):
        """The fastest of its settings."""
        return max(((suffix, skin) for suffix in SUFFIXES for skin in SKINS),
                   key=lambda of: self.rate(steps, of[1], of[0], ranks))


# ---- side by side ----

def compare(options, folder):
    files = states.phase_separated(folder, (8, 4), options.burn_in)
    for particles in options.sizes:
        steps = max(int(options.particle_steps / particles), 100)
        tiles = TILES[particles]
        start = files.get(tiles, files[(8, 4)])
        path = states.write_input(folder / f"epflow-{particles}.yaml", tiles, steps * states.DT, 1, f"{start}@last")
        place = folder / f"lammps-{particles}"
        place.mkdir(exist_ok=True)
        if tiles not in files:  # the frame that epflow makes of tiles
            states.simulate(path, len(states.CORES))
            start = path.with_suffix("") / "trajectory.h5"
        lammps = Lammps(options.lammps, place, start)
        for ranks in options.ranks:
            suffix, skin = lammps.best(max(steps // 10, 20), ranks)
            own, other = [], []
            for _ in range(options.rounds):
                own.append(states.rate(states.simulate(path, ranks)))
                other.append(lammps.rate(max(steps // 3, 20), skin, suffix, ranks))
            row = {"particles": particles, "ranks": ranks, "epflow": statistics.median(own),
                   "lammps": statistics.median(other), "lammps_suffix": suffix, "lammps_skin": skin,
                   "ratio": statistics.median(a / b for a, b in zip(own, other))}
            print(f"N = {particles:8d}  ranks {ranks}  epflow {row['epflow']:6.2f}  LAMMPS {row['lammps']:6.2f} "
                  f"({suffix or 'plain'}, skin {skin})  ratio {row['ratio']:.2f}", file=sys.stderr, flush=True)
            yield row


def main():
    parser = argparse.ArgumentParser(prog="tools/compare/simulation-speed", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lammps", required=True, help="the folder with lmp and mpiexec")
    parser.add_argument("--sizes", type=int, nargs="+", default=[4096, 32768], choices=sorted(TILES))
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--particle-steps", type=float, default=1.2e8, help="of a timed run of epflow")
    parser.add_argument("--burn-in", type=float, default=1e5, help="time, of the 1024 particles")
    parser.add_argument("--json", action="store_true", help="prints JSON instead of a table")
    parser.add_argument("--folder", type=pathlib.Path, help="keeps inputs and states there, and takes the states that are there")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.folder or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        rows = list(compare(options, folder))
    if options.json:
        print(json.dumps({"million_particle_steps_a_second": rows}, indent=2))
    else:
        print("particles  ranks   epflow   LAMMPS   ratio   million particle-steps a second")
        for row in rows:
            print(f"{row['particles']:9d}  {row['ranks']:5d}  {row['epflow']:7.2f}  {row['lammps']:7.2f}  "
                  f"{row['ratio']:6.2f}")


if __name__ == "__main__":
    main()
