"""Every stage on a bad disk (tests/faults/disk.c, preloaded): one failure in a run, then the same again on a good disk.

After a failure: a documented exit code, one message that names a file and the reason, no rank left behind, the files of
before untouched. After --resume: the bits of a run without failures.
"""
import collections
import concurrent.futures
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys

import h5py

from running import CROWDED, EPFLOW, command, errors, whole_input
from verify_inject import results

DISK = os.environ.get("EPFLOW_DISK_LIBRARY", str(pathlib.Path(EPFLOW).parent / "tests/disk.so"))
RANKS, SECONDS = 2, 120

INPUT = whole_input(burn_in=20, frames=6, frame_interval=13, steps=10)
HOWS = {  # of which kind of call
    "open": ("ENOSPC", "EDQUOT", "EROFS", "ESTALE"),
    "write": ("ENOSPC", "EDQUOT", "EIO", "ESTALE", "EFBIG", "once-EIO", "short", "half", "vanish"),
    "read": ("EIO", "ESTALE", "once-EIO"),
    "sync": ("EIO", "once-EIO", "ENOSPC", "vanish"),
    "resize": ("ENOSPC", "EDQUOT", "EFBIG"),
    "rename": ("EROFS", "EIO", "once-ESTALE", "vanish"),
    "remove": ("EROFS", "EIO"),
    "mkdir": ("ENOSPC", "EROFS"),
}
REASONS = {"ENOSPC": "No space left on device", "EDQUOT": "Disk quota exceeded", "EIO": "Input/output error",
           "EROFS": "Read-only file system", "ESTALE": "Stale file handle", "EFBIG": "File too large",
           "half": "No space left on device", "vanish": ""}
OURS = {"simulate": ("trajectory.h5", "restart.h5", "restart.previous.h5"), "train": ("model.h5",),
        "evaluate": ("evaluation.h5", "fields.xdmf", "fields.xmf"),
        "run": ("trajectory.h5", "restart.h5", "restart.previous.h5", "model.h5", "evaluation.h5", "fields.xdmf",
                "fields.xmf")}


def run(scenario, folder, options, disk="", seen=""):
    """Exit code (None: had to be ended), and what was said. Results are in `out` of the folder, so that they may be
    copied: files know each other by their paths."""
    environment = {**os.environ, **CROWDED, "EPFLOW_DISK": disk}
    if seen:
        environment["EPFLOW_DISK_SEEN"] = str(seen)
    program = command(RANKS, scenario.stage, scenario.source, "--output", "out", *options)
    if disk:  # in the ranks alone
        at = program.index("-n")
        program[at:at] = ["-x", f"LD_PRELOAD={DISK}", "-x", "ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0"]
    process = subprocess.Popen(program, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True, errors="replace", start_new_session=True, cwd=folder)
    try:
        said = process.communicate(timeout=SECONDS)[1]
        return process.returncode, said
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        try:
            said = process.communicate(timeout=5)[1]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said = process.communicate()[1]
        return None, said


Scenario = collections.namedtuple("Scenario", "name stage source before options")
Case = collections.namedtuple("Case", "scenario kind file first how rank")


