"""Cases of tools/verify about data that epflow did not write itself; verify.py names them in CASES."""
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
