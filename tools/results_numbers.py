"""results_numbers.py DIR: from the files of tools/reproduce numbers.json, all that docs/results.md says, and pictures.

Means are over particles and frames. Errors are standard errors by the jackknife over blocks of 1, 2, 4, ... frames, at
least 4 blocks, the largest; a pair [value, error] in numbers.json.
"""
import json
import pathlib
import sys

import h5py
import numpy as np

from plots import paper, style
from plots.files import attribute, box_sides, parameter, required
from plots.interface import cell_distances, largest_region, radial, radius_of

MODELS = ("response", "window-xg", "window-g")
DIAMETER = 2.0  # r0
NEAR = (1, 2)  # diameters
FAR = 5.0  # r0 from the interface: inside a phase
RADIAL_BIN = 2.0  # r0
DROPLETS = ("phi-0.3", "droplet", "phi-0.4")  # sets that may have one: the first where phases have separated is drawn
STIFFNESS = (0.1, 0.3, 1.0, 3.0)  # between classes of particles, by their exact rate, in 1/time


def ratio(above, below):
    """sum(above) / sum(below) of series in time, and its error; NaN where nothing is known."""
    above, below = (np.asarray(series, float) for series in (above, below))
    if not below.sum() != 0:
        return [float("nan"), float("nan")]
    whole, largest, size = above.sum() / below.sum(), np.nan, 1
    while len(above) // size >= (2 if size == 1 else 4):
        a, b = (x[:len(x) // size * size].reshape(-1, size).sum(axis=1) for x in (above, below))
        left = b.sum() - b
        without = (a.sum() - a)[left != 0] / left[left != 0]
        if len(without) > 1:
            spread = without - a.sum() / b.sum()
            largest = np.fmax(largest, np.sqrt((len(without) - 1) / len(without) * np.sum(spread**2)))
        size *= 2
    return [float(whole), float(largest)]


class Evaluated:
    """An evaluation of a set: sums over the particles of every frame."""

    def __init__(self, folder):
        self.file = h5py.File(folder / "evaluation.h5", "r")
        if attribute(self.file, "complete", 1) != 1:
            sys.exit(f"results_numbers: error: {folder} is not complete")
        self.group = self.file["particles/evaluation"]
        self.gamma = parameter(self.file, "system", "gamma")
        self.particles, self.frames = int(parameter(self.file, "system", "particles")), len(self.group["step"])

    def column(self, name):
        return required(self.group, name)[()]

    def sums(self, name):
        return self.column(name).sum(axis=1)

    def close(self):
        self.file.close()


# ---- the certificate ----

def by_class(found, limits):
    """Sums over the particles of every frame and class of stiffness: (resolved + sigma) / 2, and sigma. A particle's
    exact rate is its stiffness, which depends on positions alone: in every class of it the two tell as much of the
    network's scale as they do in all particles."""
    classes = np.digitize(found.column("exact"), limits)
    linear, square = 0.5 * (found.column("resolved") + found.column("sigma")), found.column("sigma")
    return [np.stack([np.where(classes == k, column, 0).sum(axis=1) for k in range(len(limits) + 1)], axis=1)
            for column in (linear, square)]


def scales(output, model, densities, limits=()):
    """Factors of w = g + s, one of every class of stiffness (all particles are one without limits), with which on the
    frames that training held out a network resolves most: there its own total is the resolved one. With a factor c
    the total of sigma is c^2 as large, and resolved is c (resolved + sigma) - c^2 sigma."""
    sums = []
    for phi in densities:
        found = Evaluated(output / "evaluations" / model / f"train-{phi:g}")
        sums.append(by_class(found, limits))
        found.close()
    linear, square = (np.concatenate(series) for series in zip(*sums))
    return [ratio(linear[:, k], square[:, k]) for k in range(len(limits) + 1)]


def calibrated(exact, linear, square, factors):
    """Of a set, with those factors: resolved fraction, and what the network's own total is more, its error that of
    the frames and of the factors together."""
    c, error = (np.nan_to_num(values, nan=fallback) for values, fallback in zip(np.transpose(factors), (1, 0)))
    excess, frames = ratio((2 * c**2 * square - 2 * c * linear).sum(axis=1), exact)
    slopes = (4 * c * square - 2 * linear).sum(axis=0) / exact.sum()
    whole = float(np.hypot(frames, np.sqrt(np.sum((error * slopes)**2))))
    return {"fraction": ratio((2 * c * linear - c**2 * square).sum(axis=1), exact), "excess": [excess, whole],
            "z": excess / whole if whole > 0 else float("nan")}


def certificate(found, factors=None, limits=()):
    """What a model resolves of a set, and whether the total of its own flow is the exact one times that fraction."""
    exact, resolved, captured = (found.sums(name) for name in ("exact", "resolved", "sigma"))
    count = np.full(found.frames, found.particles)
    excess, error = ratio(captured - resolved, exact)
    own = found.file["certificate"].attrs
    more = {"calibrated": calibrated(exact, *by_class(found, limits), factors)} if factors else {}
    return {**more, "exact": ratio(exact, count), "captured": ratio(captured, count),
            "resolved": ratio(resolved, count),
            "fraction": [float(own["resolved_fraction"]), float(own["resolved_fraction_error"])],
            "captured_fraction": ratio(captured, exact), "excess": [excess, error],
            "z": excess / error if error > 0 else float("nan"),
            "total": [float(own["exact_total"]), float(own["exact_total_error"])],
            "certified": [float(own["certified_total"]), float(own["certified_total_error"])],
            "smoothed": ratio(found.sums("smoothed_sigma"), count),
            "g_part": ratio(found.sums("sigma_g"), count), "div_x": ratio(found.sums("div_x"), count),
            "div_g": ratio(found.sums("div_g"), count), "frames": found.frames}


# ---- the interface ----

def frames_of_fields(found):
    """Of every frame: packing fraction, EPR and exact EPR per area (-div_x b), the spacing."""
    fields = found.file["fields"]
    spacing = np.broadcast_to(np.atleast_1d(attribute(fields, "spacing", attribute(fields["density"], "spacing"))), 2)
    for frame in range(found.frames):
        yield (np.pi * fields["density"][frame], fields["epr"][frame], -fields["div_x"][frame],
               tuple(float(step) for step in spacing))


def phases_of_frame(packing, level, spacing):
    """Area near the interface, by NEAR, and (sum, cells) of the packing fraction far inside gas and dense phase."""
    dense = packing > level
    distance = cell_distances(dense, spacing, max(FAR, DIAMETER * max(NEAR)))
    far = np.abs(distance) > FAR
    inside = [far & (dense == side) for side in (False, True)]
    return [*(np.mean(np.abs(distance) <= DIAMETER * near) for near in NEAR),
            *(value for chosen in inside for value in (packing[chosen].sum(), chosen.sum())), dense.mean()]


def interface(found):
    """Shares of area, of particles and of entropy production near the interface; packing fractions of the phases."""
    level = parameter(found.file, "evaluation", "interface_density")
    rows = np.array([phases_of_frame(packing, level, spacing) for packing, _, _, spacing in frames_of_fields(found)])
    one = np.ones(found.frames)
    result = {"gas": ratio(rows[:, 2], rows[:, 3]), "dense": ratio(rows[:, 4], rows[:, 5]),
              "dense_area": ratio(rows[:, 6], one)}
    for which, near in enumerate(NEAR):
        result[f"area_{near}"] = ratio(rows[:, which], one)
    return result


def shares(found, distance, columns, area):
    """Of what is within so many diameters of the interface: the share of every column's sum, and over that of area."""
    result = {}
    for near in NEAR:
        inside = np.abs(distance) <= DIAMETER * near
        for name in columns:
            values = np.ones_like(distance) if name == "particles" else found.column(name)
            result[f"{name}_{near}"] = ratio(np.where(inside, values, 0).sum(axis=1), values.sum(axis=1))
            value, error = result[f"{name}_{near}"]
            result[f"{name}_{near}_over_area"] = [value / area[f"area_{near}"][0], error / area[f"area_{near}"][0]] \
                if area[f"area_{near}"][0] > 0 else [float("nan"), float("nan")]
    return result


# ---- droplet and bubble ----

def radial_profile(found, dense):
    """Round the largest dense region of every frame, or the largest of gas: packing fraction and EPR per area."""
    level, side = parameter(found.file, "evaluation", "interface_density"), min(box_sides(found.file, 2))
    edges = np.arange(0, side / 2, RADIAL_BIN)
    sums, radii = [], []
    for packing, epr, exact, spacing in frames_of_fields(found):
        region = largest_region((packing > level) == dense)
        if not region.any():
            continue
        sums.append(radial(region, spacing, edges, (packing, epr, exact)))
        radii.append(radius_of(region, spacing))
    if len(sums) < 2:
        return None
    sums = np.array(sums)  # (frames, quantities with the area first, bins)
    columns = [[ratio(sums[:, 1 + q, b], sums[:, 0, b]) for b in range(len(edges) - 1)] for q in range(3)]
    return {"r": (0.5 * (edges[1:] + edges[:-1])).tolist(), "packing": columns[0], "epr": columns[1],
            "exact": columns[2], "radius": ratio(radii, np.ones(len(radii)))}


# ---- all ----

def set_numbers(output, name, factors):
    """Of one set of frames: by model, and what the response network's evaluation says of the phases."""
    found = Evaluated(output / "evaluations/response" / name)
    distance, where = found.column("interface_distance"), interface(found)
    one = {"phi": float(np.pi * found.particles / np.prod(box_sides(found.file, 2))), "particles": found.particles,
           "interface": where, "models": {}}
    where.update(shares(found, distance, ("particles", "exact", "resolved", "sigma"), where))
    one["models"]["response"] = certificate(found, factors["response"], STIFFNESS)
    if name == "droplet":
        one["label"] = "from a droplet"
    if name in DROPLETS:
        one["radial"] = radial_profile(found, True)
    if name == "phi-0.7":
        one["radial"] = radial_profile(found, False)
    found.close()
    for model in MODELS[1:]:
        found = Evaluated(output / "evaluations" / model / name)
        one["models"][model] = certificate(found, factors[model])
        one["models"][model]["shares"] = shares(found, distance, ("sigma",), where)
        found.close()
    return one


def separated(one, sets, least=0.9):
    """Whether both phases have insides, and the dense one is as dense as it is at one half."""
    gas, dense, half = (which["interface"][name][0] for which, name in ((one, "gas"), (one, "dense"),
                                                                        (sets["phi-0.5"], "dense")))
    return bool(np.isfinite(gas) and np.isfinite(dense) and dense >= least * (half if np.isfinite(half) else 0))


def all_sets(output, names, factors):
    """(sets by name, which of them has the droplet that is drawn)"""
    sets = {name: set_numbers(output, name, factors) for name in names}
    for one in sets.values():
        one["separated"] = separated(one, sets)
    droplets = [name for name in DROPLETS if name in sets]
    return sets, next((name for name in droplets if sets[name]["separated"]), droplets[0])


def training(output, name, times):
    """Of a model: weights, steps, noise, mean loss of its last steps, resolved fraction of held-out frames."""
    with h5py.File(output / "models" / name / "model.h5", "r") as file:
        weights = []
        file["weights"].visititems(lambda _, item: weights.append(getattr(item, "size", 0)))
        test, loss = file["training/test"], file["training/log/loss"]
        return {"weights": int(sum(weights)), "steps": int(file.attrs["step"]), "sigma": float(file.attrs["sigma"]),
                "seconds": times[f"models/{name}"]["seconds"], "loss": float(np.mean(loss[-max(1, len(loss) // 20):])),
                "held_out": [float(test[name][-1]) for name in ("resolved_fraction", "error")]}


def rates(output, times):
    """Of every simulation: seconds, also of attempts that were interrupted; particle-steps a second of the last."""
    found = {}
    for path in sorted(output.glob("logs/data-*.json")):
        stage = json.loads(path.read_text())["stages"][0]
        if "particle_steps" in stage:
            found[path.stem[5:]] = {"seconds": times[f"data/{path.stem[5:]}"]["seconds"],
                                    "rate": stage["particle_steps_per_second"]}
    return found


def million(output, times):
    folder = output / "evaluations/response/million"
    stage = json.loads((output / "logs/evaluations-response-million.json").read_text())["stages"][0]
    found = Evaluated(folder)
    result = {"particles": found.particles, "seconds": times["evaluations/response/million"]["seconds"],
              "memory": stage.get("memory_peak_bytes", {}).get("sum"), **certificate(found)}
    found.close()
    return result


def main():
    output = pathlib.Path(sys.argv[1])
    size, times = (json.loads((output / name).read_text()) for name in ("size.json", "times.json"))
    factors = {"response": scales(output, "response", size["train_densities"], STIFFNESS),
               **{model: scales(output, model, (0.5,)) for model in MODELS[1:]}}
    sets, droplet = all_sets(output, size["sets"], factors)
    numbers = {"size": size, "sets": sets, "droplet": droplet, "scales": factors, "stiffness": STIFFNESS,
               "training": {name: training(output, name, times) for name in MODELS},
               "rates": rates(output, times), "million": million(output, times),
               "scaling": json.loads((output / "scaling/evaluation.json").read_text())}
    (output / "numbers.json").write_text(json.dumps(numbers, indent=1))
    style.use_style("light")
    paper.draw_all(output, numbers)


if __name__ == "__main__":
    main()