def scenarios(folder):
    """Commands on what stands in their folder before; the run that all must end like is in whole/."""
    source, whole = folder / "input.yaml", folder / "whole/out"
    source.write_text(INPUT)
    whole.parent.mkdir()
    needs = {"simulate": (), "train": ("trajectory.h5", "restart.h5"),
             "evaluate": ("trajectory.h5", "restart.h5", "model.h5"), "run": ()}
    begun = {"simulate": "write:out/trajectory.h5:60:EIO", "train": "write:model.h5.part:2000:EIO",
             "evaluate": "write:out/evaluation.h5:100:EIO", "run": "write:model.h5.part:2000:EIO"}
    code, said = run(Scenario("run", "run", source, None, ()), whole.parent, ())
    if code != 0:
        raise OSError(f"the run without failures: {code}\n{said}")
    made = []
    for stage, files in needs.items():
        fresh, half, full = (folder / f"{stage}-{what}/out" for what in ("fresh", "half", "full"))
        fresh.mkdir(parents=True)
        for name in files:
            shutil.copy2(whole / name, fresh)
        shutil.copytree(fresh, half)
        shutil.copytree(whole, full)
        code, said = run(Scenario("", stage, source, None, ()), half.parent, (), begun[stage])
        if code != 4:
            raise OSError(f"{stage}, to be resumed: {code}\n{said}")
        made += [Scenario(stage, stage, source, fresh, ()), Scenario(f"{stage}-resumed", stage, source, half, ("--resume",)),
                 Scenario(f"{stage}-overwrite", stage, source, full, ("--overwrite",))]
    return made


def calls(scenario, folder):
    """How often each rank makes each kind of call on each file: {(kind, file, rank): count}."""
    output, seen = folder / "listed" / scenario.name / "out", folder / f"seen-{scenario.name}"
    shutil.copytree(scenario.before, output)
    code, said = run(scenario, output.parent, scenario.options, "any:*:1000000000:EIO", seen)
    shutil.rmtree(output.parent)
    if code != 0:
        raise OSError(f"{scenario.name} without a failure: {code}\n{said}")
    found = collections.Counter()
    for line in seen.read_text().splitlines():
        rank, _, kind, path = line.split(" ", 3)
        name = os.path.relpath(output.parent / path, output)
        if not name.startswith("..") and ".locktest." not in name and name not in ("log.txt", "lock"):
            found[kind, name, int(rank)] += 1
    return found


