"""Writes results.md of a folder of tools/reproduce from results.md.in and the numbers: results_page.py DIR [--docs]

The page's figures are in DIR/figures. With --docs the page is docs/results.md, and its figures are in docs/results.
"""
import csv
import json
import math
import pathlib
import re
import shutil
import sys
import textwrap

import results_words as words
from plots.style import whole, with_error
from results_numbers import FAR, MODELS
from running import ROOT

NAMES = {"response": "response", "window-xg": "windowed, noise on x and g", "window-g": "windowed, noise on g"}


def known(value):
    return value is not None and math.isfinite(value)


def pair(values):
    """A value with its error; a dash where it is not known."""
    value, error = (math.nan if x is None else x for x in values)
    if not known(value):
        return "–"
    return with_error(value, error) if known(error) and error > 0 else f"{value:.4g}".replace("-", "−")


def plain(value, form="{:.3g}"):
    return form.format(value).replace("-", "−") if known(value) else "–"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def of_set(one):
    return [", ".join([f"{one['phi']:.2g}", *filter(None, [one.get("label")])]), one["particles"]]


def minutes(seconds):
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


# ---- tables ----

def data_table(numbers):
    rows = []
    for name, one in numbers["sets"].items():
        rate, where = numbers["rates"].get(name, {}), one["interface"]
        rows.append([*of_set(one), one["models"]["response"]["frames"], pair(one["models"]["response"]["exact"]),
                     pair(where["gas"]), pair(where["dense"]), pair(where["dense_area"]),
                     plain(rate.get("seconds"), "{:.0f}"), plain(rate.get("rate", math.nan) / 1e6, "{:.0f}")])
    return table(["phi", "N", "frames", "exact EPR a particle", "phi of the gas", "of the dense phase",
                  "its share of area", "seconds", "million particle-steps/s"], rows)


def models_table(numbers):
    rows = [[NAMES[name], f"`inputs/results/{name}.yaml`", whole(found["weights"]), found["steps"],
             plain(found["sigma"]), plain(found["loss"], "{:.4g}"), pair(found["held_out"]),
             plain(found["seconds"], "{:.0f}")]
            for name, found in numbers["training"].items()]
    return table(["network", "input", "weights", "steps", "noise", "loss at the end",
                  "resolved, held-out frames of training", "seconds, one core"], rows)


def certificate_table(numbers):
    rows = [[*of_set(one), pair(one["models"]["response"]["total"]),
             *(pair(one["models"][m]["fraction"]) for m in MODELS), pair(one["models"]["response"]["certified"])]
            for one in numbers["sets"].values()]
    return table(["phi", "N", "exact total", *(f"resolved: {NAMES[m]}" for m in MODELS), "certified total, at least"],
                 rows)


def total_table(numbers):
    rows = []
    for one in numbers["sets"].values():
        own = one["models"]["response"]
        rows.append([*of_set(one), pair(own["captured_fraction"]),
                     *(cell for of in (own, own["calibrated"])
                       for cell in (pair(of["fraction"]), pair(of["excess"]), plain(of["z"], "{:.1f}")))])
    return table(["phi", "N", "sigma / exact", "resolved / exact", "excess", "z",
                  "calibrated: resolved / exact", "excess", "z"], rows)


def windows_table(numbers):
    rows = [[*of_set(one), *(pair(one["models"][model][key]) for model in MODELS[1:]
                             for key in ("captured_fraction", "fraction", "excess"))]
            for one in numbers["sets"].values()]
    return table(["phi", "N", *(f"{NAMES[model].removeprefix('windowed, ')}: {what}" for model in MODELS[1:]
                                for what in ("sigma / exact", "resolved / exact", "excess"))], rows)


def decomposition_table(numbers):
    keys = ("exact", "captured", "g_part", "div_x", "div_g")
    rows = [[*of_set(one), *(pair(one["models"]["response"][key]) for key in keys)] for one in numbers["sets"].values()]
    return table(["phi", "N", "exact", "sigma", "its g part", "div_x v_x", "div_g v_g"], rows)


def concentration_table(numbers):
    rows = []
    for one in numbers["sets"].values():
        where = one["interface"]
        rows.append([*of_set(one),
                     *(pair(where[f"{name}_{near}"]) for near in (1, 2) for name in ("area", "particles", "sigma")),
                     pair(where["sigma_2_over_area"]), pair(where["resolved_2"]),
                     pair(one["models"]["window-xg"]["shares"]["sigma_2"])])
    return table(["phi", "N", "area, 1", "particles, 1", "EPR, 1", "area, 2", "particles, 2", "EPR, 2", "EPR / area, 2",
                  "resolved EPR, 2", "EPR of the windowed network (x and g), 2"], rows)


def scaling_table(output, numbers):
    with open(output / "scaling/scaling.csv", newline="", encoding="utf-8") as file:
        rows = [["simulation", row["kind"], row["ranks"], row["particles"],
                 f"{float(row['microseconds_a_step']):.4g} us a step", f"{float(row['efficiency']):.2f}"]
                for row in csv.DictReader(file)]
    rows += [["evaluation", row["kind"], row["ranks"], row["particles"], f"{row['seconds_a_frame']:.3g} s a frame",
              f"{row['efficiency']:.2f}"] for row in numbers["scaling"]["rows"]]
    return table(["", "", "ranks", "particles", "time", "efficiency"], rows)


