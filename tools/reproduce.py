"""Makes the results of docs/results.md again: tools/reproduce results [--quick] [--only STAGE] [--list] [--output DIR].

Stages, each of tasks that run side by side, one a core, as soon as what they need is there:

    data      phase-separated particles: a set of frames at every packing fraction, one begun with a droplet, larger
              boxes begun from tiles of a smaller state, and trajectories of other seeds to train on
    train     one response network, two windowed ones
    evaluate  every network on every set; one frame of about a million particles
    scaling   simulation and evaluation on many ranks
    figures   numbers.json from all files, and the pictures
    page      results.md, with the numbers filled in

A task that is done is skipped, and one that was interrupted (Ctrl-C, TERM, a crash) goes on where it stopped: call the
same command again. DIR/times.json has the command, the seconds and the state of every task, DIR/logs what it said.
"""
import argparse
import collections
import ctypes
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import time

from running import CROWDED, EPFLOW, ROOT

# The sizes. Times are multiples of 1/gamma = 1e4. What each part of the full form took, in seconds of one core of a
# quiet EPYC (Zen 5); --list prints what the tasks add up to by the rates below:
#   data, packing fractions  9 x 4096 particles x 2.8e6 steps, and once more with a droplet             1190
#   data, to train on        3 x 4096 x 3.6e6 steps                                                       540
#   data, tiles              (8192 + 16384 + 32768) x 9e5 steps                                           640
#   train                    response: 6000 x 2 x 4096 particles; windows: 2 x 40000 x 512               1550
#   evaluate                 3 networks on 9 x 40 x 4096 + 20 x 57344 particles; files of 4 GB            320
#   scaling                  30 simulations of 1.2e8 particle-steps, 26 evaluations, on all cores         260
# In all 4500, 39 minutes on two cores (twice that where others share them); 2.5 hours are the most it may take, and
# --quick, which took 4, 15 minutes.
FULL = {
    "particles": 4096, "burn_in": 2e5, "frames": 40, "interval": 2000, "droplet": (0.4, 0.3),
    "densities": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "train_densities": (0.3, 0.5, 0.7), "train_frames": 400, "train_interval": 400,
    "tiles": {8192: (2, 1), 16384: (2, 2), 32768: (4, 2)}, "tile_burn_in": 5e4, "tile_frames": 20,
    "response": {"steps": 6000, "frames_per_step": 2}, "window": {"steps": 40000},
    "probes": 4, "million": (4, 8), "million_burn_in": 20,  # tiles of the largest set: 1048576 particles
    "ranks": (1, 2, 4, 8, 16), "rounds": 3, "particle_steps": 1.2e8, "scaling_burn_in": 1e5, "weak": 4096,
}
QUICK = {
    "particles": 1024, "burn_in": 1e5, "frames": 20, "interval": 2000, "droplet": (0.4, 0.3),
    "densities": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "train_densities": (0.3, 0.5, 0.7), "train_frames": 100, "train_interval": 400,
    "tiles": {2048: (2, 1), 4096: (2, 2), 8192: (4, 2)}, "tile_burn_in": 1e4, "tile_frames": 8,
    "response": {"steps": 1000, "frames_per_step": 4}, "window": {"steps": 2000},
    "probes": 4, "million": (4, 4), "million_burn_in": 10,
    "ranks": (1, 2, 4), "rounds": 1, "particle_steps": 3e7, "scaling_burn_in": 2e4, "weak": 2048,
}
TOY = {  # only shows that everything runs
    "particles": 256, "burn_in": 100, "frames": 4, "interval": 20, "droplet": (0.5, 0.3),
    "densities": (0.3, 0.5, 0.7),
    "train_densities": (0.3, 0.5), "train_frames": 8, "train_interval": 20,
    "tiles": {512: (2, 1)}, "tile_burn_in": 20, "tile_frames": 4,
    "response": {"steps": 30, "frames_per_step": 1, "warm_up": 5, "test_interval": 0},
    "window": {"steps": 30, "batch": 64, "warm_up": 5, "test_interval": 0},
    "probes": 2, "million": (2, 2), "million_burn_in": 10,
    "ranks": (1, 2), "rounds": 1, "particle_steps": 1e6, "scaling_burn_in": 10, "weak": 1024,
    "kinds": ("weak",),
}
SIZES = {"full": FULL, "quick": QUICK, "toy": TOY}