def cases(scenario, found):
    """All failures: first, middle and last call; on each rank that makes it, and on all."""
    for (kind, name, rank), count in found.items():
        for how in HOWS[kind]:
            for first in sorted({1, (count + 1) // 2, count}):
                yield Case(scenario, kind, name, first, how, rank)
            if rank == 0:
                yield Case(scenario, kind, name, 1, how, None)


# ---- one failure ----

def step_of(path):
    with h5py.File(path, "r") as file:
        if file.attrs["complete"] != 1:
            raise OSError(f"{path} is not complete")
        return int(file.attrs["step"])


def untouched(case, output):
    """Files of before are the same bytes: those of other stages, restarts and models until newer ones take their place,
    and what --overwrite is to replace, here or in the folder replaced."""
    stage = case.scenario.stage
    for path in case.scenario.before.iterdir():
        now, old = output / path.name, path.read_bytes()
        if path.name in ("log.txt", "lock") or path.suffix == ".part":
            continue
        if path.name not in OURS[stage]:
            good = now.exists() and now.read_bytes() == old
        elif "--overwrite" in case.scenario.options:
            kept = [p for p in (now, output / "replaced" / path.name) if p.exists()]
            complete = case.kind == "remove" and case.file.startswith("replaced/")  # the new ones: the old ones go
            good = complete or any(p.read_bytes() == old for p in kept)
        elif path.name in ("restart.h5", "model.h5"):
            good = now.exists() and (step_of(now) > step_of(path) or now.read_bytes() == old)
        else:
            good = True  # grows in place, or is made from what is checked
        if not good and not (case.how == "vanish" and path.name in case.file):
            return f"{path.name} was touched"
    return None


def told(case, code, said):
    """What is wrong with how it ended, or None."""
    found, how = errors(said), case.how.replace("once-", "")
    if code is None:
        return "hang"
    if "exited on signal" in said or "Signal:" in said:
        return "crash"
    if code == 0:
        return None  # as long as the results are right
    if code != 4:
        return f"exit code {code}"
    if len(found) != 1:
        return f"{len(found)} messages"
    if how == "short":
        return "a short write is no failure"
    if REASONS[how] not in found[0]:
        return "the reason is missing"
    if pathlib.Path(case.file).name.removesuffix(".part") not in found[0] and "folder" not in found[0]:
        return "the file is missing"
    noise = [line for line in said.splitlines() if "mca_" in line or "MPI_ERR" in line or "HDF5-DIAG" in line]
    return f"noise: {noise[0]}" if noise else None


def fail(case, output, reference):
    """One failure and the run after it: what is wrong, or None; and whether the failure ended the run."""
    scenario = case.scenario
    shutil.copytree(scenario.before, output)
    rank = "" if case.rank is None else f":{case.rank}"
    code, said = run(scenario, output.parent, scenario.options,
                     f"{case.kind}:out/{case.file}:{case.first}:{case.how}{rank}")
    wrong, same = told(case, code, said), None
    try:
        if wrong is None and code != 0:
            wrong = untouched(case, output)
        if wrong is None and code != 0 and case.how != "vanish":
            again, said_again = run(scenario, output.parent, ("--resume",))
            said += "\n---- resumed:\n" + said_again
            if again == 4 and "move it away" in said_again:  # what cannot be read is the user's to judge
                (output / case.file.removesuffix(".part")).rename(output.parent / "damaged")
                again, said_again = run(scenario, output.parent, ("--resume",))
                said += "\n---- moved away, resumed:\n" + said_again
            wrong = f"resumed: exit code {again}" if again != 0 else None
        if wrong is None and (code == 0 or case.how != "vanish"):
            left = [p.name for p in output.iterdir() if p.suffix == ".part" or p.name == "replaced"]
            same = results(output) == {k: v for k, v in reference.items() if k in results(output)}
            expected = {name for name in OURS[scenario.stage] if name in reference}
            if not same or not expected <= set(results(output)):
                wrong = "other results"
            elif left and case.kind != "remove":
                wrong = f"{left[0]} is left"
    except (OSError, KeyError) as error:
        wrong = f"unreadable: {error}"
    shutil.rmtree(output.parent, ignore_errors=True)
    return wrong, said, code


def show(case, wrong, said):
    print(f"{case.scenario.name}: {case.kind} {case.file} call {case.first} {case.how} rank {case.rank}: {wrong}\n  | " +
          "\n  | ".join(line for line in said.splitlines()
                        if "epflow: error" in line or "----" in line or "mca" in line or "ignal" in line),
          file=sys.stderr, flush=True)


def one_of_each(lists, generator):
    """Every failure of every kind of call on every file in every scenario, on one of the ranks at one of the times."""
    groups = collections.defaultdict(list)
    for case in (case for found in lists for case in found):
        groups[case.scenario.name, case.kind, case.file, case.how].append(case)
    return [generator.choice(group) for group in groups.values()]


def sweep(folder, count=None):
    """So many failures, of some of the scenarios in turn (None: one_of_each, of all). How many, and how many went wrong."""
    folder = pathlib.Path(folder)
    folder.mkdir(exist_ok=True)
    generator = random.Random(int(os.environ.get("EPFLOW_DISK_SEED", 1)))
    made = scenarios(folder)
    if count is not None:
        made = generator.sample(made, 5)
    reference = results(folder / "whole/out")
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        lists = list(pool.map(lambda scenario: list(cases(scenario, calls(scenario, folder))), made))
        if count is None:
            chosen = one_of_each(lists, generator)
        else:
            chosen = [generator.choice(lists[m % len(lists)]) for m in range(count)]
        happened, problems = collections.Counter(), 0
        jobs = [(case, pool.submit(fail, case, folder / f"case{n}/out", reference)) for n, case in enumerate(chosen)]
        for case, job in jobs:
            wrong, said, code = job.result()
            happened["ended" if code else "went on"] += 1
            if wrong:
                problems += 1
                show(case, wrong, said)
    print(f"{len(chosen)} of {sum(map(len, lists))} failures: {happened['ended']} ended the run, "
          f"{happened['went on']} did not need to", file=sys.stderr, flush=True)
    return len(chosen), problems
