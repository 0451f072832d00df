"""Distances to the interface on the grid of the fields, as evaluations have them; regions, and means round them."""
import numpy as np


def cell_distances(dense, spacing, reach):
    """Distance of every cell of a periodic grid (ny, nx) to the nearest cell of the other phase, less half a cell, as
    evaluations measure it: positive in the dense phase; infinite beyond reach. spacing: of x and of y."""
    rows, columns = (int(np.ceil((reach + max(spacing)) / step)) for step in (spacing[1], spacing[0]))
    nearest = np.full(dense.shape, np.inf)
    for y in range(-rows, rows + 1):
        for x in range(-columns, columns + 1):
            away = np.hypot(x * spacing[0], y * spacing[1])
            other = np.roll(dense, (y, x), axis=(0, 1)) != dense
            nearest = np.where(other & (away < nearest), away, nearest)
    nearest = np.where(nearest <= reach + max(spacing), nearest, np.inf) - min(spacing) / 2
    return np.where(dense, nearest, -nearest)


def largest_region(mask):
    """The largest part of a periodic grid whose cells are joined by their sides. Labels spread by the least number
    among neighbours, and by what that cell has meanwhile."""
    none = mask.size
    labels = np.where(mask, np.arange(mask.size).reshape(mask.shape), none)
    while True:
        least = labels
        for axis in (0, 1):
            for step in (-1, 1):
                least = np.minimum(least, np.roll(labels, step, axis=axis))
        least = np.where(mask, least, none)
        jumped = np.append(least.ravel(), none)[least]  # the label of the cell that the label names
        least = np.where(mask, np.minimum(least, jumped), none)
        if np.array_equal(least, labels):
            break
        labels = least
    counts = np.bincount(labels[mask], minlength=1)
    return mask & (labels == counts.argmax()) if mask.any() else mask


def centre(region):
    """Mean cell (y, x) on a periodic grid, by the direction of the mean on a circle."""
    found = []
    for axis, n in enumerate(region.shape):
        weight = region.sum(axis=1 - axis)
        angle = np.angle(np.sum(weight * np.exp(2j * np.pi * np.arange(n) / n)))
        found.append(angle / (2 * np.pi) * n % n)
    return found


def radius_of(region, spacing):
    """Of the disc of the same area."""
    return float(np.sqrt(region.sum() * spacing[0] * spacing[1] / np.pi))


def radial(region, spacing, edges, fields):
    """Sums over the cells in rings round the region's centre: (1 + fields, rings), the number of cells first."""
    away = []
    for at, n, step in zip(centre(region), region.shape, (spacing[1], spacing[0])):
        shift = np.arange(n) - at
        away.append((shift - n * np.round(shift / n)) * step)
    distance = np.hypot(away[0][:, None], away[1][None, :])
    return [np.histogram(distance, edges, weights=weight)[0] for weight in (np.ones_like(distance), *fields)]
