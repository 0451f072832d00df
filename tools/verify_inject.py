"""The case of tools/verify that makes calls fail: every allocation and every call that touches a file, one in every run.

The program is epflow_faults (tests/faults), whose hook is src/base/fault.h. A first run of every command lists the points
that each rank passes; then, for a site after the other, a rank fails there alone, and the run must end within SECONDS with
one message and an exit code of its own. Sampled: a few sites of every command and rank, of different calls and callers,
which the seed printed with the results draws. --full: all sites on all ranks, the first and the last time that they are
passed (hours). Set from outside:
  EPFLOW_INJECT_SEED     the seed
  EPFLOW_INJECT_SAMPLE   sites of every command and rank; 0: one for every call with its two innermost callers
  EPFLOW_INJECT_ONLY     commands whose name has this in it
  EPFLOW_INJECT_JOBS     runs at a time; most of them wait
"""
import collections
import concurrent.futures
import functools
import hashlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import h5py
import numpy as np

from running import CROWDED, EPFLOW, command, errors, whole_input
from verify import at_most, equal, full

PROGRAM = os.environ.get("EPFLOW_FAULTS", str(pathlib.Path(EPFLOW).parent / "tests/epflow_faults"))
SAMPLE = int(os.environ.get("EPFLOW_INJECT_SAMPLE", "8"))
JOBS = int(os.environ.get("EPFLOW_INJECT_JOBS", 6 * os.cpu_count()))
SECONDS, PATIENCE = 20, 120  # from the failure to the end; to the failure, or where it is none
CODES = {1, 2, 3, 4}

INPUT = whole_input(burn_in=2, frames=4, frame_interval=2, steps=6)
RESPONSE = INPUT.replace("network: {", "network: {kind: response} # ").replace("sigma: 0.1, ", "")

# What may fail without a word, because the result does not rest on it: a call, one of the NEAR functions that led to it ("":
# any), and why. The run must then end well, with the same results.
NEAR = 3
CLOSED = "closed after it was read, or found wrong in what comes next"
TOLERATED = {
    ("fflush", "to_file"): "a line of the log",
    ("fflush", "log_"): "a line of the log",
    ("fclose", "log_"): "the log is closed",
    ("fclose", "main"): "the log is closed",
    ("stat", "file_make_directory"): "asked only after mkdir has failed",
    ("unlink", "file_replace"): "the link that takes its place fails, and the file is renamed then",
    ("link", "file_replace"): "renamed then: a file system without hard links",
    **{(call, ""): CLOSED for call in ("H5Fclose", "H5Aclose", "H5Dclose", "H5Oclose", "H5Gclose")},
    ("open", "bytes_of"): "memory of the process is not known then",
    ("open", "memory_p"): "nor is that of the plan or the peak that is said",
    ("open", "memory_of_node"): "the memory of the machine counts then, and no limit",
    ("open", "memory_forget_peak"): "the peak is that of all stages then",
    ("H5Fis_hdf5", "h5_is_hdf5"): "asked for a better message; the file is opened all the same",
    ("stat", "h5_is_hdf5"): "the same",
    ("stat", "look"): "a process of its own looks into the file first; it is opened all the same",
    ("malloc", "look"): "the same",
    ("strdup", "spawn"): "the same",
    ("malloc", "spawn"): "the same",
    ("stat", "size_of_file"): "what is asked of the file is not held against its size then",
    ("mkdir", "file_make_directory"): "it is there already",
    ("fopen", "end_half_line"): "half a line that a killed run left in the log",
    ("fclose", "end_half_line"): "the same",
    ("stat", "open_again"): "asked after open has failed, of files that are not there on every machine",
    ("stat", "model_expect_size"): "what the file must hold is not held against its size then, and reading tells",
    ("access", "replaced_report"): "a line of the log: what is done with the folder looks again",
    ("stat", "same_file"): "one of the two takes the other's place then",
}

RESULTS = {"trajectory.h5": ["/particles"], "model.h5": ["/weights", "/average"],
           "evaluation.h5": ["/particles", "/fields", "/profiles"]}


# ---- one run ----

Outcome = collections.namedtuple("Outcome", "code said seconds")


def end(process, hung):
    """Of a run that does not end: mpirun ends its ranks, if it can."""
    hung.append(True)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def run(ranks, arguments, fault, limit=SECONDS):
    """Exit code (None: had to be ended, so many seconds after the failure), what was said, and the seconds from the
    failure to the end."""
    process = subprocess.Popen(command(ranks, *arguments, program=PROGRAM),
                               env={**os.environ, **CROWDED, "EPFLOW_FAULT": fault}, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True)
    hung, said, failed = [], [], None
    timer = threading.Timer(PATIENCE, end, (process, hung))
    timer.start()
    for line in process.stderr:
        said.append(line)
        if line.startswith("fault: "):
            failed = time.monotonic()
            timer.cancel()
            timer = threading.Timer(limit, end, (process, hung))
            timer.start()
    process.wait()
    timer.cancel()
    seconds = time.monotonic() - failed if failed else 0
    return Outcome(None if hung else process.returncode, "".join(said), seconds)


