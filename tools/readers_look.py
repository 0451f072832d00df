"""Runs the recipe of one reader out of docs/recipes.md, in its Python, and compares what it got with what h5py reads.

    readers_look.py READER PAGE        in the folder of a run; prints a line of JSON for every comparison:
                                       [quantity, value, target, reached]

For tools/verify readers. The blocks of a recipe run one after the other, as they stand on the page; the comparisons use the
names that they leave behind.
"""
import colorsys
import json
import re
import sys

import h5py
import numpy as np


def recipe(page, reader):
    """Blocks (language, text) of the section of this name."""
    section = re.search(rf"^## {reader}\n(.*?)(?=^## |\Z)", page, re.M | re.S)[1]
    return re.findall(r"^```(\w+)\n(.*?)^```", section, re.M | re.S)


def say(quantity, value, target, reached):
    print(json.dumps([quantity, str(value), str(target), bool(reached)]), flush=True)


def equal(quantity, value, target):
    say(quantity, value, target, value == target)


def same(quantity, got, expected, relative=0.0):
    """The largest difference of two arrays, over the largest number of the second."""
    got, expected = np.asarray(got, float), np.asarray(expected, float)
    if got.shape != expected.shape:
        say(quantity, f"shape{got.shape}".replace(" ", ""), f"shape{expected.shape}".replace(" ", ""), False)
        return
    if not np.array_equal(np.isnan(got), np.isnan(expected)):
        say(quantity, "NaN", "numbers", False)
        return
    off = np.nanmax(np.abs(got - expected), initial=0) / max(np.nanmax(np.abs(expected), initial=0), 1e-300)
    say(quantity, f"{off:.1e}", f"<={relative:g}", off <= relative)


# ---- what h5py reads ----

class Run:
    def __init__(self):
        with h5py.File("trajectory.h5") as file:
            group = file["particles/trajectory"]
            self.d = int(file["parameters/system"].attrs["dimension"])
            self.position, self.time = group["position/value"][:], group["position/time"][:]
            self.step, self.image = group["position/step"][:], group["image/value"][:]
            self.g = group["propulsion/value"][:]
            self.side = group["box/edges/value"][0].diagonal()
            self.unwrapped = self.position + self.image * self.side
        with h5py.File("evaluation.h5") as file:
            self.columns = {name: item[:] for name, item in file["particles/evaluation"].items()}
            self.fields = {name: item[:] for name, item in file["fields"].items()}
            self.spacing = file["fields/epr"].attrs["spacing"]
            self.identity = {name: dict(item.attrs) for name, item in file["certificate"].items()
                             if "left" in item.attrs}
            self.fraction = file["certificate"].attrs["resolved_fraction"]
            self.phase_fraction = file["certificate/by_phase/resolved_fraction"][:]
            self.gamma = file["parameters/system"].attrs["gamma"]
        self.sigma = self.columns["sigma"]

    def three(self, rows):
        return np.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, 3 - rows.shape[-1])])


# ---- readers ----

def look_h5py(run, got):
    equal("written_frames", int(np.sum(run.step >= 0)), len(run.step))
    same("position", got["position"], run.position[-1])
    same("time", got["time"], run.columns["time"])
    same("side", got["side"], run.side)
    same("position_evaluation", run.columns["position"], run.position[:, :, :run.d], 1e-15)
    equal("inside_the_box", bool(np.all((run.position >= 0) & (run.position < run.side))), True)
    same("epr", got["epr"], run.sigma[-1])
    same("field", got["field"], run.fields["epr"][-1])
    cells = np.array(got["field"].shape[::-1])[:run.d]
    same("grid_fills_the_box", got["spacing"][:run.d] * cells, run.side[:run.d], 1e-12)


def look_pandas(run, got):
    equal("identities", ",".join(got["identities"].index), ",".join(run.identity))
    for name in ("I0", "resolved"):
        row = got["identities"].loc[name]
        same(f"difference_{name}", row["left"] - row["right"], run.identity[name]["difference"], 1e-9)
    same("phases", got["phases"]["resolved_fraction"], run.phase_fraction)


def look_info(run, got):
    same("fraction", got["fraction"], run.fraction)
    same("gamma", got["gamma"], run.gamma)


