"""The case readers of tools/verify: files of epflow opened by the programs that docs/recipes.md names.

Python packages come into a virtual environment below build/, made when it is wanted; ParaView and what draws without a
screen from the system's packages (as root, where they are missing). EPFLOW_READERS: a list of readers, all if not set.
"""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import verify
from readers_look import recipe
from running import EPFLOW, ROOT

PAGE = ROOT / "docs/recipes.md"
LINES = {"load": 5, "picture": 7}  # of a recipe, at most
OPTIONS = ["--set", "training.steps=100", "--set", "evaluation.grid=0.5"]


class Reader:
    """Where a reader's Python is, and what has to be there for it: packages of pip, in a folder; of the system."""

    def __init__(self, package, pip=(), system=(), python=None, version=None):
        self.package, self.pip, self.system, self.python = package, pip, system, python
        self.folder = "ovito" if package == "ovito" else "packages"
        self.version = version or f"import {package}; print({package}.__version__)"


PIP = ("h5py", "pandas", "MDAnalysis>=2.4", "ase", "amep")
OVITO = "import ovito; print(ovito.version_string)"
PARAVIEW = "import paraview; print(getattr(paraview, '__version__', paraview.compatibility.GetVersion()))"
READERS = {
    "h5py": Reader("h5py", python=(sys.executable,)),
    "epflow info": Reader("json", python=(sys.executable,)),
    "pandas": Reader("pandas", pip=PIP),
    "MDAnalysis": Reader("MDAnalysis", pip=PIP),
    "ASE": Reader("ase", pip=PIP),
    "AMEP": Reader("amep", pip=PIP),
    "OVITO": Reader("ovito", pip=("ovito", "h5py", "pillow"), system=("mesa-vulkan-drivers",), version=OVITO),
    "ParaView": Reader("paraview", system=("paraview", "python3-paraview", "python3-h5py", "python3-pil", "xvfb"),
                       python=("pvpython",), version=PARAVIEW),
}


# ---- having them ----

