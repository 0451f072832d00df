#!/usr/bin/env python3
"""Kills epflow at random moments and resumes it, over and over: tests/faults/kills.py [--kills N] [--seed S]
[--stages simulate train evaluate run] [--systems ...]

Of every stage and system there is one uninterrupted run. Then chains: the same run with --resume is killed with SIGKILL
(one of its ranks, or mpirun), resumed, killed again, and so on; a simulation goes on with another number of ranks every
time, an evaluation sometimes. After every kill all files must be as they were or newer versions, complete and readable;
at the end of a chain all must be what the uninterrupted run made. A table says how many kills hit which stage in which
phase. The exit code is 1 if anything was lost, damaged or different.

A kill comes at a moment that is uniform over the run, or up to 20 ms after a file of the output folder has changed.
"""
import argparse
import collections
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from running import CROWDED, command, ranks_of  # noqa: E402

# Writing files is a large part of these runs: a restart at every look at the clock, a checkpoint at every step.
COMMON = """
simulation: {%s, seed: 7, restart_interval: 1e-6}
training:
  {%s, steps: 60, warm_up: 10, rate: 1e-3, average: 0.9, checkpoint_interval: 1e-6, held_out: 0.2, test_interval: 7,
   test_particles: 64}
evaluation: {frames: all, %s}
output: {directory: "%%s"}
"""
WINDOW = "network: {neighbours: 8, width: 16, hidden: 16, feed_forward: 16, heads: 2, blocks: 1, layers: 1}"
SYSTEMS = {
    "contacts": "system: {particles: 256, packing_fraction: 0.5, v0: 0.25, gamma: 0.1}\n" + WINDOW + COMMON % (
        "dt: 0.05, burn_in: 100, frames: 60, frame_interval: 13, refine: 1", "sigma: 0.1, batch: 64", "grid: 0.5"),
    "diffusing": "system: {particles: 200, packing_fraction: 0.3, v0: 0.25, gamma: 0.1, eps: 0.01}\n" + WINDOW +
                 COMMON % ("dt: 0.01, burn_in: 10, frames: 60, frame_interval: 3",
                           "sigma: 0.1, batch: 64, noise_on: xg", "grid: 0.5"),
    "crystal": "system: {kind: crystal, dimension: 2, particles: 64, copies: 4, box: [16.8, 14.4], v0: 0.25, gamma: 0.1,"
               " eps: 0, spring: 1, spring_kind: isotropic}\n"
               "network: {window: lattice, neighbours: 18, linear_term: velocity, shift: force, displacement_unit: 0.25,"
               " width: 16, hidden: 16, feed_forward: 16, heads: 2, blocks: 1, layers: 1}" +
               COMMON % ("dt: 0.02, burn_in: 20, frames: 60, frame_interval: 6", "sigma: 0.1, batch: 64", "grid: 1"),
    "response": "system: {particles: 128, packing_fraction: 0.5, v0: 0.25, gamma: 0.1}\nnetwork: {kind: response}" +
                COMMON % ("dt: 0.05, burn_in: 100, frames: 30, frame_interval: 13, refine: 1", "batch: 64", "grid: 0.5"),
}
STAGES = ("simulate", "train", "evaluate", "run")
NEEDS = {"simulate": (), "run": (), "train": ("trajectory.h5", "restart.h5"),
         "evaluate": ("trajectory.h5", "restart.h5", "model.h5")}
FILES = ("trajectory.h5", "restart.h5", "restart.previous.h5", "model.h5", "evaluation.h5", "fields.xdmf")
TRAJECTORY = [f"particles/trajectory/{name}" for name in
              ("position/value", "propulsion/value", "image/value", "position/step", "position/time", "id")]
FOUND = re.compile(r"resuming from|is complete: nothing|starting from the beginning")


# ---- what files hold ----

def columns(path):
    """The arrays of an evaluation, one entry a frame."""
    with h5py.File(path, "r") as file:
        found = {f"{group}/{name}": item[()] for group in ("particles/evaluation", "fields")
                 for name, item in file[group].items()}
        return found, bool(file.attrs["complete"])


