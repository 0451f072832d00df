"""A run's folder as a whole: which files are there, how complete they are, whose parameters they have."""
import os

import numpy as np

from plots.compare import block_error
from plots.files import Skip, attribute, open_file, parameter

NAMES = ("trajectory.h5", "model.h5", "evaluation.h5", "check.h5")
GROUPS = {"trajectory.h5": "particles/trajectory", "evaluation.h5": "particles/evaluation"}
SOURCES = {"system": ("trajectory.h5", "evaluation.h5", "model.h5", "check.h5"),  # whose parameters count
           "simulation": ("trajectory.h5", "evaluation.h5"), "network": ("model.h5", "evaluation.h5"),
           "response": ("model.h5", "evaluation.h5"), "training": ("model.h5",),
           "evaluation": ("evaluation.h5",), "data": ("model.h5", "evaluation.h5"),
           "run": ("evaluation.h5", "model.h5", "trajectory.h5"),
           "output": ("evaluation.h5", "model.h5", "trajectory.h5")}


def plain(value):
    """A value of an attribute as Python has it."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.item() if isinstance(value, np.generic) else value


class Results:
    """Files by name; problems: of those that cannot be read."""

    def __init__(self, folder):
        self.folder, self.files, self.problems = folder, {}, []
        for name in NAMES:
            try:
                self.files[name] = open_file(folder, name)
            except Skip as why:
                if os.path.exists(os.path.join(folder, name)):
                    self.problems.append(str(why))
        if not self.files:
            raise Skip(f"no results in {folder}: none of {', '.join(NAMES)} can be read")

    def close(self):
        for file in self.files.values():
            file.close()

    def source(self, section):
        """The file whose parameters of this section count; None where there is none."""
        return next((self.files[name] for name in SOURCES[section]
                     if name in self.files and f"parameters/{section}" in self.files[name]), None)

    def parameters(self, section):
        file = self.source(section)
        return {k: plain(v) for k, v in file[f"parameters/{section}"].attrs.items()} if file else {}

    def parameter(self, section, key, fallback=None):
        file = self.source(section)
        return plain(parameter(file, section, key, fallback)) if file else fallback

    def units(self):
        found = {}
        for file in self.files.values():
            if "parameters/units" in file:
                found.update({k: plain(v) for k, v in file["parameters/units"].attrs.items()})
        return found

    def provenance(self):
        """Of every file: what is in it by name."""
        found = {}
        for name, file in self.files.items():
            group = file.get("provenance")
            if group is not None:
                found[name] = {k: plain(v) for k, v in group.attrs.items()}
        return found

    def frames(self, name):
        """Frames that are written, and those that the file has room for."""
        group = self.files[name].get(GROUPS[name]) if name in self.files else None
        if group is None:
            return 0, 0
        steps = group.get("step", group.get("position/step"))
        if steps is None:
            return 0, 0
        return int(np.sum(np.cumprod(steps[()] >= 0))), len(steps)

    def complete(self, name):
        """Whether a stage is done."""
        file = self.files[name]
        if name == "trajectory.h5":
            written, planned = self.frames(name)
            return written == planned
        if name == "model.h5" and self.parameter("training", "steps"):
            return attribute(file, "step", 0) >= self.parameter("training", "steps")
        return attribute(file, "complete", 1) == 1

    def exact_of_trajectory(self):
        """The exact entropy production rate per particle and its error, from the trajectory's sums alone."""
        scalars = self.files["trajectory.h5"].get("parameters/scalars") if "trajectory.h5" in self.files else None
        written, _ = self.frames("trajectory.h5")
        if scalars is None or written == 0:
            return None
        eps = self.parameter("system", "eps", 0)
        count = self.parameter("system", "particles", 1) * self.parameter("system", "copies", 1)
        divergence = scalars["div_b"][:written] / count
        rate = -divergence if eps == 0 else scalars["b_squared"][:written] / count / eps + divergence
        return rate.mean(), block_error(rate)
