"""One page about a run: what was simulated, its numbers, pictures, certificate, parameters, timing, provenance."""
import io
import os
import time

import numpy as np

from plots import style
from plots.certificate import estimates
from plots.files import Skip, box_sides
from plots.log import lines_of, timings, warnings
from plots.page import Html, document, joined, measured, picture, section, table, tag
from plots.report_tables import (class_tables, file_table, identity_table, parameter_tables, provenance_table,
                                 training_table)
from plots.results import Results
from plots.style import number

PIXELS = 200  # an inch, of maps in the page
CAPTIONS = {
    "particles": "Every particle of the last evaluated frame (left) by its entropy production rate in the flow of "
                 "the network, (right) by the packing fraction around it. The scale of the rate is logarithmic.",
    "fields": "Entropy production per area (left) and packing fraction (right) on a grid, smoothed, in the last "
              "evaluated frame. White: the interface between gas and dense phase.",
    "profile": "Packing fraction and rates across the interface: means and standard errors over all evaluated "
               "frames, by the distance to the interface, positive in the dense phase.",
    "classes": "Rates by phase, by local density and by number of contacts: without a network (exact), of the "
               "network's flow, and resolved. Errors are standard errors.",
    "training": "The training log: single steps, or where 90 % of them lie (pale), and medians over 60 stretches "
                "(line); the resolved fraction on frames that were held out, with standard errors.",
    "check": "The network's velocities and rates against the exact flow, particle by particle.",
    "ring": "Flow and rate in the relative coordinates of the two particles: network, exact, difference.",
    "crystal": "The crystal's particles by their rate: network, exact, difference.",
}
TITLES = {"particles": "Particles", "fields": "Fields", "profile": "Across the interface",
          "classes": "By phase, density and contacts", "training": "Training", "check": "Against the exact flow",
          "ring": "Ring", "crystal": "Crystal"}
SERIOUS = 3  # standard errors beyond which a difference is not chance


# ---- what was simulated ----

def what_it_is(results):
    system = results.parameters("system")
    kinds = {"aoup": "active Ornstein\u2013Uhlenbeck particles", "crystal": "particles of an active crystal",
             "unknown": "particles whose dynamics is not known"}
    dimension, count = int(system.get("dimension", 2)), int(system.get("particles", 0))
    kind = kinds.get(system.get("kind"), "particles")
    words = [f"{style.whole(count)} {kind} in {dimension} dimension{'s' if dimension > 1 else ''}"]
    if system.get("copies", 1) > 1:
        words[0] = f"{int(system['copies'])} independent copies of {words[0]}"
    if system.get("trap", 0) > 0:
        words.append("in a harmonic trap")
    else:
        sides = box_sides(results.source("system"), dimension)
        if sides is not None:
            lengths = " \u00d7 ".join(f"{s:.4g}" for s in sides[:1 if len(set(sides)) == 1 else None])
            words.append(f"in a periodic box of {'side ' if len(set(sides)) == 1 else ''}{lengths} r\u2080")
    return ", ".join(words)


def scales(results):
    """Numbers that characterise the system: name, value, unit."""
    system, simulation = results.parameters("system"), results.parameters("simulation")
    gamma, found = system.get("gamma", 0), []
    if system.get("packing_fraction", 0) > 0:
        found.append(("packing fraction \u03c6", system["packing_fraction"], ""))
    if gamma > 0:
        found += [("persistence time 1/\u03b3", 1 / gamma, "time"),
                  ("persistence length v\u2080/\u03b3", system["v0"] / gamma, "r\u2080")]
    if gamma > 0 and system.get("k", 0) > 0:
        found.append(("stiffness against memory k/\u03b3", system["k"] / gamma, ""))
    if "r_c" in simulation:
        found.append(("cutoff of the forces r_c", simulation["r_c"], "r\u2080"))
    written, _ = results.frames("trajectory.h5")
    if written and gamma > 0:
        found.append(("time between frames", simulation["frame_interval"], "time"))
        found.append(("length of the trajectory", written * simulation["frame_interval"] * gamma, "1/\u03b3"))
    return found


