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
