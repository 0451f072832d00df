"""The case storage of tools/verify: what happens to results where the disk, or another run, is in the way."""
import contextlib
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import verify
import verify_disk
from verify import equal, errors


def refused(quantity, result, code, *words):
    """One message with these words, and this exit code."""
    said = errors(result.stderr)
    good = result.returncode == code and len(said) == 1 and all(word in said[0] for word in words)
    if not good:
        print(f"{quantity}: exit code {result.returncode}: {result.stderr[-1500:]}")
    return equal(quantity, "refused" if good else "not", "refused")


def same_trajectory(quantity, a, b):
    return equal(quantity, verify.differences(a / "trajectory.h5", b / "trajectory.h5", "/particles"), "none")


def second_run(folder):
    """A second run in one folder is refused while the first lives."""
    source = verify.write_small(folder, "busy", frames=4000)
    first = subprocess.Popen(verify.command(0, "simulate", source), stderr=subprocess.DEVNULL)
    trajectory = folder / "busy/trajectory.h5"
    while first.poll() is None and verify.frames_written(trajectory) < 3:
        time.sleep(0.01)
    for option in ("--overwrite", "--resume"):
        yield refused(f"second{option}", verify.run(2, "simulate", source, option), 2, str(first.pid))
    yield equal("first_lives", "yes" if first.poll() is None else "no", "yes")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    yield verify.finished("after_kill", verify.run(2, "simulate", source, "--overwrite", "--set",
                                                   "simulation.frames=3"))
    yield refused("existing", verify.run(2, "simulate", source), 2, "--resume", "--overwrite")


# ---- disks of a small size, and read-only ----