def written(step):
    return int(np.sum(np.cumprod(np.asarray(step) >= 0)))


def trees(file):
    """All datasets of a file, but for those of time."""
    out = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset) and not name.endswith("particles_per_second"):
            out[name] = item[()]
    file.visititems(take)
    return out


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def close(a, b):
    """To the rounding of float32 networks, of the largest number."""
    if a.size == 0:
        return True
    largest = np.nanmax(np.abs(b)) if np.isfinite(b).any() else 0
    return np.allclose(a, b, rtol=0, atol=1e-4 * largest, equal_nan=True)


class Whole:
    """An uninterrupted run, and whether another one agrees with it as far as it came."""

    def __init__(self, folder):
        self.folder = folder
        with h5py.File(folder / "trajectory.h5", "r") as file:
            self.trajectory = {name: file[name][()] for name in TRAJECTORY}
        if (folder / "model.h5").exists():
            with h5py.File(folder / "model.h5", "r") as file:
                self.model = trees(file)
        if (folder / "evaluation.h5").exists():
            self.evaluation, _ = columns(folder / "evaluation.h5")

    def state_of_trajectory(self, path, problems):
        with h5py.File(path, "r") as file:
            frames = written(file[TRAJECTORY[3]][()])
            for name in TRAJECTORY[:5]:
                if not same_bits(file[name][:frames], self.trajectory[name][:frames]):
                    problems.append(f"trajectory.h5: {name} differs in the first {frames} frames")
        return frames

    def state_of_evaluation(self, path, problems, exact):
        found, complete = columns(path)
        frames = written(found["particles/evaluation/step"])
        for name, value in found.items():
            a, b = value[:frames], self.evaluation[name][:frames]
            if not (same_bits(a, b) if exact else close(a, b)):
                problems.append(f"evaluation.h5: {name} differs in the first {frames} frames")
        return frames + complete

    def final(self, folder, stage, exact, problems):
        """At the end everything is there."""
        if self.state_of_trajectory(folder / "trajectory.h5", problems) != len(self.trajectory[TRAJECTORY[3]]):
            problems.append("trajectory.h5: frames are missing")
        if stage in ("train", "run"):
            with h5py.File(folder / "model.h5", "r") as file:
                now = trees(file)
            if now.keys() != self.model.keys():
                problems.append("model.h5: other datasets")
            for name, value in now.items():
                # Tests read the sums of a trajectory, which other numbers of ranks add in another order.
                rounded = stage == "run" and name.startswith("training/test/") and \
                    np.allclose(value, self.model.get(name), rtol=1e-9, atol=1e-12, equal_nan=True)
                if name in self.model and not rounded and not same_bits(value, self.model[name]):
                    problems.append(f"model.h5: {name} differs")
        if stage in ("evaluate", "run"):
            if self.state_of_evaluation(folder / "evaluation.h5", problems, exact) != \
                    len(self.evaluation["particles/evaluation/step"]) + 1:
                problems.append("evaluation.h5: not complete")
            if (folder / "fields.xdmf").read_bytes() != (self.folder / "fields.xdmf").read_bytes():
                problems.append("fields.xdmf differs")
        problems += [f"{path.name} is left" for path in folder.glob("*.part")]


def whole_file(path):
    """The step of a restart or model that is complete and can be read to its end."""
    with h5py.File(path, "r") as file:
        if file.attrs["complete"] != 1:
            raise OSError("not complete")
        trees(file)
        return int(file.attrs["step"])


def state(whole, folder, exact, problems):
    """How far every file is that is there: steps and frames. What cannot be read is a problem."""
    reader = {"trajectory.h5": lambda path: whole.state_of_trajectory(path, problems),
              "evaluation.h5": lambda path: whole.state_of_evaluation(path, problems, exact),
              "fields.xdmf": lambda path: len(path.read_text().split("</Xdmf>")) - 2}
    found = {}
    for name in FILES:
        path = folder / name
        if not path.exists():
            continue
        try:
            found[name] = reader.get(name, whole_file)(path)
        except (OSError, KeyError, RuntimeError, ValueError) as error:
            problems.append(f"{name} cannot be read: {error}")
    return found


