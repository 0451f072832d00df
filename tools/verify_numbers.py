"""What happens when the numbers of a simulation go wrong: which particle, rank, step and cause are named, that the state
before it is set aside, and that it is the one an undisturbed run has there."""
import re

import h5py
import numpy as np

import verify
import verify_numbers_learnt

INPUT = """
system: {particles: 256, packing_fraction: 0.5, v0: %(v0)g, gamma: 0.1}
simulation: {dt: 0.05, burn_in: 100, frames: %(frames)d, frame_interval: 10, refine: 0, seed: 7, start: random}
output: {directory: %(output)s}
"""
NAMED = re.compile(r"step (\d+): particle (\d+) of rank (\d+) at \(([^)]*)\): (.*?):")
STEP = 2200  # of a restart after two frames: burn-in of 2000 steps, a frame every 200


def folder_of(folder, name, v0, frames):
    path = folder / f"{name}.yaml"
    path.write_text(INPUT % {"v0": v0, "frames": frames, "output": folder / name})
    return path


def named(result):
    """Step, particle, position and cause; the rank is the only thing that depends on how many there are."""
    found = NAMED.search(result.stderr + result.stdout)
    return found and (int(found[1]), int(found[2]), found[4], found[5])


def poison(path, particle, value):
    """Makes a restart one of STEP, with this self-propulsion; returns its positions."""
    with h5py.File(path, "r+") as file:
        file["g"][particle, 1] = value
        for sealed in (file, file["g"]):
            sealed.attrs.pop("checksum", None)  # else the damage is what is found
        file.attrs["step"], file.attrs["frames"] = STEP, 2
        return file["q"][:]


def poisoned(folder):
    """A restart with one number changed: the particle and the step are known."""
    for name, particle, value, cause in [("nan", 37, np.nan, "self-propulsion"), ("inf", 255, -np.inf, "self-propulsion"),
                                         ("far", 101, 9e5, "more than a quarter of the box")]:
        right = []
        for ranks, loops in [(0, "plain"), (0, "avx2"), (1, "auto"), (2, "plain"), (3, "auto")]:
            source = folder_of(folder, f"{name}{ranks}{loops}", 0.25, 3)
            output = source.with_suffix("")
            verify.run(0, "simulate", source)
            before = poison(output / "restart.h5", particle, value)
            kept = (output / "restart.h5").read_bytes()
            result = verify.run(ranks, "simulate", source, "--resume", "--set", f"run.simd={loops}")
            what = named(result)
            with h5py.File(output / "failed.h5", "r") as file:
                same = np.array_equal(file["q"][:], before) and file.attrs["step"] == STEP
            right.append(result.returncode == 3 and what is not None and what[:2] == (STEP + 1, particle) and
                         cause in what[3] and same and kept == (output / "restart.h5").read_bytes() and
                         verify.run(0, "info", output / "failed.h5").returncode == 0)
        yield f"{name}_named", sum(right), len(right), all(right)


def midway(folder):
    """A self-propulsion that grows until a step is too long, while ranks hear of each other's steps late."""
    heard, states, failed = set(), [], 0
    for ranks, loops in [(0, "plain"), (0, "auto"), (2, "auto"), (3, "plain")]:
        source = folder_of(folder, f"midway{ranks}{loops}", 50, 2)
        result = verify.run(ranks, "simulate", source, "--set", f"run.simd={loops}")
        failed += result.returncode == 3
        heard.add(named(result))
        with h5py.File(source.with_suffix("") / "failed.h5", "r") as file:
            states.append((int(file.attrs["step"]), file["q"][:], file["g"][:]))
    first = states[0]
    yield "midway_exit_code_3", failed, 4, failed == 4
    yield "midway_messages", len(heard), 1, len(heard) == 1 and None not in heard
    step = heard.pop()[0]
    same = [s[0] == step - 1 and np.array_equal(s[1], first[1]) and np.array_equal(s[2], first[2]) for s in states]
    yield "midway_states_same", sum(same), 4, all(same)


def numbers(folder):
    """NaN, infinity and steps that are too long: who, when and why, on any ranks and loops."""
    yield from poisoned(folder)
    yield from midway(folder)
    yield from verify_numbers_learnt.training(folder)
    yield from verify_numbers_learnt.frames(folder)