@contextlib.contextmanager
def small_disk(place, *options):
    """Mounted in memory; None where this user may not."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", place]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        print(f"{place.name}: left out, as this user may not mount a disk in memory", file=sys.stderr)
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=False)


def full_disk(folder, source, whole):
    """No room for the trajectory, for its layout, for a restart; with room again the run goes on."""
    with small_disk(folder / "disk", "size=4m") as disk:
        if disk:
            yield refused("full_disk", verify.run(2, "simulate", source, "--output", disk / "out", "--set",
                                                  "simulation.frames=4000"), 4, "No space left on device")
            left = [path.name for path in (disk / "out").glob("*.part")]
            yield equal("full_disk_left", ",".join(left) or "nothing", "nothing")
            shutil.rmtree(disk / "out")
            ballast = disk / "ballast"
            room = (whole / "trajectory.h5").stat().st_size + (whole / "restart.h5").stat().st_size / 2 + 12000
            ballast.write_bytes(bytes(int(4 * 2**20 - room)))
            result = verify.run(2, "simulate", source, "--output", disk / "out")
            yield refused("no_room_for_restart", result, 4, "restart.h5", "No space left on device")
            ballast.unlink()
            yield verify.finished("room_again", verify.run(2, "simulate", source, "--output", disk / "out", "--resume"))
            yield same_trajectory("room_again_differences", disk / "out", whole)
    with small_disk(folder / "tiny", "size=32k") as disk:
        if disk:
            yield refused("tiny_disk", verify.run(2, "simulate", source, "--output", disk / "out"), 4,
                          "trajectory.h5", "No space left on device")


def read_only(folder, source, whole):
    """A folder that cannot be written, by a mount or by permission; a file in its place; results are read all the same."""
    with small_disk(folder / "locked", "size=16m") as disk:
        if disk:
            shutil.copytree(whole, disk / "out")
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
            for option in ("--overwrite", "--resume"):
                yield refused(f"read_only{option}", verify.run(2, "simulate", source, "--output", disk / "out", option),
                              4, "Read-only file system")
            yield refused("read_only_new", verify.run(2, "simulate", source, "--output", disk / "new"), 4,
                          "Read-only file system")
            yield verify.finished("read_only_info", verify.run(0, "info", disk / "out/trajectory.h5"))
            yield verify.finished("read_only_data", verify.run(
                2, "train", source, "--output", folder / "read", "--set",
                f"training.trajectories=[{disk}/out/trajectory.h5]", "--set", "training.steps=60"))
    (folder / "file").write_text("not a folder\n")
    yield refused("file_for_folder", verify.run(2, "simulate", source, "--output", folder / "file"), 4, "Not a directory")
    yield refused("file_above_folder", verify.run(2, "simulate", source, "--output", folder / "file/out"), 4,
                  "Not a directory")
    if os.geteuid() == 0:
        closed = folder / "closed"
        closed.mkdir(mode=0o755)
        yield refused("no_permission", as_nobody("simulate", source, "--output", closed), 4, "Permission denied")
        yield refused("no_permission_new", as_nobody("simulate", source, "--output", closed / "new"), 4,
                      "Permission denied")


def as_nobody(*arguments):
    """A user without rights. The program is reached by a copy, as the folder that it is in may be closed."""
    with open(arguments[1]) as text, contextlib.ExitStack() as stack:
        place = pathlib.Path(stack.enter_context(temporary()))
        program, source = place / "epflow", place / "input.yaml"
        shutil.copy2(verify.command(0)[0], program)
        source.write_text(text.read())
        place.chmod(0o777)
        return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, arguments[0],
                               source, *arguments[2:]], capture_output=True, text=True, check=False, cwd=place,
                              env={**os.environ, **verify.CROWDED, "HOME": str(place), "TMPDIR": str(place)})


@contextlib.contextmanager
def temporary():
    place = pathlib.Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


# ---- in the midst of a run ----

def begun_run(folder, name):
    """A run on two ranks of which three frames are written."""
    source = verify.write_small(folder, name, frames=4000)
    command = verify.command(2, "simulate", source, "--set", "simulation.restart_interval=1e-4")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, env={**os.environ, **verify.CROWDED})
    while process.poll() is None and verify.frames_written(folder / name / "trajectory.h5") < 3:
        time.sleep(0.01)
    return process


def ended(quantity, process, *words):
    """By itself, with one message."""
    try:
        said = process.communicate(timeout=30)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        said = process.communicate()[1]
    return refused(quantity, subprocess.CompletedProcess([], process.returncode, "", said), 4, *words)


def vanished(folder):
    """The trajectory is removed, the folder is moved away, the limit on the size of files comes, during a run."""
    process = begun_run(folder, "removed")
    (folder / "removed/trajectory.h5").unlink()
    yield ended("trajectory_removed", process, "trajectory.h5", "removed")
    process = begun_run(folder, "moved")
    (folder / "moved").rename(folder / "elsewhere")
    yield ended("folder_removed", process, "removed")
    process = begun_run(folder, "limit")
    for rank in verify.ranks_of(process.pid):
        resource.prlimit(rank, resource.RLIMIT_FSIZE, (4096, 4096))
    yield ended("file_size_limit", process, "File too large", "ulimit -f")
    frames = verify.frames_written(folder / "limit/trajectory.h5")
    result = verify.run(0, "info", folder / "limit/restart.h5")
    yield equal("file_size_limit_left", "whole" if frames >= 3 and result.returncode == 0 else "not", "whole")


def full_log(folder, source, whole):
    """log.txt cannot be written: said once, and the run goes on."""
    output = folder / "loud"
    output.mkdir()
    (output / "log.txt").symlink_to("/dev/full")
    result = verify.run(2, "simulate", source, "--output", output)
    yield verify.finished("full_log", result)
    yield equal("full_log_said", result.stderr.count("log.txt is not written any more: No space"), 1)
    yield same_trajectory("full_log_differences", output, whole)
    result = verify.run(2, "simulate", source, "--output", output, "--set", "system.v0=0.2", "--resume")
    yield refused("full_log_error", result, 2, "system.v0")


# ---- --overwrite ----

def old_is_kept(output, old):
    """Every file of the old results is there, complete, by its own name or in the folder replaced."""
    for name, content in old.items():
        if all(not path.exists() or path.read_bytes() != content for path in (output / name, output / "replaced" / name)):
            return False
    return True


def resumed_is_whole(output, whole, source, options):
    """After --resume all is as in an uninterrupted run, and nothing old is left."""
    result = verify.run(2, "run", source, *options, "--resume")
    left = (output / "replaced").exists() or list(output.glob("*.part"))
    return result.returncode == 0 and not left and all(
        verify.differences(whole / f"{name}.h5", output / f"{name}.h5", *groups) == "none"
        for name, groups in (("trajectory", ["/particles"]), ("model", ["/weights"]),
                             ("evaluation", ["/particles", "/fields"])))


def overwritten(folder, kills):
    """run --overwrite is killed, in every stage and at random: the old results are there; --resume comes to the end."""
    generator = random.Random(3)
    source, output, whole = verify.write_small(folder, "again", frames=10), folder / "again", folder / "whole"
    options = ("--set", "training.steps=60")
    yield verify.finished("first", verify.run(2, "run", source, *options))
    begun = time.monotonic()
    yield verify.finished("second", verify.run(2, "run", source, *options, "--overwrite"))
    seconds, lost, wrong = time.monotonic() - begun, 0, 0
    shutil.copytree(output, whole)

    def both(name):
        return lambda: (output / name).exists() and (output / "replaced" / name).exists() and \
            not (output / name).samefile(output / "replaced" / name)

    def after(wait):
        until = time.monotonic() + wait
        return lambda: time.monotonic() > until
    moments = {stage: both(f"{name}.h5") for stage, name in
               (("simulate", "trajectory"), ("train", "model"), ("evaluate", "evaluation"))}
    for stage in [*moments, *range(kills)]:
        old = {path.name: path.read_bytes() for path in output.glob("*.h5")}
        moment = moments.get(stage) or after(generator.uniform(0.1, 1) * seconds)
        code, came = verify.run_until(moment, verify.kill_a_rank, 2, "run", source, *options, "--overwrite")
        if stage in moments:
            yield equal(f"overwrite_killed_{stage}", "yes" if came and code != 0 else "no", "yes")
        lost += code != 0 and not old_is_kept(output, old)
        wrong += not resumed_is_whole(output, whole, source, options)
    yield equal("overwrite_kills_lost", lost, 0)
    yield equal("overwrite_kills_wrong", wrong, 0)
    (output / "trajectory.h5").unlink()
    yield refused("restart_alone", verify.run(2, "simulate", source, "--resume"), 2, "restart.h5", "trajectory")


def storage(folder):
    """Second runs, full and read-only disks, files that vanish, --overwrite; a bad disk under every stage."""
    whole = folder / "reference"
    source = verify.write_small(folder, "reference")
    yield verify.finished("reference", verify.run(2, "simulate", source))
    yield from second_run(folder)
    yield from full_disk(folder, source, whole)
    yield from read_only(folder, source, whole)
    yield from vanished(folder)
    yield from full_log(folder, source, whole)
    yield from overwritten(folder, 40 if verify.full() else 0)
    count, problems = verify_disk.sweep(folder / "bad", None if verify.full() else 10)
    yield equal("bad_disk_failures", count - problems, count)