# Seconds are estimated from these, of one core: simulated particle-steps, particles that networks are trained on and
# evaluated on; and from the tasks' own beginning and end.
PARTICLE_STEPS, DENSE = 90e6, 0.6  # a second; what is lost of it from packing fraction 0.1 to 0.9
TRAINED = {"response": 90e3, "window-xg": 36e3, "window-g": 42e3}
EVALUATED = {"response": 50e3, "window-xg": 40e3, "window-g": 40e3}  # with two directions for divergences
START = 0.3
DT, HALF = 0.1, 0.5  # the step of the simulation; the packing fraction of the tiles

STAGES = ("data", "train", "evaluate", "scaling", "figures", "page")
Task = collections.namedtuple("Task", "stage name command cores needs seconds output")


# ---- the tasks ----

class Plan:
    """All tasks of a size, in the order in which they are begun where cores are free."""

    def __init__(self, size, output, cores):
        self.size, self.output, self.cores, self.tasks = size, output, cores, []
        self.side = self.side_at(HALF)
        self.sets = [f"phi-{phi:g}" for phi in size["densities"]] + ["droplet"] + [f"n-{n}" for n in size["tiles"]]
        for stage in (self.data, self.train, self.evaluate, self.scaling, self.results):
            stage()

    def side_at(self, phi):
        """Of a square box of the plain sets' particles."""
        return math.sqrt(self.size["particles"] * math.pi / phi)

    def file(self, *names):
        return str(self.output.joinpath(*names))

    def add(self, stage, name, command, needs, seconds, cores=1, output=None):
        self.tasks.append(Task(stage, name, command, cores, needs, seconds, output))

    def epflow(self, stage, name, verb, source, settings, needs, seconds, ranks=1):
        """A task of the program, which goes on where it was interrupted."""
        start = [] if ranks == 1 else ["mpirun", "-n", str(ranks)]
        options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        command = [*start, EPFLOW, verb, str(ROOT / f"inputs/results/{source}.yaml"), "--output",
                   self.file(*name.split("/")), *options, "--resume", "--json"]
        self.add(stage, name, command, needs, START * ranks + seconds, ranks, self.file(*name.split("/")))

    def simulate(self, name, source, settings, needs, particles, phi, ranks=1):
        steps = settings["simulation.burn_in"] + settings["simulation.frames"] * settings["simulation.frame_interval"]
        rate = PARTICLE_STEPS * (1.2 - DENSE * phi)
        self.epflow("data", name, "simulate", source, {"system.particles": particles, **settings}, needs,
                    particles * steps / DT / rate, ranks)

    def data(self):
        """The state that tiles begin from comes first, then the largest boxes: what waits for nothing fills in."""
        s = self.size
        order = sorted(s["densities"], key=lambda phi: (phi != HALF, -phi))
        plain = {"simulation.burn_in": s["burn_in"], "simulation.frames": s["frames"],
                 "simulation.frame_interval": s["interval"]}
        for phi in order:
            self.simulate(f"data/phi-{phi:g}", "mips", {"system.packing_fraction": phi,
                          "simulation.seed": 100 + round(100 * phi), **plain}, [], s["particles"], phi)
            if phi == HALF:
                self.train_data()
                self.tiles()
        self.droplet(plain)

    def droplet(self, settings):
        """Where nothing separates by itself in this time, a state with a droplet, of a denser set's last frame."""
        s = self.size
        denser, phi = s["droplet"]
        source, start = f"data/phi-{denser:g}", self.file("data", "droplet-start.h5")
        self.add("data", "droplet-start", [
            sys.executable, str(ROOT / "tools/results_droplet.py"), self.file(source, "trajectory.h5"),
            repr(self.side_at(phi)), start], [source], START)
        self.simulate("data/droplet", "mips", {
            "system.packing_fraction": phi, "simulation.start": f"{start}@last", "simulation.seed": 700, **settings},
            ["droplet-start"], s["particles"], phi)

    def train_data(self):
        s = self.size
        for phi in s["train_densities"]:
            self.simulate(f"data/train-{phi:g}", "mips", {
                "system.packing_fraction": phi, "simulation.seed": 300 + round(100 * phi),
                "simulation.burn_in": s["burn_in"], "simulation.frames": s["train_frames"],
                "simulation.frame_interval": s["train_interval"]}, [], s["particles"], phi)

    def box(self, tiles):
        return f"[{tiles[0] * self.side!r}, {tiles[1] * self.side!r}]"

    def tiles(self):
        s = self.size
        for n, tiles in sorted(s["tiles"].items(), reverse=True):
            self.simulate(f"data/n-{n}", "tiles", {
                "system.box": self.box(tiles), "simulation.start": self.file("data", "phi-0.5", "trajectory.h5@last"),
                "simulation.seed": 500 + n // s["particles"], "simulation.burn_in": s["tile_burn_in"],
                "simulation.frames": s["tile_frames"], "simulation.frame_interval": s["interval"]},
                ["data/phi-0.5"], n, HALF)

    def train(self):
        s = self.size
        self.train_one("response", s["response"], s["particles"] * s["response"]["frames_per_step"])
        for name in ("window-xg", "window-g"):
            self.train_one(name, s["window"], s["window"].get("batch", 512))

    def train_one(self, name, settings, a_step):
        densities = self.train_densities(name)
        files = [self.file("data", f"train-{phi:g}", "trajectory.h5") for phi in densities]
        listed = ", ".join(f"{{file: {file}, weight: 1}}" for file in files)
        self.epflow("train", f"models/{name}", "train", name, {
            "system.particles": self.size["particles"], "training.trajectories": f"[{listed}]",
            **{f"training.{key}": value for key, value in settings.items()}},
            [f"data/train-{phi:g}" for phi in densities], settings["steps"] * a_step / TRAINED[name])

    def evaluate(self):
        s = self.size
        for model in TRAINED:
            for name in reversed(self.sets):
                n = int(name[2:]) if name.startswith("n-") else s["particles"]
                frames = s["tile_frames"] if name.startswith("n-") else s["frames"]
                self.evaluate_one(model, name, n * frames, self.settings(model))
            self.calibrate(model)
        largest, tiles = max(s["tiles"].items())
        box = [tiles[axis] * s["million"][axis] for axis in range(2)]
        n = largest * s["million"][0] * s["million"][1]
        self.simulate("data/million", "tiles", {
            "system.box": self.box(box), "simulation.start": self.file("data", f"n-{largest}", "trajectory.h5@last"),
            "simulation.seed": 600, "simulation.burn_in": s["million_burn_in"], "simulation.frames": 1,
            "simulation.frame_interval": 20}, [f"data/n-{largest}"], n, HALF, self.cores)
        self.evaluate_one("response", "million", 4 * n, {"evaluation.grid": 4, "evaluation.probes": 1}, self.cores)

    def calibrate(self, model):
        """The frames that its training held out: the network's overall scale is measured there."""
        s = self.size
        for phi in self.train_densities(model):
            self.evaluate_one(model, f"train-{phi:g}", 0.1 * s["particles"] * s["train_frames"],
                              {**self.settings(model), "evaluation.grid": 4, "evaluation.frames": "held_out"})

    def settings(self, model):
        """The response network's evaluations have the fields that pictures are drawn from."""
        return {"evaluation.probes": self.size["probes"]} if model == "response" else {"evaluation.grid": 4}

    def train_densities(self, model):
        return self.size["train_densities"] if model == "response" else (HALF,)

    def evaluate_one(self, model, name, particles, settings, ranks=1):
        self.epflow("evaluate", f"evaluations/{model}/{name}", "evaluate", "mips", {
            "evaluation.models": f"[{self.file('models', model, 'model.h5')}]",
            "evaluation.trajectories": f"[{self.file('data', name, 'trajectory.h5')}]", **settings},
            [f"data/{name}", f"models/{model}"],
            particles / EVALUATED[model] * 0.5 * settings.get("evaluation.probes", 2), ranks)

    def scaling(self):
        s, python = self.size, sys.executable
        kinds = s.get("kinds", ("strong", "weak"))
        runs = len(s["ranks"]) * s["rounds"] * len(kinds)
        ranks = [str(count) for count in s["ranks"]]
        self.add("scaling", "scaling/simulation", [
            python, str(ROOT / "tools/scaling.py"), "--ranks", *ranks, "--rounds", str(s["rounds"]), "--weak",
            str(s["weak"]), "--particle-steps", str(s["particle_steps"]), "--burn-in", str(s["scaling_burn_in"]),
            "--kinds", *kinds, "--output", self.file("scaling")], [],
            runs * 4 + 4.5e9 * s["scaling_burn_in"] / 1e5 / PARTICLE_STEPS, self.cores)
        self.add("scaling", "scaling/evaluation", [
            python, str(ROOT / "tools/results_scaling.py"), "--ranks", *ranks, "--start",
            self.file("data", "phi-0.5", "trajectory.h5"), "--model", self.file("models", "response", "model.h5"),
            "--strong", str(8 * s["particles"]), "--kinds", *kinds, "--output", self.file("scaling")],
            ["data/phi-0.5", "models/response"],
            15 * len(ranks) * min(1, s["particles"] / 4096) * self.cores, self.cores)

    def results(self):
        python = sys.executable
        needs = [task.name for task in self.tasks if task.name.startswith("evaluations/")]
        needs += ["scaling/simulation", "scaling/evaluation"]
        self.add("figures", "figures", [python, str(ROOT / "tools/results_numbers.py"), str(self.output)], needs,
                 5 + 15 * self.size["particles"] / 4096, self.cores)
        self.add("page", "page", [python, str(ROOT / "tools/results_page.py"), str(self.output)], ["figures"], 1)


