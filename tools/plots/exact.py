"""An evaluation against an exact flow, particle by particle: check.h5."""
import matplotlib.pyplot as plt
import numpy as np

from plots.files import Skip, attribute, finished, group_of, open_file, parameter, required, rows_of
from plots.style import GREY, MOST_POINTS, ORANGE, TWO_COLUMNS, as_pixels, like_error, number, with_error


class Comparison:
    """check.h5 beside its evaluation.h5."""

    def __init__(self, folder):
        self.check = open_file(folder, "check.h5")
        self.file = finished(open_file(folder, "evaluation.h5"))
        self.model = group_of(self.file, "particles/evaluation")
        self.exact = group_of(self.check, "particles/exact")
        if required(self.exact, "sigma").shape != required(self.model, "sigma").shape:
            raise Skip("check.h5 is not of this evaluation.h5: run epflow check again")

    def vectors(self, name, frame=slice(None)):
        """Of the network, and exact: (..., particles, d)."""
        return (rows_of(required(group, name), frame).astype(float) for group in (self.model, self.exact))

    def scalars(self, name, frame=slice(None)):
        return (required(group, name)[frame].astype(float) for group in (self.model, self.exact))

    def system(self, key, fallback=None):
        return parameter(self.file, "system", key, fallback)

    def numbers(self, name):
        """Of the network, exact, standard error of the network's; NaN where not compared."""
        group = self.check.get(f"comparison/{name}")
        return [attribute(group, key) if group is not None else np.nan for key in ("model", "exact", "error")]

    def footer(self):
        """What is exact, noise, totals."""
        group = group_of(self.file, "certificate")
        noise_x, noise_g = (attribute(group, "noise_" + name, 0.0) for name in "xg")
        noisy = noise_x > 0 or noise_g > 0
        first = (f"Exact: {attribute(self.check, 'reference', 'unknown')}. Noise widths in training: "
                 f"{noise_x:g} $r_0$ on x, {noise_g:g} on g")
        if noisy:
            first += "; the exact density is " + ("smoothed by it too" if self.system("kind") == "crystal" else
                                                  "not smoothed")
        model, exact, error = self.numbers("total")
        samples, exact_samples, _ = (like_error(value, error) for value in self.numbers("total_of_samples"))
        what = "all particles" if self.system("copies", 1) == 1 else "one copy"
        totals = f"network {with_error(model, error)}, exact {like_error(exact, error)}"
        if noisy:
            return (f"{first}\nEPR of {what} (1/time), with the noise of training: {totals};\n"
                    f"at the evaluation's samples: network {samples}, exact {exact_samples}")
        return f"{first}\nEPR of {what} (1/time): {totals}; exact flow at the same samples: {exact_samples}"

    def heading(self, figure, title, note=""):
        figure.suptitle(title + "\n", weight="bold", linespacing=0.5)
        figure.supxlabel(note + self.footer(), fontsize=7, color=GREY, linespacing=1.5)


def relative_rms(model, exact):
    good = np.isfinite(model) & np.isfinite(exact)
    square = np.sum(exact[good]**2)
    return np.sqrt(np.sum((model - exact)[good]**2) / square) if square > 0 else np.nan


def scatter(figure, panel, model, exact, symbol, unit):
    good = np.isfinite(model) & np.isfinite(exact)
    model, exact = model[good], exact[good]
    if not model.size:
        raise Skip(f"no values of {symbol} in check.h5")
    if model.size > MOST_POINTS:
        chosen = np.random.default_rng(0).choice(model.size, MOST_POINTS, replace=False)
        model, exact = model[chosen], exact[chosen]
    both = np.concatenate([model, exact])
    low, high = np.percentile(both, [0.05, 99.95])
    low, high = (0, high) if both.min() >= 0 else (-max(-low, high), max(-low, high))
    high = high if high > low else low + 1
    limits = (low - (0.03 * (high - low) if low else 0), high + 0.03 * (high - low))
    inside = (exact >= limits[0]) & (exact <= limits[1]) & (model >= limits[0]) & (model <= limits[1])
    image = panel.hexbin(exact[inside], model[inside], gridsize=70, bins="log", mincnt=1, cmap="viridis_r",
                         extent=(*limits, *limits), linewidths=0.1, edgecolors="face", rasterized=as_pixels(0))
    panel.plot(limits, limits, color=ORANGE, linewidth=0.8)
    panel.set(xlim=limits, ylim=limits, aspect="equal", xlabel=f"exact {symbol} ({unit})",
              ylabel=f"{symbol} of the network ({unit})")
    panel.locator_params(nbins=5)
    bar = figure.colorbar(image, ax=panel, location="bottom", shrink=0.86, aspect=32, pad=0.02)
    bar.set_label("values in a cell" if inside.all() else
                  f"values in a cell\n({np.sum(~inside)} of {inside.size} outside)")
    bar.outline.set_visible(False)


FLOW = (  # name in files, title, symbol, unit
    ("v_g", "Velocity in g", "$v_g$", "1/time"),
    ("v_x", "Velocity in x", "$v_x$", r"$r_0$/time"),
    ("sigma", "Entropy production rate", r"$\sigma$", "1/time"),
)


def check(folder):
    c = Comparison(folder)
    figure, axes = plt.subplots(1, 3, figsize=(TWO_COLUMNS, 4.0))
    for panel, (name, title, symbol, unit) in zip(axes, FLOW):
        model, exact = (v.ravel() for v in (c.scalars if name == "sigma" else c.vectors)(name))
        scatter(figure, panel, model, exact, symbol, unit)
        difference, size, _ = c.numbers(name)
        ratio = difference / size if size > 0 else relative_rms(model, exact)
        note = f"relative rms difference {number(ratio, '{:.3f}')}"
        if name == "v_x" and c.system("eps", 0) == 0:
            note = "the drift b for both, since eps = 0"
        panel.set_title(f"{title}\n{note}")
    frames, count = required(c.exact, "sigma").shape
    c.heading(figure, f"The network's flow against the exact one: {frames} frames of {count} particles")
    return figure
