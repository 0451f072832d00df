"""The case alignment of tools/verify: propulsions that turn to those of their neighbours, against sums over all pairs and
matrices in numpy."""
import h5py
import numpy as np

import verify
from verify import at_most, differences, equal, finished, run

GAMMA, RATE, RADIUS = 0.05, 0.04, 4.0
GAS = f"""
system: {{particles: 300, packing_fraction: 0.4, v0: 0.25, gamma: {GAMMA}, alignment: {RATE}, alignment_radius: {RADIUS}}}
simulation: {{dt: 0.05, burn_in: 50, frames: 24, frame_interval: 10, seed: 5}}
network: {{neighbours: 8, width: 16, hidden: 16, feed_forward: 16, heads: 2, blocks: 1, layers: 1}}
training: {{noise_on: g, sigma: 0.1, batch: 64, steps: 300, warm_up: 50, rate: 2e-3, average: 0.98, held_out: 0.5}}
evaluation: {{grid: 1}}
"""
# A chain is small enough for its covariance to be solved for as so many linear equations.
SITES, SPRING, TETHER, EPS = 12, 0.7, 0.2, 0.03
CHAIN = f"""
system: {{kind: crystal, dimension: 1, particles: {SITES}, copies: 4, box: [31.2], v0: 0.25, gamma: {GAMMA}, eps: EPS,
         spring: {SPRING}, tether: {TETHER}, alignment: {RATE}}}
simulation: {{dt: 0.02, burn_in: 100, frames: 400, frame_interval: 10, seed: 5}}
network: {{kind: window, window: anchored, neighbours: 5, linear_term: on, width: 16, hidden: 16, feed_forward: 16,
          heads: 2, blocks: 1, layers: 1}}
training: {{loss: score_matching, noise_on: g, batch: 16, steps: 20, warm_up: 5}}
evaluation: {{grid: 1}}
"""


def weights(x, side):
    """w(r) of all pairs of a frame (n, n)."""
    apart = x[:, None] - x[None]
    apart -= side * np.round(apart / side)
    w = np.clip(1 - (apart**2).sum(-1) / RADIUS**2, 0, None)**2
    np.fill_diagonal(w, 0)
    return w


def drift(w, g):
    """The drift of g (n, d), and its divergence (n)."""
    return -GAMMA * g + RATE * (w @ g - w.sum(1)[:, None] * g), -g.shape[1] * (GAMMA + RATE * w.sum(1))


def relative(value, exact):
    return float(np.abs(value - exact).max() / np.abs(exact).max())


def gas(folder):
    source = folder / "gas.yaml"
    source.write_text(GAS)
    for ranks in (2, 1, 3):
        yield finished(f"ranks_{ranks}", run(ranks, "simulate", source, "--output", folder / f"gas{ranks}"))
    for ranks in (1, 3):
        yield equal(f"differences_{ranks}", differences(folder / "gas2/trajectory.h5",
                                                        folder / f"gas{ranks}/trajectory.h5", "/particles"), "none")
    for stage in ("train", "evaluate"):
        yield finished(stage, run(2, stage, source, "--output", folder / "gas2"))
    with h5py.File(folder / "gas2/trajectory.h5") as file, h5py.File(folder / "gas2/evaluation.h5") as result:
        frames, of_frame = file["particles/trajectory"], file["parameters/scalars/alignment"][()]
        side = frames["box/edges/value"][0, 0, 0]
        x, g = frames["position/value"][:, :, :2], frames["propulsion/value"][()]
        held_out = x.shape[0] // 2
        columns = {name: result[f"particles/evaluation/{name}"][()]
                   for name in ("s_g", "v_g", "div_g", "resolved", "exact")}
        div_b = file["parameters/scalars/div_b"][()]
    exact = []
    for frame in range(x.shape[0]):
        a, divergence = drift(weights(x[frame], side), g[frame])
        exact.append((a**2).sum() / GAMMA + divergence.sum())
        if frame < held_out:
            continue
        c = {name: column[frame - held_out] for name, column in columns.items()}
        if frame == held_out:
            yield at_most("v_g", relative(c["v_g"], a - GAMMA * c["s_g"]), 1e-6)
            resolved = (2 * (c["v_g"] * a).sum(1) - (c["v_g"]**2).sum(1)) / GAMMA + 2 * c["div_g"]
            yield at_most("resolved", relative(c["resolved"], resolved), 1e-6)
            yield at_most("exact", abs(c["exact"].sum() / (exact[-1] - div_b[frame]) - 1), 1e-6)
    yield at_most("alignment", relative(of_frame, np.array(exact)), 1e-9)
    yield at_most("aligned", float((g[-1]**2).mean()), 0.9)


