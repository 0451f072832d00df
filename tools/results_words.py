"""What docs/results.md says in words: which statement is made depends on the numbers."""
import math

HALF = 0.80  # resolved fraction of the response network at a packing fraction of one half
LEAST, RANGE = 0.65, (0.3, 0.8)  # and at all these


def known(value):
    return value is not None and math.isfinite(value)


def largest(values):
    """Of those that are known."""
    return max(filter(known, values), default=math.nan)


def response(one, key="fraction"):
    return one["models"]["response"][key]


def apart(a, b):
    """Two values with errors: their difference in units of its error."""
    error = math.hypot(a[1] or 0, b[1] or 0)
    return abs(a[0] - b[0]) / error if known(error) and error > 0 else math.nan


def within(z, most=3):
    return known(z) and z <= most


def larger(a, b):
    """Whether a is larger than b by two errors; None where neither is."""
    return None if not apart(a, b) > 2 else a[0] > b[0]


def sizes(numbers):
    """Sets at one half, from small to large."""
    names = ["phi-0.5", *(name for name in numbers["sets"] if name.startswith("n-"))]
    return sorted((numbers["sets"][name] for name in names), key=lambda one: one["particles"])


def judged(numbers):
    """The targets: (what, value in words, reached)."""
    half = response(numbers["sets"]["phi-0.5"])
    middle = [one for name, one in numbers["sets"].items() if name.startswith("phi-")
              and RANGE[0] - 1e-6 <= one["phi"] <= RANGE[1] + 1e-6]
    least = min((response(one)[0] for one in middle))
    found = sizes(numbers)
    by_size = largest(apart(response(found[0]), response(one)) for one in found[1:])
    total, calibrated = (largest(abs(which(one)) for one in numbers["sets"].values())
                         for which in (lambda one: response(one, "z"), lambda one: response(one, "calibrated")["z"]))
    return [
        (f"resolved fraction of the response network at phi = 0.5 at least {HALF:.2f}", half[0], half[0] >= HALF),
        (f"at least {LEAST} at every phi from {RANGE[0]} to {RANGE[1]}", least, least >= LEAST),
        ("the same from the smallest to the largest N: differences in errors at most 3", by_size,
         within(by_size)),
        ("total of all particles equal to the exact one times the resolved fraction: differences in errors at most 3",
         total, within(total)),
        ("the same with the network's scale, by stiffness, calibrated on frames that training held out", calibrated,
         within(calibrated)),
    ]


def summary(numbers, pair):
    half, found = numbers["sets"]["phi-0.5"], sizes(numbers)
    where, models = half["interface"], half["models"]
    lines = [
        f"- At a packing fraction of one half the exact entropy production rate is {pair(response(half, 'exact'))} a "
        "particle; one "
        f"response network resolves {pair(response(half))} of it at N = {half['particles']}, and "
        f"{pair(response(found[-1]))} at N = {found[-1]['particles']}, where it was not trained.",
        f"- The windowed networks resolve {pair(models['window-xg']['fraction'])} (noise on x and g, as the paper's) "
        "and "
        f"{pair(models['window-g']['fraction'])} (noise on g alone).",
        f"- {pair(where['sigma_2'])} of the entropy production that the response network sees is within two diameters "
        "of the interface, "
        f"which is {pair(where['area_2'])} of the area and has {pair(where['particles_2'])} of the particles.",
    ]
    lines += [f"- Target: {what}: {value:.3g}, {'reached' if reached else '**short**'}."
              for what, value, reached in judged(numbers)]
    return "\n".join(lines)


def fractions_text(numbers, pair):
    found, one_half = sizes(numbers), numbers["sets"]["phi-0.5"]
    z = [apart(response(found[0]), response(one)) for one in found[1:]]
    same = all(within(value) for value in z if known(value))
    by_phi = [one for name, one in numbers["sets"].items() if name.startswith("phi-")]
    first, last = by_phi[0], by_phi[-1]
    text = (f"From {found[0]['particles']} to {found[-1]['particles']} particles the response network's fraction is "
            f"{'the same within three errors' if same else 'not the same within three errors'} "
            f"({', '.join(pair(response(one)) for one in found)}). From phi = {first['phi']:.2g} to {last['phi']:.2g} "
            "it goes from "
            f"{pair(response(first))} to {pair(response(last))}: the score is least resolved in soft, weakly "
            "coordinated particles, which "
            "are most of a dilute system and few in a dense one.")
    xg, g = one_half["models"]["window-xg"], one_half["models"]["window-g"]
    return text + (
        f" At one half the windowed networks resolve {pair(xg['resolved'])} (noise on x and g) and "
        f"{pair(g['resolved'])} "
        f"(on g alone) of {pair(response(one_half, 'exact'))} a particle and unit time. What they were trained to see "
        "is "
        "the entropy production of the density that their noise smooths; on samples with that noise they find "
        f"{pair(xg['smoothed'])} and {pair(g['smoothed'])}. A longer training of a larger one "
        "(`inputs/mips-train.yaml` "
        "is the paper's) is bounded by its noise, too: it hides what is sharper in x and g.")


