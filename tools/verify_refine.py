"""Cases of tools/verify about fine steps before frames, and about a start from a smaller system's frame."""
import h5py
import numpy as np

import verify

# Forces and propulsion relax alike: Euler steps of 0.1 shift <F.b> by many errors.
FAST = """
system: {particles: 1024, packing_fraction: 0.5, v0: 0.3, gamma: 0.5}
simulation: {dt: 0.1, burn_in: 40, frames: 160, frame_interval: 6, refine: %(refine)g, seed: 7}
network: {neighbours: 8, width: 16, hidden: 16, feed_forward: 16, heads: 2, blocks: 1, layers: 1}
training: {sigma: 0.1, batch: 64, steps: 5, warm_up: 2, rate: 1e-3, held_out: 0.02}
output: {directory: %(output)s}
"""


def scalars(path):
    with h5py.File(path, "r") as file:
        return {name: values[()] for name, values in file["parameters/scalars"].items()}


def refine(folder):
    """(I0) of an evaluation, with and without fine steps: each holds in its own form and not in the other's."""
    for name, time in (("fine", 3), ("euler", 0)):
        source = folder / f"{name}.yaml"
        source.write_text(FAST % {"refine": time, "output": folder / name})
        for stage in ("simulate", "train", "evaluate", "check"):
            result = verify.run(2, stage, source)
            yield verify.finished(f"{name}_{stage}", result)
        with h5py.File(folder / name / "evaluation.h5", "r") as file:
            identity = dict(file["certificate/I0"].attrs)
        sums = scalars(folder / name / "trajectory.h5")
        term = 0.05 * np.mean(sums["b_stiffness_b"]) / 1024
        right = 0 if time else term
        yield verify.at_most(f"{name}_I0_z", abs(identity["z"]), 4)
        yield verify.at_most(f"{name}_right_side", abs(identity["right"] - right) / term, 1e-9)
        yield verify.at_least(f"{name}_term_in_errors", term / identity["error"], 8)
        yield verify.equal(f"{name}_euler_sums", sum(key.endswith("_euler") for key in sums), 6 if time else 0)
        lines = (result.stdout + result.stderr).splitlines()
        said = [line for line in lines if "exact entropy production rate" in line]
        exact = -np.mean(sums["div_b"]) / 1024
        told = float(said[0].split(": ")[1].split(" ")[0]) if said else np.nan
        yield verify.at_most(f"{name}_exact_told", abs(told / exact - 1), 1e-4)


def tiles(folder):
    """A frame repeated in 2 x 3 tiles, on 1 and 2 ranks: positions, propulsions and forces are the frame's."""
    small = verify.write_small(folder, "small", particles=256, frames=3)
    yield verify.finished("small", verify.run(2, "simulate", small))
    with h5py.File(folder / "small/trajectory.h5", "r") as file:
        frames = file["particles/trajectory"]
        side = frames["box/edges/value"][0, 0, 0]
        x, g = (frames[f"{name}/value"][1, :, :2] for name in ("position", "propulsion"))
    start = ["--set", f"system.box=[{2 * side!r}, {3 * side!r}]", "--set", "system.particles=1536", "--set",
             "simulation.seed=8", "--set", "simulation.burn_in=0", "--set", "simulation.refine=0", "--set",
             f"simulation.start={folder}/small/trajectory.h5@1"]
    small.write_text(small.read_text().replace("packing_fraction: 0.5, ", ""))
    for ranks in (1, 2):
        here = folder / f"tiled{ranks}"
        yield verify.finished(f"tiled_{ranks}", verify.run(ranks, "simulate", small, *start, "--output", here))
        with h5py.File(here / "trajectory.h5", "r") as file:
            frames = file["particles/trajectory"]
            tiled, copied = (frames[f"{name}/value"][0, :, :2].reshape(6, 256, 2)
                             for name in ("position", "propulsion"))
        corner = side * np.array([[tile % 2, tile // 2] for tile in range(6)])[:, None]
        yield verify.at_most(f"positions_{ranks}", np.max(np.abs(tiled - corner - x)), 1e-13 * side)
        yield verify.equal(f"propulsions_{ranks}", bool(np.all(copied == g)), True)
        div, whole = (scalars(path / "trajectory.h5") for path in (folder / "small", here))
        for name in ("div_b", "force_b", "b_stiffness_b"):
            yield verify.at_most(f"{name}_{ranks}", abs(whole[name][0] / (6 * div[name][1]) - 1), 1e-11)
    same = verify.differences(folder / "tiled1/trajectory.h5", folder / "tiled2/trajectory.h5", "/particles")
    yield verify.equal("differences_of_ranks", same, "none")
    for what, settings in (("particles", ["--set", "system.particles=1535"]),
                           ("sides", ["--set", f"system.box=[{2.5 * side!r}, {3 * side!r}]"]),
                           ("copies", ["--set", "system.copies=2"])):
        result = verify.run(2, "simulate", small, *start, *settings, "--output", folder / "no")
        refused = result.returncode == 2 and "whole number of times the file's" in result.stderr
        yield verify.equal(f"other_{what}", "refused" if refused else "not", "refused")
