"""Colours, scales and numbers that the pictures share."""
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.colors import LogNorm, Normalize  # noqa: E402

MOST_POINTS = 20000  # of a scatter plot
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"  # told apart by everyone

plt.rcParams.update({
    "figure.dpi": 100, "savefig.dpi": 140, "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.1, "figure.constrained_layout.h_pad": 0.1,
    "font.size": 11, "axes.titlesize": 12, "axes.titlepad": 8, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": False, "image.cmap": "viridis",
})


def robust_log(values, low=2, high=99.8, decades=6):
    """A logarithmic scale between percentiles, of at most so many decades."""
    positive = values[np.isfinite(values) & (values > 0)]
    if positive.size == 0:
        return Normalize(0, 1)
    bottom, top = np.percentile(positive, [low, high])
    bottom = max(bottom, top * 10.0 ** -decades)
    return LogNorm(bottom, top if top > bottom else bottom * 1.01)


def robust_linear(values, high=99.8):
    values = values[np.isfinite(values)]
    return Normalize(0, np.percentile(values, high) if values.size and values.max() > 0 else 1)


def odd_scale(*maps, high=99.5):
    values = np.abs(np.concatenate([m[np.isfinite(m)] for m in maps]))
    top = np.percentile(values, high) if values.size else 0
    return Normalize(-top, top) if top > 0 else Normalize(-1, 1)


def colours(name):
    """A colour map that shows what a logarithmic scale cannot, zero, as the lowest value."""
    found = matplotlib.colormaps[name]
    return found.with_extremes(bad=found(0.0))


def extend_of(values, norm):
    values = values[np.isfinite(values)]
    below, above = np.any(values < norm.vmin), np.any(values > norm.vmax)
    return {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[(int(below), int(above))]


def colour_bar(figure, artist, axes, values, label):
    bar = figure.colorbar(artist, ax=axes, location="bottom", shrink=0.86, aspect=32, pad=0.02,
                          extend=extend_of(values, artist.norm))
    bar.set_label(label)
    bar.outline.set_visible(False)


def frame_of_box(axes, low, high):
    """A square picture of the box: sides only, with a ruler."""
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=GREY, linewidth=0.8)
    width = high[0] - low[0]
    rulers = [m * 10**e for e in range(6) for m in (1, 2, 5)]
    length = next((r for r in rulers if r >= width / 8), width)
    axes.annotate("", (low[0] + length, -0.035), (low[0], -0.035), xycoords=("data", "axes fraction"),
                  arrowprops={"arrowstyle": "|-|", "mutation_scale": 2.5, "shrinkA": 0, "shrinkB": 0})
    axes.annotate(f"{length:g} particle radii", (low[0] + 1.2 * length, -0.035),
                  xycoords=("data", "axes fraction"), va="center", fontsize=9, annotation_clip=False)


# ---- numbers ----

def number(value, form="{:.4g}"):
    return form.format(value).replace("-", "\u2212") if np.isfinite(value) else "\u2013"


def digits_of(error):
    """Decimals that show two digits of an error."""
    return max(0, 1 - int(np.floor(np.log10(error)))) if np.isfinite(error) and error > 0 else None


def like_error(value, error):
    digits = digits_of(error)
    return number(value) if digits is None else number(value, f"{{:.{digits}f}}")


def with_error(value, error):
    """A value and its standard error, as many digits as that has; small and large ones with a power of ten."""
    size = max(abs(value), abs(error)) if digits_of(error) is not None and np.isfinite(value) else 1
    if not 1e-3 <= size < 1e6:
        power = int(np.floor(np.log10(size)))
        exponent = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"({with_error(value / 10.0**power, error / 10.0**power)}) × 10{exponent}"
    text = like_error(value, error)
    return text if digits_of(error) is None else f"{text} ± {like_error(error, error)}"
