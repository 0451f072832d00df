"""The case of tools/verify for the response network: the fraction of the exact entropy production that it resolves on
trajectories of other seeds, densities and sizes, and its speed. Three quarters of an hour on two cores."""
import concurrent.futures
import json
import math
import os
import resource

from verify import ROOT, at_least, at_most, finished, run
from verify_physics import certificate, timed

SIDE = (4096 * math.pi / 0.5)**0.5  # of 4096 particles at a packing fraction of one half


SMALL = (("p5", "response", []),  # name, input, settings
         ("p5-test", "response", ["simulation.seed=2", "simulation.frame_interval=500"]),
         *((f"p{phi}{test}", "response-mix", [f"system.packing_fraction=0.{phi}", f"simulation.seed={seed}", *more])
           for phi, first in ((3, 5), (7, 7))
           for test, seed, more in (("", first, []), ("-test", first + 1, ["simulation.frames=300"]))),
         ("fast", "response-fast", []), ("fast-test", "response-fast", ["simulation.seed=4"]))


def simulate(folder, name, source, *settings, box=None, ranks=2):
    """An input of the repository, or one like it in a box of these sides."""
    path = ROOT / f"inputs/{source}.yaml"
    if box:
        text = path.read_text()
        assert text.count("packing_fraction: 0.5") == 1
        path = folder / f"{name}.yaml"
        path.write_text(text.replace("packing_fraction: 0.5", f"box: [{box[0]!r}, {box[1]!r}]"))
    options = [option for setting in settings for option in ("--set", setting)]
    return finished(f"{name}_simulate", run(ranks, "simulate", path, "--output", folder / name, *options))


def train(folder, name, source, trajectories, *settings):
    data = ", ".join(f"{{file: {folder / of}/trajectory.h5, weight: 1}}" for of in trajectories)
    options = [option for setting in settings for option in ("--set", setting)]
    return timed(2, "train", ROOT / f"inputs/{source}.yaml", "--output", folder / name, "--set",
                 f"training.trajectories=[{data}]", *options)


def fraction_of(folder):
    """The resolved fraction of an evaluation, and its error."""
    _, attributes = certificate(folder)
    return float(attributes["resolved_fraction"]), float(attributes["resolved_fraction_error"])


def resolved(folder, name, model, test, source="response"):
    """Evaluates a model on all frames of a trajectory: the run, the resolved fraction, its error."""
    result = run(2, "evaluate", ROOT / f"inputs/{source}.yaml", "--output", folder / name, "--set",
                 f"evaluation.models=[{folder / model}/model.h5]", "--set",
                 f"evaluation.trajectories=[{folder / test}/trajectory.h5]", "--set", "evaluation.frames=all", "--set",
                 "evaluation.grid=4")
    if result.returncode != 0:
        return result, float("nan"), float("nan")
    return result, *fraction_of(folder / name)


def judged(folder, quantity, model, test, target, source="response"):
    result, fraction, error = resolved(folder, f"{model}-on-{test}", model, test, source)
    yield finished(f"{quantity}_evaluate", result)
    yield at_least(quantity, fraction, target)
    yield at_most(f"{quantity}_error", error, 0.05)


def trajectories(folder):
    """Small systems: one a core."""
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield from pool.map(lambda of: simulate(folder, *of[:2], *of[2], ranks=0), SMALL)


def one_density(folder):
    """gamma = 1e-4, phi = 0.5: after 5 minutes of training at most, and after 15."""
    for name, steps, seconds, target in (("short", 1000, 300, 0.78), ("long", 4000, 900, 0.80)):
        result, took = train(folder, name, "response", ["p5"], f"training.steps={steps}", "training.test_interval=0")
        yield finished(f"{name}_train", result)
        yield at_most(f"{name}_training_seconds", took, seconds)
        yield from judged(folder, f"{name}_resolved", name, "p5-test", target)


