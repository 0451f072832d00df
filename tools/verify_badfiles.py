"""The case bad-files of tools/verify: files of every kind, made by the program and then damaged in many ways, in front of every
command that reads them. Either nothing of what is read was hit, and the results are the same bits; or the command ends with one
message that names the file and the exit code for it. Never a signal, a report of a sanitizer, a hang, or memory without end."""
import collections
import concurrent.futures
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time

import h5py
import numpy as np

import verify
from damages import NOTHING, SHAPES, TEXTS, WHOLE, flip, truncate
from running import CROWDED, command, errors
from verify_data import convert

SYSTEM = """
system: {particles: %(particles)d, %(system)s, v0: 0.25, gamma: 0.1}
simulation: {dt: 0.05, burn_in: 5, frames: 6, frame_interval: 5, restart_interval: 0.00001, refine: %(refine)d, seed: 7}
network: {neighbours: 4, width: 8, hidden: 8, feed_forward: 8, heads: 2, blocks: 1, layers: 1, window: %(window)s}
training: {sigma: 0.1, batch: 16, steps: 40, warm_up: 5, rate: 1e-3, average: 0.9}
evaluation: {frames: all, grid: 0.5}
run: {device: cpu}
output: {directory: gas}
"""
GAS = {"particles": 24, "system": "packing_fraction: 0.5", "window": "local", "refine": 1}
CRYSTAL = {"particles": 36, "system": "kind: crystal, spring: 1, tether: 0.1, box: [12.6, 10.8]", "window": "lattice", "refine": 0}
ALLOWED = {0, 2, 3, 4}
MEBIBYTES = 96  # more than the undamaged run takes
SECONDS, PATIENCE = 10, 240  # of one process; by the clock, of a machine that others use
REPORTS = re.compile(r"AddressSanitizer|runtime error:|LeakSanitizer|Segmentation|Caught signal|stack smashing")
PASSING = re.compile(r"(?m)^.*(done in| \d+\.\d{3} |particles/s|particle-steps/s).*\n")  # times
RESULTS = ("particles", "parameters/scalars", "weights", "average", "optimizer", "training/log", "training/test", "fields",
           "profiles", "certificate", "comparison")
EVALUATED = "particles/evaluation/step"
MANY = 6000  # steps of a training that is interrupted

# A command that reads a file of the folder gas (or what lies in its place), and what it makes there.
# compared: its results, as far as they do not stand in the damaged file from before.
Use = collections.namedtuple("Use", "name file arguments makes folder compared", defaults=("gas", RESULTS))
FOREIGN = ["--set", "data.position=particles/all/position", "--set", "data.propulsion=particles/all/director"]
USES = [
    Use("info_trajectory", "trajectory.h5", ["info", "gas/trajectory.h5"], None),
    Use("json_trajectory", "trajectory.h5", ["info", "gas/trajectory.h5", "--json"], None),
    Use("train", "trajectory.h5", ["train", "gas.yaml", "--overwrite"], "model.h5"),
    Use("evaluate", "trajectory.h5", ["evaluate", "gas.yaml", "--overwrite"], "evaluation.h5"),
    Use("check", "trajectory.h5", ["check", "gas.yaml"], None),
    Use("start", "trajectory.h5", ["simulate", "gas.yaml", "--set", "simulation.start=gas/trajectory.h5@last", "--set",
                                   "simulation.seed=8", "--output", "gas/new"], "new/trajectory.h5"),
    Use("resume_trajectory", "trajectory.h5", ["simulate", "gas.yaml", "--resume"], "trajectory.h5", "gas", ()),
    Use("info_restart", "restart.h5", ["info", "gas/restart.h5"], None),
    Use("resume", "restart.h5", ["simulate", "gas.yaml", "--resume"], "trajectory.h5", "early", ("particles",)),
    Use("info_model", "model.h5", ["info", "gas/model.h5"], None),
    Use("json_model", "model.h5", ["info", "gas/model.h5", "--json"], None),
    Use("evaluate_model", "model.h5", ["evaluate", "gas.yaml", "--overwrite"], "evaluation.h5"),
    Use("resume_training", "model.h5", ["train", "gas.yaml", "--resume", "--set", f"training.steps={MANY}"], "model.h5", "early"),
    Use("info_evaluation", "evaluation.h5", ["info", "gas/evaluation.h5"], None),
    Use("json_evaluation", "evaluation.h5", ["info", "gas/evaluation.h5", "--json"], None),
    Use("resume_evaluation", "evaluation.h5", ["evaluate", "gas.yaml", "--resume"], "evaluation.h5", "half", ("certificate", "profiles")),
    Use("compare", "evaluation.h5", ["check", "gas.yaml"], "check.h5", "crystal"),
    Use("foreign_train", "foreign.h5", ["train", "gas.yaml", "--overwrite", *FOREIGN, "--set",
                                        "training.trajectories=[{file: gas/foreign.h5, weight: 1}]"], "model.h5"),
    Use("foreign_evaluate", "foreign.h5", ["evaluate", "gas.yaml", "--overwrite", *FOREIGN, "--set",
                                           "evaluation.trajectories=[gas/foreign.h5]"], "evaluation.h5"),
    Use("yaml", "../gas.yaml", ["simulate", "gas.yaml", "--overwrite"], "trajectory.h5"),
]


