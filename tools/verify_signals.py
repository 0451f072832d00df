"""The case signals of tools/verify: what ends a run early, how soon, and that nothing is lost."""
import os
import signal
import subprocess
import time

import verify
from verify import at_most, equal, finished, frames_written, run

BOUND = 10  # seconds from signal to end of these small runs: starting and ending of processes included
LONG = ("--set", "simulation.frames=100000", "--set", "training.steps=1e6", "--set", "training.test_interval=200")


def ended(process, begun):
    """Exit code and seconds since then."""
    try:
        code = process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        code = "hangs"
    return code, time.monotonic() - begun


def started(ranks, *arguments, **environment):
    return subprocess.Popen(verify.command(ranks, *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            env={**os.environ, **verify.CROWDED, **environment})


def stop(moment, send, ranks, *arguments):
    """Runs, at the moment sends, and waits: exit code ("too_late": it was over) and seconds from then to the end."""
    process = started(ranks, *arguments)
    while process.poll() is None and not moment():
        time.sleep(0.003)
    begun, late = time.monotonic(), process.poll() is not None
    if not late:
        send(process)
    code, seconds = ended(process, begun)
    return ("too_late" if late else code), seconds


WAYS = {  # ranks, what is done
    "usr1_mpirun": (2, lambda process: process.send_signal(signal.SIGUSR1)),
    "term_one_rank": (2, lambda process: os.kill(verify.ranks_of(process.pid)[-1], signal.SIGTERM)),
}
ALONE = {"int": signal.SIGINT, "term": signal.SIGTERM, "usr1": signal.SIGUSR1}


def moments(folder):
    """When each stage has something to lose."""
    before = frames_written(folder / "trajectory.h5"), frames_written(folder / "evaluation.h5")
    begun = time.time()

    def checkpointed():
        model = folder / "model.h5"
        return model.exists() and model.stat().st_mtime > begun
    return {"simulate": lambda: frames_written(folder / "trajectory.h5") > before[0] + 2,
            "train": checkpointed,
            "evaluate": lambda: frames_written(folder / "evaluation.h5") > before[1] + 1}


def stages(folder, source, slowest):
    """Every stage stopped in every way, gone on with, and ended."""
    for stage in ("simulate", "train", "evaluate"):
        for way, (ranks, send) in WAYS.items():
            code, seconds = stop(moments(folder / "stopped")[stage], send, ranks, stage, source, "--resume")
            slowest.append(seconds)
            yield equal(f"{stage}_{way}", code, 75)
        yield finished(f"{stage}_resumed", run(2, stage, source, "--resume"))


def alone(folder, source, slowest):
    """Without mpirun, every signal to every stage."""
    for stage in ("simulate", "train", "evaluate"):
        for name, number in ALONE.items():
            code, seconds = stop(moments(folder / "alone")[stage], lambda p, n=number: p.send_signal(n), 0, stage,
                                 source, "--resume")
            slowest.append(seconds)
            yield equal(f"{stage}_{name}_alone", code, 75)
        yield finished(f"{stage}_alone_resumed", run(0, stage, source, "--resume"))


def limits(folder, source):
    """run.walltime in every stage, and the end of a Slurm job."""
    for stage, limit in (("simulate", 3), ("train", 3), ("evaluate", 0.6)):
        more = ("--set", f"run.walltime={limit / 60}", "--output", folder / f"limit-{stage}", "--set",
                f"training.trajectories=[{folder}/whole/trajectory.h5]", "--set",
                f"evaluation.trajectories=[{folder}/whole/trajectory.h5]", "--set",
                f"evaluation.models=[{folder}/whole/model.h5]")
        begun = time.monotonic()
        code, seconds = ended(started(2, stage, source, *LONG, *more), begun)
        yield equal(f"{stage}_walltime", code, 75)
        yield at_most(f"{stage}_walltime_s", seconds, limit + BOUND / 2)
    begun = time.monotonic()
    code, seconds = ended(started(0, "simulate", source, *LONG, "--output", folder / "slurm",
                                  SLURM_JOB_END_TIME=str(int(time.time()) + 5)), begun)
    yield equal("slurm_end_time", code, 75)
    yield at_most("slurm_end_time_s", seconds, 5.5)


LARGE = """
system: {particles: 20000, packing_fraction: 0.5, v0: 0.25, gamma: 0.1}
simulation: {dt: 0.05, burn_in: 1, frames: 2, frame_interval: 1, refine: 0, seed: 7}
network: {kind: window}
training: {batch: 64, steps: 1, warm_up: 0, held_out: 0.5, test_particles: 0}
output: {directory: %s}
"""


def long_frames(folder):
    """A network so large that one frame takes many seconds: neither a test of training nor a frame is waited for."""
    output, source = folder / "large", folder / "large.yaml"
    source.write_text(LARGE % output)
    yield finished("large_simulated", run(2, "simulate", source))
    one_rank = WAYS["term_one_rank"][1]

    def after(path):
        since = []

        def moment():
            if path.exists() and not since:
                since.append(time.monotonic())
            return since and time.monotonic() - since[0] > 2
        return moment
    (output / "log.txt").unlink()
    code, seconds = stop(after(output / "log.txt"), one_rank, 2, "train", source)
    yield equal("test_of_training", code, 75)
    yield at_most("test_of_training_s", seconds, BOUND / 2)
    yield equal("untested_model", "there" if (output / "model.h5").exists() else "missing", "there")
    code, seconds = stop(after(output / "evaluation.h5"), one_rank, 2, "evaluate", source)
    yield equal("within_a_frame", code, 75)
    yield at_most("within_a_frame_s", seconds, BOUND / 2)
    yield equal("frames_written", frames_written(output / "evaluation.h5"), 0)
    never = run(2, "evaluate", source, "--resume", "--set", "run.walltime=0.14")
    yield equal("frame_without_end", never.returncode if "no frame was finished" in never.stderr else "silent", 1)
    before = time.monotonic()
    code, seconds = ended(started(2, "train", source, "--resume", "--set", "run.walltime=0.06"), before)
    yield equal("test_is_made_up", code, 75)  # it goes on with the test, for which the time is too short


def at_once(folder):
    """A second SIGINT; and a signal to what has nothing to lose."""
    big = verify.write_small(folder, "twice", particles=200000, frames=3)

    def twice(process):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
        process.send_signal(signal.SIGINT)
    code, seconds = stop((folder / "twice/trajectory.h5").exists, twice, 0, "simulate", big)
    yield equal("second_int", code, 130)
    yield at_most("second_int_s", seconds, 2)
    process = subprocess.Popen(verify.command(0, "check"), stderr=subprocess.PIPE, text=True)
    process.stderr.readline()
    process.send_signal(signal.SIGUSR1)
    code, seconds = ended(process, time.monotonic())
    yield equal("check_usr1", code, 75)
    yield at_most("check_usr1_s", seconds, 2)


def signals(folder):
    """USR1, TERM, INT, run.walltime and Slurm's end time stop every stage soon, and resumed it is the same."""
    whole, slowest = folder / "whole", []
    sizes = {"particles": 1024, "frames": 60}
    yield finished("exit_code", run(2, "run", verify.write_small(folder, "whole", **sizes)))
    source = verify.write_small(folder, "stopped", **sizes)
    yield from stages(folder, source, slowest)
    for name, groups in (("trajectory", ["/particles"]), ("model", ["/weights", "/average"]),
                         ("evaluation", ["/particles", "/fields", "/profiles"])):
        said = verify.differences(whole / f"{name}.h5", folder / f"stopped/{name}.h5", *groups)
        yield equal(f"{name}_differences", said, "none")
    yield from alone(folder, verify.write_small(folder, "alone", **sizes), slowest)
    said = verify.differences(whole / "trajectory.h5", folder / "alone/trajectory.h5", "/particles")
    yield equal("alone_differences", said, "none")
    yield at_most("signal_to_end_s", max(slowest), BOUND)
    yield from limits(folder, source)
    yield from long_frames(folder)
    yield from at_once(folder)