# ---- what is done ----

class Record:
    """DIR/times.json: of every task the command, seconds of all attempts, and the state."""

    def __init__(self, output):
        self.path = output / "times.json"
        self.tasks = json.loads(self.path.read_text()) if self.path.exists() else {}

    def done(self, task):
        entry = self.tasks.get(task.name)
        if entry and entry["command"] != task.command:
            sys.exit(f"reproduce: error: {self.path.parent} has {task.name} by another command: choose another "
                     "--output, or remove that folder and its entry in times.json")
        return bool(entry) and entry["state"] == "done" and task.stage not in ("figures", "page")

    def write(self, task, seconds, state):
        before = self.tasks.get(task.name, {"seconds": 0})["seconds"] if state != "done" or \
            self.tasks.get(task.name, {}).get("state") == "stopped" else 0
        self.tasks[task.name] = {"stage": task.stage, "state": state, "seconds": round(before + seconds, 2),
                                 "cores": task.cores, "estimate": round(task.seconds, 1), "command": task.command}
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.tasks, indent=1))
        part.rename(self.path)


# ---- running ----

class Stopped(Exception):
    """The user or the machine wants the tasks to end."""


def stop(*_):
    raise Stopped


def end_with_parent():
    """Asks Linux to interrupt the task should this program be killed: it would hold its folder's lock."""
    ctypes.CDLL(None).prctl(1, signal.SIGUSR1)  # PR_SET_PDEATHSIG


