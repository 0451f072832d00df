"""The cases of tools/verify for GPUs, none of which needs one: the whole program with the CUDA sources run on the CPU
(tests/emulation), and what the compiler says of the kernels."""
import os
import pathlib
import re
import shutil
import subprocess
import time

import h5py
import numpy as np

from running import EPFLOW
from verify import ROOT, at_least, at_most, differences, equal, finished, run, write_small

BUILD = pathlib.Path(EPFLOW).parent
LIBRARY = BUILD / "libepflow_cuda.so"
EMULATED = BUILD / "tests/libepflow_emulated.so"
SCHEDULES = ("forward", "reverse", "random")

RESPONSE = ["--set", "network.kind=response", "--set", "response.layers=2", "--set", "response.hidden=16"]
EPS = ["--set", "system.eps=0.05", "--set", "network.kind=window", "--set", "simulation.refine=0"]
MATCHING = EPS + ["--set", "training.loss=score_matching", "--set", "training.noise_on=xg"]
VELOCITY = EPS + ["--set", "training.loss=velocity", "--set", "simulation.frame_interval=0.5", "--set",
                  "simulation.frames=8"]
WINDOW = ["--set", "network.kind=window"]
SHORT = ["--set", "training.steps=8", "--set", "training.warm_up=2", "--set", "training.batch=32"]


def emulated(schedule="forward", seed=1):
    return {"EPFLOW_CUDA_LIBRARY": str(EMULATED), "EPFLOW_EMULATION_SCHEDULE": schedule,
            "EPFLOW_EMULATION_SEED": str(seed)}


def run_with(environment, ranks, *arguments):
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        return run(ranks, *arguments)
    finally:
        os.environ.clear()
        os.environ.update(before)


def apart(one, other, names):
    """The largest difference of some datasets over the largest size of all. (Some weights, such as biases of keys, have
    no gradient but rounding.)"""
    difference, size = 0.0, 1e-30
    with h5py.File(one, "r") as a, h5py.File(other, "r") as b:
        for name in names:
            x, y = a[name][()].astype(float), b[name][()].astype(float)
            both = np.isfinite(x) & np.isfinite(y)
            if not np.array_equal(np.isfinite(x), np.isfinite(y)) or not both.any():
                return float("inf")
            difference = max(difference, float(np.max(np.abs(x - y)[both])))
            size = max(size, float(np.max(np.abs(x[both]))))
    return difference / size


def trajectories(folder):
    """The trajectory of emulated GPUs: that of the CPU, bit by bit, on 1, 2 and 3 ranks and under every schedule."""
    source = write_small(folder, "cpu", particles=256, frames=6)
    yield finished("cpu_exit_code", run(0, "simulate", source, "--device", "cpu"))
    for ranks in (1, 2, 3):
        for schedule in SCHEDULES:
            name = f"cuda{ranks}_{schedule}"
            result = run_with(emulated(schedule, ranks), ranks, "simulate", write_small(folder, name, 256, 6), "--device",
                              "cuda")
            yield finished(f"{name}_exit_code", result)
            yield equal(f"{name}_differences", differences(folder / "cpu/trajectory.h5",
                        folder / f"{name}/trajectory.h5", "/particles/trajectory"), "none")


def networks(folder):
    """Training and evaluation on emulated GPUs, beside the CPU's: equal to rounding, on one rank and two."""
    for kind, options in (("window", WINDOW), ("response", RESPONSE), ("matching", MATCHING), ("velocity", VELOCITY)):
        reference = folder / f"{kind}_cpu"
        source = write_small(folder, f"{kind}_cpu", particles=64, frames=4)
        yield finished(f"{kind}_cpu_exit_code", run(0, "run", source, "--device", "cpu", *options, *SHORT))
        for ranks in (1, 2):
            name = f"{kind}_cuda{ranks}"
            result = run_with(emulated("random", ranks), ranks, "run", write_small(folder, name, 64, 4), "--device",
                              "cuda", *options, *SHORT)
            yield finished(f"{name}_exit_code", result)
            weights = apart(reference / "model.h5", folder / f"{name}/model.h5", tensors(reference / "model.h5"))
            yield at_most(f"{name}_weights_apart", weights, 1e-4)
            fields = max(apart(reference / "evaluation.h5", folder / f"{name}/evaluation.h5",
                               [f"particles/evaluation/{column}"]) for column in ("sigma", "s_g", "v_g"))
            yield at_most(f"{name}_evaluation_apart", fields, 1e-3)


