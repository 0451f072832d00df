"""Case of tools/verify on docs/extending.md: its worked examples are applied to a copy of the tree, which is built and
run; what they add is computed once more from the particles, by other means. verify.py names it in CASES."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import h5py
import numpy as np

import verify

EXAMPLES = pathlib.Path("docs/extending")
BUILT = ["epflow", "test_snapshot", "test_entropy", "test_pair_network", "test_pair_network64"]


# ---- the tree with the examples ----

def copy_tree(source, tree):
    names = subprocess.run(["git", "ls-files", "-z"], cwd=source, capture_output=True, check=True).stdout
    for name in names.decode().split("\0")[:-1]:
        if (source / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, tree / name)


def apply_example(tree, name):
    """New files of an example, if it has any, and its patch. The words of the page, and what went wrong."""
    if (tree / EXAMPLES / name).is_dir():
        shutil.copytree(tree / EXAMPLES / name, tree, dirs_exist_ok=True)
    return subprocess.run(["git", "apply", "-C1", str(EXAMPLES / f"{name}.patch")], cwd=tree, capture_output=True,
                          text=True, check=False, env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)})


def build(tree):
    options = ["-DCMAKE_CUDA_COMPILER=NOTFOUND", "-DCMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON"]
    environment = {**os.environ, "CCACHE_BASEDIR": str(tree), "CCACHE_NOHASHDIR": "1"}
    if shutil.which("ccache"):
        options.append("-DCMAKE_C_COMPILER_LAUNCHER=ccache")
    for words in (["cmake", "--preset", "release", *options],
                  ["cmake", "--build", "--preset", "release", "-j", "2", "--target", *BUILT]):
        result = subprocess.run(words, cwd=tree, capture_output=True, text=True, check=False, env=environment)
        if result.returncode != 0:
            break
    return result


def program(tree, ranks, *arguments):
    """A program of the tree's build, to its end."""
    words = verify.command(ranks, *arguments[1:], program=str(tree / "build/release" / arguments[0]))
    return subprocess.run(words, cwd=tree, env={**os.environ, **verify.CROWDED}, capture_output=True, text=True,
                          check=False)


# ---- a field ----

def field(tree, folder):
    yield verify.finished("field_run", program(tree, 2, "epflow", "run", "tests/pipeline/small.yaml", "--output",
                                               folder / "field", "--set", "training.steps=100", "--set",
                                               "simulation.frames=20", "--set", "evaluation.frames=all"))
    with h5py.File(folder / "field/evaluation.h5") as file:
        v0 = file["parameters/system"].attrs["v0"]
        particles = {name: file[f"particles/evaluation/{name}"][()] for name in ("propulsion", "v_x", "power")}
        grid = file["fields/power"]
        integral = grid[()].sum(axis=(1, 2)) * np.prod(grid.attrs["spacing"])
    power, velocity = particles["power"], particles["v_x"]  # v_x is b where eps = 0
    wanted = v0 * (particles["propulsion"] * velocity).sum(axis=2)
    lost = power.mean(axis=1) - (velocity ** 2).sum(axis=2).mean(axis=1)
    yield verify.at_most("field_particles", abs(power - wanted).max() / abs(wanted).max(), 1e-12)
    yield verify.at_most("field_integral", abs(integral - power.sum(axis=1)).max() / abs(power.sum(axis=1)).max(),
                         1e-10)
    yield verify.at_most("field_dissipated_z", abs(lost.mean()) / lost.std() * np.sqrt(len(lost)), 5)
    yield verify.equal("field_in_paraview", (folder / "field/fields.xdmf").read_text().count('Name="power"') > 0, True)
    plot = subprocess.run([sys.executable, "tools/plot.py", folder / "field", "--only", "fields"], cwd=tree,
                          capture_output=True, text=True, check=False)
    yield verify.finished("field_picture", plot)


# ---- a score model ----

def features(x, g, side, functions, radius):
    """Of one frame: what a score is linear in (N, d, columns), and its divergence (N, columns); from all pairs."""
    n, d = x.shape
    apart = x[:, None] - x[None]
    apart -= side * np.round(apart / side)
    distance = np.sqrt((apart ** 2).sum(axis=2)) + np.diag(np.full(n, np.inf))
    normal = apart / distance[:, :, None]
    along = (normal * (g[:, None] - g[None])).sum(axis=2)
    grid = np.linspace(0, radius, functions + 1)
    piece = [np.interp(distance, grid, row, right=0) for row in np.eye(functions, functions + 1)]
    mean = [np.einsum("ij,ija->ia", p, normal) for p in piece]
    across = [p.sum(axis=1)[:, None] * g - p @ g for p in piece]
    projected = [np.einsum("ij,ija->ia", p * along, normal) for p in piece]
    sums = np.array([p.sum(axis=1) for p in piece])
    divergence = np.concatenate([np.full((1, n), d), 0 * sums, d * sums, sums])
    return np.stack([g, *mean, *across, *projected], axis=2), divergence.T


