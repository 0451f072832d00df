"""The cases progress and closing of tools/verify: what the program says of a run while it goes on, and at its end."""
import os
import pty
import re
import select
import statistics
import subprocess
import time

import verify
from running import CROWDED, command, run
from verify import at_most, equal

LINE = re.compile(r"(simulation|training|evaluation) +(\d+) %  \S+ /s  (.*?) left")
END = re.compile(r"(simulation|training|evaluation) done in (.*?)(  |\r|$)")

# Seconds for every stage. A frame costs as much as 40 steps between frames; a test as much as 60 steps of training;
# the burn-in has neither.
PROGRESS = """
system: {particles: 4096, packing_fraction: 0.5, v0: 0.25, gamma: 0.1}
simulation: {dt: 0.05, burn_in: 40, frames: %(frames)d, frame_interval: 2, refine: 1, refine_dt: 0.05, seed: 7}
network: {neighbours: 12, width: 32, hidden: 32, feed_forward: 32, heads: 2, blocks: 1, layers: 2}
training: {sigma: 0.1, batch: 128, steps: %(steps)d, warm_up: 50, rate: 1e-3, average: 0.99, test_interval: %(interval)d,
           test_particles: 1024}
evaluation: {frames: held_out, grid: 0.5}
run: {device: cpu}
"""


def seconds_of(text):
    """ "3.2 s", "2 min 05 s", "1 h 02 min" as seconds."""
    units = {"h": 3600, "min": 60, "s": 1}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([0-9.]+) (h|min|s)", text))


def watched(ranks, *arguments):
    """Runs with a pseudo-terminal as standard error: exit code, [(moment, what it got)]."""
    terminal, slave = pty.openpty()
    heard = []
    with subprocess.Popen(command(ranks, *arguments), env={**os.environ, **CROWDED}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=slave) as process:
        os.close(slave)
        while True:
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    text = os.read(terminal, 1 << 16)
                except OSError:  # the other end is closed
                    text = b""
                if not text:
                    break
                heard.append((time.monotonic(), text.decode(errors="replace")))
        code = process.wait()
    os.close(terminal)
    return code, heard


def estimates(heard):
    """Of every stage: what it took, and [(seconds since it began, seconds that it was to take in all by then)]."""
    told, stages = {}, {}
    for moment, text in heard:
        for piece in text.split("\r"):
            line, end = LINE.search(piece), END.search(piece)
            if line and "unknown" not in line[3]:
                told.setdefault(line[1], []).append((moment, seconds_of(line[3])))
            if end:
                took = seconds_of(end[2])
                stages[end[1]] = took, [(at - moment + took, at - moment + took + left)
                                        for at, left in told.get(end[1], [])]
    return stages


def after_a_tenth(took, told):
    """The estimate that stands a tenth of the way, as a share of what it took; none that early: no number."""
    before = [whole for at, whole in told if at <= 0.1 * took + 0.5]
    return before[-1] / took if before else float("nan")


def progress_input(folder, output):
    sizes = {"frames": 400, "steps": 4000, "interval": 1500} if verify.full() else \
        {"frames": 150, "steps": 1500, "interval": 600}
    path = folder / f"{output}.yaml"
    path.write_text(PROGRESS % sizes + f"output: {{directory: {folder / output}}}\n")
    return path


def progress(folder):
    """The time that is left, as told after a tenth of a stage, is right within 20 %; no terminal: no such lines."""
    source, times = progress_input(folder, "told"), 3
    shares = {stage: [] for stage in ("simulation", "training", "evaluation")}
    for _ in range(times):
        code, heard = watched(0, "run", source, "--overwrite")
        yield equal("exit_code", code, 0)
        for stage, (took, told) in estimates(heard).items():
            shares[stage].append(after_a_tenth(took, told))
    for stage, found in shares.items():
        error = abs(statistics.median(found) - 1) if len(found) == times else float("inf")
        yield at_most(f"{stage}_error", error, 0.2)
    yield equal("progress_in_log", "some" if LINE.search((folder / "told/log.txt").read_text()) else "none", "none")
    yield from quiet(folder)


def quiet(folder):
    """Where standard error is no terminal nothing is rewritten, and what takes less than half a minute has one line."""
    source = verify.write_small(folder, "quiet")
    said = run(0, "run", source).stderr
    yield equal("quiet_rewritten", len(re.findall(r"[\r\033]", said)), 0)
    yield equal("quiet_left", len(LINE.findall(said)), 0)
    yield equal("quiet_done", len(END.findall(said)), 3)
    log = [line[21:] for line in (folder / "quiet/log.txt").read_text().splitlines()]
    yield equal("quiet_log", "the_same" if all(line in said for line in log) and len(log) > 20 else "other", "the_same")
