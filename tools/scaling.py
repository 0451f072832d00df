"""Strong and weak scaling of the simulation, measured and by a model.

Runs the paper's system, phase-separated, on every number of ranks of a list: `strong` with 32768 particles in all,
`weak` with so many on every rank. Writes scaling.csv, one row a run,

    kind, ranks, particles, steps, microseconds a step, million particle-steps a second, efficiency (1: as fast as the
    smallest number of ranks promises), share of messages, imbalance (the busiest rank's forces and steps over the
    mean, less one), and what the model says of the microseconds a step,

and scaling.png. The model has four numbers, all measured on the spot: t, time of a particle-step on one rank; from
`epflow bench messages`, l, the time of a small message, B, bytes a second, and r, the time of a reduction over two
ranks. With n = N / ranks particles in a square of side s = sqrt(n / density) and a halo of width h = cut-off + skin,

    time a step = t (n + G / 4) + m l + 16 G / B + log2(ranks) (r / steps a list lasts) 10,     G = density ((s + 2 h)^2 - s^2)

G ghosts (a quarter of the cost of a particle: half of its pairs with no step of its own), m = 2 neighbours for two
ranks, 4 for four, else 8, and ten reductions each time that lists are made; those of every step are hidden behind the
forces while log2(ranks) r is below half of t n, else what is longer shows. Run it by tools/scaling.
"""
import argparse
import csv
import json
import math
import pathlib
import statistics
import subprocess
import sys

import states
from plots.style import BLUE, GREEN, GREY, ORANGE, TWO_COLUMNS, plt, save

FIELDS = ("kind", "ranks", "particles", "steps", "microseconds_a_step", "million_particle_steps_a_second",
          "efficiency", "share_of_messages", "imbalance", "model_microseconds_a_step")
DENSITY = states.TILE / states.SIDE**2
SKIN, LIST_STEPS, LIST_REDUCTIONS = 1.0, 50, 10
EXTRAPOLATED = 4096  # ranks


# ---- measuring ----

def near_square(tiles):
    """Two whole numbers with this product, as near to each other as they come, the larger first."""
    low = next(count for count in range(math.isqrt(tiles), 0, -1) if tiles % count == 0)
    return tiles // low, low


