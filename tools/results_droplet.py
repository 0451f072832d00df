"""results_droplet.py TRAJECTORY SIDE START: a start with a droplet, of the last frame of a phase-separated trajectory.

The square box is made larger, to SIDE r0, round the largest dense region, whose particles stay where they are beside
each other; the room that is new is where the gas was, and empty. Gas fills it within 1/gamma. START is a copy of the
trajectory with that as its last frame, without checksums, for simulation.start: START@last.
"""
import pathlib
import sys

import h5py
import numpy as np

from plots.files import box_sides
from plots.interface import centre, largest_region

CELL, LEVEL = 6.0, 0.5  # r0: cells in which particles are counted; of the packing fraction, between gas and dense phase


def droplet_centre(position, side):
    """Of the largest region of cells that are dense."""
    cells = int(side / CELL)
    at = np.floor(position / side * cells).astype(int) % cells
    count = np.zeros((cells, cells))
    np.add.at(count, (at[:, 1], at[:, 0]), 1)
    near = sum(np.roll(count, shift, axis=(0, 1)) for shift in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))) / 5
    region = largest_region(near * np.pi / (side / cells)**2 > LEVEL)
    return (np.array(centre(region)[::-1]) + 0.5) * side / cells


def enlarged(position, side, to):
    """Positions in the larger box, whose middle is the droplet's."""
    away = position - droplet_centre(position, side)
    return away - side * np.round(away / side) + 0.5 * to


def main():
    source, side, start = pathlib.Path(sys.argv[1]), float(sys.argv[2]), pathlib.Path(sys.argv[3])
    start.parent.mkdir(parents=True, exist_ok=True)
    part = start.with_suffix(".part")
    with h5py.File(source, "r") as old, h5py.File(part, "w") as new:
        for name, value in old.attrs.items():
            if name != "checksum":
                new.attrs[name] = value
        for name in ("h5md", "parameters", "particles", "provenance"):
            old.copy(name, new)
        del new["parameters/checksums"]
        box = box_sides(old, 2)
        if box[0] != box[1] or not box[0] < side:
            sys.exit(f"results_droplet: error: {source} has a box of {box}: it must be square, and smaller than {side}")
        group = new["particles/trajectory"]
        last = int(new["provenance/frames_written"][0]) - 1
        group["position/value"][last, :, :2] = enlarged(group["position/value"][last, :, :2], box[0], side)
        group["image/value"][last] = 0
        for axis in range(2):
            group["box/edges/value"][:, axis, axis] = side
        of_all = new["parameters/system"].attrs
        of_all["packing_fraction"], of_all["box"] = of_all["particles"] * np.pi / side**2, np.bytes_("[]")
    part.rename(start)


if __name__ == "__main__":
    main()
