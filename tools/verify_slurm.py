"""The case slurm of tools/verify: the job scripts on a real Slurm of two virtual nodes on this host."""
import os
import shutil
import subprocess
import sys
import time

import verify
from running import EPFLOW, errors
from verify import equal, finished, frames_written, run

SANDBOX = verify.ROOT / "tests/slurm/sandbox"
NODES = ("--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1", "--time=10", "--signal=B:USR1@60")
ONE = ("--nodes=1", "--ntasks-per-node=1", "--cpus-per-task=1", "--time=10")


class Slurm:
    def __init__(self, folder):
        self.folder = folder
        self.environment = {**os.environ, **verify.CROWDED, "SLURM_CONF": str(folder / "slurm.conf"),
                            "EPFLOW": EPFLOW, "OMPI_MCA_btl": "self,tcp"}  # two nodes share one memory here

    def call(self, *words, **more):
        done = subprocess.run([*map(str, words)], env={**self.environment, **more}, cwd=verify.ROOT,
                              capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            print(" ".join(map(str, words)), done.stderr, file=sys.stderr)
        return done.stdout.strip()

    def submit(self, options, script, *arguments, **more):
        return self.call("sbatch", "--parsable", *options, f"--output={self.folder}/%x-%j.log",
                         f"jobscripts/{script}", *arguments, **more)

    def show(self, job):
        said = self.call("scontrol", "show", "job", job, "--oneliner").split("\n")[0]
        return dict(pair.split("=", 1) for pair in said.split() if "=" in pair)

    def until(self, moment, seconds=90):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if moment():
                return True
            time.sleep(0.1)
        return False

    def requeued(self, job):
        """Waits until it is back in the queue, and lets it begin at once, without the two minutes' hold."""
        back = self.until(lambda: self.show(job).get("JobState") == "PENDING" and self.show(job)["Restarts"] != "0")
        time.sleep(3)  # what the hold is for: the end of the first script must not be taken for that of the next
        self.call("scontrol", "update", f"JobId={job}", "StartTime=now")
        return "yes" if back else self.show(job).get("JobState")

    def ended(self, job):
        over = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        self.until(lambda: self.show(job).get("JobState") in over)
        return self.show(job).get("JobState")


def stopped_and_resumed(slurm, source, output):
    """Two nodes: USR1 and back into the queue; cancelled; submitted anew, with mpirun."""
    def written():
        return frames_written(output / "trajectory.h5")
    job = slurm.submit(NODES, "simulate.sbatch", source)
    slurm.until(lambda: written() > 3)
    slurm.call("scancel", "--batch", "--signal=USR1", job)
    yield equal("requeued_on_usr1", slurm.requeued(job), "yes")
    before = written()
    slurm.until(lambda: written() > before + 3)
    slurm.call("scancel", job)
    yield equal("cancelled", slurm.ended(job), "CANCELLED")
    yield equal("restart", "there" if (output / "restart.h5").exists() else "missing", "there")
    job = slurm.submit(NODES, "simulate.sbatch", source, EPFLOW_LAUNCHER="mpirun")
    yield equal("resubmitted_mpirun", slurm.ended(job), "COMPLETED")


def chain(slurm, source, output):
    said = slurm.call("jobscripts/chain", source,
                      SBATCH_ARGS=" ".join((*NODES, f"--output={slurm.folder}/%x-%j.log")))
    jobs = dict(line.split() for line in said.split("\n") if line)
    slurm.until((output / "model.h5").exists)
    slurm.call("scancel", "--batch", "--signal=USR1", jobs["train"])
    yield equal("chain_train_requeued", slurm.requeued(jobs["train"]), "yes")
    yield equal("chain_evaluate_waits", slurm.show(jobs["evaluate"]).get("JobState"), "PENDING")
    for stage, job in jobs.items():
        yield equal(f"chain_{stage}", slurm.ended(job), "COMPLETED")


def array(slurm, folder, source):
    slurm.submit((*ONE, "--array=0-1"), "array.sbatch", source, folder / "phi", PHI="0.2 0.4")
    for phi in ("0.2", "0.4"):
        yield finished(f"phi_{phi}_alone", run(0, "simulate", source, "--output", folder / f"alone-{phi}", "--set",
                                               f"system.packing_fraction={phi}"))
    slurm.until(lambda: not slurm.call("squeue", "--noheader", "--name=epflow-array"))
    for phi in ("0.2", "0.4"):
        yield equal(f"phi_{phi}_differences", verify.differences(
            folder / f"alone-{phi}/trajectory.h5", folder / f"phi-{phi}/trajectory.h5", "/particles"), "none")


def nodes(slurm, source, output):
    """All stages on two nodes, in one job that is interrupted once."""
    job = slurm.submit(NODES, "nodes.sbatch", source)
    slurm.until(lambda: frames_written(output / "trajectory.h5") > 3)
    slurm.call("scancel", "--batch", "--signal=USR1", job)
    yield equal("nodes_requeued", slurm.requeued(job), "yes")
    yield equal("nodes", slurm.ended(job), "COMPLETED")


def gpus(slurm, source, output):
    """On nodes whose GPUs do not work the job fails, and says why; where it may, it takes the CPUs."""
    options = (*NODES, "--gpus-per-node=1")
    job = slurm.submit(options, "gpus.sbatch", source)
    yield equal("gpus_without", slurm.ended(job), "FAILED")
    said = (slurm.folder / f"epflow-gpus-{job}.log").read_text()
    yield equal("gpus_says_why", len(errors(said)), 1)
    job = slurm.submit(options, "gpus.sbatch", source, EPFLOW_DEVICE="auto")
    yield equal("gpus_asked_for", "gpu:1" in slurm.show(job).get("TresPerNode", ""), True)
    yield equal("gpus_auto", slurm.ended(job), "COMPLETED")
    yield equal("gpus_ranks", run(0, "info", output / "evaluation.h5").stdout.count("ranks                  2"), 1)


def scaling(slurm, folder):
    """tools/scaling within a job, by srun and by mpirun."""
    for name, more in (("srun", {}), ("mpirun", {"EPFLOW_LAUNCHER": "mpirun -n {ranks}"})):
        output = folder / f"scaling-{name}"
        job = slurm.submit(("--nodes=2", "--ntasks-per-node=1", "--time=10"), "scaling.sbatch", "--ranks", "1", "2",
                           "--rounds", "1", "--particle-steps", "4e5", "--burn-in", "20", "--kinds", "weak", "--weak",
                           "1024", "--output", output, **more)
        yield equal(f"scaling_{name}", slurm.ended(job), "COMPLETED")
        rows = (output / "scaling.csv").read_text().splitlines() if (output / "scaling.csv").exists() else []
        yield equal(f"scaling_{name}_ranks", [row.split(",")[1] for row in rows[1:]], ["1", "2"])
        yield equal(f"scaling_{name}_picture", (output / "scaling.png").exists(), True)


def end_time(slurm, source, output):
    """A job of one minute, without any signal: the end that Slurm names is what stops it."""
    job = slurm.submit((*ONE, "--time=1", "--signal=B:USR2@1"), "simulate.sbatch", source, "--set",
                       "simulation.frames=100000000", "--output", output)
    yield equal("requeued_at_end_time", slurm.requeued(job), "yes")
    yield equal("says_why", "yes" if "before its time is over" in (output / "log.txt").read_text() else "no", "yes")
    slurm.call("scancel", job)


def write(folder, output, steps=12000):
    """Long enough to be interrupted in every stage; messages between the two nodes are slow."""
    path = verify.write_small(folder, output, particles=1024, frames=200)
    path.write_text(path.read_text().replace("steps: 2000", f"steps: {steps}").replace("frames: all", "frames: held_out")
                    .replace("checkpoint_interval: 0.001", "checkpoint_interval: 0.01"))
    return path


def cases(slurm, folder):
    whole = folder / "whole"
    yield finished("whole", run(2, "run", write(folder, "whole")))
    yield from stopped_and_resumed(slurm, write(folder, "jobs"), folder / "jobs")
    yield equal("simulate_differences", verify.differences(whole / "trajectory.h5", folder / "jobs/trajectory.h5",
                                                           "/particles"), "none")
    yield from chain(slurm, write(folder, "chain"), folder / "chain")
    for name, groups in (("trajectory", ["/particles"]), ("model", ["/weights", "/average"]),
                         ("evaluation", ["/particles", "/fields", "/profiles"])):
        yield equal(f"chain_{name}_differences", verify.differences(
            whole / f"{name}.h5", folder / f"chain/{name}.h5", *groups), "none")
    yield from array(slurm, folder, verify.write_small(folder, "array", particles=256))
    yield from nodes(slurm, write(folder, "nodes", 60), folder / "nodes")
    yield equal("nodes_differences", verify.differences(whole / "trajectory.h5", folder / "nodes/trajectory.h5",
                                                        "/particles"), "none")
    yield from gpus(slurm, write(folder, "gpus", 60), folder / "gpus")
    yield from scaling(slurm, folder)
    if verify.full():
        yield from end_time(slurm, write(folder, "end"), folder / "end")


def slurm(folder):
    """The job scripts on a Slurm of two virtual nodes: requeued, cancelled and resumed, chained, in an array,
    on many nodes, on nodes with GPUs, and scaling."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("slurmctld", "slurmd", "munged", "sbatch"))):
        print("slurm: skipped: it wants root and Slurm (tools/setup --tests)", file=sys.stderr)
        return
    sandbox = folder / "slurm"
    try:
        started = subprocess.run([SANDBOX, "start", sandbox], check=False, stdout=subprocess.DEVNULL)
        yield equal("slurm_started", started.returncode, 0)
        if started.returncode == 0:
            yield from cases(Slurm(sandbox), folder)
    finally:
        subprocess.run([SANDBOX, "stop", sandbox], check=False, timeout=60)