class Runner:
    def __init__(self, plan, tasks, record, cores):
        self.plan, self.record, self.cores = plan, record, cores
        self.every, self.failed, self.running = len(tasks), [], {}
        self.done = {task.name for task in plan.tasks if record.done(task)}
        self.left = [task for task in tasks if task.name not in self.done]
        self.begun, self.spent, self.expected = time.monotonic(), 0.0, 0.0

    def free(self):
        return self.cores - sum(task.cores for task, _ in self.running.values())

    def next(self):
        """The first task that can begin; one that takes all cores is not passed by what comes after it."""
        for task in self.left:
            if all(need in self.done for need in task.needs):
                if task.cores <= self.free():
                    return task
                if task.cores > 1 and not self.waiting_for(task):
                    return None
        return None

    def waiting_for(self, task):
        """Whether tasks on one core could still begin before."""
        return any(other.cores == 1 and all(need in self.done for need in other.needs) for other in self.left
                   if other is not task)

    def start(self, task):
        self.left.remove(task)
        logs = self.plan.output / "logs"
        logs.mkdir(exist_ok=True)
        name = task.name.replace("/", "-")
        with open(logs / f"{name}.json", "w") as out, open(logs / f"{name}.txt", "w") as err:
            process = subprocess.Popen(task.command, stdout=out, stderr=err, start_new_session=True,
                                       preexec_fn=end_with_parent, env={**os.environ, **CROWDED})
        self.running[process] = (task, time.monotonic())
        print(f"{self.clock()}  {task.name}: {shown(task.command)}", flush=True)

    def clock(self):
        return time.strftime("%H:%M:%S")

    def finish(self, process):
        task, begun = self.running.pop(process)
        seconds = time.monotonic() - begun
        state = {0: "done", 75: "stopped"}.get(process.returncode, "failed")
        self.record.write(task, seconds, state)
        if state == "done":
            self.done.add(task.name)
            self.spent += seconds * task.cores
            self.expected += task.seconds
            print(f"{self.clock()}  {task.name}: done in {seconds:.1f} s, {self.forecast()}", flush=True)
            return
        self.failed.append(task.name)
        said = (self.plan.output / "logs" / f"{task.name.replace('/', '-')}.txt").read_text()
        print(f"reproduce: error: {task.name} {state} (exit code {process.returncode}):\n{said[-1500:]}",
              file=sys.stderr)

    def forecast(self):
        """By the tasks so far, which took so much longer or shorter than estimated."""
        left = sum(task.seconds for task in [*self.left, *(task for task, _ in self.running.values())])
        factor = self.spent / self.expected if self.expected > 0 else 1
        return f"{len(self.done)} of {self.every}, about {duration(factor * left / self.cores)} to go"

    def interrupt(self):
        """All that runs writes what it has and ends; what does not listen is begun again next time."""
        for process in self.running:
            os.killpg(process.pid, signal.SIGUSR1)
        for process, (task, begun) in self.running.items():
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            self.record.write(task, time.monotonic() - begun, "stopped")

    def run(self):
        while self.left or self.running:
            task = self.next()
            if task and not self.failed:
                self.start(task)
                continue
            if not self.running:
                break
            ended = next((process for process in self.running if process.poll() is not None), None)
            if ended is not None:
                self.finish(ended)
            else:
                time.sleep(0.05)
        if self.left and not self.failed:
            missing = sorted({need for task in self.left for need in task.needs if need not in self.done})
            sys.exit(f"reproduce: error: {self.left[0].name} needs {missing[0]}, which is not there: run the stages "
                     "before")