Point = collections.namedtuple("Point", "call site times addresses rank")


def points(path, rank):
    """The sites that a rank passed, in order, and how often."""
    found = {}
    for line in pathlib.Path(f"{path}.{rank}").read_text().splitlines():
        call, site, *addresses = line.split()
        times = found[site].times + 1 if site in found else 1
        found[site] = Point(call, site, times, tuple(addresses), rank)
    return list(found.values())


@functools.lru_cache(maxsize=None)
def functions(addresses):
    """Names of the functions that led to a call, from the innermost on, also of those that are parts of their callers
    (builds have so much debugging information)."""
    said = subprocess.run(["addr2line", "-f", "-i", "-e", PROGRAM, *(hex(int(a, 16) - 1) for a in addresses)],
                          capture_output=True, text=True, check=False).stdout
    return [name for name in said.split("\n")[:-1:2] if not name.startswith("__wrap_")]


def contents(path, groups):
    """A digest of all datasets below these groups."""
    digest = hashlib.sha256()

    def add(name, item):
        if isinstance(item, h5py.Dataset):
            digest.update(name.encode() + np.asarray(item[()]).tobytes())
    with h5py.File(path, "r") as file:
        for group in groups:
            file[group].visititems(add)
    return digest.hexdigest()


def results(folder):
    return {name: contents(folder / name, groups) for name, groups in RESULTS.items() if (folder / name).exists()}


def same_results(folder, reference):
    try:
        return results(folder) == results(reference)
    except (OSError, KeyError):
        return False


# ---- one point ----

class Scenario:
    """A command in a folder as earlier stages left it; `before` is copied for every run, `after` is how it ends."""

    def __init__(self, name, ranks, arguments, before, after, resumable=True):
        self.name, self.ranks, self.arguments = name, ranks, arguments
        self.before, self.after, self.resumable = before, after, resumable

    def run(self, folder, fault="", resume=False, limit=SECONDS):
        words = [str(word).replace("FOLDER", str(folder)) for word in self.arguments]
        return run(self.ranks, words + (["--resume"] if resume and "--resume" not in words else []), fault, limit)


def kept(scenario, folder):
    """Files of earlier stages are as they were."""
    for path in scenario.before.glob("*.h5") if scenario.before else ():
        mine = {"simulate": "trajectory.h5 restart.h5", "train": "model.h5",
                "evaluate": "evaluation.h5", "check": "check.h5"}.get(scenario.arguments[0], "")
        if not path.name.startswith(tuple(mine.split()) or ("?",)):
            now = folder / path.name
            if not now.exists() or now.read_bytes() != path.read_bytes():
                return False
    return True


def tolerated(point):
    return any(point.call == call and name.startswith(function) for call, function in TOLERATED
               for name in functions(point.addresses)[:NEAR] or [""])


def told_well(point, outcome):
    """What is wrong with how a run with a failure ended, in a word; None if nothing."""
    code, said, _ = outcome
    if code is None:
        return "hang"
    if "exited on signal" in said or "Signal:" in said:
        return "crash"
    if "fault: " not in said:
        return "not_reached" if code == 0 else "other_failure"
    if code == 0:
        return None if tolerated(point) else "silent"
    if code not in CODES:
        return f"code_{code}"
    told = errors(said)
    return None if len(told) == 1 else f"{len(told)}_messages"


def inject(scenario, point, occurrence, folder, resume):
    """Fails at the point; what was wrong, or None, and the outcome."""
    if scenario.before:
        shutil.copytree(scenario.before, folder)
    outcome = scenario.run(folder, f"{point.rank}:{point.site}:{occurrence}",
                           limit=PATIENCE if tolerated(point) else SECONDS)
    wrong = told_well(point, outcome)
    if wrong in (None, "silent") and not kept(scenario, folder):
        wrong = "earlier_file_changed"
    elif outcome.code == 0 and not same_results(folder, scenario.after):
        wrong = "wrong_results"
    elif wrong is None and outcome.code != 0 and resume and scenario.resumable:
        again = scenario.run(folder, resume=True)
        if again.code != 0 or not same_results(folder, scenario.after):
            wrong = f"not_resumed_{again.code}"
            outcome = Outcome(outcome.code, outcome.said + "\n---- resumed:\n" + again.said, outcome.seconds)
    shutil.rmtree(folder, ignore_errors=True)
    return wrong, outcome


def show(scenario, point, occurrence, wrong, said):
    print(f"{scenario.name}: rank {point.rank} of {scenario.ranks}, {point.call}, time {occurrence} of {point.times}: "
          f"{wrong}\n  EPFLOW_FAULT={point.rank}:{point.site}:{occurrence}  " +
          " < ".join(functions(point.addresses)) +
          "\n  | " + "\n  | ".join(line for line in said.splitlines() if "error" in line or "ignal" in line)[:600],
          file=sys.stderr, flush=True)


# ---- all of them ----

def listed(scenario, folder):
    """All points of a command without a failure."""
    here = folder / "listing"
    if scenario.before:
        shutil.copytree(scenario.before, here)
    outcome = scenario.run(here, f"list:{folder}/points")
    shutil.rmtree(here, ignore_errors=True)
    if outcome.code != 0:
        raise OSError(f"{scenario.name} without a failure: {outcome.code}\n{outcome.said}")
    return [point for rank in range(scenario.ranks) for point in points(folder / "points", rank)]