def look_mdanalysis(run, got):
    trajectory = got["universe"].trajectory
    equal("frames", len(trajectory), len(run.step))
    same("position_recipe", got["position"], run.position[-1], 1e-7)
    same("box", got["box"], [*run.side, 90, 90, 90], 1e-7)
    same("position", [step.positions.copy() for step in trajectory], run.position, 1e-7)
    same("time", [step.time for step in trajectory], run.time, 1e-12)
    same("boxes", [step.dimensions[:3] for step in trajectory], [run.side] * len(run.step), 1e-7)


def look_amep(run, got):
    import amep
    trajectory, evaluation = got["trajectory"], amep.load.traj("evaluation.h5amep")
    equal("frames", len(trajectory), len(run.step))
    equal("dimension", trajectory.dim, run.d)
    same("time", trajectory.times, run.time)
    same("step", trajectory.steps, run.step)
    box = trajectory[0].box[:run.d]
    same("box", box[:, 1] - box[:, 0], run.side[:run.d])
    same("position", [frame.coords() for frame in trajectory], run.position)
    same("unwrapped", [frame.unwrapped_coords() for frame in trajectory], run.unwrapped, 1e-15)
    same("orientation", [frame.orientations() for frame in trajectory], run.three(run.g))
    squared = np.mean(np.sum((run.unwrapped - run.unwrapped[0])**2, axis=2), axis=1)
    same("displacement", got["displacement"].frames, squared, 1e-6)
    same("epr_recipe", got["epr"], run.sigma[-1])
    same("epr", [frame.data("sigma") for frame in evaluation], run.sigma)
    same("velocity", [frame.velocities() for frame in evaluation], run.three(run.columns["v_x"]))


def look_ase(run, got):
    frames = got["frames"]
    equal("frames", len(frames), len(run.step))
    same("time", got["time"], run.time)
    same("step", [frame.info["Timestep"] for frame in frames], run.step)
    same("box", [frame.cell.lengths()[:run.d] for frame in frames], [run.side[:run.d]] * len(frames))
    equal("periodic", list(map(bool, frames[0].pbc)), [axis < run.d for axis in range(3)])
    same("position", [frame.positions for frame in frames], run.position, 1e-9)
    same("epr", [frame.arrays["sigma"] for frame in frames], run.sigma, 1e-9)
    same("velocity", [frame.arrays["v_x"] for frame in frames], run.columns["v_x"], 1e-9)
    same("id", frames[0].arrays["id"], np.arange(len(run.position[0])))


def look_ovito(run, got):
    pipeline, viewport = got["pipeline"], got["viewport"]
    equal("frames", pipeline.num_frames, len(run.step))
    data = [pipeline.compute(frame) for frame in range(pipeline.num_frames)]
    same("time", [d.attributes["Time"] for d in data], run.time)
    same("box", [np.diagonal(d.cell[...])[:run.d] for d in data], [run.side[:run.d]] * len(data))
    equal("periodic", list(map(bool, data[0].cell.pbc)), [axis < run.d for axis in range(3)])
    same("position", [d.particles.positions[...] for d in data], run.position, 1e-9)
    same("epr", [d.particles["sigma"][...] for d in data], run.sigma, 1e-9)
    same("velocity", [d.particles["v_x"][...] for d in data], run.columns["v_x"], 1e-9)
    if run.d == 2:
        look_at_particles(run, image("particles.png", 600), np.array(viewport.camera_pos[:2]), viewport.fov)


def look_paraview(run, got):
    from paraview import servermanager
    from vtk.util.numpy_support import vtk_to_numpy
    readers = {"ParaView": got["fields"], "version_2": got["XDMFReader"](FileNames=[got["os"].path.abspath("fields.xmf")])}
    for name, reader in readers.items():
        same(f"time_{name}", reader.TimestepValues, run.time)
        arrays = {key: [] for key in components(run, 0)}
        for time in reader.TimestepValues:
            reader.UpdatePipeline(time)
            data = servermanager.Fetch(reader)
            for key, values in arrays.items():
                array = data.GetCellData().GetArray(key)
                values.append(vtk_to_numpy(array).copy() if array else [])
        bounds = np.array(data.GetBounds()).reshape(3, 2)[:run.d]
        same(f"bounds_{name}", bounds[:, 1] - bounds[:, 0], run.side[:run.d], 1e-12)
        for key, values in arrays.items():
            same(f"{key}_{name}", values, [components(run, frame)[key] for frame in range(len(run.step))])
    if run.d == 2:
        look_at_field(run, image("fields.png", 600), got["GetActiveView"]())