def fast_propulsion(folder):
    result, _ = train(folder, "fast-trained", "response-fast", ["fast"])
    yield finished("fast_train", result)
    yield from judged(folder, "fast_resolved", "fast-trained", "fast-test", 0.93, "response-fast")


def densities(folder):
    """Trained on three densities together."""
    result, _ = train(folder, "mix", "response-mix", ["p3", "p5", "p7"])
    yield finished("mix_train", result)
    for name, target in (("p3", 0.68), ("p5", 0.80), ("p7", 0.88)):
        yield from judged(folder, f"mix_resolved_{name}", "mix", f"{name}-test", target)


def sizes(folder):
    """The same model at other N, in boxes tiled with frames of smaller ones. Larger dense regions are under more
    pressure, and stiffer particles are resolved better (docs/response-model.md): between N = 1024 and 4096 the
    fraction grows with the state; from there on the tiled state is the same, and so is the fraction, within errors.
    """
    before, before_error = fraction_of(folder / "long-on-p5-test")
    for name, start, seed, particles, box, burn_in, frames, interval in (
            ("n4096", "p5-test", 9, 4096, (SIDE, SIDE), 5e4, 40, 500),
            ("n32768", "n4096", 10, 32768, (4 * SIDE, 2 * SIDE), 5e3, 4, 1000)):
        yield simulate(folder, name, "response", f"system.particles={particles}", f"simulation.seed={seed}",
                       f"simulation.start={folder / start}/trajectory.h5@last", f"simulation.burn_in={burn_in}",
                       f"simulation.frames={frames}", f"simulation.frame_interval={interval}", box=box)
        result, fraction, error = resolved(folder, f"long-on-{name}", "long", name)
        yield finished(f"{name}_evaluate", result)
        yield at_least(f"{name}_resolved", fraction, 0.80)
        change = (fraction - before) / (error**2 + before_error**2)**0.5
        yield at_least(f"{name}_standard_deviations_from_smaller", change, -3)
        if name == "n32768":
            yield at_most("n32768_standard_deviations_from_n4096", abs(change), 3)
        before, before_error = fraction, error


def speed():
    """On one core, from epflow bench."""
    result = run(0, "bench", "--json", "--set", "simulation.burn_in=2000")
    yield finished("bench", result)
    if result.returncode == 0:
        calls = json.loads(result.stdout)["calls"]
        rate = {name: call["particles"] / call["seconds"] for name, call in calls.items() if "particles" in call}
        yield at_least("training_particles_per_second", rate["response network: training step"], 40e3)
        yield at_least("scores_particles_per_second", rate["response network: graph and scores"], 150e3)


def million(folder):
    """A frame of about a million particles, tiled and run for a while, evaluated on two cores."""
    yield simulate(folder, "million", "response", "system.particles=1048576", "simulation.seed=11",
                   "simulation.burn_in=20", "simulation.frames=1",
                   f"simulation.start={folder}/n32768/trajectory.h5@last", box=(16 * SIDE, 16 * SIDE))
    result, seconds = timed(2, "evaluate", ROOT / "inputs/response.yaml", "--output", folder / "long-on-million",
                            "--set", f"evaluation.models=[{folder}/long/model.h5]", "--set",
                            f"evaluation.trajectories=[{folder}/million/trajectory.h5]", "--set",
                            "evaluation.frames=all", "--set", "evaluation.probes=1")
    yield finished("million_evaluate", result)
    yield at_most("million_seconds", seconds, 30)
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # of the largest of all processes so far
    yield at_most("million_GiB_two_ranks", 2 * most / 2**30, 8)


def response(folder):
    """The response network: resolved fractions on other seeds, densities and sizes; speed."""
    yield from speed()
    yield from trajectories(folder)
    yield from one_density(folder)
    yield from fast_propulsion(folder)
    yield from densities(folder)
    yield from sizes(folder)
    yield from million(folder)