# ---- the files ----

def write_input(folder, crystal):
    (folder / "gas.yaml").write_text(SYSTEM % (CRYSTAL if crystal else GAS))


def interrupt_training(folder):
    """A model of some of MANY steps: stopped later and later, until the training has begun. The exit code."""
    code = None
    for attempt in range(40):
        (folder / "gas/model.h5").unlink(missing_ok=True)
        with open(folder / "said", "wb") as said:
            process = subprocess.Popen(command(0, "train", "gas.yaml", "--set", f"training.steps={MANY}"), cwd=folder,
                                       stdout=said, stderr=subprocess.STDOUT)
        while process.poll() is None and b"writes gas/model.h5" not in (folder / "said").read_bytes():
            time.sleep(0.001)
        time.sleep(0.01 * attempt)
        process.terminate()
        code = process.wait()
        if code == 75 and (folder / "gas/model.h5").exists():
            break
    return code


def make_folders(folder):
    """Everything the uses read, once: gas; crystal, whose flow is known; half, an evaluation that was interrupted; early, a
    simulation and a training that were."""
    for name in ("crystal", "gas"):
        write_input(folder, name == "crystal")
        yield verify.finished(f"make_{name}", verify.run(0, "run", "gas.yaml", cwd=folder))
        if name == "crystal":
            (folder / "gas").rename(folder / "crystal")
    convert(folder / "gas/trajectory.h5", folder / "gas/foreign.h5")
    for name in ("half", "early"):
        shutil.copytree(folder / "gas", folder / name)
    with h5py.File(folder / "half/evaluation.h5", "r+") as file:
        file[EVALUATED][3:] = -1
        file.attrs.modify("complete", np.int64(0))
    shutil.copy(folder / "gas/restart.previous.h5", folder / "early/restart.h5")
    (folder / "early/restart.previous.h5").unlink()
    (folder / "gas").rename(folder / "kept")
    (folder / "early").rename(folder / "gas")
    yield verify.equal("training_interrupted", interrupt_training(folder), 75)
    (folder / "gas").rename(folder / "early")
    (folder / "kept").rename(folder / "gas")


def place(folder, use, name):
    """A copy of the folder that a use reads, as gas, and an input for it beside."""
    at = folder / "runs" / name / "gas"
    at.parent.mkdir(parents=True)
    shutil.copytree(folder / use.folder, at)
    write_input(at.parent, use.folder == "crystal")
    return at


# ---- what a run did ----

Outcome = collections.namedtuple("Outcome", "code seconds memory said results")