# ---- main numbers ----

def card(name, value, unit="", below=""):
    return tag("div", tag("dt", name), tag("dd", value, *([tag("span", unit, class_="unit")] if unit else []), below),
               class_="card")


def meter(fraction):
    share = min(max(fraction, 0), 1)
    return tag("div", Html(f'<i style="width: {100 * share:.1f}%"></i>'), class_="meter")


def frames_in_words(results, name):
    written, planned = results.frames(name)
    return str(written) if written == planned else f"{written} of {planned}"


def main_numbers(results, found):
    rate, cards = "per particle and unit time", []
    if found:
        cards += [card("resolved fraction", measured(*found["resolved_fraction"]), "of the exact rate",
                       meter(found["resolved_fraction"][0])),
                  card("resolved EPR, at least", measured(*found["resolved"]), rate),
                  card("exact EPR", measured(*found["exact"]), rate),
                  card("certified total, at least", measured(*found["certified_total"]),
                       Html(f"of {measured(*found['exact_total'])} per unit time"))]
    else:
        exact = results.exact_of_trajectory()
        if exact:
            cards.append(card("exact EPR, of the trajectory", measured(*exact), rate))
    cards.append(card("particles N", measured(results.parameter("system", "particles", np.nan))))
    for name, what in (("trajectory.h5", "frames simulated"), ("evaluation.h5", "frames evaluated")):
        if name in results.files:
            cards.append(card(what, frames_in_words(results, name)))
    if "model.h5" in results.files:
        cards.append(card("training steps", f"{int(results.files['model.h5'].attrs.get('step', 0))} of "
                                            f"{int(results.parameter('training', 'steps', 0))}"))
    return tag("dl", *cards, class_="cards")


# ---- warnings ----

def incomplete(results):
    for name in ("trajectory.h5", "evaluation.h5"):
        if name in results.files:
            written, planned = results.frames(name)
            if written < planned:
                yield f"{name} is not complete: {written} of {planned} frames are written."
    if "model.h5" in results.files and not results.complete("model.h5"):
        yield (f"Training is not complete: {int(results.files['model.h5'].attrs.get('step', 0))} of "
               f"{int(results.parameter('training', 'steps'))} steps.")
    if "evaluation.h5" in results.files and not results.complete("evaluation.h5"):
        yield "The evaluation is not complete: profiles and certificate are not there yet."


def doubts(results, found):
    """What the certificate says against the numbers."""
    file = results.files.get("evaluation.h5")
    if file is None or not results.complete("evaluation.h5") or "certificate" not in file:
        return
    beyond = {name: item.attrs["z"] for name, item in file["certificate"].items()
              if abs(item.attrs.get("z", np.nan)) > SERIOUS}
    if found and found["resolved_fraction"][0] <= 0:
        yield ("The resolved fraction is not above 0: this network is worse than none, and its maps are not of the "
               "entropy production.")
    if "I0" in beyond:
        yield (f"I0 is off by {number(beyond['I0'], '{:.1f}')} standard errors: the trajectory itself is not in its "
               "stationary state, or its time step is too long.")
    for name in ("I1_x", "I1_g"):
        if name in beyond:
            yield (f"{name.replace('_', ' ')} is off by {number(beyond[name], '{:.1f}')} standard errors: on samples "
                   "noised as in training the network is not a score; train it longer.")


def differing_physics(results):
    """The model or the evaluation may be of another system."""
    own = results.parameters("system")
    for name, file in results.files.items():
        there = file.get("parameters/system")
        if there is None or file == results.source("system"):
            continue
        for key in sorted(set(own) & set(there.attrs)):
            value = there.attrs[key]
            value = value.decode() if isinstance(value, bytes) else value
            if np.any(value != own[key]):
                yield f"{name} is of a system with {key} = {value}, the trajectory of one with {own[key]}."


