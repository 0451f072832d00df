"""Ways in which a file is damaged, for tools/verify bad-files: function(path, random numbers) -> what was done, in words."""
import os
import pathlib
import shutil

import h5py
import numpy as np

HUGE = 10 ** 12
NOTHING = "nothing"  # where a damage cannot be done
CONTROL = b"\x1b[2J\x07\r\x08\x7f\xff\xfe name"


# ---- bytes ----

def truncate(path, chance):
    size = path.stat().st_size
    length = chance.choice([chance.randrange(size), size - 1, chance.randrange(min(size, 4096)), 8, 96, 2048])
    os.truncate(path, length)
    return f"cut off at {length} of {size}"


def raw_parts(path):
    """(begin, end) of the numbers in a file: what lies outside is its structure."""
    parts = []

    def look(_, item):
        if isinstance(item, h5py.Dataset) and item.id.get_offset() is not None:
            parts.append((item.id.get_offset(), item.id.get_offset() + item.id.get_storage_size()))
    with h5py.File(path, "r") as file:
        file.visititems(look)
    return sorted(set(parts))


def flip(structure):
    """One bit; of all bytes, or of those that are no numbers."""
    def damage(path, chance):
        data = bytearray(path.read_bytes())
        places = range(len(data))
        if structure:
            free = bytearray(b"\1") * len(data)
            for begin, end in raw_parts(path):
                free[begin:end] = bytes(end - begin)
            places = [at for at, is_free in enumerate(free) if is_free and data[at]]
        at, bit = places[chance.randrange(len(places))], chance.randrange(8)
        data[at] ^= 1 << bit
        path.write_bytes(data)
        return f"bit {bit} of byte {at}"
    return damage


# ---- in the place of the file ----

def replaced(make):
    def damage(path, chance):
        path.unlink()
        return make(path, chance)
    return damage


def other_hdf5(path, _):
    with h5py.File(path, "w") as file:
        file["numbers"] = np.arange(10)


def other_kind(path, _):
    """A file of the program, and of another kind."""
    for name in ("restart.h5", "model.h5", "evaluation.h5", "trajectory.h5"):
        if path.name != name and (path.parent / name).exists():
            shutil.copy(path.parent / name, path)
            return name
    other_hdf5(path, None)
    return "HDF5"


def text_or_hdf5(path, chance):
    """Each in the place of the other."""
    if path.suffix == ".yaml":
        other_hdf5(path, chance)
    else:
        path.write_text("system: {particles: 24}\noutput: {directory: x}\n")


WHOLE = {
    "empty": replaced(lambda path, _: path.write_bytes(b"")),
    "folder": replaced(lambda path, _: path.mkdir()),
    "pipe": replaced(lambda path, _: os.mkfifo(path)),
    "zeros": replaced(lambda path, _: path.symlink_to("/dev/zero")),
    "link_loop": replaced(lambda path, _: path.symlink_to(path.name)),
    "signature_only": replaced(lambda path, _: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(4096))),
    "noise": replaced(lambda path, chance: path.write_bytes(b"\x89HDF\r\n\x1a\n" + chance.randbytes(8192))),
    "other_format": replaced(text_or_hdf5),
    "other_hdf5": replaced(other_hdf5),
    "other_kind": replaced(other_kind),
}


# ---- objects of an HDF5 file ----

def edited(edit):
    """edit(file, name of a dataset, name of an object with attributes, chance) -> words."""
    def damage(path, chance):
        with h5py.File(path, "r+") as file:
            sets, owners = [], ["/"]
            file.visititems(lambda name, item: sets.append(name) if isinstance(item, h5py.Dataset) else None)
            file.visititems(lambda name, item: owners.append(name) if len(item.attrs) else None)
            # those that every reader reads more often than the others
            main = [name for name in sets if name.split("/")[-1] in ("step", "value", "q", "g", "sigma", "position", "w")]
            chosen = chance.choice(main if main and chance.random() < 0.5 else sets)
            owner = chance.choice([o for o in owners if len(file[o].attrs)] or ["/"])
            try:
                return f"{edit(file, chosen, owner, chance) or ''} {chosen} {owner}"
            except (ValueError, TypeError, OSError, RuntimeError, KeyError) as error:
                return f"{NOTHING}: {error}"
    return damage


