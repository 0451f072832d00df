"""Opens a trajectory of epflow in MDAnalysis and compares what it sees with the datasets: check_mdanalysis.py FILE."""
import sys

import h5py
import MDAnalysis
import numpy as np


def main(path):
    with h5py.File(path, "r") as file:
        group = file["particles/trajectory"]
        position = group["position/value"][:]
        time = group["position/time"][:]
        edges = group["box/edges/value"][:]
        written = int(np.sum(group["position/step"][:] >= 0))
        boundary = [b.decode() for b in group["box"].attrs["boundary"]]
    assert position.dtype == np.float64 and position.shape[2] == 3, position.dtype
    universe = MDAnalysis.Universe.empty(position.shape[1], trajectory=True)
    universe.load_new(path, format="H5MD", convert_units=False)
    assert len(universe.trajectory) == written == len(position), (len(universe.trajectory), written)
    for frame, step in enumerate(universe.trajectory):
        assert np.allclose(step.positions, position[frame], rtol=0, atol=1e-5), f"positions of frame {frame}"
        assert np.isclose(step.time, time[frame]), f"time of frame {frame}"
        sides = np.diag(edges[frame])
        assert np.allclose(step.dimensions[:3], sides, rtol=1e-6), f"box of frame {frame}"
        assert np.allclose(step.dimensions[3:], 90), f"angles of frame {frame}"
        assert np.all(position[frame] >= 0) and np.all(position[frame] < sides), "positions outside the box"
    assert boundary[2] == "periodic", boundary
    print(f"MDAnalysis {MDAnalysis.__version__} reads {written} frames of {position.shape[1]} particles")


if __name__ == "__main__":
    main(sys.argv[1])
