"""The case kills of tools/verify: SIGKILL at random moments of every stage, and files as a power cut may leave them."""
import os
import shutil
import subprocess
import sys
import time

import h5py

import verify
from verify import ROOT, equal

sys.path.insert(0, str(ROOT / "tests/faults"))
import kills as driver  # noqa: E402

STEP = driver.TRAJECTORY[3]


def cut(name, size):
    """Cut off at this size; bytes of it that are 0: no longer HDF5."""
    def damage(folder):
        os.truncate(folder / name, size)
    return damage


def frames(count):
    """A trajectory whose last frames never came to the disk."""
    def damage(folder):
        with h5py.File(folder / "trajectory.h5", "r+") as file:
            file[STEP][count:] = -1
    return damage


def remove(*names):
    def damage(folder):
        for name in names:
            (folder / name).unlink()
    return damage


def leave(*names):
    def damage(folder):
        for name in names:
            (folder / f"{name}.part").write_bytes(b"half")
    return damage


def half_line(folder):
    with open(folder / "log.txt", "a") as log:
        log.write("2026-01-01 00:00:00  half a li")


DAMAGES = {  # stage, what is done, exit code, words of what is said
    "restart_cut": ("simulate", [cut("restart.h5", 2000)], 0, "resuming from"),
    "restart_empty": ("simulate", [cut("restart.h5", 0)], 0, "restart.previous.h5: step"),
    "restart_gone": ("simulate", [remove("restart.h5")], 0, "restart.previous.h5: step"),
    "restarts_cut": ("simulate", [cut("restart.h5", 2000), cut("restart.previous.h5", 2000)], 4, "--overwrite"),
    "restarts_gone": ("simulate", [remove("restart.h5", "restart.previous.h5"), frames(20)], 0, "from the beginning"),
    "restart_ahead": ("simulate", [frames(59)], 0, "restart.previous.h5: step"),
    "restarts_ahead": ("simulate", [frames(5)], 4, "has 5 frames"),
    "trajectory_cut": ("simulate", [cut("trajectory.h5", 100000)], 4, "move it away"),
    "model_cut": ("train", [cut("model.h5", 3000)], 4, "move it away"),
    "model_empty": ("train", [cut("model.h5", 0)], 4, "move it away"),
    "evaluation_cut": ("evaluate", [cut("evaluation.h5", 5000)], 4, "move it away"),
    "evaluation_empty": ("evaluate", [cut("evaluation.h5", 0)], 4, "move it away"),
    "parts": ("simulate", [leave("trajectory.h5", "restart.h5", "model.h5", "evaluation.h5", "fields.xdmf")], 0, "is complete"),
    "model_part": ("train", [remove("model.h5"), leave("model.h5")], 0, "training done"),
    "evaluation_part": ("evaluate", [remove("evaluation.h5"), leave("evaluation.h5")], 0, "evaluation done"),
    "log_half_line": ("simulate", [half_line], 0, "is complete"),
}


def judge(campaign, what, stage, damages, code, words):
    whole = campaign.whole("contacts")
    output, problems = campaign.folder / what, []
    shutil.copytree(whole.folder, output)
    for damage in damages:
        damage(output)
    result = subprocess.run(verify.command(2, stage, campaign.source("contacts", output), "--resume"), check=False,
                            env={**os.environ, **verify.CROWDED}, capture_output=True, text=True)
    if result.returncode != code:
        problems.append(f"exit code {result.returncode}: {result.stderr[-600:]}")
    elif words not in result.stderr:
        problems.append(f"unclear: {result.stderr[-600:]}")
    elif code == 0:
        whole.final(output, stage, True, problems)
    if what == "log_half_line" and "half a li\n" not in (output / "log.txt").read_text():
        problems.append("a line goes on in half of another")
    print("\n".join(problems), end="\n" if problems else "", file=sys.stderr)
    return equal(what, "wrong" if problems else "right", "right")


def grown(campaign):
    """A training goes on with the frames that it had, though the trajectory has more by now."""
    whole = campaign.whole("contacts")
    output, problems = campaign.folder / "grown", []
    output.mkdir()
    shutil.copy2(whole.folder / "trajectory.h5", output)
    source = campaign.source("contacts", output)
    frames(40)(output)
    results = []
    for settings in ((), ("--resume",)):
        process = subprocess.Popen(verify.command(2, "train", source, "--set", "training.steps=2000", *settings),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, **verify.CROWDED})
        while process.poll() is None and not (output / "model.h5").exists():
            time.sleep(0.01)
        if not settings:
            process.kill()
            shutil.copy2(whole.folder / "trajectory.h5", output)
        else:
            time.sleep(2)
            process.kill()
        results.append(process.communicate()[1])
    log = (output / "log.txt").read_text()
    if "going on with the first 40" not in results[1] or "resuming from" not in log:
        problems.append(results[1][-600:])
    print("\n".join(problems), end="", file=sys.stderr)
    return equal("trajectory_grown", "wrong" if problems else "same_frames", "same_frames")


def kills(folder):
    """SIGKILL of ranks and of mpirun at random moments, resumed on other numbers of ranks; files cut off by power cuts."""
    count, systems = (200, list(driver.SYSTEMS)) if verify.full() else (10, ["contacts"])
    campaign = driver.Campaign(folder, 1)
    campaign.run(count, driver.STAGES, systems)
    print("\n".join(campaign.table() + campaign.problems), file=sys.stderr)
    yield equal("kills_survived", campaign.kills - len({p.split(":")[0] for p in campaign.problems}), count)
    yield verify.at_most("ranks_outlive_mpirun_s", campaign.orphans, 3)
    for what, how in DAMAGES.items():
        yield judge(campaign, what, *how)
    yield grown(campaign)