def agreeing(found, key):
    """How many differences are within three errors, of how many, and the largest difference."""
    z = [abs(key(one)["z"]) for one in found if known(key(one)["z"])]
    return f"{sum(map(within, z))} of {len(z)}", largest(abs(key(one)["excess"][0]) for one in found)


def total_text(numbers, pair):
    found, scales = list(numbers["sets"].values()), numbers["scales"]
    plain = agreeing(found, lambda one: one["models"]["response"])
    calibrated = agreeing(found, lambda one: response(one, "calibrated"))
    limits = numbers["stiffness"]
    ranges = [f"below {limits[0]:g}", *(f"from {a:g} to {b:g}" for a, b in zip(limits, limits[1:])),
              f"above {limits[-1]:g}"]
    classes = ", ".join(f"{pair(factor)} {which}" for factor, which in zip(scales["response"], ranges)
                        if known(factor[0])) + " (by the particle's own exact rate, in 1/time)"
    return (f"The response network's two totals agree within three errors on {plain[0]} sets; the largest difference "
            f"is {plain[1]:.2g} of the exact total. "
            "Training weighs particles by the inverse of their stiffness and ends after so many steps, so the scale of "
            "what is learnt need not be the best one. Any frames tell which is: on those that training held out a "
            f"network resolves most with w = g + s times {classes}. The factor of a particle is one by its stiffness, "
            "which depends on positions alone: a network with it is a score model like any other. Calibrated so, the "
            f"response network's totals agree within three errors on {calibrated[0]} sets, and differ by "
            f"{calibrated[1]:.2g} of the exact total at most. All other numbers of this page are of the networks as "
            f"they were trained. The windowed networks' overall factors are {pair(scales['window-xg'][0])} (noise on x "
            f"and g) and {pair(scales['window-g'][0])} (on g alone); one that is far from 1, or below 0, has learnt "
            "nothing that holds on clean data.")


def concentration_text(numbers, pair):
    sets = [one for name, one in numbers["sets"].items() if name.startswith("phi-")]
    keys = ("sigma_2_over_area", "sigma_2", "particles_2")
    ratios = [(one["phi"], *(one["interface"][key] for key in keys)) for one in sets if one["separated"]]
    if not ratios:
        return "Nothing has separated."
    most, least = (pick(ratios, key=lambda row: row[1][0]) for pick in (max, min))
    above = [row for row in ratios if row[1][0] - 2 * (row[1][1] or 0) > 1]
    more = [row for row in ratios if row[2][0] > row[3][0]]
    seen = [(one["phi"], one["models"]["window-xg"]["shares"]["sigma_2_over_area"]) for one in sets
            if one["separated"]]
    largest_seen = max(seen, key=lambda row: row[1][0])
    return (
        "Where phases have separated (elsewhere what looks like an interface is that of clusters), the share of the "
        "response network's entropy production within two diameters of the interface, over the share of area, is from "
        f"{pair(least[1])} (at phi = {least[0]:.2g}) to {pair(most[1])} (at {most[0]:.2g}), "
        + ("and nowhere above 1: the inside of the dense phase, where particles touch most, produces more. "
           if not above else f"above 1 by more than two errors at {len(above)} of {len(ratios)} packing fractions. ")
        + f"It exceeds the share of particles at {len(more)} of {len(ratios)}. For the windowed network with noise on "
        f"x and g the same ratio is up to {pair(largest_seen[1])} (at {largest_seen[0]:.2g})"
        + (": noise hides what is sharp, as the inside of the dense phase is, and leaves the interface. "
           if largest_seen[1][0] > 1 > most[1][0] else ". ")
        + "The divergence of b, whose sum is the exact total, is no local rate: currents carry the difference.")


def radial_text(numbers, pair):
    found = [(f"{title} at {numbers['sets'][name]['phi']:.2g}", numbers["sets"][name].get("radial"))
             for name, title in ((numbers["droplet"], "droplet"), ("phi-0.7", "bubble"))]
    lines = [f"The largest {title} has a mean radius of {pair(one['radius'])} r0 (that of the disc of its area). Its "
             f"entropy production per area is {times_as(one)}, half-way between both at {half_way(one):.3g} r0 from "
             f"the centre, and {'has' if at_interface(one) else 'has no'} maximum at the interface."
             for title, one in found if one]
    return " ".join(lines + ["Means are over rings round the centre of the largest region of every frame: its shape "
                             "and what else is in the box blur them."])