def put(file, name, **how):
    """Another dataset under the name, with the attributes of the one before."""
    kept = dict(file[name].attrs)
    del file[name]
    dataset = file.create_dataset(name, **how)
    for key, value in kept.items():
        dataset.attrs[key] = value
    return dataset


def wrong_shape(file, name, _, chance):
    old = file[name]
    shape = list(old.shape)
    axis = chance.randrange(len(shape)) if shape else 0
    shape = chance.choice([shape[:axis] + [max(0, s) for s in [(shape[axis] if shape else 1) + chance.choice([-1, 1, 7])]] +
                           shape[axis + 1:], shape + [2], shape[:-1], [0] * len(shape), [1] * 6])
    put(file, name, shape=tuple(shape), dtype=old.dtype, data=np.zeros(shape, old.dtype))
    return f"shape {shape}"


def wrong_type(file, name, _, chance):
    old = file[name]
    kind = chance.choice(["S8", "i1", "u1", ">f8", "f2", "c16", h5py.ref_dtype, h5py.string_dtype(), "b", "V16"])
    put(file, name, shape=old.shape, dtype=kind)
    return f"type {kind}"


def poison(file, name, _, chance):
    data = file[name][()]
    if data.size == 0 or data.dtype.kind not in "if":
        return NOTHING
    worst = [np.nan, np.inf, -np.inf, 1e300, -1.0, 0.0] if data.dtype.kind == "f" else \
        [-1, np.iinfo(data.dtype).max, np.iinfo(data.dtype).min + 1]
    flat = np.atleast_1d(data).copy().ravel()
    flat[chance.randrange(flat.size)] = chance.choice(worst)
    file[name][...] = flat.reshape(data.shape)
    return "poisoned"


def huge_shape(file, name, _, chance):
    old = file[name]
    shape = tuple([HUGE] + list(old.shape[1:]) if chance.random() < 0.5 else list(old.shape[:-1]) + [HUGE])
    how = chance.choice([{}, {"compression": "gzip"}, {"fillvalue": 1 if old.dtype.kind in "iuf" else None}])
    put(file, name, shape=shape, dtype=old.dtype, chunks=(1,) * (len(shape) - 1) + (16,), **how)
    return f"shape {shape} of no data"


def huge_filled(file, name, _, __):
    """Compressed zeros: the most that a file can make of its bytes."""
    rows, shape = 1 << 16, (1 << 22,) + file[name].shape[1:2]
    data = put(file, name, shape=shape, dtype="f8", chunks=(rows,) + shape[1:], compression="gzip")
    for begin in range(0, shape[0], rows):
        data[begin:begin + rows] = 0
    return "compressed zeros"


def missing(file, name, owner, chance):
    if chance.random() < 0.5:
        del file[name]
        return "no dataset"
    key = chance.choice(list(file[owner].attrs) or [""])
    if key:
        del file[owner].attrs[key]
    return f"no attribute {key} of"


def group_instead(file, name, _, __):
    del file[name]
    file.create_group(name)


def attribute_value(file, _, owner, chance):
    keys = list(file[owner].attrs)
    if not keys:
        return NOTHING
    key = chance.choice(keys)
    value = chance.choice([np.nan, -np.inf, -1, 2 ** 62, -2 ** 63, 0, 1e300, np.zeros(3), np.zeros((2, 2)), "", "x" * 40000,
                           np.bytes_(CONTROL), np.bytes_(b"no end" + b"\xff" * 4090), np.arange(7000.), h5py.Empty("f8"),
                           np.array(["a", "bc"], dtype=h5py.string_dtype())])
    del file[owner].attrs[key]
    file[owner].attrs[key] = value
    return f"{key} = {str(value)[:30]!r} of"


def long_text(file, _, owner, chance):
    """1 MB, which only the newer format can hold as an attribute; here as a text of variable length."""
    key = chance.choice(list(file[owner].attrs) or ["x"])
    if key in file[owner].attrs:
        del file[owner].attrs[key]
    file[owner].attrs.create(key, "y" * (1 << 20), dtype=h5py.string_dtype())
    return f"{key} of 1 MB of"