def quiet(*words, seconds=600):
    """Whether it ended well; what it said last, otherwise."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=seconds)
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    return done.returncode == 0, (done.stderr or done.stdout).strip().split("\n")[-1]


def installed(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package], capture_output=True, text=True,
                          check=False)
    return done.stdout == "installed"


def have_system(packages):
    """The reason why they cannot be had, or nothing."""
    if not shutil.which("dpkg-query"):
        return "" if all(map(shutil.which, ("pvpython", "Xvfb"))) else "not a Debian or Ubuntu system"
    missing = [package for package in packages if not installed(package)]
    if not missing:
        return ""
    wanted = "apt-get install --no-install-recommends " + " ".join(missing)
    if os.geteuid() != 0:
        return f"it takes {wanted}"
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    install = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "-qq", "--no-install-recommends", *missing]
    good, said = quiet(*install)
    if not good:  # the lists of packages may be old, or not there
        quiet("apt-get", "update", "-qq")
        good, said = quiet(*install)
    return "" if good else f"{wanted}: {said}"


def have_python(reader):
    """Its Python, or the reason why there is none."""
    venv = pathlib.Path(EPFLOW).resolve().parent / "readers" / reader.folder
    python = venv / "bin/python"
    if not (venv / "ready").exists():
        shutil.rmtree(venv, ignore_errors=True)
        base = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
        good, said = quiet(base, "-m", "venv", str(venv))
        if good:
            good, said = quiet(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                               *reader.pip)
        if not good:
            return None, f"pip install {' '.join(reader.pip)}: {said}"
        (venv / "ready").touch()
    return (str(python),), ""


def have(reader):
    """Its Python, its version, and, if it cannot be had, why."""
    python, missing = reader.python, have_system(reader.system) if reader.system else ""
    if not missing and reader.pip:
        python, missing = have_python(reader)
    if missing:
        return None, None, missing
    done = subprocess.run([*python, *(["-c", reader.version] if reader.package != "paraview" else [version_file()])],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
    return python, done.stdout.strip().split("\n")[-1] if done.returncode == 0 else "?", ""


def version_file():
    """pvpython of some versions has no -c."""
    path = pathlib.Path(EPFLOW).resolve().parent / "readers/paraview_version.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(PARAVIEW)
    return str(path)


@contextlib.contextmanager
def screen():
    """A display without a screen, whose number the X server chooses: free, and ready. ParaView leaves it for a moment, at
    which a server that resets itself would not be there."""
    read, write = os.pipe()
    options = ["-displayfd", str(write), "-screen", "0", "1024x768x24", "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(["Xvfb", *options], pass_fds=(write,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as number:
            yield {"DISPLAY": f":{number.readline().strip()}"}
    finally:
        server.terminate()
        server.wait()


# ---- looking ----

def results(folder, d):
    """A small run in d dimensions; in three, particles cross the box too."""
    source = verify.write_small(folder, f"run{d}", particles=256, frames=6)
    return verify.run(0, "run", source, *OPTIONS, "--set", f"system.dimension={d}")


def look(name, python, folder, d):
    """What readers_look.py says about one reader and one run, in a copy of its files."""
    place = folder / name.replace(" ", "_") / str(d)
    place.mkdir(parents=True)
    for file in ("trajectory.h5", "evaluation.h5", "fields.xdmf", "fields.xmf"):
        shutil.copy(folder / f"run{d}" / file, place)
    environment = {**os.environ, "PATH": f"{pathlib.Path(EPFLOW).resolve().parent}:{os.environ['PATH']}",
                   "OVITO_GUI_MODE": "0"}
    for language, text in recipe(PAGE.read_text(), name):
        if language == "sh":
            done = subprocess.run(["sh", "-e", "-c", text], cwd=place, env=environment, capture_output=True, text=True,
                                  check=False)
            yield verify.finished(f"{name}_export_{d}d".replace(" ", "_"), done)
    words = [*python, str(ROOT / "tools/readers_look.py"), name, str(PAGE)]
    with screen() if "xvfb" in READERS[name].system else contextlib.nullcontext({}) as display:
        done = subprocess.run(words, cwd=place, env={**environment, **display}, capture_output=True, text=True,
                              check=False, timeout=600)
    for line in done.stdout.split("\n"):
        if line.startswith("["):
            quantity, value, target, reached = json.loads(line)
            yield f"{name}_{d}d_{quantity}".replace(" ", "_"), value.replace(" ", ""), target.replace(" ", ""), reached
    yield verify.finished(f"{name}_{d}d_exit_code".replace(" ", "_"), done)


def lengths(name):
    """A recipe is as short as it promises to be."""
    for language, text in recipe(PAGE.read_text(), name):
        if language == "python":
            what = "picture" if ".png" in text else "load"
            yield verify.at_most(f"{name}_{what}_lines".replace(" ", "_"), len(text.strip().split("\n")), LINES[what])


BAD = (  # what, options after the trajectory, words of the message
    ("no_format", [], "--format"),
    ("format", ["--format", "gsd"], "xyz"),
    ("ending", ["--format", "amep", "--output", "new.xyz"], ".h5amep"),
    ("there_already", ["--output", "old.xyz"], "--overwrite"),
    ("frame", ["--output", "new.xyz", "--frames", "6"], "0 to 5"),
    ("slice", ["--output", "new.xyz", "--frames", "1:2:x"], "FIRST:END:STRIDE"),
    ("no_frames", ["--output", "new.xyz", "--frames", "4:2"], "none"),
    ("column", ["--output", "new.xyz", "--columns", "image,speed"], "speed"),
    ("set", ["--output", "new.xyz", "--set", "system.v0=1"], "--set"),
)


def refusals(folder):
    """Exports that cannot be: one message, and nothing is made, also where the disk is full."""
    place, trajectory, source = folder / "refusals", folder / "run2/trajectory.h5", folder / "run2/evaluation.h5"
    place.mkdir()
    (place / "old.xyz").touch()
    for what, options, words in BAD:
        done = verify.run(2, "export", trajectory, *options, cwd=place)
        said = verify.errors(done.stderr)
        good = done.returncode == 2 and len(said) == 1 and words in said[0] and len(list(place.iterdir())) == 1
        yield verify.equal(f"refused_{what}", "refused" if good else "not", "refused")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], check=False, capture_output=True).returncode:
        return  # not root: no small disk
    try:
        for name in ("new.xyz", "new.h5amep"):
            done = verify.run(2, "export", source, "--output", place / name)
            said = verify.errors(done.stderr)
            good = done.returncode == 4 and len(said) == 1 and "No space left" in said[0] and not list(place.iterdir())
            if not good:
                print(done.returncode, done.stderr, list(place.iterdir()), file=sys.stderr)
            yield verify.equal(f"full_disk_{name}", "refused" if good else "not", "refused")
    finally:
        subprocess.run(["umount", place], check=False)


def selections(folder):
    """Frames and columns that are chosen; a file that is replaced; the same bytes on three ranks."""
    place, evaluation = folder / "selections", folder / "run3/evaluation.h5"
    place.mkdir()
    for frames, expected in (("-1", [5]), ("1", [1]), ("::2", [0, 2, 4]), ("1:-1:3", [1, 4]), (":", list(range(6)))):
        done = verify.run(0, "export", evaluation, "--output", place / "one.xyz", "--frames", frames, "--columns", "sigma",
                          "--overwrite")
        heads = [line for line in (place / "one.xyz").read_text().split("\n") if "Lattice" in line]
        steps = [(int(line.split("Timestep=")[1].split()[0]) - 2000) // 200 for line in heads]
        good = done.returncode == 0 and steps == expected and all(":R:3:sigma:R:1 " in line for line in heads)
        yield verify.equal(f"frames_{frames}", "as_chosen" if good else str(steps), "as_chosen")
    yield verify.finished("export_one_rank", verify.run(0, "export", evaluation, "--output", place / "all.xyz"))
    yield verify.finished("export_three_ranks", verify.run(3, "export", evaluation, "--output", place / "three.xyz"))
    equal = (place / "all.xyz").read_bytes() == (place / "three.xyz").read_bytes()
    yield verify.equal("three_ranks", "same" if equal else "other", "same")


def cut_off(folder):
    """An export that is killed has no file of that name; the next one replaces what is left."""
    source = verify.write_small(folder, "large", particles=20000, frames=20)
    short = ["--set", "simulation.burn_in=0.05", "--set", "simulation.frame_interval=0.05", "--set", "simulation.refine=0"]
    yield verify.finished("simulate_large", verify.run(0, "simulate", source, *short))
    trajectory = folder / "large/trajectory.h5"
    for name in ("cut.xyz", "cut.h5amep"):
        path, part = folder / name, folder / f"{name}.part"
        code, came = verify.run_until(lambda: part.exists() and part.stat().st_size > 100000,
                                      lambda process: process.kill() or True, 0, "export", trajectory, "--output", path)
        left = "part" if came and code != 0 and part.exists() and not path.exists() else f"code {code}"
        yield verify.equal(f"killed_{name}", left, "part")
        yield verify.finished(f"again_{name}", verify.run(0, "export", trajectory, "--output", path))
        yield verify.equal(f"then_{name}", "whole" if path.exists() and not part.exists() else "not", "whole")


def readers(folder):
    """Files opened by h5py, pandas, MDAnalysis, AMEP, OVITO, ASE and ParaView as docs/recipes.md says; pictures looked at."""
    wanted = os.environ.get("EPFLOW_READERS", ",".join(READERS)).split(",")
    ready = {name: have(READERS[name]) for name in wanted}
    table = []
    if any(python for python, _, _ in ready.values()):
        for d in (2, 3):
            yield verify.finished(f"run_{d}d", results(folder, d))
    if "h5py" in wanted:
        yield from refusals(folder)
        yield from selections(folder)
        yield from cut_off(folder)
    for name, (python, version, missing) in ready.items():
        if missing:
            print(f"readers: {name} is skipped: {missing}", file=sys.stderr)
            yield f"{name}_skipped", "not_here", "-", True
            continue
        yield f"{name}_version".replace(" ", "_"), version, "known", version != "?"
        yield from lengths(name)
        compared, before = [], name.replace(" ", "_")
        for d in (2, 3):
            for quantity, *rest in look(name, python, folder, d):
                compared.append(quantity.removeprefix(f"{before}_{d}d_"))
                yield quantity, *rest
        table.append((name, version, ", ".join(dict.fromkeys(c for c in compared if not c.startswith(before)))))
    for name, version, compared in table:
        print(f"readers: | {name} | {version} | {compared} |")