def compare_states(before, now, problems):
    for name, value in before.items():
        if name == "restart.previous.h5" and "restart.h5" in now and name not in now:
            continue  # a kill between the removal of its old name and its new one
        if name not in now:
            problems.append(f"{name} was there, and is not")
        elif now[name] < value:
            problems.append(f"{name} went back from {value} to {now[name]}")


# ---- killing ----

def lives(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


def listing(folder):
    """Names, sizes and times of all files: what changes when one is written."""
    try:
        return {entry.name: (entry.stat().st_size, entry.stat().st_mtime_ns, entry.stat().st_ino)
                for entry in os.scandir(folder)}
    except OSError:
        return {}


class Moment:
    """True when the time to kill has come."""

    def __init__(self, folder, seconds, random_numbers):
        self.begun, self.folder = time.monotonic(), folder
        self.seen, self.opened, self.present = listing(folder), False, False
        self.by_file = random_numbers.random() < 0.6
        self.changes = random_numbers.choice((1, 1, 2, 3, 5, 8, 13, 21, 34))
        self.at = random_numbers.uniform(0, 1.05 * seconds)
        self.late = random_numbers.uniform(0, 0.02)
        self.problem = None

    def come(self):
        now, passed = listing(self.folder), time.monotonic() - self.begun
        here = "restart.h5" in now or "restart.previous.h5" in now
        if self.present and not here and not os.path.exists(self.folder / "restart.h5"):
            self.problem = "neither restart is there"
        self.present = here
        if now != self.seen:
            self.opened = True
            self.seen = now
            self.changes -= 1
            if self.by_file and self.changes <= 0:
                time.sleep(self.late)
                return True
        return not self.by_file and passed > self.at

    def phase(self, frames, done):
        """What the run was at, from what it left."""
        now = time.time_ns()
        if not self.opened:
            return "start-up"
        if any(name.endswith(".part") for name in os.listdir(self.folder)) or \
                any(now - entry[1] < 5e6 for entry in listing(self.folder).values()):
            return "writing"
        return "end" if done >= frames else "compute"


class Campaign:
    def __init__(self, folder, seed):
        self.folder, self.random = folder, random.Random(seed)
        self.wholes, self.seconds = {}, {}
        self.hits, self.who = collections.Counter(), collections.Counter()
        self.problems, self.chains, self.kills, self.refused, self.orphans = [], 0, 0, 0, 0.0

    def source(self, system, output):
        path = output.parent / f"{output.name}.yaml"
        path.write_text(SYSTEMS[system] % output)
        return path

    def whole(self, system):
        """The uninterrupted run, stage by stage."""
        if system not in self.wholes:
            output = self.folder / f"whole-{system}"
            source = self.source(system, output)
            for stage in STAGES[:3]:
                begun = time.monotonic()
                result = subprocess.run(command(2, stage, source), env={**os.environ, **CROWDED}, check=False,
                                        capture_output=True, text=True)
                if result.returncode != 0:
                    raise OSError(f"{system}, {stage}: {result.stderr}")
                self.seconds[system, stage] = time.monotonic() - begun
            self.seconds[system, "run"] = sum(self.seconds[system, stage] for stage in STAGES[:3])
            self.wholes[system] = Whole(output)
        return self.wholes[system]

    def one_kill(self, stage, source, output, ranks, seconds):
        """Runs and kills. The exit code, whether it came to that, the moment, what the run said."""
        said = output.parent / f"{output.name}.said"
        with open(said, "w") as file:
            process = subprocess.Popen(command(ranks, stage, source, "--resume"), stdout=file, stderr=file,
                                       env={**os.environ, **CROWDED})
        moment, killed, children = Moment(output, seconds, self.random), False, []
        while process.poll() is None and not moment.come():
            time.sleep(0.002)
        children = ranks_of(process.pid)
        if process.poll() is None:
            victim = self.random.choice(children + [process.pid]) if children else process.pid
            os.kill(victim, signal.SIGKILL)
            killed = True
            self.who["mpirun" if victim == process.pid else "a rank"] += 1
            process.wait()
            begun = time.monotonic()
            while any(lives(c) for c in children) and time.monotonic() - begun < 30:
                time.sleep(0.005)
            self.orphans = max(self.orphans, time.monotonic() - begun)
        return process.wait(), killed, moment, said.read_text()

    def chain(self, system, stage, kills):
        """Kills one run so many times, and lets it come to its end."""
        whole = self.whole(system)
        name = f"chain-{self.chains}"
        self.chains += 1
        output, problems = self.folder / name, []
        source = self.source(system, output)
        for needed in NEEDS[stage]:
            output.mkdir(exist_ok=True)
            shutil.copy2(whole.folder / needed, output / needed)
        exact, planned = True, len(whole.trajectory[TRAJECTORY[3]])
        before, done = state(whole, output, exact, problems), 0
        while done < kills and not problems:
            ranks = self.random.randint(1, 4) if stage == "simulate" else 2
            if stage == "evaluate" and self.random.random() < 0.3:
                ranks, exact = self.random.choice((1, 3)), False
            code, killed, moment, said = self.one_kill(stage, source, output, ranks, self.seconds[system, stage])
            if not killed:
                if code != 0:
                    problems.append(f"exit code {code} without a kill: {said[-600:]}")
                break
            done += 1
            now = state(whole, output, exact, problems)
            compare_states(before, now, problems)
            if moment.problem:
                problems.append(moment.problem)
            result = {"simulate": now.get("trajectory.h5", 0), "evaluate": now.get("evaluation.h5", 0),
                      "train": planned if now.get("model.h5", 0) >= 60 else 0}
            at = stage if stage != "run" else next((s for s in STAGES[:3] if result[s] < planned), "evaluate")
            self.hits[stage, at, moment.phase(planned, result[at]) if output.exists() else "start-up"] += 1
            before = now
        self.kills += done
        if not problems:
            self.finish(whole, stage, output, source, exact, problems)
        self.problems += [f"{system}, {stage}, {name}, kill {done}: {problem}" for problem in problems]
        if not problems:
            shutil.rmtree(output)
        return done

    def finish(self, whole, stage, output, source, exact, problems):
        log = output / "log.txt"
        old = log.stat().st_size if log.exists() else 0
        made = (output / {"train": "model.h5", "evaluate": "evaluation.h5"}.get(stage, "trajectory.h5")).exists()
        ranks = self.random.randint(1, 4) if stage == "simulate" else 2
        result = subprocess.run(command(ranks, stage, source, "--resume"), env={**os.environ, **CROWDED},
                                capture_output=True, text=True, check=False)
        if result.returncode != 0:
            problems.append(f"resumed: exit code {result.returncode}: {result.stderr[-600:]}")
            return
        whole.final(output, stage, exact, problems)
        if made and not FOUND.search(log.read_text()[old:]):
            problems.append("log.txt does not say what the resumed run found")

    def run(self, kills, stages, systems):
        pairs = [(system, stage) for stage in stages for system in systems]
        self.random.shuffle(pairs)
        m = 0
        while self.kills < kills:
            system, stage = pairs[m % len(pairs)]
            self.chain(system, stage, min(self.random.randint(2, 5), kills - self.kills))
            m += 1

    def table(self):
        phases = ("start-up", "compute", "writing", "end")
        lines = [f"{'command':10} {'killed in':10} " + " ".join(f"{phase:>9}" for phase in phases)]
        for key in sorted({key[:2] for key in self.hits}):
            lines.append(f"{key[0]:10} {key[1]:10} " + " ".join(f"{self.hits[key + (p,)]:9}"
                                                                 for p in phases))
        lines.append(f"{self.kills} kills ({self.who['a rank']} of a rank, {self.who['mpirun']} of mpirun) in "
                     f"{self.chains} chains; ranks lived at most {self.orphans:.2f} s longer")
        return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--keep", action="store_true", help="keeps the folder")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="epflow-kills-"))
    campaign = Campaign(folder, options.seed)
    try:
        campaign.run(options.kills, options.stages, options.systems)
    finally:
        print("\n".join(campaign.table() + campaign.problems))
        if options.keep:
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if campaign.problems else 0


if __name__ == "__main__":
    sys.exit(main())
