"""The cases progress and closing of tools/verify: what the program says of a run while it goes on, and at its end."""
import json
import os
import pty
import re
import select
import statistics
import subprocess
import sys
import time

import h5py
import numpy as np

import verify
from running import CROWDED, command, run
from verify import at_most, equal, finished

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


# ---- closing ----

def parsed(result):
    """Standard output as one JSON object; None where it is anything else."""
    try:
        return json.loads(result.stdout)
    except ValueError:
        print(result.stdout, result.stderr, file=sys.stderr)
        return None


def stage_of(said, name):
    return next(stage for stage in said["stages"] if stage["stage"] == name)


def table_agrees(said, printed):
    """Whether the rows of the tables on the terminal are those of the object, to the digits that are printed."""
    rows = re.findall(r"^(\S.*?) +([0-9.]+) +([0-9.]+) +([0-9.]+) +[0-9.]+ %$", printed, re.MULTILINE)
    sections = [section for stage in said["stages"] for section in stage["sections"]]
    return len(rows) == len(sections) and all(
        row[0] == section["section"] and all(abs(float(text) - section[name]) <= 0.0006
                                             for text, name in zip(row[1:], ("min", "mean", "max")))
        and section["min"] <= section["mean"] <= section["max"] for row, section in zip(rows, sections))


def from_files(folder, stage):
    """Main numbers of a stage, by name, as its files have them."""
    if stage == "simulate":
        with h5py.File(folder / "trajectory.h5", "r") as file:
            divergence = file["parameters/scalars/div_b"][()]
            particles = file["particles/trajectory/position/value"].shape[1]
        return {"frames": len(divergence), "exact": -divergence.mean() / particles}
    if stage == "train":
        with h5py.File(folder / "model.h5", "r") as file:
            return {"steps": file.attrs["step"], "loss": file["training/log/loss"][-1],
                    "held_out_resolved_fraction": file["training/test/resolved_fraction"][-1],
                    "held_out_resolved_fraction_error": file["training/test/error"][-1]}
    names = ("exact", "exact_error", "resolved", "resolved_error", "resolved_fraction", "resolved_fraction_error",
             "exact_total", "exact_total_error", "certified_total", "certified_total_error")
    with h5py.File(folder / "evaluation.h5", "r") as file:
        return {name: file["certificate"].attrs[name] for name in names}


def stages_agree(said, folder, ranks):
    for name in ("simulate", "train", "evaluate"):
        stage = stage_of(said, name)
        yield equal(f"{ranks}_{name}_state", stage["state"], "complete")
        expected = from_files(folder, name)
        wrong = [key for key, value in expected.items() if not np.isclose(stage["results"][key], value, rtol=1e-12)]
        yield equal(f"{ranks}_{name}_results", ",".join(wrong) or "as_files", "as_files")
        missing = [path for path in stage["files"] if not os.path.exists(path)]
        yield equal(f"{ranks}_{name}_files", ",".join(missing) or len(stage["files"]),
                    {"simulate": 2, "train": 1, "evaluate": 3}[name])
        memory = stage["memory_peak_bytes"]
        yield equal(f"{ranks}_{name}_memory", "sums_up" if 1e6 < memory["min"] <= memory["mean"] <= memory["max"] and
                    np.isclose(memory["sum"], ranks * memory["mean"]) else memory, "sums_up")


def work_done(said, particles, steps, training):
    """What each stage says that it did, beside what the input says."""
    for stage, name, done in (("simulate", "particle_steps", particles * steps), ("train", "training_steps", training),
                              ("evaluate", "particles_evaluated", 10 * particles)):
        found = stage_of(said, stage)
        seconds = found[name] / found[f"{name}_per_second"]
        yield equal(name, found[name], done)
        yield equal(f"{name}_per_second", "by_time" if 0 < seconds <= found["seconds"] else seconds, "by_time")


