"""What happens when the numbers of a training or an evaluation go wrong: who is named, what is set aside, and that a
training which goes back does so at the same step with the same bits, on repeat and where it is stopped and resumed."""
import os
import re
import signal

import h5py

import verify

INPUT = """
system: {particles: 256, packing_fraction: 0.5, v0: 0.25, gamma: 0.1}
simulation: {dt: 0.05, burn_in: 100, frames: 12, frame_interval: 10, refine: 0, seed: 7}
network: {neighbours: 8, width: 16, hidden: 16, feed_forward: 16, heads: 2, blocks: 1, layers: 1}
response: {hidden: 8, edge: 8, channels: 1, layers: 1}
training: {sigma: 0.1, batch: 64, steps: 400, warm_up: 50, rate: 10, average: 0.99, checkpoint_interval: 10,
           retries: 3, retry_factor: 0.01, retry_interval: 20}
output: {directory: %(output)s}
"""
BACK = re.compile(r"going back to step (\d+), and on with training.rate (\S+) in the place of (\S+) \(retry (\d+) of (\d+)\)")
NAMED = re.compile(r"training step (\d+): (.*) is not finite, from what particle (\d+) of rank (\d+) sees, in frame (\d+) of")
LONG, START = "training.steps=3001", "training.retry_interval=1000"
STATE = ["/weights", "/average", "/optimizer", "/training/log/loss", "/training/log/step", "/training/log/rate"]
GROUPS = [*STATE, "/training/retries"]


def source_of(folder, name):
    path = folder / f"{name}.yaml"
    path.write_text(INPUT % {"output": folder / name})
    return path


def simulated(folder, name):
    source = source_of(folder, name)
    verify.run(0, "simulate", source)
    return source, source.with_suffix("")


def train(ranks, source, *settings, flag="--overwrite"):
    words = [word for setting in settings for word in ("--set", setting)]
    return verify.run(ranks, "train", source, flag, *words)


def has_gone_back(log):
    return log.exists() and "going back" in log.read_text()


def stop_a_rank(process):
    """On request. False if there was none any more."""
    ranks = verify.ranks_of(process.pid)
    if ranks:
        os.kill(ranks[0], signal.SIGTERM)
    return bool(ranks)


def diverging(folder):
    """A rate that makes the loss run away: back with a smaller one, which is kept. Back to the start it is a training
    with that rate."""
    source, output = simulated(folder, "diverging")
    model, kept = output / "model.h5", folder / "kept.h5"
    for ranks in (1, 3):
        result = train(ranks, source, START)
        back = BACK.findall(result.stderr)
        with h5py.File(model, "r") as file:
            rows = file["training/retries"]
            same = [(int(b[0]), float(b[1])) for b in back] == list(zip(rows["back"][:], rows["rate"][:]))
            after = file["training/log/step"][:] > rows["back"][-1]
            smaller = max(file["training/log/rate"][after]) <= rows["rate"][-1] * (1 + 1e-12)
        shown = "diverged: back to" in verify.run(0, "info", model).stdout
        logged = "going back to step" in (output / "log.txt").read_text()
        yield verify.equal(f"went_back_{ranks}", bool(result.returncode == 0 and back and same and shown and logged and
                                                      smaller), True)
        model.replace(kept)
        train(ranks, source, START)
        yield verify.equal(f"repeat_differs_{ranks}", verify.differences(kept, model, *GROUPS), "none")
    train(3, source, "training.retries=0", f"training.rate={back[-1][1]}")
    yield verify.equal("smaller_rate_differs", verify.differences(kept, model, *STATE), "none")


def interrupted(folder):
    """Stopped after it went back, between states to go back to, and resumed: as without."""
    source, output = simulated(folder, "interrupted")
    model, kept = output / "model.h5", folder / "whole.h5"
    train(2, source, LONG)
    model.replace(kept)
    (output / "log.txt").unlink()
    code, came = verify.run_until(lambda: has_gone_back(output / "log.txt"), stop_a_rank, 2, "train", source,
                                  "--resume", "--set", LONG)
    with h5py.File(model, "r") as file:
        step = file.attrs["step"]
        held = "return" in file or step % 20 == 0  # else the state is the one to go back to
    yield verify.equal("stopped_after_retry", bool(came and code == 75 and held and step < 3000), True)
    result = train(2, source, LONG, flag="--resume")
    yield verify.equal("resumed_knows_retries", "it went back" in result.stderr, True)
    yield verify.equal("resumed_differs", verify.differences(kept, model, *GROUPS), "none")


