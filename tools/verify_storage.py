"""Cases of tools/verify about the output folder: a second run, a full disk. verify.py names them in CASES."""
import os
import signal
import subprocess
import time

import verify


def storage(folder):
    """A second run in one folder is refused while the first lives; a full disk is found at the beginning."""
    source = verify.write_small(folder, "busy", frames=4000)
    first = subprocess.Popen(verify.command(0, "simulate", source), stderr=subprocess.DEVNULL)
    trajectory = folder / "busy/trajectory.h5"
    while first.poll() is None and verify.frames_written(trajectory) < 3:
        time.sleep(0.01)
    for option in ("--overwrite", "--resume"):
        second = verify.run(2, "simulate", source, option)
        said = verify.errors(second.stderr)
        good = second.returncode == 2 and len(said) == 1 and str(first.pid) in said[0]
        yield verify.equal(f"second{option}", "refused" if good else "not", "refused")
    yield verify.equal("first_lives", "yes" if first.poll() is None else "no", "yes")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    yield verify.finished("after_kill", verify.run(2, "simulate", source, "--overwrite", "--set",
                                                   "simulation.frames=3"))
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=False).returncode != 0:
        return  # not root: no small disk
    try:
        full = verify.run(2, "simulate", source, "--output", disk / "out")
        said = verify.errors(full.stderr)
        good = full.returncode == 4 and len(said) == 1 and "No space left on device" in said[0]
        yield verify.equal("full_disk", "refused" if good else "not", "refused")
    finally:
        subprocess.run(["umount", disk], check=False)
