"""Speed of the paper's score network in JAX, written as its authors compute it, on one core.

Boffi and Vanden-Eijnden (PNAS 2024) map one function over windows: every token of a window, a particle and its
nearest neighbours, has its own embeddings of g and x, all tokens go through every block, and token 0 is
decoded. The divergence with respect to the particle's own g is exact, by one forward-mode derivative an axis; a
training step is value and gradient of the antithetic denoising loss. None of the work that can be saved without
changing the function is saved here: that is what is compared.

Prints one JSON object: milliseconds of processor time a particle (median and least of several repeats) of
each, for each number of windows at once. Run it by tools/compare/network-speed, which finds JAX and pins it to
one core.
"""
import argparse
import json
import os
import statistics
import time

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np

DIMENSION, NEIGHBOURS, SIGMA = 2, 64, 0.01
WIDTH = HIDDEN = FEED_FORWARD = 256
HEADS, BLOCKS, LAYERS = 4, 4, 4


# ---- the network ----

def linear_weights(draw, fan_in, fan_out):
    """A layer: its matrix, normal with sd 1/sqrt(fan_in), and its bias."""
    return (jnp.asarray(draw.standard_normal((fan_in, fan_out)) / np.sqrt(fan_in), jnp.float32),
            jnp.zeros(fan_out, jnp.float32))


def mlp_weights(draw, fan_in, fan_out):
    sizes = [fan_in] + LAYERS * [HIDDEN] + [fan_out]
    return [linear_weights(draw, a, b) for a, b in zip(sizes, sizes[1:])]


def block_weights(draw):
    norm = (jnp.ones(WIDTH, jnp.float32), jnp.zeros(WIDTH, jnp.float32))
    return {"query": linear_weights(draw, WIDTH, WIDTH), "key": linear_weights(draw, WIDTH, WIDTH),
            "value": linear_weights(draw, WIDTH, WIDTH), "output": linear_weights(draw, WIDTH, WIDTH),
            "norm1": norm, "norm2": norm, "wide": linear_weights(draw, WIDTH, FEED_FORWARD),
            "narrow": linear_weights(draw, FEED_FORWARD, WIDTH)}


def network_weights():
    draw = np.random.default_rng(1)
    return {"embed_g": mlp_weights(draw, DIMENSION, WIDTH // 2),
            "embed_x": mlp_weights(draw, DIMENSION, WIDTH // 2),
            "blocks": [block_weights(draw) for _ in range(BLOCKS)],
            "decoder": mlp_weights(draw, WIDTH, DIMENSION)}


def linear(layer, x):
    return x @ layer[0] + layer[1]


def mlp(layers, x):
    for layer in layers[:-1]:
        x = jax.nn.gelu(linear(layer, x), approximate=True)
    return linear(layers[-1], x)


def norm(weights, x):
    centred = x - x.mean(-1, keepdims=True)
    return weights[0] * centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5) + weights[1]


def attention(block, tokens):
    heads = [linear(block[name], tokens).reshape(-1, HEADS, WIDTH // HEADS)
             for name in ("query", "key", "value")]
    query, key, value = heads
    weights = jax.nn.softmax(jnp.einsum("thc,Thc->htT", query, key) / np.sqrt(WIDTH / HEADS), axis=-1)
    return linear(block["output"], jnp.einsum("htT,Thc->thc", weights, value).reshape(-1, WIDTH))


def score(weights, own_g, other_g, offsets):
    """Of one window: own_g (d), other_g (n, d), offsets (n + 1, d) from the particle to each token, itself first."""
    g = jnp.concatenate([own_g[None], other_g])
    tokens = jnp.concatenate([mlp(weights["embed_g"], g), mlp(weights["embed_x"], offsets)], axis=-1)
    for block in weights["blocks"]:
        tokens = norm(block["norm1"], tokens + attention(block, tokens))
        wide = jax.nn.gelu(linear(block["wide"], tokens), approximate=True)
        tokens = norm(block["norm2"], tokens + linear(block["narrow"], wide))
    return mlp(weights["decoder"], tokens[0])


# ---- what is timed ----

def divergence(weights, own_g, other_g, offsets):
    """The score and its exact divergence: one tangent along each axis of the particle's own g."""
    def along(axis):
        return jax.jvp(lambda g: score(weights, g, other_g, offsets), (own_g,), (axis,))
    values, slopes = jax.vmap(along, out_axes=(None, 0))(jnp.eye(DIMENSION, dtype=jnp.float32))
    return values, jnp.trace(slopes)


scores = jax.vmap(score, in_axes=(None, 0, 0, 0))
divergences = jax.vmap(divergence, in_axes=(None, 0, 0, 0))


def denoising(weights, moved, zeta):
    """The antithetic loss of both moved configurations."""
    total = 0
    for sign, windows in zip((1, -1), moved):
        s = scores(weights, *windows)
        total += 0.5 * jnp.mean(jnp.sum(s**2 + sign * 2 * s * zeta / SIGMA, axis=-1))
    return total


def some_windows(draw, count):
    def array(*shape):
        return jnp.asarray(draw.standard_normal(shape), jnp.float32)
    offsets = 4 * array(count, NEIGHBOURS + 1, DIMENSION)
    return array(count, DIMENSION), array(count, NEIGHBOURS, DIMENSION), offsets.at[:, 0].set(0)


def times(function, arguments, windows, repeats):
    """Milliseconds of processor time a particle, after the compilation."""
    compiled = jax.jit(function)
    jax.block_until_ready(compiled(*arguments))
    measured = []
    for _ in range(repeats):
        begun = time.process_time()
        jax.block_until_ready(compiled(*arguments))
        measured.append(1e3 * (time.process_time() - begun) / windows)
    return {"median": statistics.median(measured), "least": min(measured)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, nargs="+", default=[16, 64], help="how many at once")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    weights = network_weights()
    result = {"jax": jax.__version__, "parameters": sum(x.size for x in jax.tree_util.tree_leaves(weights)),
              "milliseconds_a_particle": {}}
    for count in options.windows:
        draw = np.random.default_rng(count)
        windows, moved = some_windows(draw, count), [some_windows(draw, count) for _ in range(2)]
        zeta = jnp.asarray(draw.standard_normal((count, DIMENSION)), jnp.float32)
        result["milliseconds_a_particle"][count] = {
            "forward": times(scores, (weights, *windows), count, options.repeats),
            "divergence": times(divergences, (weights, *windows), count, options.repeats),
            "training": times(jax.value_and_grad(denoising), (weights, moved, zeta), count, options.repeats)}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