def numbers(path, prefixes):
    """The results in a file, as bytes by name; not who made it when, and not speeds. Sums over all particles are equal to
    rounding only, on two ranks: which particles come first there depends on when lists are made."""
    found = {}
    if not path.exists():
        return found

    def take(name, item):
        for key, value in item.attrs.items():
            if isinstance(item, h5py.Group) and key != "checksum" and not key.startswith("descr"):
                found[f"{name}@{key}"] = np.asarray(value).tobytes()
        if isinstance(item, h5py.Dataset):
            found[name] = np.array([f"{x:.9e}" for x in item[()]]).tobytes() if name.startswith("parameters/scalars/") \
                else item[()].tobytes()
    with h5py.File(path, "r") as file:
        file.visititems(take)
    return {name: value for name, value in found.items() if name.startswith(prefixes) and "per_second" not in name}


def status_of(process, name):
    """A number of bytes in /proc/PROCESS/status; 0 where it is not known any more."""
    try:
        return 1024 * int(re.search(rf"{name}:\s+(\d+)", pathlib.Path(f"/proc/{process}/status").read_text())[1])
    except (OSError, TypeError):
        return 0


def execute(use, at, ranks):
    """Runs it; memory: the largest of a process, in bytes. Linux counts in what this process has held, since it starts the
    other: up to there what was last seen of the other counts."""
    begun, seen = time.monotonic(), 0
    said_to = at.parent / "said"
    with open(said_to, "wb") as said:
        process = subprocess.Popen(command(ranks, *use.arguments), env={**os.environ, **CROWDED}, stdout=said,
                                   stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=at.parent)
        code, usage = None, None
        while code is None and time.monotonic() < begun + PATIENCE:
            pid, how, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(how)
            else:
                seen = max(seen, status_of(process.pid, "VmHWM"))
                time.sleep(0.01)
        if code is None:
            process.kill()
            _, how, usage = os.wait4(process.pid, 0)
            code = "hangs"
        process.returncode = 0
    memory = usage.ru_maxrss * 1024
    memory = seen if memory <= status_of("self", "VmHWM") else memory
    text = said_to.read_text(errors="replace")
    results = {}
    if code == 0 and use.makes and use.compared:
        try:
            results = numbers(at / use.makes, use.compared)
        except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
            results = {"unreadable": str(error).encode()}
    return Outcome(code, usage.ru_utime + usage.ru_stime, memory, text, results)


def can_share(use):
    """Whether it runs on two ranks, and in little time on a crowded machine."""
    return (use.arguments[0] != "info" or "--json" in use.arguments) and use.name != "resume_training"


def listing(outcome, use):
    """What is compared of the text: of info all, of other commands what has no times in it."""
    if use.makes and use.name != "compare":
        return ""
    return "\n".join(line for line in PASSING.sub("", outcome.said).splitlines() if not line.startswith("device:"))


def judge(use, ranks, clean, got, size, strict):
    """What is wrong with it; "" if nothing."""
    if got.code == "hangs" or (ranks == 0 and got.seconds > clean.seconds + SECONDS):
        return "hangs"
    if got.code not in ALLOWED:
        return f"exit code {got.code}"
    if REPORTS.search(got.said):
        return "a report"
    if got.memory > clean.memory + (MEBIBYTES << 20) + 4 * size:
        return f"{got.memory >> 20} MiB"
    messages = errors(got.said)
    if got.code != 0:
        if len(messages) != 1:
            return f"{len(messages)} messages"
        return "" if pathlib.Path(use.file).name in messages[0] else "the file is not named"
    if messages:
        return "a message, and exit code 0"
    if strict and use.makes and (got.results != clean.results or listing(got, use) != listing(clean, use)):
        changed = [name for name in set(got.results) | set(clean.results)
                   if got.results.get(name) != clean.results.get(name)]
        return "other results: " + (", ".join(sorted(changed)[:4]) or "of what is said")
    return ""


# ---- the damages ----