def closing(folder):
    """--json: the closing table as one object, with the numbers of the table on the terminal and of the files."""
    for ranks in (1, 2):
        output = folder / f"ranks{ranks}"
        source = verify.write_small(folder, output.name, frames=10)
        source.write_text(source.read_text().replace("burn_in: 100", "burn_in: 5").replace("refine: 1", "refine: 0")
                          .replace("steps: 2000", "steps: 60").replace("frame_interval: 10", "frame_interval: 0.5"))
        result = run(ranks, "run", source, "--json")
        said = parsed(result)
        yield equal(f"{ranks}_exit", said and said["exit"], {"code": 0, "meaning": "done", "message": None})
        yield equal(f"{ranks}_ranks", said["ranks"], ranks)
        yield equal(f"{ranks}_table", "the_same" if table_agrees(said, result.stderr) else "other", "the_same")
        yield from stages_agree(said, output, ranks)
    yield from work_done(said, particles=256, steps=5 / 0.05 + 9 * 0.5 / 0.05, training=60)
    again = parsed(run(0, "run", source, "--json", "--resume"))
    yield equal("again", {stage["state"] for stage in again["stages"]}, {"was complete"})
    yield equal("planned", parsed(run(0, "train", source, "--json", "--dry-run"))["stages"][0]["state"], "planned")
    yield equal("no_json", len(run(0, "run", source, "--resume").stdout), 0)
    bad = parsed(run(0, "simulate", source, "--json", "--set", "simulation.dt=5"))
    yield equal("bad_exit", bad["exit"]["code"], 2)
    yield equal("bad_message", "names_it" if "simulation.dt" in bad["exit"]["message"] else bad["exit"], "names_it")
    stopped = parsed(run(0, "simulate", source, "--json", "--overwrite", "--set", "simulation.frames=20000", "--set",
                         "run.walltime=0.02"))
    yield equal("stopped", (stopped["exit"]["code"], stage_of(stopped, "simulate")["state"]), (75, "stopped"))



# ---- info ----

def number(text):
    return float(re.match(r"[-+0-9.e]+", text)[0])


def info(folder):
    """info of every kind of file: scales, completeness and main numbers, in words and as JSON, beside the input's."""
    source = verify.write_small(folder, "info", frames=10)
    source.write_text(source.read_text().replace("burn_in: 100", "burn_in: 5").replace("steps: 2000", "steps: 60"))
    yield finished("exit_code", run(0, "run", source))
    side = np.sqrt(256 * np.pi / 0.5)
    scales = {"persistence_length": 0.25 / 0.1, "persistence_time": 10, "particles": 256, "packing_fraction": 0.5}
    for kind in ("trajectory", "restart", "model", "evaluation"):
        path = folder / f"info/{kind}.h5"
        words = {line[:22].strip(): line[23:] for line in run(0, "info", path).stdout.splitlines()}
        summary = parsed(run(0, "info", path, "--json"))["summary"]
        wrong = [key for key, value in scales.items() if not np.isclose(summary[key], value)]
        yield equal(f"{kind}_summary", ",".join(wrong) or summary["kind"], kind)
        yield equal(f"{kind}_box", "right" if np.allclose(summary["box"], [side, side]) else summary["box"], "right")
        yield equal(f"{kind}_words", (number(words["persistence length"]), number(words["particles"])), (2.5, 256))
        yield equal(f"{kind}_complete", summary["complete"], True)
        yield equal(f"{kind}_origin", "there" if str(source) in words["command"] else words["command"], "there")
        if kind == "model":  # 8 others on average within the reach
            yield at_most("model_reach", abs(summary["reach"] - np.sqrt(8 * side**2 / (256 * np.pi))), 1e-9)
            yield equal("model_steps", words["steps of training"], "60 of 60")
            test = from_files(folder / "info", "train")["held_out_resolved_fraction"]
            yield at_most("model_tested", abs(number(words["resolved fraction"]) / test - 1), 1e-3)
        if kind in ("trajectory", "evaluation"):
            stage = {"trajectory": "simulate", "evaluation": "evaluate"}[kind]
            exact = from_files(folder / "info", stage)["exact"]
            yield at_most(f"{kind}_exact", abs(number(words["exact EPR"]) / exact - 1), 1e-4)
    run(0, "simulate", source, "--overwrite", "--set", "simulation.frames=20000", "--set", "run.walltime=0.02")
    yield equal("stopped_complete", parsed(run(0, "info", folder / "info/trajectory.h5", "--json"))["summary"]
                ["complete"], False)
