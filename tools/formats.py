#!/usr/bin/env python3
"""Lists what is in files of epflow as Markdown, from what the files say of themselves: the tables of docs/formats.md.

    tools/formats.py DIR     the folder of a complete run: trajectory.h5, restart.h5, model.h5, evaluation.h5

Tensors of a network and parameters are left out: `epflow info FILE --json` names them all.
"""
import pathlib
import sys

import h5py

FILES = ["trajectory.h5", "restart.h5", "model.h5", "evaluation.h5"]
LEFT_OUT = ("parameters/", "provenance", "weights/", "average/", "optimizer/", "back/", "network", "system", "h5md")
KEPT = ("parameters/scalars/", "parameters/checksums/")
TABLES = ("certificate/by_density", "certificate/by_contacts")  # like by_phase


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def is_shown(name):
    return name.startswith(KEPT) or not name.startswith(LEFT_OUT + TABLES)


# What H5MD knows the meaning of, and rows that are the same in every table.
KNOWN = {
    "box/edges/value": "sides of the box, a matrix a frame", "position/value": "position x, in [0, L); missing axes 0",
    "image/value": "boxes crossed: unwrapped = x + L image", "propulsion/value": "self-propulsion g",
    "trajectory/id": "number of the particle, from 0", "position/step": "step of the simulation; -1: not written",
    "position/time": "time of the simulation",
    "provenance/end_time": "when the run ended", "provenance/frames_written": "in all",
    "log/step": "step of training", "log/loss": "loss, mean since the row before", "log/rate": "learning rate",
    "log/gradient_norm": "norm of the gradient, mean since the row before", "log/particles_per_second": "speed",
    "test/step": "step of training", "test/resolved_fraction": "of held-out frames", "test/error": "its standard error",
    "test/residual": "stationarity: mean of (sum_i div v_i + v_i . s_i)^2 / (2 N d); 0 where it is not computed",
}


def axes(name, dataset, sizes):
    """Shape, its axes by name where the size tells."""
    if name.startswith("training/"):
        return "rows"
    return " x ".join(sizes.get(size, str(size)) for size in dataset.shape)


def meaning(name, about):
    known = [words for end, words in KNOWN.items() if name.endswith(end)]
    return about.get("description") or (known[0] if known else "")


def sizes_of(file):
    """Names of the sizes that a file's shapes are made of."""
    sizes = {}
    if "parameters/system" in file:
        sizes[int(file["parameters/system"].attrs["particles"])] = "N"
    for path in ("particles/trajectory/position/step", "particles/evaluation/step"):
        if path in file:
            sizes[file[path].size] = "T"
    return sizes


def listing(path):
    rows = ["| dataset | shape | type | unit | what it is |", "|---|---|---|---|---|"]
    with h5py.File(path) as file:
        sizes = sizes_of(file)

        def row(name, item):
            if isinstance(item, h5py.Dataset) and is_shown(name):
                about = {key: text(value).replace("|", "\\|") for key, value in item.attrs.items()}
                kind = "text" if item.dtype.kind == "S" else str(item.dtype)
                rows.append(f"| `/{name}` | {axes(name, item, sizes)} | {kind} | {about.get('unit', '')} | "
                            f"{meaning(name, about)} |")

        file.visititems(row)
    return rows


def main(folder):
    for name in FILES:
        print(f"### {name}\n")
        print("\n".join(listing(folder / name)))
        print()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
