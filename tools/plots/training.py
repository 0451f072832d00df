"""The training log."""
import matplotlib.pyplot as plt
import numpy as np

from plots.files import Skip, open_file, parameter, tables_with
from plots.style import BLUE, GREY, ORANGE, TWO_COLUMNS

MOST_STEPS = 2000  # that are drawn one by one


def stretches(x, windows):
    """(windows or so, steps of each)."""
    width = max(1, len(x) // windows)
    return x[:len(x) // width * width].reshape(-1, width)


def draw_noisy(panel, x, y):
    """Every step, pale; of many steps where nine in ten of them lie. Over it the median."""
    if len(x) <= MOST_STEPS:
        panel.plot(x, y, color=BLUE, alpha=0.25, linewidth=0.5)
    else:
        low, high = np.nanpercentile(stretches(y, 300), [5, 95], axis=1)
        panel.fill_between(np.median(stretches(x, 300), axis=1), low, high, color=BLUE, alpha=0.25, linewidth=0)
    panel.plot(*(np.median(stretches(values, 60), axis=1) for values in (x, y)), color=BLUE)


def training(folder):
    file = open_file(folder, "model.h5")
    logs = tables_with(file, "step", "loss")
    if not logs or not np.any(logs[0]["step"] > 0):
        raise Skip("no training log in model.h5")
    log = {k: v[logs[0]["step"] > 0] for k, v in logs[0].items() if len(v) == len(logs[0]["step"])}
    tests = tables_with(file, "step", "resolved_fraction")
    figure, axes = plt.subplots(2, 2, figsize=(TWO_COLUMNS, 4.4), sharex=True)
    losses = {"denoising": "Denoising loss", "score_matching": "Score matching loss", "velocity": "Velocity loss"}
    panels = [("loss", losses.get(parameter(file, "training", "loss"), "Loss"), "loss"),
              ("gradient_norm", "Gradient norm, before clipping", "norm"),
              ("rate", "Learning rate", "rate")]
    for panel, (name, title, label) in zip(axes.flat, panels):
        panel.set(title=title, ylabel=label)
        if name not in log:
            continue
        if name == "rate":
            panel.plot(log["step"], log[name], color=BLUE)
            panel.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
            continue
        draw_noisy(panel, log["step"], log[name])
        numbers = log[name][np.isfinite(log[name])]
        low, high = np.percentile(numbers, [0.5, 99.5]) if numbers.size else (0, 0)
        if name == "gradient_norm" and low > 0:
            panel.set_yscale("log")
            clip = parameter(file, "training", "clip", 0)
            if clip:
                panel.axhline(clip, color=GREY, linestyle=":", linewidth=1)
                panel.annotate("clipped above", (1, clip), xycoords=("axes fraction", "data"), ha="right",
                               va="bottom", fontsize=7, color=GREY)
        elif high > low:
            panel.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    panel = axes[1, 1]
    panel.set(title="Resolved fraction on held-out frames", ylabel="resolved fraction")
    panel.axhline(0, color=GREY, linewidth=0.6)
    if tests and len(tests[0]["step"]):
        test = tests[0]
        error = np.nan_to_num(test["error"]) if "error" in test else None
        panel.errorbar(test["step"], test["resolved_fraction"], error, color=ORANGE, marker="o")
    else:
        panel.text(0.5, 0.5, "not tested yet", transform=panel.transAxes, ha="center", color=GREY)
    for panel in axes[1]:
        panel.set_xlabel("training step")
    return figure