def data_text(numbers, pair):
    """Packing fractions between those of gas and dense phase at one half where nothing has separated."""
    where = numbers["sets"]["phi-0.5"]["interface"]
    found = [one for name, one in numbers["sets"].items() if name.startswith("phi-") and not one["separated"]
             and known(where["gas"][0]) and where["gas"][0] < one["phi"] < (where["dense"][0] or 0)]
    begun, denser = numbers["sets"]["droplet"], numbers["size"]["droplet"][0]
    droplet = (f" Begun with the dense region of a frame at {denser:g} in a larger box, a system at {begun['phi']:.2g} "
               + (f"keeps it: {pair(begun['interface']['gas'])} and {pair(begun['interface']['dense'])} ("
                  "\"from a droplet\"). Both states last for as long as they were watched."
                  if begun["separated"] else
                  "(\"from a droplet\") does not keep it: in a box of this size the gas is the stable state there."))
    if not found:
        return "At every packing fraction between those of gas and dense phase at one half the phases have separated." \
            + droplet
    which = " and ".join(f"{one['phi']:.2g}" for one in found)
    return (f"At {which}, between the packing fractions of gas and dense phase at one half, nothing has separated in "
            f"this time: the insides of dense regions, of packing fractions of "
            f"{' and '.join(pair(one['interface']['dense']) for one in found)}, are those of clusters, which have not "
            "grown into a phase." + droplet)


def ring_rates(one):
    """Of a radial profile: (distance, EPR per area) where it is known."""
    return [(r, rate[0]) for r, rate in zip(one["r"], one["epr"]) if known(rate[0])]


def times_as(one):
    inside, outside = (ring_rates(one)[k][1] for k in (0, -1))
    if inside > outside:
        return f"{few_digits(inside / outside)} times as large in its middle as far outside"
    return f"{few_digits(outside / inside)} times as large far outside as in its middle"


def few_digits(value):
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def half_way(one):
    """The first distance at which the EPR per area crosses the mean of its innermost and outermost value."""
    rates = ring_rates(one)
    middle = 0.5 * (rates[0][1] + rates[-1][1])
    for (r, rate), (next_r, next_rate) in zip(rates, rates[1:]):
        if (rate - middle) * (next_rate - middle) <= 0 and rate != next_rate:
            return r + (next_r - r) * (middle - rate) / (next_rate - rate)
    return math.nan


def at_interface(one, near=4.0):
    """Whether the EPR per area is largest within two diameters of the mean radius, and not at the profile's ends."""
    rates = ring_rates(one)
    r = max(rates, key=lambda row: row[1])[0]
    return abs(r - one["radius"][0]) <= near and r not in (rates[0][0], rates[-1][0])


def million_text(numbers, pair):
    one = numbers["million"]
    return (f"{one['particles']} particles, tiled from the largest set, were evaluated once, in {one['seconds']:.0f} s "
            f"({(one['memory'] or math.nan) / 2**30:.2g} GiB on all ranks): the response network resolves "
            f"{one['fraction'][0]:.3g} of an exact "
            f"total of {one['total'][0]:.4g} (one frame has no error).")


def paper_text(numbers, pair):
    half = numbers["sets"]["phi-0.5"]
    where, window = half["interface"], half["models"]["window-xg"]
    found, middle = sizes(numbers), judged(numbers)
    wide = window["shares"]["sigma_2"]

    def verdict(yes):
        return "**Undecided.**" if yes is None else "**Agrees.**" if yes else "**Does not agree.**"

    picture = {None: "is undecided here.", True: "holds, by area.",
               False: "does not hold here, by area: the inside of the dense phase, where particles touch most, has "
                      "more."}
    more, more_window = (larger(share, where["area_2"]) for share in (where["sigma_2"], wide))
    return "\n".join([
        f"- *A network trained at one size applies to others without training again.* {verdict(middle[2][2])} The "
        "response network resolves "
        f"{pair(response(found[0]))} at N = {found[0]['particles']} and {pair(response(found[-1]))} at "
        f"{found[-1]['particles']}.",
        f"- *And to other packing fractions.* {verdict(middle[1][2])} With three packing fractions in training it "
        "resolves at least "
        f"{middle[1][1]:.3g} from 0.3 to 0.8. The paper trains at one.",
        f"- *Where it is.* That it is concentrated at the interface {picture[more]} Within two diameters of it at one "
        f"half is {pair(where['sigma_2'])} of the response network's, on {pair(where['area_2'])} of the area; of the "
        f"windowed network's it is {pair(wide)} "
        f"({ {None: 'as much as', True: 'more than', False: 'less than'}[more_window] } the share of area).",
        "- *Maps of the local entropy production by a windowed network with noise of 0.01 on x and g are those of the "
        "system.* (the paper's noise) "
        f"{verdict(window['fraction'][0] > 0.5)} Such a network, small as it is here, resolves "
        f"{pair(window['fraction'])} of the exact total; for a network of any size "
        "this noise hides what is sharper than it in positions and propulsions, which is most of it "
        "([theory.md](theory.md)). With it one sees the entropy production of the smoothed density: where that is, "
        "not how much entropy is produced.",
        "- *The total.* The exact identity -div_x b is what everything is measured with here, and needs no network.",
    ])


def texts(numbers, pair):
    """By the name that the template has for them."""
    parts = (summary, data_text, fractions_text, total_text, concentration_text, radial_text, million_text, paper_text)
    return {part.__name__: part(numbers, pair) for part in parts}