def shown(command):
    """A command as it is typed."""
    words = [word if all(c not in " {}[]" for c in word) else f"'{word}'" for word in command]
    return " ".join(words).replace(f"{ROOT}/", "")


def duration(seconds):
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def table(plan):
    """What there is to do, and how long it takes by the estimates."""
    print("stage      tasks  core seconds, about")
    for stage in STAGES:
        tasks = [task for task in plan.tasks if task.stage == stage]
        print(f"{stage:10} {len(tasks):5} {sum(task.seconds for task in tasks):10.0f}")
    whole = sum(task.seconds for task in plan.tasks)
    print(f"in all     {len(plan.tasks):5} {whole:10.0f}: {duration(whole / plan.cores)} on {plan.cores} cores")


def read_options():
    parser = argparse.ArgumentParser(prog="tools/reproduce", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("results",), help="docs/results.md")
    parser.add_argument("--quick", action="store_true", help="smaller and shorter: a quarter of an hour")
    parser.add_argument("--size", choices=SIZES, help=argparse.SUPPRESS)
    parser.add_argument("--only", metavar="STAGE", choices=STAGES, help=f"one stage: {', '.join(STAGES)}")
    parser.add_argument("--list", action="store_true", help="what there is to do, and about how long it takes")
    parser.add_argument("--output", metavar="DIR", help="default: runs/results, with --quick runs/results-quick")
    parser.add_argument("--cores", type=int, default=min(2, len(os.sched_getaffinity(0))), help="to use (default: 2)")
    options = parser.parse_args()
    options.size = options.size or ("quick" if options.quick else "full")
    name = "results" if options.size == "full" else f"results-{options.size}"
    options.output = pathlib.Path(options.output or ROOT / "runs" / name).resolve()
    return options


def main():
    options = read_options()
    plan = Plan(SIZES[options.size], options.output, options.cores)
    if options.list:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # into head
        table(plan)
        return 0
    options.output.mkdir(parents=True, exist_ok=True)
    tasks = [task for task in plan.tasks if options.only in (None, task.stage)]
    runner = Runner(plan, tasks, Record(options.output), options.cores)
    size = {"name": options.size, "sets": plan.sets, **plan.size}
    (options.output / "size.json").write_text(json.dumps(size, indent=1))
    wanted = sum(task.seconds for task in runner.left) / plan.cores
    print(f"{len(plan.tasks)} tasks, {len(runner.left)} to do, about {duration(wanted)} on {plan.cores} cores; in "
          f"{options.output}")
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        runner.run()
    except Stopped:
        runner.interrupt()
        print("reproduce: stopped; the same command goes on", file=sys.stderr)
        return 75
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main())
