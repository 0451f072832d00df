"""The case of tools/verify that makes calls fail: every allocation and every call that touches a file, one in every run.

The program is epflow_faults (tests/faults), whose hook is src/base/fault.h. A first run of every command lists the points
that each rank passes; then, for a site after the other, a rank fails there alone. Sampled: a share of the sites, which
the seed printed with the results draws (EPFLOW_INJECT_SEED sets it). --full: all sites on both ranks, the first and the
last time that they are passed.
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

import h5py
import numpy as np

from running import CROWDED, EPFLOW, command
from verify import equal, full

PROGRAM = os.environ.get("EPFLOW_FAULTS", str(pathlib.Path(EPFLOW).parent / "tests/epflow_faults"))
RANKS, SECONDS = 2, 10
SAMPLE = 8  # sites of every command and rank, unless --full
CODES = {1, 2, 3, 4}

INPUT = """
system: {particles: 256, packing_fraction: 0.5, v0: 0.25, gamma: 0.1}
simulation:
  {dt: 0.05, burn_in: 2, frames: 4, frame_interval: 2, refine: 1, seed: 7, restart_interval: 1e-6}
network: {neighbours: 8, width: 16, hidden: 16, feed_forward: 16, heads: 2, blocks: 1, layers: 1}
training:
  {sigma: 0.1, batch: 32, steps: 12, warm_up: 2, rate: 1e-3, average: 0.9, checkpoint_interval: 1e-6}
