"""The cases of tools/verify, which builds epflow, sets the environment and calls this.

A case is a function that runs the program in a folder of its own and yields measurements (quantity, value,
target, reached). Every one is printed as a line

    case  quantity  value  target  pass|short

and the exit code is 1 if one falls short. To add a case, write the function and name it in CASES.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"  # files are looked into while they are written

import h5py
import numpy as np

from running import CROWDED, ROOT, command, errors, ranks_of, run
from verify_speed import network_speed

# A system that moves fast: particles cross between ranks, lists and rank boxes are made anew.
SMALL = """
system: {particles: %(particles)d, packing_fraction: 0.5, v0: 0.25, gamma: 0.1}
simulation:
  {dt: 0.05, burn_in: 100, frames: %(frames)d, frame_interval: 10, refine: 1, seed: 7, restart_interval: 0.001}
network: {neighbours: 8, width: 16, hidden: 16, feed_forward: 16, heads: 2, blocks: 1, layers: 1}
training:
  {sigma: 0.1, batch: 64, steps: 2000, warm_up: 50, rate: 1e-3, average: 0.99, checkpoint_interval: 0.001}
evaluation: {frames: all, grid: 0.25}
output: {directory: %(output)s}
"""


# ---- running ----

def write_small(folder, output, particles=256, frames=40):
    path = folder / f"{output}.yaml"
    path.write_text(SMALL % {"particles": particles, "frames": frames, "output": folder / output})
    return path


def full():
    """Whether --full was given: the whole of cases that are otherwise sampled."""
    return os.environ.get("EPFLOW_VERIFY_FULL") == "1"


def equal(quantity, value, target):
    return quantity, value, target, value == target


def at_least(quantity, value, target):
    return quantity, f"{value:.4g}", f">={target:g}", value >= target


def at_most(quantity, value, target):
    return quantity, f"{value:.4g}", f"<={target:g}", value <= target


def finished(name, result):
    """Exit code 0; what the program said is shown where it is not."""
    if result.returncode != 0:
        print(result.stderr, file=sys.stderr)
    return equal(name, result.returncode, 0)


def without_checksums(path, groups):
    """A copy whose groups have none: checksums tell bits apart."""
    copy = path.with_suffix(".rounded.h5")
    shutil.copy(path, copy)
    with h5py.File(copy, "r+") as file:
        for group in groups:
            file[group].attrs.pop("checksum", None)
    return copy


def differences(a, b, *groups, relative=0):
    """Whether h5diff finds these groups of two files to differ; relative = 0: in any bit."""
    said, allowed = "", ["-p", str(relative)] if relative else []
    if relative:
        a, b = (without_checksums(path, groups) for path in (a, b))
    for group in groups:
        diff = subprocess.run(["h5diff", *allowed, str(a), str(b), group], capture_output=True, text=True,
                              check=False)
        said += diff.stdout + diff.stderr + ("" if diff.returncode == 0 else f"h5diff: {diff.returncode}")
    if said:
        print(said[:2000], file=sys.stderr)
    return "none" if not said else "some"


# ---- pipeline ----

def frames_written(path):
    """Frames of a trajectory or an evaluation that are complete, also while it is written."""
    steps = []

    def look(name, item):
        if name.split("/")[-1] == "step" and isinstance(item, h5py.Dataset) and item.ndim == 1:
            steps.append(item[()])
    try:
        with h5py.File(path, "r") as file:
            file.visititems(look)
    except (OSError, KeyError, RuntimeError):
        return 0  # not made yet
    return int(np.sum(np.cumprod(steps[0] >= 0))) if steps else 0


def run_until(moment, interrupt, ranks, *arguments):
    """Runs and, at the moment, calls interrupt(process). The exit code, and whether it came to that."""
    with open(os.devnull, "w") as nothing:
        process = subprocess.Popen(command(ranks, *arguments), env={**os.environ, **CROWDED}, stdout=nothing,
                                   stderr=nothing)
    while process.poll() is None and not moment():
        time.sleep(0.003)
    came = process.poll() is None and interrupt(process)
    return process.wait(), came


def kill_a_rank(process):
    """Without warning. False if there was none any more."""
    victims = ranks_of(process.pid)
    if victims:
        os.kill(victims[0], signal.SIGKILL)
    return bool(victims)


def pipeline(folder):
    """The three stages on two ranks; the same killed in every stage and resumed, with the same results."""
    whole, killed = folder / "whole", folder / "killed"
    yield finished("exit_code", run(2, "run", write_small(folder, "whole")))
    for name in ("trajectory.h5", "restart.h5", "model.h5", "evaluation.h5", "fields.xdmf", "fields.xmf", "log.txt"):
        yield equal(name, "there" if (whole / name).exists() else "missing", "there")
    for name in ("trajectory.h5", "model.h5", "evaluation.h5"):
        said = run(0, "info", whole / name, "--json")
        try:
            readable = said.returncode == 0 and isinstance(json.loads(said.stdout), dict)
        except ValueError:
            readable = False
        yield equal(f"info_{name}", "readable" if readable else "not", "readable")

    frames = frames_written(whole / "trajectory.h5")
    moments = {
        "simulate": lambda: (killed / "restart.h5").exists() and frames_written(killed / "trajectory.h5") > 2,
        "train": lambda: (killed / "model.h5").exists(),
        "evaluate": lambda: 2 <= frames_written(killed / "evaluation.h5") < frames,
    }
    source = write_small(folder, "killed")
    for stage, moment in moments.items():
        code, came = run_until(moment, kill_a_rank, 2, "run", source, "--resume")
        in_stage = came and code != 0 and (stage == "evaluate" or not (killed / "evaluation.h5").exists())
        yield equal(f"killed_in_{stage}", "yes" if in_stage else "no", "yes")
    yield finished("resumed_exit_code", run(2, "run", source, "--resume"))
    resumed = len(re.findall(r"(?i)resum", (killed / "log.txt").read_text()))
    yield at_least("resumptions_in_log", resumed, 3)
    for name, groups in (("trajectory", ["/particles"]), ("model", ["/weights", "/average"]),
                         ("evaluation", ["/particles", "/fields", "/profiles"])):
        said = differences(whole / f"{name}.h5", killed / f"{name}.h5", *groups)
        yield equal(f"{name}_differences", said, "none")
    # A resumed simulation shares the particles otherwise among its ranks: sums over all, which only I0 reads
    # from the trajectory, are added in another order.
    said = differences(whole / "evaluation.h5", killed / "evaluation.h5", "/certificate", relative=1e-9)
    yield equal("certificate_differences", said, "none")


# ---- ranks ----

def ranks(folder):
    """A trajectory is the same bits on any number of ranks."""
    counts = (1, 2, 3, 4, 6)
    for count in counts:
        source = write_small(folder, f"ranks{count}", particles=1024, frames=10)
        yield finished(f"exit_code_{count}", run(count, "simulate", source))
    for count in counts[1:]:
        yield equal(f"differences_1_{count}", differences(folder / "ranks1/trajectory.h5",
                    folder / f"ranks{count}/trajectory.h5", "/particles/trajectory"), "none")


# ---- bad-input ----

BAD_INPUTS = (  # what, command line before and after the input file, words of the message
    ("unknown_key", "run", ["--set", "system.partciles=10"], "partciles"),
    ("unknown_section", "run", ["--set", "sytem.particles=10"], "sytem"),
    ("not_a_number", "run", ["--set", "system.v0=fast"], "system.v0"),
    ("out_of_range", "run", ["--set", "system.gamma=-1"], "system.gamma"),
    ("contradiction", "run", ["--set", "system.box=50"], "system.box"),
    ("unstable_step", "simulate", ["--set", "simulation.dt=5"], "simulation.dt"),
    ("data_alone", "simulate", ["--set", "system.kind=unknown", "--set", "training.loss=velocity"], "unknown"),
    ("run_of_data", "run", ["--set", "system.kind=unknown", "--set", "training.loss=velocity"], "unknown"),
    ("heads", "train", ["--set", "network.heads=3"], "network.width"),
    ("resume_overwrite", "run", ["--resume", "--overwrite"], "--resume"),
    ("unknown_option", "run", ["--resum"], "--resume"),
    ("unknown_command", "simulat", [], "simulate"),
    ("no_start_file", "simulate", ["--set", "simulation.start=absent.h5@last"], "absent.h5"),
    ("no_trajectory", "train", [], "trajectory.h5"),
    ("no_model", "evaluate", ["--set", "evaluation.models=[absent.h5]"], ".h5"),
)


def judge_bad(what, folder, output, words, *arguments):
    result = run(2, *arguments, cwd=folder)
    messages = errors(result.stderr)
    problems = []
    if result.returncode != 2:
        problems.append(f"exit code {result.returncode}")
    if len(messages) != 1:
        problems.append(f"{len(messages)} messages")
    elif words not in messages[0]:
        problems.append("unclear message")
    if output.exists():
        problems.append("folder made")
    if problems:
        print(result.stderr, file=sys.stderr)
    return equal(what, ",".join(problems).replace(" ", "_") or "refused", "refused")


def bad_input(folder):
    """Bad input: exit code 2, one message, and nothing is created."""
    for what, name, options, words in BAD_INPUTS:
        yield judge_bad(what, folder, folder / what, words, name, write_small(folder, what), *options)
    yield judge_bad("no_input_file", folder, folder / "absent", "absent.yaml", "run", "absent.yaml")
    (folder / "torn.yaml").write_text("system: {particles: 10,\noutput: {directory: torn}\n")
    yield judge_bad("torn_yaml", folder, folder / "torn", "torn.yaml", "run", "torn.yaml")
    (folder / "foreign.h5").write_text("not HDF5\n")
    yield judge_bad("foreign_file", folder, folder / "foreign", "foreign.h5", "info", "foreign.h5")


# ---- learns ----

def learns(folder):
    """inputs/learns.yaml on one rank: most of the exact entropy production is resolved on held-out frames."""
    seconds = {}
    for stage in ("simulate", "train", "evaluate"):
        begun = time.monotonic()
        result = run(0, stage, ROOT / "inputs/learns.yaml", "--output", folder / "learns")
        yield finished(f"{stage}_exit_code", result)
        seconds[stage] = time.monotonic() - begun
    with h5py.File(folder / "learns/evaluation.h5", "r") as file:
        fraction = float(file["certificate"].attrs["resolved_fraction"])
    yield at_least("resolved_fraction", fraction, 0.6)
    yield at_most("training_seconds", seconds["train"], 300)


sys.modules.setdefault("verify", sys.modules[__name__])  # the modules of cases use what is above under this name
import verify_alignment  # noqa: E402
import verify_badfiles  # noqa: E402
import verify_cuda  # noqa: E402
import verify_data  # noqa: E402
import verify_evaluation  # noqa: E402
import verify_examples  # noqa: E402
import verify_inject  # noqa: E402
import verify_kills  # noqa: E402
import verify_load  # noqa: E402
import verify_numbers  # noqa: E402
import verify_physics  # noqa: E402
import verify_readers  # noqa: E402
import verify_refine  # noqa: E402
import verify_report  # noqa: E402
import verify_response  # noqa: E402
import verify_results  # noqa: E402
import verify_signals  # noqa: E402
import verify_simulation  # noqa: E402
import verify_slurm  # noqa: E402
import verify_storage  # noqa: E402
import verify_terminal  # noqa: E402

CASES = {"pipeline": pipeline, "signals": verify_signals.signals, "ranks": ranks, "bad-input": bad_input,
         "foreign": verify_data.foreign, "mix": verify_data.mix, "compare": verify_evaluation.compare,
         "refine": verify_refine.refine, "tiles": verify_refine.tiles, "learns": learns,
         "simulation-speed": verify_simulation.simulation_speed, "scaling": verify_simulation.scaling,
         "network-speed": network_speed, "response": verify_response.response, "crystal": verify_physics.crystal,
         "ring": verify_physics.ring, "alignment": verify_alignment.alignment, "trap": verify_physics.trap, "velocity": verify_physics.velocity,
         "inject": verify_inject.injected, "kills": verify_kills.kills, "numbers": verify_numbers.numbers,
         "emulation": verify_cuda.emulation, "kernels": verify_cuda.kernels, "slurm": verify_slurm.slurm,
         "storage": verify_storage.storage, "bad-files": verify_badfiles.bad_files,
         "readers": verify_readers.readers, "report": verify_report.report, "examples": verify_examples.examples,
         "progress": verify_terminal.progress, "closing": verify_terminal.closing,
         "info": verify_terminal.info,
         "results": verify_results.results, "results-quick": verify_results.results_quick,
         "memory": verify_load.memory, "load": verify_load.load}


GROUPS = {"faults": ("kills", "inject")}


def measurements(case, folder):
    """Those of a case; one that cannot go on falls short."""
    try:
        yield from CASES[case](folder)
    except (OSError, KeyError) as error:
        yield "went_on", f"{type(error).__name__}:{error}".replace(" ", "_"), "to_its_end", False


def main():
    parser = argparse.ArgumentParser(prog="tools/verify",
                                     description="Runs epflow and holds its results against targets.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="default: all; faults: kills and inject")
    parser.add_argument("--list", action="store_true", help="names the cases and ends")
    parser.add_argument("--full", action="store_true", help="the whole of cases that are otherwise sampled (long)")
    parser.add_argument("--keep", action="store_true", help="keeps the folders of the runs and names them")
    options = parser.parse_args()
    if options.list:
        for name, case in CASES.items():
            print(f"{name:13} {case.__doc__.splitlines()[0]}")
        return 0
    options.cases = [case for name in options.cases for case in GROUPS.get(name, (name,))]
    unknown = [name for name in options.cases if name not in CASES]
    if unknown:
        parser.error(f"{unknown[0]} is not a case; there are {', '.join(CASES)}")
    os.environ["EPFLOW_VERIFY_FULL"] = "1" if options.full else "0"
    short = 0
    for name in options.cases or CASES:
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"epflow-{name}-"))
        try:
            for quantity, value, target, reached in measurements(name, folder):
                verdict = "pass" if reached else "short"
                print(f"{name:13} {quantity:26} {value!s:>16} {target!s:>12}  {verdict}", flush=True)
                short += not reached
        finally:
            if options.keep:
                print(f"{name}: kept {folder}", file=sys.stderr)
            else:
                shutil.rmtree(folder, ignore_errors=True)
    print(f"{short} of the measurements fell short" if short else "all targets are reached")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