def given_up(folder):
    """As many retries as there may be, none of them of use; and then allowed more."""
    source, output = simulated(folder, "given-up")
    result = train(2, source, "training.retries=2", "training.retry_factor=0.999")
    yield verify.equal("given_up_code", result.returncode, 3)
    yield verify.equal("given_up_retries", len(BACK.findall(result.stderr)), 2)
    yield verify.equal("one_message", len(verify.errors(result.stderr)), 1)
    yield verify.equal("set_aside", (output / "failed-model.h5").exists(), True)
    result = train(2, source, "training.retries=3", "training.retry_factor=0.001", flag="--resume")
    yield verify.equal("resumed_with_more_retries", result.returncode, 0)


def plant(trajectory, frame, particle, value):
    with h5py.File(trajectory, "r+") as file:
        file["particles/trajectory/propulsion/value"][frame, particle, 1] = value
        del file["parameters/checksums"]  # else the damage is what is found


def planted(folder):
    """One number of one frame: its step, frame and a particle that sees it, whatever the ranks; of both networks."""
    for kind, particle in (("window", 37), ("response", 201)):
        source, output = simulated(folder, kind)
        plant(output / "trajectory.h5", 5, particle, 1e30)
        heard, right = set(), 0
        for ranks in (1, 2, 3):
            result = train(ranks, source, f"network.kind={kind}", "training.rate=1e-3", "training.retries=1")
            named = NAMED.search(result.stderr)
            heard.add(named and (named[1], named[3], named[5]))
            right += (result.returncode == 3 and named is not None and named[5] == "5" and
                      len(BACK.findall(result.stderr)) == 1 and (output / "failed-model.h5").exists())
        yield verify.equal(f"{kind}_named", right, 3)
        yield verify.equal(f"{kind}_messages", len(heard), 1)


def training(folder):
    """Trainings that diverge, or whose data have one number that is too large."""
    yield from diverging(folder)
    yield from interrupted(folder)
    yield from given_up(folder)
    yield from planted(folder)


# ---- frames of no use, in what reads them ----

FINITE = re.compile(r"frame (\d+) of \S+: (\w+) of particle (\d+) of rank (\d+) is not finite")
TWINS = "particles 9 and 200 are at the same position"


def evaluation(folder):
    """A model whose output on one frame is not finite: named there, with the frames before it in the file."""
    source, output = simulated(folder, "evaluation")
    train(2, source, "training.rate=1e-3", "training.steps=50")
    plant(output / "trajectory.h5", 8, 100, 1e30)
    heard, right = set(), 0
    for ranks in (1, 2, 3):
        result = verify.run(ranks, "evaluate", source, "--overwrite", "--set", "evaluation.frames=all")
        named = FINITE.search(result.stderr)
        heard.add(named and named.groups()[:3])
        shown = verify.run(0, "info", output / "evaluation.h5").stdout
        right += (result.returncode == 3 and named is not None and named[1] == "8" and
                  verify.frames_written(output / "evaluation.h5") == 8 and "not complete" in shown and
                  len(verify.errors(result.stderr)) == 1)
    yield verify.equal("evaluation_named", right, 3)
    yield verify.equal("evaluation_messages", len(heard), 1)


def twins(folder):
    """Two particles at one position of a frame: whatever starts from it or reads it names both."""
    source, output = simulated(folder, "twins")
    train(2, source, "training.rate=1e-3", "training.steps=50")
    with h5py.File(output / "trajectory.h5", "r+") as file:
        position = file["particles/trajectory/position/value"]
        position[3, 9] = position[3, 200]
        del file["parameters/checksums"]
    started = source_of(folder, "started")
    for name, words in (("train", ("train", source, "--overwrite")),
                        ("evaluate", ("evaluate", source, "--overwrite", "--set", "evaluation.frames=all")),
                        ("simulate", ("simulate", started, "--set", "simulation.seed=8", "--set",
                                      f"simulation.start={output / 'trajectory.h5'}@3"))):
        right = 0
        for ranks in (1, 3):
            result = verify.run(ranks, *words)
            right += result.returncode == 2 and TWINS in result.stderr and len(verify.errors(result.stderr)) == 1
        yield verify.equal(f"twins_{name}", right, 2)
    yield verify.equal("twins_nothing_made", (folder / "started/trajectory.h5").exists(), False)


def frames(folder):
    """Frames whose numbers are of no use."""
    yield from evaluation(folder)
    yield from twins(folder)
