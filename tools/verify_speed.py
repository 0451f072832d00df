"""The case network-speed of tools/verify: epflow's score network beside the authors' way of computing it."""
import json
import os
import pathlib
import statistics
import subprocess

from running import EPFLOW, ROOT

ROUNDS = 3


def run_json(core, *command):
    """What a program prints, run on one core."""
    result = subprocess.run(command, env={**os.environ, "EPFLOW_CORE": str(core)}, capture_output=True,
                            text=True, check=False)
    if result.returncode != 0:
        raise OSError(f"{pathlib.Path(command[0]).name}: exit code {result.returncode}: {result.stderr}")
    return json.loads(result.stdout)


def network_speed(folder):
    """Training and divergence of the paper's network on one core: against JAX, and against a matrix product."""
    del folder  # nothing is written
    core = max(os.sched_getaffinity(0))
    calls = {"training": "paper's network: training step", "divergence": "paper's network: scores and divergence"}
    ratios, fractions = {key: [] for key in calls}, {key: [] for key in calls}
    for _ in range(ROUNDS):  # one after the other, so that both see the same machine
        epflow = run_json(core, "taskset", "-c", str(core), EPFLOW, "bench", "--json")["calls"]
        jax = run_json(core, ROOT / "tools/compare/network-speed", "--repeats", "3")["milliseconds_a_particle"]
        for key, call in calls.items():
            own = 1e3 * epflow[call]["seconds"] / epflow[call]["particles"]
            ratios[key].append(min(batch[key]["median"] for batch in jax.values()) / own)
            fractions[key].append(epflow[call]["fraction"])
    for key, target in (("training", 1.7), ("divergence", 2.0)):
        value = statistics.median(ratios[key])
        yield f"jax_over_epflow_{key}", f"{value:.3g}", f">={target:g}", value >= target
    for key in calls:
        value = statistics.median(fractions[key])
        yield f"of_sgemm_{key}", f"{value:.3g}", ">=0.7", value >= 0.7