def warning_list(results, found, lines):
    said = [*results.problems, *incomplete(results), *differing_physics(results), *doubts(results, found),
            *(f"The log says: {text}" for text in warnings(lines))]
    if not said:
        return Html("")
    return tag("ul", *(tag("li", text) for text in said), class_="warnings", id="warnings")


# ---- pictures ----

def drawn(results, pictures):
    """Of every picture: its figure in the page, or why there is none."""
    figures, skipped = {}, {}
    style.use_style("page")
    for name, draw in pictures.items():
        if name == "certificate":
            continue  # a table of the page
        try:
            buffer = io.StringIO()
            figure = draw(results.folder)
            narrow = figure.get_figwidth() < style.TWO_COLUMNS - 1
            figure.savefig(buffer, format="svg", dpi=PIXELS, metadata={"Date": None, "Creator": None})
            style.plt.close(figure)
            figures[name] = picture(style.page_svg(buffer.getvalue(), name), CAPTIONS[name], name, narrow)
        except (Skip, OSError, KeyError) as why:
            skipped[name] = str(why)
    return figures, skipped


# ---- the page ----

def timing_tables(lines):
    found = timings(lines)
    if not found:
        return tag("p", "log.txt has no table of timings.", class_="note")
    parts = []
    for stage in found:
        parts.append(tag("h3", f"{stage.stage.capitalize()}: {stage.took}"))
        if stage.detail:
            parts.append(tag("p", stage.detail, class_="note"))
        if stage.rows:
            parts.append(table(stage.columns, stage.rows, numbers=range(1, len(stage.columns))))
    parts.append(tag("p", "Least, mean and most over the ranks, of the last time that a stage ran; from log.txt.",
                     class_="note"))
    return joined(*parts)


def beginning(results, found, lines):
    facts = [tag("div", tag("dt", name), tag("dd", measured(value), " ", unit))
             for name, value, unit in scales(results)]
    return joined(tag("h1", os.path.basename(os.path.abspath(results.folder))),
                  tag("p", what_it_is(results) + ".", class_="lead"), warning_list(results, found, lines),
                  main_numbers(results, found), tag("dl", *facts, class_="facts"))


def sections(results, figures, skipped, lines):
    """Names and contents, in order; those without content are left out."""
    def figure(*names):
        return joined(*(figures[name] for name in names if name in figures))

    yield "maps", "Maps", figure("particles", "fields")
    yield "profile", TITLES["profile"], figure("profile")
    yield "classes", TITLES["classes"], joined(figure("classes"), class_tables(results))
    yield "certificate", "Certificate", identity_table(results)
    yield "exact", TITLES["check"], figure("check", "ring", "crystal")
    yield "training", TITLES["training"], joined(figure("training"), training_table(results))
    yield "parameters", "Parameters", parameter_tables(results)
    yield "timing", "Timing", timing_tables(lines)
    yield "provenance", "Provenance", joined(provenance_table(results), file_table(results))
    others = [tag("li", f"{TITLES[name]}: {why}") for name, why in skipped.items()]
    yield "skipped", "Not drawn", tag("ul", *others, class_="note") if others else Html("")


def write(folder, pictures, path, chosen=None):
    """The page of a folder's results; chosen: light or dark, or as the reader's browser has it."""
    results = Results(folder)
    found = estimates(results.files["evaluation.h5"]) if "evaluation.h5" in results.files else {}
    figures, skipped = drawn(results, pictures)
    lines = lines_of(folder)
    there = [part for part in sections(results, figures, skipped, lines) if part[2].strip()]
    contents = tag("nav", *(tag("a", title, href="#" + name) for name, title, _ in there), aria_label="Contents")
    made = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    page = joined(tag("header", beginning(results, found, lines), contents),
                  tag("main", *(section(*part) for part in there)),
                  tag("footer", tag("p", f"Made by tools/plot.py of epflow, {made}.")))
    results.close()
    part = path + ".part"
    with open(part, "w", encoding="utf-8") as file:
        file.write(document(os.path.basename(os.path.abspath(folder)) + " \u2013 epflow", page, chosen))
    os.replace(part, path)