def steps(file, name, _, chance):
    """Not increasing, or with holes."""
    found = [n for n in ("particles/trajectory/position/step", "particles/evaluation/step", "training/log/step",
                         "particles/all/position/step") if n in file and file[n].ndim == 1 and file[n].size > 1]
    if not found:
        return poison(file, name, _, chance)
    data = file[found[0]][()]
    file[found[0]][...] = chance.choice([data[::-1], np.where(np.arange(data.size) == 1, -1, data), data * 0 + 5,
                                         np.roll(data, 1)])
    return "steps"


def external_link(file, name, _, __):
    shutil.copy(file.filename, pathlib.Path(file.filename).parent / "elsewhere.h5")
    del file[name]
    file[name] = h5py.ExternalLink("elsewhere.h5", "/" + name)


def soft_loop(file, name, _, __):
    del file[name]
    file[name] = h5py.SoftLink("/" + name)


def hard_loop(file, name, _, __):
    parent = file[name].parent
    del file[name]
    file[name] = parent


def virtual(file, name, _, __):
    old = file[name]
    layout = h5py.VirtualLayout(old.shape, old.dtype)
    if old.shape:
        layout[...] = h5py.VirtualSource("elsewhere.h5", name, old.shape)
    del file[name]
    file.create_virtual_dataset(name, layout)


def external_storage(file, name, _, __):
    old = file[name]
    shape, kind, size = old.shape, old.dtype, old.size * old.dtype.itemsize
    if not shape:
        return NOTHING
    put(file, name, shape=shape, dtype=kind, external=[("/etc/passwd", 0, size)])


def odd_filter(file, name, _, chance):
    old = file[name]
    if not old.shape or not old.size or old.dtype.kind not in "iuf":
        return NOTHING
    data = old[()]
    how = chance.choice([{"scaleoffset": 4}, {"compression": "gzip", "shuffle": True}, {"fletcher32": True}])
    put(file, name, shape=data.shape, data=data, dtype=data.dtype, **how)
    return str(how)


def reference(file, name, owner, _):
    kept = file[name].ref
    file[owner].attrs["epflow_kind"] = kept


def deep(file, _, __, ___):
    file.create_group("/".join(["deep"] * 400))


def many(file, _, __, ___):
    for m in range(2000):
        file.create_group(f"many/{m}")


SHAPES = {name: edited(edit) for name, edit in (
    ("wrong_shape", wrong_shape), ("wrong_type", wrong_type), ("poison", poison), ("huge_shape", huge_shape), ("huge_filled", huge_filled),
    ("missing", missing), ("group_instead", group_instead), ("attribute", attribute_value), ("long_text", long_text),
    ("steps", steps), ("external_link", external_link), ("soft_loop", soft_loop), ("hard_loop", hard_loop),
    ("virtual", virtual), ("external_storage", external_storage), ("odd_filter", odd_filter), ("reference", reference),
    ("deep", deep), ("many", many))}


# ---- inputs ----

def text(make):
    def damage(path, chance):
        path.write_bytes(make(path.read_bytes(), chance))
    return damage


TEXTS = {
    "control": text(lambda old, _: old.replace(b"gas", CONTROL)),
    "long_value": text(lambda old, _: old.replace(b"local", b"z" * 500000)),
    "long_line": text(lambda old, _: old + b"#" * (1 << 20)),
    "too_long": text(lambda old, _: old + b"\n" * (1 << 21)),
    "nul": text(lambda old, _: old[:100] + b"\0" + old[100:]),
    "deep": text(lambda old, _: b"[" * 100000),
    "deep_map": text(lambda old, _: b"{a: " * 50000),
    "many_keys": text(lambda old, _: b"".join(b"k%d: 1\n" % m for m in range(60000))),
    "anchors": text(lambda old, _: b"a: &a [x,x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]\n"),
    "not_utf8": text(lambda old, _: old.replace(b"system", b"\xff\xfe\xc3")),
    "utf16": text(lambda old, _: b"\xff\xfe" + old.decode().encode("utf-16-le")),
    "huge_numbers": text(lambda old, _: old.replace(b"particles: 24", b"particles: 9223372036854775807")),
    "tiny_box": text(lambda old, _: old.replace(b"packing_fraction: 0.5", b"packing_fraction: 1e-300")),
    "nan": text(lambda old, _: old.replace(b"v0: 0.25", b"v0: .nan")),
    "no_end": text(lambda old, _: old[:-20] + b"\"" + old[-20:]),
    "many_documents": text(lambda old, _: b"---\n" * 100000 + old),
}
