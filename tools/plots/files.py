"""What epflow's files hold, and why a picture cannot be drawn from them."""
import os

os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")  # the run may still be writing

import h5py  # noqa: E402
import numpy as np  # noqa: E402


class Skip(Exception):
    """Why a picture cannot be drawn."""


def open_file(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        raise Skip(f"no {name}")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise Skip(f"{name} cannot be read: {error}")


def dataset(group, name):
    """A dataset, or the value of an H5MD element; None where there is none."""
    item = group.get(name)
    if isinstance(item, h5py.Group):
        item = item.get("value")
    return item


def required(group, name):
    item = dataset(group, name)
    if item is None:
        raise Skip(f"no {name} in {os.path.basename(group.file.filename)}")
    return item


def group_of(file, name):
    if name not in file:
        raise Skip(f"no {name} in {os.path.basename(file.filename)}")
    return file[name]


def finished(file):
    """Of an evaluation in progress, profiles and certificate are made, but still zero."""
    if file.attrs.get("complete", 1) != 1:
        raise Skip("the evaluation is not complete")
    return file


def last_frame(file, group):
    """The last frame that is complete: those not written yet have step -1."""
    for place in (group, group.get("position"), file):
        step = place.get("step") if isinstance(place, h5py.Group) else None
        if step is not None:
            written = int(np.sum(np.cumprod(step[()] >= 0)))
            if written == 0:
                raise Skip(f"no frame in {os.path.basename(file.filename)} yet")
            return written - 1
    return -1


def parameter(file, section, key, fallback=None):
    group = file.get(f"parameters/{section}")
    value = group.attrs.get(key, fallback) if group is not None else fallback
    return value.decode() if isinstance(value, bytes) else value


def attribute(group, name, fallback=np.nan):
    value = group.attrs.get(name, fallback)
    return value.decode() if isinstance(value, bytes) else value


def rows_of(item, frame=slice(None)):
    """Rows of a column of vectors, (..., d) also for d = 1."""
    rows = item[frame]
    return rows[..., None] if item.ndim == 2 else rows


def tables_with(file, *names):
    """Every group of datasets, or dataset of records, that has all these columns."""
    found = []

    def look(_, item):
        if isinstance(item, h5py.Group):
            columns = {k: item[k] for k in item if isinstance(item[k], h5py.Dataset)}
        else:
            columns = {k: item[k] for k in (item.dtype.names or ())}
        if all(name in columns for name in names):
            found.append({k: np.asarray(v) for k, v in columns.items()})
    file.visititems(look)
    return found


def box_sides(file, dimension):
    """Sides of the periodic box; None in open space."""
    sides = parameter(file, "system", "box")
    if isinstance(sides, str):
        sides = [float(x) for x in sides.strip("[] ").split(",") if x.strip()]
    sides = np.atleast_1d(sides) if sides is not None else np.array([])
    if parameter(file, "system", "trap", 0) > 0:
        return None
    if sides.size == 0 or not np.all(sides > 0):
        volume = {1: 2, 2: np.pi, 3: 4 * np.pi / 3}[dimension]
        count = parameter(file, "system", "particles")
        fraction = parameter(file, "system", "packing_fraction")
        sides = [(count * volume / fraction) ** (1 / dimension)] if count and fraction else []
    sides = np.asarray(sides, float)
    return np.broadcast_to(sides, (dimension,)) if sides.size in (1, dimension) else None