def interrupted(scenario, folder, share):
    """The folder of a run that failed at this share of its transfers to files."""
    here, probe = folder / f"{scenario.name}-begun", folder / "probe"
    for path in (here, probe) if scenario.before else ():
        shutil.copytree(scenario.before, path)
    scenario.run(probe, f"list:{folder}/points")
    writes = [line.split()[1] for line in (folder / "points.0").read_text().splitlines()
              if line.startswith("H5Dwrite ")]
    at = int(share * len(writes))
    scenario.run(here, f"0:{writes[at]}:{writes[:at + 1].count(writes[at])}")
    shutil.rmtree(probe, ignore_errors=True)
    return here


def scenarios(folder):
    """Commands on the folders that the ones before leave, with each network on 2 and on 3 ranks; then those that are
    resumed, and those that only read."""
    made = []
    for kind, ranks, text in (("window", 2, INPUT), ("response", 3, RESPONSE), ("window3", 3, INPUT)):
        if kind == "window3" and not full():
            continue
        source = folder / f"{kind}.yaml"
        source.write_text(text)
        before = None
        for stage in ("simulate", "train", "evaluate"):
            after = folder / f"{kind}-{stage}"
            if before:
                shutil.copytree(before, after)
            name, words = f"{stage}-{kind}", [stage, source, "--output", "FOLDER"]
            scenario = Scenario(name, ranks, words, before, after)
            outcome = scenario.run(after)
            if outcome.code != 0:
                raise OSError(f"{name}: {outcome.code}\n{outcome.said}")
            made.append(scenario)
            if kind != "response":
                begun = interrupted(scenario, folder, 0.6)
                made.append(Scenario(f"{name}-resumed", ranks, [*words, "--resume"], begun, after))
            before = after
        if kind == "window":
            made.append(Scenario("check", ranks, ["check", source, "--output", "FOLDER"], before, before, False))
            for name in ("trajectory", "model", "evaluation"):
                made.append(Scenario(f"info-{name}", ranks, ["info", f"FOLDER/{name}.h5", "--json"], before, before,
                                     False))
    return made


def chosen(found, generator):
    """Points and times to fail at."""
    if full():
        return [(p, occurrence) for p in found for occurrence in sorted({1, p.times})]
    kinds = collections.defaultdict(list)
    for p in found:
        kinds[p.rank, p.call, p.addresses[:2]].append(p)
    taken = []
    for rank in sorted({p.rank for p in found}):
        alike = [k for k in kinds if k[0] == rank]
        for k in generator.sample(alike, min(SAMPLE or len(alike), len(alike))):
            p = generator.choice(kinds[k])
            taken.append((p, generator.choice((1, p.times))))
    return taken


def fail_in(scenario, folder, generator, counts):
    """All chosen points of a command; counts what came of them and yields what was wrong."""
    found = listed(scenario, folder)
    tasks = chosen(found, generator)
    wrong = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(max_workers=JOBS) as pool:
        jobs = [(p, t, pool.submit(inject, scenario, p, t, folder / f"case{n}", n % 4 == 0))
                for n, (p, t) in enumerate(tasks)]
        for p, t, job in jobs:
            what, outcome = job.result()
            if outcome.code != 0:
                counts["longest"] = max(counts["longest"], outcome.seconds)
            if what == "not_reached":  # what depends on the clock
                counts["not_reached"] += 1
                continue
            counts["injected"] += 1
            counts["told" if outcome.code else "tolerated"] += not what
            if what:
                wrong[what] += 1
                show(scenario, p, t, what, outcome.said)
    print(f"{scenario.name}: {len(tasks)} of {len(found)} sites on {scenario.ranks} ranks, "
          f"{sum(p.times for p in found)} points", file=sys.stderr, flush=True)
    counts.update(wrong)
    return equal(scenario.name, ",".join(f"{k}:{v}" for k, v in wrong.items()) or "told", "told")


def injected(folder):
    """One call after the other fails on one rank: all end within seconds, with one message, and can be resumed."""
    seed = int(os.environ.get("EPFLOW_INJECT_SEED", random.randrange(10**6)))
    only = os.environ.get("EPFLOW_INJECT_ONLY", "")
    generator = random.Random(seed)
    yield "seed", seed, seed, True
    folder = pathlib.Path(folder)
    counts = collections.Counter(longest=0)
    for scenario in scenarios(folder):
        if only in scenario.name:
            yield fail_in(scenario, folder, generator, counts)
    yield "injected", counts["injected"], "-", True
    yield "ended_with_one_message", counts["told"], "-", True
    yield "without_effect", counts["tolerated"], "-", True
    yield equal("hangs", counts["hang"], 0)
    yield equal("silent", counts["silent"] + counts["wrong_results"], 0)
    yield at_most("longest_seconds", counts["longest"], SECONDS)
    yield equal("reached", "most" if 20 * counts["not_reached"] <= counts["injected"] + 20 else "few", "most")