def covariance(eps):
    """Of (u, g) of a chain, from A C + C A' = 2 D, solved as it stands, and A."""
    ring = 2 * np.eye(SITES) - np.roll(np.eye(SITES), 1, 0) - np.roll(np.eye(SITES), -1, 0)
    a = np.zeros((2 * SITES, 2 * SITES))
    a[:SITES, :SITES] = SPRING * ring + TETHER * np.eye(SITES)
    a[:SITES, SITES:] = -0.25 * np.eye(SITES)
    a[SITES:, SITES:] = GAMMA * np.eye(SITES) + RATE * ring
    d = np.diag([eps] * SITES + [GAMMA] * SITES)
    one = np.eye(2 * SITES)
    c = np.linalg.solve(np.kron(a, one) + np.kron(one, a), (2 * d).ravel())
    return c.reshape(2 * SITES, 2 * SITES), a


def chain(folder, eps):
    """The closed form of `epflow check`, and the data themselves."""
    name = "still" if eps == 0 else "diffusing"
    source, output = folder / f"{name}.yaml", folder / name
    source.write_text(CHAIN.replace("EPS", str(eps)))
    yield finished(f"{name}_run", run(2, "run", source, "--output", output))
    yield finished(f"{name}_check", run(1, "check", source, "--output", output))
    with h5py.File(output / "trajectory.h5") as file, h5py.File(output / "check.h5") as closed:
        frames = file["particles/trajectory"]
        side = frames["box/edges/value"][0, 0, 0]
        x, g = frames["position/value"][:, :, 0], frames["propulsion/value"][:, :, 0]
        exact = {key: closed[f"particles/exact/{key}"][-1].reshape(4, SITES) for key in ("s_g", "v_g", "sigma", "div_g")}
        summary = closed["comparison/total"].attrs
        total = float(summary["exact"]) if "exact" in summary else None
    u = x.reshape(-1, 4, SITES) - side / SITES * np.arange(SITES)
    u -= side * np.round(u / side)
    z = np.concatenate([u, g.reshape(-1, 4, SITES)], 2)
    c, a = covariance(eps)
    precision = np.linalg.inv(c)
    noise = np.diag([eps] * SITES + [GAMMA] * SITES)
    score, velocity = -z[-1] @ precision, -z[-1] @ a.T + z[-1] @ precision @ noise
    sigma = velocity[:, SITES:]**2 / GAMMA + (velocity[:, :SITES]**2 / eps if eps else 0)
    div_g = np.diag(-a + noise @ precision)[SITES:] * np.ones((4, 1))
    for key, mine in (("s_g", score[:, SITES:]), ("v_g", velocity[:, SITES:]), ("sigma", sigma), ("div_g", div_g)):
        yield at_most(f"{name}_{key}", relative(exact[key], mine), 1e-9)
    if total is not None:
        flow = -a + noise @ precision
        mean = np.diag(flow @ c @ flow.T)
        yield at_most(f"{name}_total", abs(total / (mean[SITES:].sum() / GAMMA + (mean[:SITES].sum() / eps if eps else 0)) - 1),
                      1e-9)
    seen = float((z[:, :, SITES:]**2).mean() / np.diag(c)[SITES:].mean())
    yield at_most(f"{name}_variance_of_g", abs(seen - 1), 0.03)
    seen = float((z[:, :, :SITES] * z[:, :, SITES:]).mean() / np.diag(c[:SITES, SITES:]).mean())
    yield at_most(f"{name}_x_g", abs(seen - 1), 0.05)


def alignment(folder):
    """Alignment: any number of ranks alike, sums and flow as numpy has them, a chain as its covariance says."""
    yield from gas(folder)
    for eps in (0, EPS):
        yield from chain(folder, eps)
    source = folder / "gas.yaml"
    for name, settings, words in (("dt", ("simulation.dt=5",), "align"),
                                  ("refine", ("simulation.refine=1",), "fine steps"),
                                  ("response", ("network.kind=response",), "alignment")):
        result = run(2, "simulate", source, "--output", folder / "refused", "--dry-run",
                     *(word for setting in settings for word in ("--set", setting)))
        said = verify.errors(result.stderr)
        good = result.returncode == 2 and len(said) == 1 and words in said[0]
        yield equal(f"refused_{name}", "yes" if good else result.stderr[-300:], "yes")