def resolved(g, s, divergence, gamma):
    """Of the scores of a frame's particles, docs/theory.md."""
    v = -gamma * (g + s)
    return -2 * gamma * (g.shape[1] + divergence) - 2 * (v * g).sum(axis=1) - (v ** 2).sum(axis=1) / gamma


def score_model(tree, folder):
    for name in ("test_pair_network", "test_pair_network64"):
        yield verify.finished(name, program(tree, 0, f"tests/{name}"))
    page = (tree / "docs/extending.md").read_text()
    (folder / "pair.yaml").write_text(re.search(r"^```yaml\n(.*?)^```", page, flags=re.M | re.S)[1])
    ran = program(tree, 2, "epflow", "run", folder / "pair.yaml", "--output", folder / "pair", "--set", "run.device=cpu")
    yield verify.finished("pair_run", ran)
    with h5py.File(folder / "pair/evaluation.h5") as file, h5py.File(folder / "pair/model.h5") as model:
        system, network = file["parameters/system"].attrs, file["parameters/network"].attrs
        gamma, fraction = system["gamma"], file["certificate"].attrs["resolved_fraction"]
        side = np.sqrt(system["particles"] * np.pi / system["packing_fraction"])
        frames = [features(x, g, side, network["functions"], network["radius"])
                  for x, g in zip(file["particles/evaluation/position"], file["particles/evaluation/propulsion"])]
        said = {name: file[f"particles/evaluation/{name}"][()]
                for name in ("propulsion", "s_g", "div_g", "resolved", "exact")}
        theta = np.concatenate([model[f"average/{name}"][()].ravel() for name in ("own", "mean", "across", "along")])
    wrong = {"s_g": 0, "div_g": 0, "resolved": 0}
    for t, (phi, divergence) in enumerate(frames):
        g, s = said["propulsion"][t], phi @ theta
        again = {"s_g": s, "div_g": -gamma * (g.shape[1] + divergence @ theta),
                 "resolved": resolved(g, s, divergence @ theta, gamma)}
        wrong = {name: max(wrong[name], abs(again[name] - said[name][t]).max()) for name in wrong}
    for name, error in wrong.items():
        yield verify.at_most(f"pair_{name}", error / abs(said[name]).max(), 1e-5)
    yield verify.equal("pair_printed", f"resolved fraction {fraction:.4g}" in ran.stderr + ran.stdout, True)
    # Score matching is least squares for such a score, and no weights resolve more on these frames than its solution.
    square = sum(np.einsum("iam,ian->mn", phi, phi) for phi, _ in frames)
    best = -np.linalg.lstsq(square, sum(divergence.sum(axis=0) for _, divergence in frames), rcond=1e-9)[0]
    most = np.mean([resolved(g, phi @ best, divergence @ best, gamma)
                    for (phi, divergence), g in zip(frames, said["propulsion"])]) / said["exact"].mean()
    yield verify.at_least("pair_of_least_squares", fraction / most, 0.97)
    yield verify.at_most("pair_of_least_squares", fraction / most, 1.00001)


# ---- the case ----

def examples(folder):
    """The worked examples of docs/extending.md, built in a copy of the tree, against numpy (minutes)."""
    tree = folder / "tree"
    copy_tree(verify.ROOT, tree)
    for name in ("field", "score-model"):
        yield verify.finished(f"{name}_applies", apply_example(tree, name))
    yield verify.finished("build", build(tree))
    yield from field(tree, folder)
    yield from score_model(tree, folder)
    for ranks, name in ((2, "test_snapshot"), (2, "test_entropy")):
        yield verify.finished(name, program(tree, ranks, f"tests/{name}"))
    reference = program(tree, 0, "epflow", "help", "reference")
    yield verify.equal("reference_is_new", reference.stdout == (tree / "docs/reference.md").read_text(), True)
    pages = subprocess.run([sys.executable, "tests/docs/docs.py", "build/release/epflow", "."], cwd=tree,
                           capture_output=True, text=True, check=False)
    yield verify.finished("pages", pages)
