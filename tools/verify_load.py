"""Cases of tools/verify about memory: what commands plan against what they had at most, and two million particles.

Of a run the lines "memory: about ..." (the plan, which --dry-run prints, too) and "memory at most ..." (the peak over its
time, with pages that ranks share counted for each) are read. verify.py names the cases in CASES.
"""
import re
import time

from running import errors, run
from verify import ROOT, at_least, at_most, equal, finished, full

SOURCE = ROOT / "inputs/load.yaml"
WINDOW = ("network.kind=window", "network.neighbours=16", "network.width=32", "network.hidden=32", "network.heads=4",
          "network.feed_forward=32", "network.blocks=2", "network.layers=2", "training.rate=1e-4", "training.batch=1024",
          "training.weighting=none", "training.noise=gaussian", "training.average=0.9")
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def options(settings):
    return [option for setting in settings for option in ("--set", setting)]


def bytes_of(text):
    number, unit = text.split()
    return float(number) * UNITS[unit]


def planned(said):
    """Bytes a particle."""
    return float(re.search(r"memory: about .* in all, (\d+) B a particle", said)[1])


def had(said):
    """Bytes a particle, and of the fullest rank."""
    found = re.search(r"memory at most, per rank +\S+ \S+ +\S+ \S+ +(\S+ \S+) +\S+ \S+ in all, (\d+) B a particle", said)
    return float(found[2]), bytes_of(found[1])


def model_of(folder, name, settings):
    """A network that has barely been trained, on few particles."""
    yield finished(f"{name}_model", run(0, "run", SOURCE, "--output", folder / name, *options(
        ("system.particles=1024", "simulation.frames=4", *settings))))


def judged(name, ranks, command, output, settings):
    """A run beside its plan."""
    words = (command, SOURCE, "--output", output, "--overwrite", *options(settings))
    dry = run(ranks, *words, "--dry-run")
    yield finished(f"{name}_plan", dry)
    result = run(ranks, *words)
    yield finished(name, result)
    if dry.returncode == 0 and result.returncode == 0:
        ratio = planned(dry.stderr) / had(result.stderr)[0]
        yield at_least(f"{name}_ratio", ratio, 0.85)
        yield at_most(f"{name}_ratio", ratio, 1.15)


def stages(folder, particles, ranks, kinds, commands):
    """Every command with that many particles, in two frames."""
    output = folder / f"n{particles}"
    own = (f"system.particles={particles}", "simulation.frames=2")
    at = f"{particles}_{ranks}"
    yield from judged(f"simulate_{at}", ranks, "simulate", output, own)
    for name, settings in kinds:
        for command in commands:
            data = {"train": [f"training.trajectories=[{{file: {output}/trajectory.h5, weight: 1}}]",
                              "training.steps=6", "training.test_particles=4096"],
                    "evaluate": [f"evaluation.models=[{folder}/{name}/model.h5]",
                                 f"evaluation.trajectories=[{output}/trajectory.h5]"]}[command]
            yield from judged(f"{command}_{name}_{at}", ranks, command, folder / f"{name}-{at}",
                              (*own, *settings, *data))


def refused(folder):
    """A plan beyond what the node has is said at once, by a dry run, too."""
    result = run(2, "simulate", SOURCE, "--output", folder / "large", "--dry-run", "--set", "system.particles=2e9")
    warned = result.returncode == 0 and "more nodes" in result.stderr and not errors(result.stderr)
    yield equal("too_large", "warned" if warned else "not", "warned")


def memory(folder):
    """Planned memory within 15 % of the peak: simulate, train, evaluate; --full: more sizes, ranks and networks."""
    kinds = (("response", ()), ("window", WINDOW)) if full() else (("response", ()),)
    yield from refused(folder)
    for name, settings in kinds:
        yield from model_of(folder, name, settings)
    for particles, ranks in ([(n, r) for n in (100_000, 400_000) for r in (1, 2, 4)] if full() else [(100_000, 2)]):
        yield from stages(folder, particles, ranks, kinds, ("train", "evaluate") if particles <= 100_000 else ("evaluate",))


def load(folder):
    """Two million particles simulated, written and evaluated in at most 20 GiB, no rank holding a whole frame."""
    yield from model_of(folder, "response", ())
    model = (f"evaluation.models=[{folder}/response/model.h5]", f"evaluation.trajectories=[{folder}/n/trajectory.h5]")
    largest = {}
    for command, settings in (("simulate", ()), ("evaluate", model)):
        for ranks in (2, 4):
            begun = time.monotonic()
            result = run(ranks, command, SOURCE, "--output", folder / "n", "--overwrite", *options(settings))
            yield finished(f"{command}_{ranks}", result)
            if result.returncode != 0:
                return
            each, largest[ranks] = had(result.stderr)
            yield at_most(f"{command}_{ranks}_GiB", each * 2e6 / 2**30, 20)
            yield at_least(f"{command}_{ranks}_plan_ratio", planned(result.stderr) / each, 0.85)
            yield at_most(f"{command}_{ranks}_plan_ratio", planned(result.stderr) / each, 1.15)
            yield at_most(f"{command}_{ranks}_seconds", time.monotonic() - begun, 600)
        yield at_most(f"{command}_rank_of_4_to_rank_of_2", largest[4] / largest[2], 0.65)