def components(run, frame):
    """Values of the cells by the names they have in the viewer, x fastest."""
    axes = 3 if run.d == 3 else 2
    found = {}
    for name, values in run.fields.items():
        if values.ndim == 1 + axes:
            found[name] = values[frame].ravel()
        else:
            found.update({f"{name}_{'xyz'[c]}": values[frame][..., c].ravel() for c in range(values.shape[-1])})
    return found


# ---- pictures ----

def image(path, size):
    """(rows from below, columns, colours)."""
    try:
        from PIL import Image
        pixels = np.asarray(Image.open(path).convert("RGB"), float)[::-1] / 255
    except ImportError:
        import matplotlib.image
        pixels = matplotlib.image.imread(path)[::-1, :, :3].astype(float)
    equal("picture_size", pixels.shape[:2], (size, size))
    say("picture_colours", len(np.unique((pixels * 255).round().astype(int).reshape(-1, 3), axis=0)), ">=20",
        len(np.unique((pixels * 255).round().astype(int).reshape(-1, 3), axis=0)) >= 20)
    return pixels


def hue(colours):
    return np.array([colorsys.rgb_to_hsv(*colour)[0] for colour in colours])


def look_at_particles(run, pixels, centre, half):
    """Particles are drawn where they are, as large as they are, and EPR can be read from their colours."""
    size = len(pixels)
    place = ((run.position[0, :, :2] - centre) / half + 1) * size / 2
    low, high = (((corner - centre) / half + 1) * size / 2 for corner in (np.zeros(2), run.side[:2]))
    coloured = np.ptp(pixels, axis=2) > 0.2
    inside = coloured[int(low[1]):int(high[1]), int(low[0]):int(high[0])]
    filling = np.pi * len(place) / np.prod(run.side[:2])
    say("particles_cover", f"{inside.mean():.3f}", f"{0.6 * filling:.2f}..{1.05 * filling:.2f}",
        0.6 * filling <= inside.mean() <= 1.05 * filling)
    column, row = np.clip(place.astype(int), 0, size - 1).T
    say("particles_coloured", f"{coloured[row, column].mean():.3f}", ">=0.98", coloured[row, column].mean() >= 0.98)
    read = np.corrcoef(-hue(pixels[row, column]), run.sigma[0])[0, 1]
    say("epr_from_colours", f"{read:.3f}", ">=0.95", read >= 0.95)


def look_at_field(run, pixels, view):
    """The field is drawn over the whole box, and can be read from its colours (blue, white, red)."""
    size = len(pixels)
    centre, distance = np.array(view.CameraFocalPoint[:2]), view.CameraPosition[2] - 1
    half = view.CameraParallelScale if view.CameraParallelProjection else \
        distance * np.tan(np.radians(view.CameraViewAngle) / 2)
    field = run.fields["epr"][0]
    y, x = (np.indices(field.shape).reshape(2, -1) + 0.5) * run.spacing[0]
    column, row = np.clip((((np.array([x, y]).T - centre) / half + 1) * size / 2).astype(int), 0, size - 1).T
    colour = pixels[row, column]
    read = np.corrcoef(colour[:, 0] - colour[:, 2], field.ravel())[0, 1]
    say("epr_from_colours", f"{read:.3f}", ">=0.95", read >= 0.95)
    share = (np.abs(pixels - pixels[-1, 0]).sum(axis=2) > 0.02).mean()
    box = np.prod(run.side[:2]) / (2 * half)**2
    say("picture_filled", f"{share:.2f}", f"{0.95 * box:.2f}..{1.1 * box:.2f}", 0.95 * box <= share <= 1.1 * box)


LOOK = {"h5py": look_h5py, "pandas": look_pandas, "epflow info": look_info, "MDAnalysis": look_mdanalysis,
        "AMEP": look_amep, "OVITO": look_ovito, "ASE": look_ase, "ParaView": look_paraview}


def main(reader, path):
    with open(path, encoding="utf-8") as file:
        blocks = recipe(file.read(), reader)
    names = {"__name__": "__main__"}
    for language, text in blocks:
        if language == "python":
            exec(compile(text, f"{path}: {reader}", "exec"), names)
    LOOK[reader](Run(), names)


if __name__ == "__main__":
    main(*sys.argv[1:])
