"""Colours, sizes, scales and numbers that the pictures share.

Colours have names, whose values are those of the style in use (use_style): "light" and "dark" on paper of their own,
and "page", where they are variables of the page that a picture is put into (page_svg).
"""
import re

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.colors import LogNorm, Normalize  # noqa: E402

MOST_POINTS = 20000  # of a scatter plot
MOST_VECTORS = 5000  # shapes of a vector picture; where there are more, they are pixels in it
ONE_COLUMN, TWO_COLUMNS = 3.4, 7.0  # inches: the widths of pictures in journals
PAPER, INK, RULE = "epflow:paper", "epflow:ink", "epflow:rule"
BLUE, ORANGE, GREEN, GREY = "epflow:blue", "epflow:orange", "epflow:green", "epflow:muted"  # told apart by everyone
STYLES = {
    "light": {"paper": "#ffffff", "ink": "#1a1a1a", "muted": "#6b6b6b", "rule": "#d9d9d9",
              "blue": "#0072b2", "orange": "#d55e00", "green": "#009e73"},
    "dark": {"paper": "#15181c", "ink": "#e8e6e3", "muted": "#9aa0a6", "rule": "#3d434a",
             "blue": "#56b4e9", "orange": "#f0883c", "green": "#35c99d"},
    "page": {"paper": "#010200", "ink": "#010201", "muted": "#010202", "rule": "#010203",
             "blue": "#010204", "orange": "#010205", "green": "#010206"},
}
in_use = "light"

plt.rcParams.update({
    "figure.dpi": 100, "savefig.dpi": 300, "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.06, "figure.constrained_layout.h_pad": 0.06,
    "font.size": 8, "axes.titlesize": 8.5, "axes.titlepad": 6, "axes.labelsize": 8, "xtick.labelsize": 7,
    "ytick.labelsize": 7, "legend.fontsize": 7, "figure.titlesize": 10, "figure.labelsize": 7.5,
    "axes.linewidth": 0.7, "xtick.major.width": 0.7, "ytick.major.width": 0.7, "xtick.minor.width": 0.5,
    "ytick.minor.width": 0.5, "xtick.major.size": 3, "ytick.major.size": 3, "xtick.minor.size": 1.8,
    "ytick.minor.size": 1.8, "lines.linewidth": 1.2, "lines.markersize": 4, "errorbar.capsize": 1.8,
    "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": False,
    "image.cmap": "viridis", "svg.fonttype": "path", "svg.hashsalt": "epflow", "pdf.fonttype": 42,
})


def use_style(name):
    """For the pictures that are made from here on until they are saved."""
    global in_use
    in_use = name
    names = matplotlib.colors.get_named_colors_mapping()
    for role, colour in STYLES[name].items():
        names["epflow:" + role] = colour
    paper = "none" if name == "page" else PAPER  # the page has its own
    plt.rcParams.update({"figure.facecolor": paper, "axes.facecolor": paper, "savefig.facecolor": paper,
                         "hatch.color": INK})
    plt.rcParams.update({key: INK for key in ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor",
                                              "xtick.color", "ytick.color", "lines.color", "patch.edgecolor")})


use_style("light")


def as_pixels(count):
    """Whether so many shapes are pixels of a vector picture."""
    return count > MOST_VECTORS or in_use == "page"


def save(figure, path, dpi=300):
    """In the format of the path's end; the same bytes for the same picture. dpi: of what is pixels."""
    nameless = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None}}
    figure.savefig(path, dpi=dpi, metadata=nameless.get(str(path).rsplit(".", 1)[-1]))


def page_svg(text, prefix):
    """An SVG picture of the style "page" as an element of a page with the variables --ink, --blue ...: names of its
    parts begin with the prefix, for they must be the only ones of the page."""
    text = text[text.index("<svg"):]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", text)
    for role, colour in STYLES["page"].items():
        text = text.replace(colour, f"var(--{role})")
    return text


# ---- scales ----

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
    """A colour map that shows what a logarithmic scale cannot, zero, as the lowest value; without the ends that
    are lost on black and on white paper."""
    ends = {"magma": (0.2, 0.96), "cividis": (0.12, 1.0)}.get(name, (0.0, 1.0))
    found = matplotlib.colors.ListedColormap(matplotlib.colormaps[name](np.linspace(*ends, 256)), name)
    return found.with_extremes(bad=found(0.0), under=found(0.0), over=found(1.0))


def extend_of(values, norm):
    values = values[np.isfinite(values)]
    below, above = np.any(values < norm.vmin), np.any(values > norm.vmax)
    return {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[(int(below), int(above))]


def size_of_maps(panels, low, high, lines, bars=True):
    """Of a figure with so many maps of a box in a row, with their bars, over so many lines of text. They are as high
    as leaves nothing between a map and its bar."""
    width = 0.86 * TWO_COLUMNS / panels
    above_and_below = 0.55 + 0.14 * lines + (0.55 if bars else 0)
    return TWO_COLUMNS, float(np.clip(width * (high[1] - low[1]) / (high[0] - low[0]), 1, 8)) + above_and_below


def colour_bar(figure, artist, axes, values, label, location="bottom"):
    bar = figure.colorbar(artist, ax=axes, location=location, shrink=0.86, aspect=32, pad=0.02,
                          extend=extend_of(values, artist.norm))
    bar.set_label(label)
    bar.outline.set_visible(False)
    bar.solids.set(edgecolor="face", rasterized=True)  # no seams between its colours


def frame_of_box(axes, low, high):
    """A square picture of the box: sides only, with a ruler."""
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", anchor="N", xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=GREY, linewidth=0.7)
    width = high[0] - low[0]
    rulers = [m * 10.0**e for e in range(-2, 6) for m in (1, 2, 5)]
    length = next((r for r in rulers if r >= width / 8), width)
    axes.annotate("", (low[0] + length, -0.04), (low[0], -0.04), xycoords=("data", "axes fraction"),
                  arrowprops={"arrowstyle": "|-|", "mutation_scale": 2, "shrinkA": 0, "shrinkB": 0, "color": INK})
    axes.annotate(f"{length:g} $r_0$", (low[0] + length + 0.02 * width, -0.04),
                  xycoords=("data", "axes fraction"), va="center", fontsize=7, annotation_clip=False)


# ---- numbers ----

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_ten(exponent):
    return " × 10" + str(int(exponent)).translate(SUPERSCRIPTS)


def number(value, form="{:.4g}"):
    if not np.isfinite(value):
        return "\u2013"
    digits, _, exponent = form.format(value).partition("e")
    return digits.replace("-", "\u2212") + (power_of_ten(exponent) if exponent else "")


def whole(value):
    """A count, its digits in groups of three."""
    return f"{int(round(value)):,}".replace(",", "\u2009")


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
        return f"({with_error(value / 10.0**power, error / 10.0**power)}){power_of_ten(power)}"
    text = like_error(value, error)
    return text if digits_of(error) is None else f"{text} ± {like_error(error, error)}"