def messages_table(numbers):
    rows = [[row["ranks"], *(plain(row[part][what], "{:.4g}") for part in ("step", "frame")
                             for what in ("messages", "bytes", "collective_calls", "collective_bytes"))]
            for row in numbers["scaling"]["messages"]]
    return table(["ranks", *(f"{what} {part}" for part in ("a step", "a frame")
                             for what in ("messages", "bytes", "collective calls", "their bytes"))], rows)


def times_table(times, output):
    """Every task: its command, as it was typed, and how long it took."""
    rows = []
    for name, task in times.items():
        command = " ".join(f"'{w}'" if set(w) & set(" {}[]|") else w for w in task["command"])
        command = command.replace(str(output), "DIR").replace("|", "\\|")
        command = re.sub(r"(?<!\S)/\S*/(?=(inputs|tools)/)", "", command)
        command = re.sub(r"^\S*python\S* ", "python3 ", re.sub(r"\S*/epflow ", "epflow ", command))
        rows.append([name, f"{task['seconds']:.0f}", f"`{command}`"])
    return table(["task", "seconds", "command"], rows)


def stages_table(times):
    """How long the tasks of every stage took."""
    rows = []
    for stage in dict.fromkeys(task["stage"] for task in times.values()):
        tasks = [task for task in times.values() if task["stage"] == stage]
        rows.append([stage, len(tasks), f"{sum(task['seconds'] * task['cores'] for task in tasks):.0f}"])
    return table(["stage", "tasks", "seconds, times cores"], rows)


# ---- the page ----

WIDTH = 120


def wrapped(page):
    """Paragraphs and items of lists filled to WIDTH; tables, headings, pictures and what is indented as they are."""
    parts = []
    for part in re.split(r"\n{2,}", page):
        if re.match(r"[|#!<]|    ", part):
            parts.append(part)
        elif part.startswith("- "):
            items = re.split(r"\n(?=- )", part)
            parts.append("\n".join(filled_to_width(item, "  ") for item in items))
        else:
            parts.append(filled_to_width(part, ""))
    return "\n\n".join(parts)


def filled_to_width(text, indent):
    return textwrap.fill(" ".join(text.split()), WIDTH, subsequent_indent=indent, break_long_words=False,
                         break_on_hyphens=False)


def values(output, numbers, times):
    size = numbers["size"]
    seconds = sum(task["seconds"] * task["cores"] for task in times.values() if task["stage"] != "page")
    cores = max(task["cores"] for task in times.values())
    sets = list(numbers["sets"].values())
    quick = size["name"] != "full"
    filled = {
        "particles_least": min(one["particles"] for one in sets),
        "particles_most": max(one["particles"] for one in sets),
        "phi_least": f"{min(one['phi'] for one in sets):.2g}", "phi_most": f"{max(one['phi'] for one in sets):.2g}",
        "option": " --quick" if quick else "", "hours": minutes(seconds / cores), "cores": cores,
        "times_note": "the sum over tasks of seconds times cores, shared by the cores", "frames": size["frames"],
        "size": size["particles"], "interval": f"{size['interval'] * 1e-4:.2g}",
        "burn_in": f"{size['burn_in'] * 1e-4:.2g}",
        "tile_frames": size["tile_frames"], "tile_burn_in": f"{size['tile_burn_in'] * 1e-4:.2g}", "far": f"{FAR:g}",
        "strong": 8 * size["particles"], "data_table": data_table(numbers), "models_table": models_table(numbers),
        "certificate_table": certificate_table(numbers), "total_table": total_table(numbers),
        "windows_table": windows_table(numbers), "stages_table": stages_table(times),
        "decomposition_table": decomposition_table(numbers), "concentration_table": concentration_table(numbers),
        "scaling_table": scaling_table(output, numbers), "messages_table": messages_table(numbers),
        "times_table": times_table(times, output),
    }
    return {**filled, **words.texts(numbers, pair)}


def fill(template, filled):
    """The template with every {{NAME}} replaced; all values must be used, and all names known."""
    names = set(re.findall(r"\{\{(\w+)\}\}", template))
    if names ^ set(filled):
        sys.exit(f"results_page: error: the template and the values differ in {sorted(names ^ set(filled))}")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: str(filled[match[1]]), template)


def main():
    output = pathlib.Path(sys.argv[1]).resolve()
    numbers, times = (json.loads((output / name).read_text()) for name in ("numbers.json", "times.json"))
    template = (ROOT / "tools/results.md.in").read_text()
    page = wrapped(fill(template, values(output, numbers, times)).rstrip("\n")) + "\n"
    if "--docs" not in sys.argv[2:]:
        (output / "results.md").write_text(page)
        return
    (ROOT / "docs/results.md").write_text(page.replace("(figures/", "(results/"))
    shutil.copytree(output / "figures", ROOT / "docs/results", dirs_exist_ok=True)


if __name__ == "__main__":
    main()
