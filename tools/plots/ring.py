"""Two particles on a ring: the network's flow and the exact one."""
import matplotlib.pyplot as plt
import numpy as np

from plots.exact import Comparison, relative_rms
from plots.files import Skip, box_sides, required, rows_of
from plots.style import TWO_COLUMNS, colour_bar, number, odd_scale, robust_linear


def binned(x, y, edges, values):
    """Mean of the values in every bin, (y, x); NaN in empty ones."""
    total, _, _ = np.histogram2d(y, x, bins=edges[::-1], weights=values)
    count, _, _ = np.histogram2d(y, x, bins=edges[::-1])
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def even_scale(*maps, high=99.5):
    return robust_linear(np.concatenate([m.ravel() for m in maps]), high)


def ring_samples(c):
    """Relative coordinates of both particles, either as the first; of both flows v_x, v_g and EPR."""
    side = box_sides(c.file, 1)[0]

    def relative(values, factor=1.0):
        pair = values.reshape(-1, 2)
        first = factor * (pair[:, 0] - pair[:, 1])
        return np.concatenate([first, -first])

    x = relative(rows_of(required(c.model, "position")))
    x -= side * np.floor(x / side + 0.5)
    g = relative(rows_of(required(c.model, "propulsion")), np.sqrt(0.5))
    flows = [[relative(v) for v in c.vectors("v_x")], [relative(v, np.sqrt(0.5)) for v in c.vectors("v_g")]]
    sigma = [vx**2 / (2 * c.system("eps")) + vg**2 / c.system("gamma") for vx, vg in zip(*flows)]
    values = np.array([*flows, sigma])  # (quantity, network or exact, sample)
    good = np.all(np.isfinite(values), axis=(0, 1))
    return side, x[good], g[good], values[:, :, good]


def current_arrows(panel, x, g, edges, vx, vg):
    """The direction of the current, from means in coarse bins."""
    coarse = [np.linspace(e[0], e[-1], n + 1) for e, n in zip(edges, (14, 8))]
    at_x, at_g, u, v = (binned(x, g, coarse, values).ravel() for values in (x, g, vx, vg))
    length = np.hypot(u, v)
    good = np.isfinite(length) & (length > 0)
    panel.quiver(at_x[good], at_g[good], (u / length)[good], (v / length)[good], angles="xy",
                 scale=22, width=0.006, pivot="mid", color="white", edgecolor="black", linewidth=0.5)


RING = (  # symbol, label, colours, scale
    ("$v_x$", r"$v_x = v_{x,1} - v_{x,2}$ ($r_0$/time)", "RdBu_r", odd_scale),
    ("$v_g$", r"$v_g = (v_{g,1} - v_{g,2})/\sqrt{2}$ (1/time)", "RdBu_r", odd_scale),
    (r"$\sigma$", r"$\sigma = v_x^2/2\varepsilon + v_g^2/\gamma$ (1/time)", "magma", even_scale),
)


def ring(folder):
    c = Comparison(folder)
    if c.system("kind", "aoup") != "aoup" or c.system("dimension") != 1 or c.system("particles") != 2:
        raise Skip("not two particles on a ring")
    if not c.system("eps") > 0 or box_sides(c.file, 1) is None:
        raise Skip("the ring is drawn for eps > 0 and in a periodic box")
    side, x, g, values = ring_samples(c)
    bins = int(np.clip(np.sqrt(len(x) / 8), 16, 96))
    reach = max(1.0, np.percentile(np.abs(g), 99.9))
    edges = [np.linspace(-side / 2, side / 2, bins + 1), np.linspace(-reach, reach, bins // 3 * 2 + 1)]
    figure, axes = plt.subplots(3, 3, figsize=(TWO_COLUMNS, 7.6), sharex=True, sharey=True)
    for column, (symbol, label, cmap, scale), (model, exact) in zip(range(3), RING, values):
        maps = [binned(x, g, edges, v) for v in (model, exact, model - exact)]
        scales = [scale(*maps[:2])] * 2 + [odd_scale(maps[2])]
        titles = (f"{symbol} of the network", f"{symbol}, exact",
                  f"network \u2212 exact\nrelative rms {number(relative_rms(model, exact), '{:.3f}')}")
        images = []
        for panel, value, norm, title in zip(axes[:, column], maps, scales, titles):
            images.append(panel.pcolormesh(*edges, value, norm=norm, rasterized=True,
                                           cmap="RdBu_r" if panel is axes[2, column] else cmap))
            panel.set_title(title)
            panel.set_facecolor("#c8c8c8")
        colour_bar(figure, images[1], list(axes[:2, column]), np.concatenate(maps[:2]), label)
        colour_bar(figure, images[2], axes[2, column], maps[2], label.split(" = ")[0] + "$ difference "
                   + label[label.rindex("("):])
    for row in range(2):
        current_arrows(axes[row, 2], x, g, edges, values[0, row], values[1, row])
    for panel in axes[:, 0]:
        panel.set_ylabel(r"$g = (g_1 - g_2)/\sqrt{2}$")
    for panel in axes.flat:
        panel.tick_params(labelbottom=True)
        panel.set_xlabel("$x = x_1 - x_2$ ($r_0$)")
    centre = c.system("v0")**2 / c.system("eps")
    c.heading(figure, "Flow and entropy production of two particles on a ring, network and exact",
              "Means over the samples in a bin; grey: no samples; arrows: direction of the current. "
              "EPR $\\sigma$ of the relative motion; the centre of mass\n"
              f"adds $v_0^2/\\varepsilon$ = {centre:.3g} to the totals. Relative rms: over the samples.\n")
    return figure