def damages(use, whole):
    """(name, function(path, random numbers), whether results must stay the same). whole: all of them."""
    text = use.file.endswith("yaml")
    some = 1 if whole else 0
    plan = [(f"cut_{m}", truncate, True) for m in range(1 + 11 * some)]
    summed = not text and use.file != "foreign.h5"  # others' files have no checksums
    plan += [(f"flip_{m}", flip(False), summed) for m in range(1 + 15 * some)]
    if not text:
        plan += [(f"flip_structure_{m}", flip(True), True) for m in range(2 + 38 * some)]
    plan += [(name, function, True) for name, function in WHOLE.items()]
    if text:
        plan += [(name, function, False) for name, function in TEXTS.items()]
    else:
        plan += [(f"{name}_{m}", function, use.file != "foreign.h5")
                 for name, function in SHAPES.items() for m in range(1 + 3 * some)]
    return plan


def one(folder, use, clean, case, ranks):
    name, damage, strict = case
    at = place(folder, use, f"{use.name}-{name}-{ranks}")
    path = at / use.file
    chance = random.Random(f"{use.name} {name}")
    try:
        what = str(damage(path, chance) or "")
        if what.startswith(NOTHING):
            return None, None
        size = path.stat().st_size if path.is_file() else 0
        got = execute(use, at, ranks)
        if use.name == "resume_evaluation" and ranks and name.startswith("steps"):
            strict = False  # steps that say that all is there: the frames are those of one rank then, equal to rounding
        problem = judge(use, ranks, clean, got, size, strict)
    finally:
        shutil.rmtree(at.parent, ignore_errors=True)
    if problem:
        print(f"{use.name} {name} on {ranks} ranks ({what}): {problem}\n" +
              "".join(f"    {line}\n" for line in got.said.splitlines()[-4:]), file=sys.stderr, flush=True)
    return problem, got._replace(results={}, said="")


def bad_files(folder):
    """Damaged files in front of every command that reads them: the same results, or one message and its exit code."""
    yield from make_folders(folder)
    whole, count = verify.full(), collections.Counter()
    only = os.environ.get("EPFLOW_BAD_FILES", "")  # names of uses, for one look
    uses = [use for use in USES if not only or use.name in only.split(",")]
    sampler = random.Random(1)
    cases = [(use, case, ranks) for use in uses for case in damages(use, whole) for ranks in (0, 2)
             if ranks == 0 or can_share(use)]
    if not whole:  # of a use and a damage, one in so many
        some = {ranks: [c for c in cases if c[2] == ranks] for ranks in (0, 2)}
        cases = [c for ranks, most in ((0, 100), (2, 6)) for c in sampler.sample(some[ranks], min(most, len(some[ranks])))]
    else:
        cases = [c for c in cases if c[2] == 0 or sampler.random() < 0.15]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        clean = {(use.name, ranks): pool.submit(execute, use, place(folder, use, f"{use.name}-clean-{ranks}"), ranks)
                 for use in uses for ranks in (0, 2) if any(c[0] is use and c[2] == ranks for c in cases)}
        clean = {key: job.result() for key, job in clean.items()}
        for key, outcome in clean.items():
            if outcome.code != 0:
                print(key, outcome.said, file=sys.stderr)
                yield verify.equal(f"clean_{key[0]}_{key[1]}", outcome.code, 0)
        jobs = [(c, pool.submit(one, folder, c[0], clean[c[0].name, c[2]], c[1], c[2])) for c in cases]
        problems, longest, codes = collections.Counter(), 0, collections.Counter()
        for (use, _, ranks), job in jobs:
            problem, got = job.result()
            if not got:
                continue
            count[use.name] += 1
            problems[use.name] += bool(problem)
            codes[got.code] += 1
            longest = max(longest, got.seconds - clean[use.name, ranks].seconds if ranks == 0 else 0)
    for use in uses:
        if count[use.name]:
            yield verify.equal(f"{use.name}_of_{count[use.name]}", problems[use.name], 0)
    yield "runs", len(cases), "all", True
    yield "exit_codes", ",".join(f"{code}:{n}" for code, n in sorted(codes.items(), key=str)), "0,2,3,4", set(codes) <= ALLOWED
    yield verify.at_most("longest_more_seconds", longest, SECONDS)
