"""Cases of tools/verify about data: of other programs, and of several trajectories. verify.py names them in CASES."""
import re
import sys

import h5py
import numpy as np

import verify


def convert(own, foreign):
    """The frames of a trajectory of epflow as another program might write them: group particles/all, float32,
    unwrapped, the propulsion under another name, a fixed box, fixed steps and times."""
    with h5py.File(own, "r") as source, h5py.File(foreign, "w") as target:
        frames = source["particles/trajectory"]
        sides = np.diagonal(frames["box/edges/value"][0])[:2]
        positions, images = (frames[f"{name}/value"][:, :, :2] for name in ("position", "image"))
        group = target.create_group("particles/all")
        group["box/edges"] = sides
        group["box"].attrs["dimension"] = 2
        group["box"].attrs["boundary"] = ["periodic", "periodic"]
        group["position/value"] = (positions + images * sides).astype(np.float32)
        group["director/value"] = frames["propulsion/value"][()].astype(np.float32)
        for name in ("step", "time"):
            values = frames[f"position/{name}"][()]
            for element in ("position", "director"):
                group[f"{element}/{name}"] = values[1] - values[0]
                group[f"{element}/{name}"].attrs["offset"] = values[0]


def read_results(folder):
    """Numbers by name, of the training and of the evaluation; and the left side of I0."""
    with h5py.File(folder / "model.h5", "r") as file:
        trained = {"training_loss": file["training/log/loss"][()],
                   "test_resolved": file["training/test/resolved_fraction"][()]}
    with h5py.File(folder / "evaluation.h5", "r") as file:
        particles, certificate = file["particles/evaluation"], file["certificate"]
        evaluated = {name: particles[name][()] for name in ("v_x", "v_g", "div_x", "div_g", "step", "time")}
        evaluated.update({name: certificate.attrs[name] for name in ("exact", "resolved", "resolved_fraction")})
        return trained, evaluated, float(certificate["I0"].attrs["left"])


def distance(a, b):
    """Root mean square difference, relative to the values."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return float(np.sqrt(np.mean((a - b) ** 2) / np.mean(a ** 2)))


def foreign(folder):
    """A trajectory as another program would write it trains and evaluates to the results of epflow's own."""
    own, other = (verify.write_small(folder, name, particles=128, frames=20) for name in ("own", "other"))
    yield verify.finished("simulate_exit_code", verify.run(2, "simulate", own))
    file = folder / "foreign.h5"
    convert(folder / "own/trajectory.h5", file)
    named = ["--set", "data.position=particles/all/position", "--set", "data.propulsion=particles/all/director",
             "--set", f"training.trajectories=[{{file: {file}, weight: 1}}]",
             "--set", f"evaluation.trajectories=[{file}]"]
    short = ["--set", "training.steps=300"]
    # One model for both evaluations, so that what differs is the reading of the frames alone.
    shared = ["--set", f"evaluation.models=[{folder / 'own/model.h5'}]"]
    for stage, model in (("train", []), ("evaluate", shared)):
        yield verify.finished(f"own_{stage}", verify.run(2, stage, own, *short, *model))
        yield verify.finished(f"foreign_{stage}", verify.run(2, stage, other, *short, *model, *named))
    *ours, our_i0 = read_results(folder / "own")
    *theirs, their_i0 = read_results(folder / "other")
    for own_values, foreign_values in zip(ours, theirs):
        for name, values in own_values.items():
            yield verify.at_most(f"differs_{name}", distance(values, foreign_values[name]), 1e-4)
    yield verify.equal("own_i0", "there" if np.isfinite(our_i0) else "nan", "there")
    yield verify.equal("foreign_i0", "there" if np.isfinite(their_i0) else "nan", "nan")
    missing = verify.run(2, "train", other, "--overwrite", *named[:1], "data.position=particles/all/velocity",
                         *named[2:])
    said = missing.returncode == 2 and "particles/all/director" in missing.stderr
    yield verify.equal("missing_element", "refused" if said else "not", "refused")


# ---- several trajectories ----

def held_out(result):
    """The fractions that a training reports last: of all trajectories, and of each by its file."""
    said = re.findall(r"resolved fraction (\S+) \+- \S+, of (\S+)", result.stderr + result.stdout)
    return {name: float(value) for value, name in said}