evaluation: {frames: all, grid: 0.5}
run: {device: cpu}
"""
RESPONSE = INPUT.replace("network: {", "network: {kind: response} # ").replace("sigma: 0.1, ", "")

# What may fail without a word, because the result does not rest on it: a call, the innermost function of ours that makes
# it, and why. The run must then end well, with the same results.
TOLERATED = {
    ("fflush", "to_file"): "a line of the log",
    ("fclose", "log_stop"): "the log is closed",
    ("stat", "file_make_directory"): "asked only after mkdir has failed",
    ("unlink", "file_replace"): "the link that takes its place fails, and the file is renamed then",
    ("link", "file_replace"): "renamed then: a file system without hard links",
    ("open", "bytes_of"): "memory of the process is not known then",
    ("open", "memory_of_node"): "the memory of the machine counts then, and no limit",
    ("open", "memory_forget_peak"): "the peak is that of all stages then",
}

RESULTS = {"trajectory.h5": ["/particles"], "model.h5": ["/weights", "/average"],
           "evaluation.h5": ["/particles", "/fields", "/profiles"]}


# ---- one run ----

def run(arguments, fault):
    """Exit code (None: had to be ended), and what was said."""
    process = subprocess.Popen(command(RANKS, *arguments, program=PROGRAM),
                               env={**os.environ, **CROWDED, "EPFLOW_FAULT": fault}, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True)
    try:
        said = process.communicate(timeout=SECONDS)[1]
        code = process.returncode
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)  # mpirun ends its ranks
        try:
            said = process.communicate(timeout=5)[1]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said = process.communicate()[1]
        code = None
    return code, said


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
    """Names of the functions at these addresses; the linker keeps them without debugging information."""
    said = subprocess.run(["addr2line", "-f", "-e", PROGRAM, *(hex(int(a, 16) - 1) for a in addresses)],
                          capture_output=True, text=True, check=False).stdout
    return said.split("\n")[:-1:2]


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

    def __init__(self, name, arguments, before, after, resumable=True):
        self.name, self.arguments, self.before, self.after = name, arguments, before, after
        self.resumable = resumable

    def command(self, folder, resume=False):
        words = [str(word).replace("FOLDER", str(folder)) for word in self.arguments]
        return words + (["--resume"] if resume and "--resume" not in words else [])


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


def told_well(point, code, said):
    """What is wrong with how a run with a failure ended, in a word; None if nothing."""
    errors = [line for line in said.splitlines() if "epflow: error:" in line]
    if code is None:
        return "hang"
    if "exited on signal" in said or "Signal:" in said:
        return "crash"
    if "fault: " not in said:
        return "not_reached" if code == 0 else "other_failure"
    if code == 0:
        innermost = (functions(point.addresses[:1]) or ["?"])[0]
        tolerated = any(point.call == call and innermost.startswith(function) for call, function in TOLERATED)
        return None if tolerated else "silent"
    if code not in CODES:
        return f"code_{code}"
    return None if len(errors) == 1 else f"{len(errors)}_messages"


def inject(scenario, point, occurrence, folder, resume):
    """Fails at the point; what was wrong, or None."""
    if scenario.before:
        shutil.copytree(scenario.before, folder)
    code, said = run(scenario.command(folder), f"{point.rank}:{point.site}:{occurrence}")
    wrong = told_well(point, code, said)
    if wrong in (None, "silent") and not kept(scenario, folder):
        wrong = "earlier_file_changed"
    elif code == 0 and not same_results(folder, scenario.after):
        wrong = "wrong_results"
    elif wrong is None and code != 0 and resume and scenario.resumable:
        code, again = run(scenario.command(folder, True), "")
        if code != 0 or not same_results(folder, scenario.after):
            wrong = f"not_resumed_{code}"
            said += "\n---- resumed:\n" + again
    shutil.rmtree(folder, ignore_errors=True)
    return wrong, said


def show(scenario, point, occurrence, wrong, said):
    print(f"{scenario.name}: rank {point.rank}, {point.call}, time {occurrence} of {point.times}: {wrong}\n"
          f"  EPFLOW_FAULT={point.rank}:{point.site}:{occurrence}  " + " < ".join(functions(point.addresses)) +
          "\n  | " + "\n  | ".join(line for line in said.splitlines() if "error" in line or "ignal" in line)[:600],
          file=sys.stderr, flush=True)


# ---- all of them ----

def listed(scenario, folder):
    """All points of a command without a failure."""
    here = folder / "listing"
    if scenario.before:
        shutil.copytree(scenario.before, here)
    code, said = run(scenario.command(here), f"list:{folder}/points")
    shutil.rmtree(here, ignore_errors=True)
    if code != 0:
        raise OSError(f"{scenario.name} without a failure: {code}\n{said}")
    return [point for rank in range(RANKS) for point in points(folder / "points", rank)]


def interrupted(scenario, folder, share):
    """The folder of a run that failed at this share of its transfers to files."""
    here, probe = folder / f"{scenario.name}-begun", folder / "probe"
    for path in (here, probe) if scenario.before else ():
        shutil.copytree(scenario.before, path)
    run(scenario.command(probe), f"list:{folder}/points")
    writes = [line.split()[1] for line in (folder / "points.0").read_text().splitlines()
              if line.startswith("H5Dwrite ")]
    at = int(share * len(writes))
    run(scenario.command(here), f"0:{writes[at]}:{writes[:at + 1].count(writes[at])}")
    shutil.rmtree(probe, ignore_errors=True)
    return here


def scenarios(folder):
    """Commands on the folders that the ones before leave, with each network; then those that are resumed."""
    made = []
    for kind, text in (("window", INPUT), ("response", RESPONSE)):
        source = folder / f"{kind}.yaml"
        source.write_text(text)
        before = None
        for stage in ("simulate", "train", "evaluate"):
            after = folder / f"{kind}-{stage}"
            if before:
                shutil.copytree(before, after)
            name, words = f"{stage}-{kind}", [stage, source, "--output", "FOLDER"]
            scenario = Scenario(name, words, before, after)
            code, said = run(scenario.command(after), "")
            if code != 0:
                raise OSError(f"{name}: {code}\n{said}")
            if stage != "simulate" or kind == "window":
                made.append(scenario)
                if kind == "window":
                    begun = interrupted(scenario, folder, 0.6)
                    made.append(Scenario(f"{name}-resumed", [*words, "--resume"], begun, after))
            before = after
        if kind == "window":
            made.append(Scenario("check", ["check", source, "--output", "FOLDER"], before, before, False))
            for name in ("trajectory", "model", "evaluation"):
                made.append(Scenario(f"info-{name}", ["info", f"FOLDER/{name}.h5", "--json"], before, before, False))
    return made


def chosen(scenario, found, generator):
    """Points and times to fail at."""
    if full():
        return [(p, time) for p in found for time in sorted({1, p.times})]
    few = [generator.sample([p for p in found if p.rank == rank], SAMPLE) for rank in range(RANKS)]
    return [(p, generator.choice((1, p.times))) for rank in few for p in rank]


def injected(folder):
    """One call after the other fails on one rank: all end within seconds, with one message, and can be resumed."""
    seed = int(os.environ.get("EPFLOW_INJECT_SEED", random.randrange(10**6)))
    only = os.environ.get("EPFLOW_INJECT_ONLY", "")
    generator = random.Random(seed)
    yield "seed", seed, seed, True
    folder = pathlib.Path(folder)
    for scenario in scenarios(folder):
        if only not in scenario.name:
            continue
        found = listed(scenario, folder)
        wrong = collections.Counter()
        tasks = chosen(scenario, found, generator)
        with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            jobs = [(p, t, pool.submit(inject, scenario, p, t, folder / f"case{n}", n % 4 == 0))
                    for n, (p, t) in enumerate(tasks)]
            for p, t, job in jobs:
                what, said = job.result()
                if what == "not_reached":  # what depends on the clock
                    wrong["-"] += 1
                elif what:
                    wrong[what] += 1
                    show(scenario, p, t, what, said)
        missed = wrong.pop("-", 0)
        print(f"{scenario.name}: {len(tasks)} of {len(found)} sites, {sum(p.times for p in found)} points; "
              f"{missed} were not reached", file=sys.stderr, flush=True)
        yield equal(scenario.name, ",".join(f"{k}:{v}" for k, v in wrong.items()) or "told", "told")
        yield equal(f"{scenario.name}_reached", "most" if 20 * missed <= len(tasks) + 20 else "few", "most")