def tensors(path):
    names = []
    with h5py.File(path, "r") as file:
        file["weights"].visititems(lambda name, item: names.append(f"weights/{name}")
                                   if isinstance(item, h5py.Dataset) else None)
        if isinstance(file["weights"], h5py.Dataset):
            names.append("weights")
    return names


def device_chosen(folder):
    """Where the CUDA library cannot be used: auto says so in one line and computes on the CPU, cuda is refused."""
    absent = {"EPFLOW_CUDA_LIBRARY": str(folder / "absent.so")}
    source = write_small(folder, "auto", particles=64, frames=1)
    result = run_with(absent, 2, "simulate", source)
    said = [line for line in result.stderr.splitlines() if line.startswith("device:")]
    yield finished("auto_exit_code", result)
    yield equal("auto_lines_about_it", len(said), 1)
    if LIBRARY.exists():  # with the runtime's libraries, but no driver
        result = run_with({"EPFLOW_CUDA_LIBRARY": str(LIBRARY)}, 0, "simulate", write_small(folder, "loaded", 64, 1))
        yield finished("library_without_driver_exit_code", result)
    result = run_with(absent, 2, "simulate", write_small(folder, "cuda", 64, 1), "--device", "cuda")
    yield equal("cuda_exit_code", result.returncode, 1)
    yield equal("cuda_messages", result.stderr.count("epflow: error:"), 1)


def failing_ranks(folder):
    """A launch fails on one rank while the others wait for its messages: all end within seconds, and say why."""
    for stage, launches in (("simulate", (5, 60, 400, 3000)), ("train", (40, 200, 600))):
        for number, launch in enumerate(launches):
            name = f"failing_{stage}_{launch}"
            source = write_small(folder, name, 128, 4)
            if stage == "train":
                (folder / name).mkdir()
                shutil.copy(folder / "cuda2_forward/trajectory.h5", folder / name / "trajectory.h5")
                source = write_small(folder, name, 256, 6)
            begun = time.monotonic()
            fail = {**emulated(), "EPFLOW_EMULATION_FAIL": f"{number % 2}:{launch}"}
            result = run_with(fail, 2, stage, source, "--device", "cuda", *WINDOW, *SHORT)
            yield equal(f"{name}_failed", result.returncode != 0 and "launch failure" in result.stderr, True)
            yield at_most(f"{name}_seconds", time.monotonic() - begun, 30)


def operations():
    """Every op of the CUDA table beside the CPU table."""
    result = run_with(emulated(), 2, "check", "--device", "cuda")
    yield finished("check_exit_code", result)
    yield equal("messages_between_devices", "messages between the devices of 2 ranks" in result.stdout, True)
    passed = re.search(r"(\d+) comparisons", result.stdout + result.stderr)
    yield at_least("comparisons", int(passed.group(1)) if passed else 0, 100)


def emulation(folder):
    """The CUDA sources run on the CPU: every op, trajectories bit by bit, networks and losses to rounding."""
    if not EMULATED.exists():
        yield "skipped", "no_CUDA_headers", "-", True
        return
    begun = time.monotonic()
    yield from operations()
    yield from trajectories(folder)
    yield from failing_ranks(folder)
    yield from networks(folder)
    yield from device_chosen(folder)
    yield at_most("minutes", (time.monotonic() - begun) / 60, 15)


def kernels(folder):
    """Registers and occupancy of every kernel, as the compiler said; no spill, no stack in local memory."""
    del folder
    if not LIBRARY.exists():
        yield "skipped", "no_nvcc", "-", True
        return
    result = subprocess.run([ROOT / "tools/kernels", BUILD], capture_output=True, text=True, check=False)
    print(result.stdout)
    yield finished("no_stack_no_spills", result)
