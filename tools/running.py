"""How the tools that look into the program run it, on so many ranks (0: without mpirun) of a crowded machine."""
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
EPFLOW = os.environ.get("EPFLOW", str(ROOT / "build/release/epflow"))
CROWDED = {"OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_mpi_yield_when_idle": "1"}


def command(ranks, *arguments, program=EPFLOW):
    words = [program, *map(str, arguments)]
    return words if ranks == 0 else ["mpirun", "-n", str(ranks), *words]


def run(ranks, *arguments, **options):
    """Runs epflow to its end."""
    return subprocess.run(command(ranks, *arguments), env={**os.environ, **CROWDED}, capture_output=True,
                          text=True, check=False, **options)


def errors(said):
    """The messages of errors in what was said."""
    return [line for line in said.splitlines() if line.startswith("epflow: error:")]


def ranks_of(mpirun):
    """The processes of epflow that this mpirun started; none where it is gone."""
    try:
        children = pathlib.Path(f"/proc/{mpirun}/task/{mpirun}/children").read_text().split()
        return [int(c) for c in children if pathlib.Path(f"/proc/{c}/comm").read_text().strip() == "epflow"]
    except OSError:
        return []


def whole_input(burn_in, frames, frame_interval, steps):
    """A run of all stages in a moment, with a restart or checkpoint after every step."""
    return f"""
system: {{particles: 256, packing_fraction: 0.5, v0: 0.25, gamma: 0.1}}
simulation:
  {{dt: 0.05, burn_in: {burn_in}, frames: {frames}, frame_interval: {frame_interval}, refine: 1, seed: 7, restart_interval: 1e-6}}
network: {{neighbours: 8, width: 16, hidden: 16, feed_forward: 16, heads: 2, blocks: 1, layers: 1}}
training:
  {{sigma: 0.1, batch: 32, steps: {steps}, warm_up: 2, rate: 1e-3, average: 0.9, checkpoint_interval: 1e-6}}
evaluation: {{frames: all, grid: 0.5}}
run: {{device: cpu}}
"""
