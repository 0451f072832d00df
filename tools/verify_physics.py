"""Cases of tools/verify that hold what a network learns against what is known exactly: crystal, ring, trap, velocity.

Each runs inputs of the repository as they are, and takes minutes to tens of minutes on two cores.
"""
import time

import h5py
import numpy as np

from verify import ROOT, at_least, at_most, finished, run


def timed(*arguments):
    begun = time.monotonic()
    result = run(*arguments)
    return result, time.monotonic() - begun


def comparison(folder):
    """The numbers of check.h5: name -> (model, exact, error)."""
    with h5py.File(folder / "check.h5", "r") as file:
        return {name: tuple(float(group.attrs[key]) for key in ("model", "exact", "error"))
                for name, group in file["comparison"].items()}


def certificate(folder):
    with h5py.File(folder / "evaluation.h5", "r") as file:
        group = file["certificate"]
        return {name: dict(group[name].attrs) for name in group}, dict(group.attrs)


def simulated(folder, name):
    yield finished(f"{name}_simulate", run(2, "simulate", ROOT / f"inputs/{name}.yaml", "--output", folder / name))


# ---- crystal ----

def judge_crystal(name, folder, output, ranks):
    """Evaluates and checks in a folder of its own what was trained in another."""
    source = ROOT / f"inputs/{name}.yaml"
    here = folder / f"{output}-{ranks}"
    settings = ["--output", here, "--set", f"evaluation.models=[{folder / output}/model.h5]", "--set",
                f"evaluation.trajectories=[{folder / name}/trajectory.h5]"]
    yield finished(f"{output}_evaluate_{ranks}", run(ranks, "evaluate", source, *settings))
    yield finished(f"{output}_check_{ranks}", run(ranks, "check", source, "--output", here))
    numbers = comparison(here)
    model, exact, _ = numbers["v"]
    yield at_most(f"{output}_v_{ranks}_ranks", model / exact, 0.05)
    model, exact, error = numbers["total"]
    yield at_most(f"{output}_total_{ranks}_ranks", abs(model / exact - 1), 0.02)
    yield at_most(f"{output}_errors_{ranks}_ranks", abs(model - exact) / error, 2)


def crystal(folder):
    """Crystals of 4096 particles, free and tethered, on 1 and 4 ranks: velocities and total EPR are the closed form's."""
    for name in ("crystal-free", "crystal-tether"):
        yield from simulated(folder, name)
        for ranks in (4, 1):
            output = f"{name.split('-')[1]}-trained-{ranks}"
            data = f"training.trajectories=[{{file: {folder / name}/trajectory.h5, weight: 1}}]"
            result, seconds = timed(ranks, "train", ROOT / f"inputs/{name}.yaml", "--output", folder / output, "--set",
                                    data)
            yield finished(f"{output}_train", result)
            yield at_most(f"{output}_seconds", seconds, 600)
            yield from judge_crystal(name, folder, output, ranks)
            if ranks == 4:
                yield from judge_crystal(name, folder, output, 1)


# ---- ring ----

def relative_flow(folder):
    """v of the relative coordinate of every pair, by the model and exactly: {"x": (model, exact), "g": ...}."""
    flows = {}
    with h5py.File(folder / "evaluation.h5", "r") as model, h5py.File(folder / "check.h5", "r") as exact:
        for name, factor in (("x", 1), ("g", 1 / np.sqrt(2))):
            pairs = []
            for group in (model["particles/evaluation"], exact["particles/exact"]):
                v = group[f"v_{name}"][()]
                v = v.reshape(v.shape[0], -1, 2)
                pairs.append((v[..., 0] - v[..., 1]) * factor)
            known = np.isfinite(pairs[1])
            flows[name] = pairs[0][known], pairs[1][known]
    return flows


def ring(folder):
    """Two swimmers on a ring: flow and total EPR are those of the Fokker-Planck equation, and of identity (I4)."""
    source, here = ROOT / "inputs/ring.yaml", folder / "ring"
    result, seconds = timed(2, "run", source, "--output", here)
    yield finished("run", result)
    yield at_most("seconds", seconds, 900)
    yield finished("check", run(2, "check", source, "--output", here))
    model, exact, _ = comparison(here)["total"]
    yield at_most("total_to_solution", abs(model / exact - 1), 0.02)
    identities, _ = certificate(here)
    yield at_most("total_to_I4", abs(identities["I4"]["left"] / identities["I4"]["right"] - 1), 0.02)
    for name, (model, exact) in relative_flow(here).items():
        yield at_most(f"relative_v_{name}", np.sqrt(np.mean((model - exact)**2) / np.mean(exact**2)), 0.05)


# ---- trap ----

def trap(folder):
    """16 swimmers in a trap: how much is resolved after minutes, and that the residual of stationarity falls."""
    source, here = ROOT / "inputs/trap-quick.yaml", folder / "trap"
    yield finished("simulate", run(2, "simulate", source, "--output", here))
    result, seconds = timed(2, "train", source, "--output", here)
    yield finished("train", result)
    yield at_most("training_seconds", seconds, 600)
    yield finished("evaluate", run(2, "evaluate", source, "--output", here))
    identities, attributes = certificate(here)
    yield at_least("resolved_fraction", float(attributes["resolved_fraction"]), 0.5)
    ratio = float(identities["I4"]["left"] / identities["I4"]["right"])
    yield at_least("total_over_I4", ratio, 0.5)
    with h5py.File(here / "model.h5", "r") as file:
        residual = file["training/test/residual"][()]
    yield at_most("residual_last_over_first", residual[-1] / residual[0], 1)


# ---- velocity ----

def velocity(folder):
    """Velocities learnt from pairs of frames alone, without the dynamics: the closed form of crystal and ring."""
    for name, most in (("crystal-velocity", 0.2), ("ring-velocity", 0.25)):
        source, here = ROOT / f"inputs/{name}.yaml", folder / name
        yield finished(f"{name}_run", run(2, "run", source, "--output", here))
        yield finished(f"{name}_check", run(2, "check", source, "--output", here))
        model, exact, _ = comparison(here)["v"]
        yield at_most(f"{name}_v", model / exact, most)