def measure(options, files, kind, ranks):
    """Several runs of one size: the median row of the table."""
    tiles = (8, 4) if kind == "strong" else near_square(options.weak // states.TILE * ranks)
    particles = states.TILE * tiles[0] * tiles[1]
    steps = max(int(options.particle_steps / particles), 40 if kind == "weak" else 100)
    path = states.write_input(options.output / f"{kind}-{ranks}.yaml", tiles, steps * states.DT, 7,
                              f"{files[(8, 4)] if kind == 'strong' else files[(1, 1)]}@last")
    rows = []
    for _ in range(options.rounds):
        found = states.simulate(path, ranks, options.launcher)
        mean = sum(found[name][1] for name in states.SECTIONS)
        busy = [sum(found[name][m] for name in states.SECTIONS[:2]) for m in (1, 2)]
        done = found["particle_steps"] / particles
        rows.append({"kind": kind, "ranks": ranks, "particles": particles, "steps": round(done),
                     "microseconds_a_step": 1e6 * mean / done, "share_of_messages": found["messages"][1] / mean,
                     "million_particle_steps_a_second": states.rate(found), "imbalance": busy[1] / busy[0] - 1})
    return {key: value if isinstance(value, str) else statistics.median(row[key] for row in rows)
            for key, value in rows[0].items()}


def messages(options):
    """Seconds of a small message and of a reduction over two ranks, and bytes a second."""
    command = [*states.launched(2, options.launcher), states.EPFLOW, "bench", "messages", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise OSError(f"epflow bench messages: exit code {result.returncode}: {result.stderr}")
    calls = json.loads(result.stdout)["calls"]
    small, large = (calls[f"messages of {size} between two ranks"] for size in ("8 bytes", "1 MiB"))
    return {"latency": small["wall_seconds"], "bandwidth": large["bytes"] / large["wall_seconds"],
            "reduction": calls["largest of 7 numbers of all ranks"]["wall_seconds"]}


# ---- the model ----

def model(particles, ranks, step, found):
    """Seconds a step on so many ranks; step: seconds of a particle-step on one."""
    own = particles / ranks
    if ranks == 1:
        return step * own
    side, width = math.sqrt(own / DENSITY), states.CUTOFF + SKIN
    ghosts = min(DENSITY * ((side + 2 * width)**2 - side**2), particles - own)
    forces = step * (own + ghosts / 4)
    halo = {2: 2, 4: 4}.get(ranks, 8) * found["latency"] + 16 * ghosts / found["bandwidth"]
    reduction = math.log2(ranks) * found["reduction"]
    return forces + halo + LIST_REDUCTIONS * reduction / LIST_STEPS + max(0, reduction - step * own / 2)


def complete(rows, found):
    """Adds efficiencies and the model's times. Returns seconds of a particle-step on one rank, by kind."""
    base = {}
    for row in rows:
        base.setdefault(row["kind"], row)
        first = base[row["kind"]]
        per_rank = row["million_particle_steps_a_second"] / row["ranks"]
        row["efficiency"] = per_rank / (first["million_particle_steps_a_second"] / first["ranks"])
    step = {kind: 1e-6 * first["microseconds_a_step"] / first["particles"] * first["ranks"]
            for kind, first in base.items()}
    for row in rows:
        row["model_microseconds_a_step"] = 1e6 * model(row["particles"], row["ranks"], step[row["kind"]], found)
    return step


# ---- what is left of it ----

def write_table(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, FIELDS)
        table.writeheader()
        for row in rows:
            table.writerow({key: f"{row[key]:.6g}" if isinstance(row[key], float) else row[key] for key in FIELDS})


def draw(path, options, rows, step, found):
    figure, axes = plt.subplots(1, 3, figsize=(TWO_COLUMNS, 2.7))
    far = [2**power for power in range(int(math.log2(EXTRAPOLATED)) + 1)]
    for kind, colour in (("strong", BLUE), ("weak", ORANGE)):
        chosen = [row for row in rows if row["kind"] == kind]
        if not chosen:
            continue
        ranks = [row["ranks"] for row in chosen]
        size = f"{states.TILE * 32} particles" if kind == "strong" else f"{options.weak} particles a rank"
        axes[0].loglog(ranks, [row["microseconds_a_step"] for row in chosen], "o", color=colour,
                       label=f"{kind}: {size}")
        particles = [states.TILE * 32 if kind == "strong" else options.weak * count for count in far]
        times = [model(n, count, step[kind], found) for n, count in zip(particles, far)]
        axes[0].loglog(far, [1e6 * time for time in times], "-", color=colour, lw=1)
        ideal = [times[0] / count if kind == "strong" else times[0] for count in far]
        axes[1].semilogx(ranks, [row["efficiency"] for row in chosen], "o", color=colour)
        axes[1].semilogx(far, [a / b for a, b in zip(ideal, times)], "-", color=colour, lw=1)
        axes[2].semilogx(ranks, [row["share_of_messages"] for row in chosen], "o-", color=colour, lw=1,
                         label=f"messages, {kind}")
        axes[2].semilogx(ranks, [row["imbalance"] for row in chosen], "s--", color=colour, lw=1, mfc="none",
                         label=f"imbalance, {kind}")
    cores = options.cores
    for axis in axes:
        axis.axvline(cores, color=GREY, lw=1, ls=":")
        axis.set_xlabel("ranks")
    axes[0].set_ylabel("microseconds a step")
    axes[0].set_ylim(None, 3 * axes[0].get_ylim()[1])
    axes[0].legend(loc="upper right", fontsize=6)
    axes[0].set_title("time: measured (dots), model (lines)")
    axes[1].set_ylabel("efficiency")
    axes[1].set_ylim(0, 1.1)
    axes[1].axhline(1, color=GREEN, lw=0.8)
    axes[1].set_title(f"efficiency (dotted: {cores} cores here)")
    axes[2].set_ylabel("share of the time")
    axes[2].set_ylim(0, None)
    axes[2].set_xscale("log", base=2)
    measured = sorted({row["ranks"] for row in rows})
    axes[2].set_xticks(measured, [str(count) for count in measured])
    axes[2].minorticks_off()
    axes[2].legend(loc="lower right", bbox_to_anchor=(1, 0.12), fontsize=6)
    axes[2].set_title("what ranks wait for")
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(prog="tools/scaling", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2], help="default: 1 2")
    parser.add_argument("--launcher", metavar="COMMAND",
                        help="starts {ranks} ranks; default: mpirun -n {ranks}, one rank by itself")
    parser.add_argument("--kinds", nargs="+", choices=("strong", "weak"), default=("strong", "weak"))
    parser.add_argument("--weak", type=int, default=4096, metavar="N",
                        help=f"particles a rank, a multiple of {states.TILE}")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, of which the median is taken")
    parser.add_argument("--particle-steps", type=float, default=1.2e8, help="of each run")
    parser.add_argument("--burn-in", type=float, default=1e5, help="time, of the first 1024 particles")
    parser.add_argument("--cores", type=int, default=len(states.CORES), help="that the ranks have, for the picture")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("runs/scaling"))
    options = parser.parse_args()
    if options.weak < states.TILE or options.weak % states.TILE or min(options.ranks) < 1:
        parser.error(f"--weak is a multiple of {states.TILE}, and ranks are 1 at least")
    options.output.mkdir(parents=True, exist_ok=True)
    files = states.phase_separated(options.output, (8, 4) if "strong" in options.kinds else (1, 1), options.burn_in,
                                   options.launcher)
    found = messages(options)
    print(f"message {1e6 * found['latency']:.2f} us, {1e-9 * found['bandwidth']:.1f} GB/s, reduction over two ranks "
          f"{1e6 * found['reduction']:.2f} us", file=sys.stderr)
    rows = []
    for kind in options.kinds:
        for ranks in sorted(options.ranks):
            rows.append(measure(options, files, kind, ranks))
            print(f"{kind:6}  ranks {ranks:5d}  {rows[-1]['microseconds_a_step']:10.2f} us a step", file=sys.stderr)
    step = complete(rows, found)
    write_table(options.output / "scaling.csv", rows)
    draw(options.output / "scaling.png", options, rows, step, found)
    print("kind    ranks  particles  us a step    model  efficiency  messages  imbalance")
    for row in rows:
        print(f"{row['kind']:6}  {row['ranks']:5d}  {row['particles']:9d}  {row['microseconds_a_step']:9.2f}  "
              f"{row['model_microseconds_a_step']:7.2f}  {row['efficiency']:10.3f}  {row['share_of_messages']:8.3f}  "
              f"{row['imbalance']:9.3f}")
    for kind, seconds in step.items():
        n = states.TILE * 32 if kind == "strong" else options.weak * EXTRAPOLATED
        ideal = seconds * n / EXTRAPOLATED
        print(f"model, {kind}: on {EXTRAPOLATED} ranks {1e6 * model(n, EXTRAPOLATED, seconds, found):.2f} us a step of "
              f"{n} particles, efficiency {ideal / model(n, EXTRAPOLATED, seconds, found):.2f}")
    print(f"wrote {options.output}/scaling.csv and scaling.png")


if __name__ == "__main__":
    sys.exit(main())