def tensors(path):
    """All weights of a model, one after the other."""
    values = []
    with h5py.File(path, "r") as file:
        file["average"].visititems(lambda _, item: values.append(item[()].ravel())
                                   if isinstance(item, h5py.Dataset) else None)
    return np.concatenate(values)


def refused(quantity, result, *words):
    said = [line for line in result.stderr.splitlines() if line.startswith("epflow: error:")]
    good = result.returncode == 2 and len(said) == 1 and all(word in said[0] for word in words)
    if not good:
        print(result.stderr, file=sys.stderr)
    return verify.equal(quantity, "refused" if good else "not", "refused")


def mix(folder):
    """Trajectories of two densities and sizes are trained on together, on any number of ranks alike; other physics
    are refused, and so is going on with trajectories that changed."""
    source = verify.write_small(folder, "mix", particles=200)
    thin = folder / "thin/trajectory.h5"
    make_thin = ["simulate", verify.write_small(folder, "thin", particles=128, frames=20), "--set",
                 "system.packing_fraction=0.3"]
    yield verify.finished("thin_exit_code", verify.run(1, *make_thin))
    yield verify.finished("dense_exit_code", verify.run(2, "simulate", verify.write_small(folder, "dense", 200, 20)))
    files = f"[{{file: {thin}, weight: 1}}, {{file: {folder}/dense/trajectory.h5, weight: 3}}]"
    options = ["--set", f"training.trajectories={files}", "--set", "training.steps=200", "--set",
               "training.frames_per_step=3", "--set", "training.noise=rademacher", "--set",
               "training.weighting=stiffness"]
    plan = verify.run(1, "train", source, *options, "--dry-run")
    said = plan.stdout + plan.stderr
    for words in ("thin/trajectory.h5: phi 0.3, N = 128, 15 frames to train on, 5 held out, share 0.25",
                  "dense/trajectory.h5: phi 0.5, N = 200, 15 frames to train on, 5 held out, share 0.75"):
        yield verify.equal("plan_" + words.split("/")[0], "said" if words in said else "not", "said")
    results, models = {}, {}
    for ranks in (1, 2, 4):
        output = folder / f"mix{ranks}"
        result = verify.run(ranks, "train", source, *options, "--output", output)
        yield verify.finished(f"exit_code_{ranks}", result)
        results[ranks], models[ranks] = held_out(result), tensors(output / "model.h5")
    yield verify.equal("trajectories_tested", len(results[1]), 3)  # and all together
    parts = [value for name, value in results[1].items() if name != "all"]
    yield verify.equal("fractions_differ", "yes" if len(set(parts)) == 2 else "no", "yes")
    yield verify.equal("all_between", "yes" if min(parts) < results[1]["all"] < max(parts) else "no", "yes")
    for ranks in (2, 4):
        yield verify.at_most(f"weights_{ranks}", distance(models[ranks], models[1]), 1e-3)
        yield verify.at_most(f"fractions_{ranks}", max(abs(results[ranks][name] - results[1][name])
                                                       for name in results[1]), 1e-3)

    again = ["train", source, *options, "--output", folder / "mix2", "--resume"]
    yield verify.finished("complete_exit_code", verify.run(2, *again))
    yield refused("other_key", verify.run(2, *again, "--set", "training.second_decay=0.9"),
                  "training.second_decay = 0.999", "0.9 now")
    for name, change, words in (
            ("grown", "simulation.frames=25", ("frames = 25, then 20", "simulation.frames = 25, then 20")),
            ("other_seed", "simulation.seed=8", ("simulation.seed = 8, then 7",)),
            ("other_density", "system.packing_fraction=0.4", ("system.packing_fraction = 0.4", "then 0.3"))):
        yield verify.finished(f"{name}_exit_code", verify.run(1, *make_thin, "--set", change, "--overwrite"))
        yield refused(name, verify.run(2, *again), str(thin), "mix2/model.h5", "--overwrite", "made = ", *words)
    yield verify.finished("other_gamma_exit_code",
                          verify.run(1, *make_thin, "--set", "system.gamma=0.2", "--overwrite"))
    for name, option in (("other_gamma_plan", "--dry-run"), ("other_gamma", "--overwrite")):
        yield refused(name, verify.run(2, *again[:-1], option), str(thin), "system.gamma = 0.2", "0.1")
