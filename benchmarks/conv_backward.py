"""Time of the float gradients of 3×3 convolutions, beside matrix products that compute the same.

`python -m benchmarks.conv_backward [--batch 32] [--rounds 7]`. At t* = 1 these gradients are most of a training step.
The shapes are those of ResNet-18 on CIFAR; "gemm" gathers the 3×3 patches and multiplies once.
"""

import argparse
import pathlib
import statistics
import time

import jax
import jax.numpy as jnp

from benchmarks import report
from hdlif_jax.ops import float_conv

SHAPES = ((32, 64), (16, 128), (8, 256), (4, 512))  # (side of the image, channels)


def patches(x):
    """`[B, H, W, C]` to `[B·H·W, 9C]`, the 3×3 surroundings of each pixel."""
    height, width = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifted, -1).reshape(-1, 9 * x.shape[-1])


def input_gemm(x, kernel, gradient):
    flipped = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    return (patches(gradient) @ flipped.reshape(-1, x.shape[-1])).reshape(x.shape)


def kernel_gemm(x, kernel, gradient):
    return (patches(x).T @ gradient.reshape(-1, gradient.shape[-1])).reshape(kernel.shape)


CASES = {
    "forward": lambda x, kernel, gradient: float_conv(x, kernel, 1),
    "input gradient": lambda x, kernel, gradient: jax.vjp(lambda x: float_conv(x, kernel, 1), x)[1](gradient)[0],
    "input gradient, gemm": input_gemm,
    "kernel gradient": lambda x, kernel, gradient: jax.vjp(lambda k: float_conv(x, k, 1), kernel)[1](gradient)[0],
    "kernel gradient, gemm": kernel_gemm,
}


def milliseconds(function, arguments, rounds):
    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=pathlib.Path, default=report.RESULTS)
    options = parser.parse_args()
    load = report.load_average()
    rows: list[list] = []
    results: dict[str, dict[str, float]] = {}
    for side, channels in SHAPES:
        keys = jax.random.split(jax.random.key(0), 3)
        x, gradient = (jax.random.normal(key, (options.batch, side, side, channels)) for key in keys[:2])
        arguments = (x, jax.random.normal(keys[2], (3, 3, channels, channels)), gradient)
        expected = {name: jax.jit(function)(*arguments) for name, function in CASES.items()}
        for name in ("input gradient", "kernel gradient"):
            scale = float(jnp.max(jnp.abs(expected[name])))
            if float(jnp.max(jnp.abs(expected[name] - expected[f"{name}, gemm"]))) > 1e-4 * scale:
                raise SystemExit(f"{name}: the matrix product computes something else")
        times = {name: milliseconds(jax.jit(function), arguments, options.rounds) for name, function in CASES.items()}
        operations = 2 * options.batch * side**2 * 9 * channels**2
        shape = f"{side}×{side}×{channels}"
        results[shape] = times
        rows.append([shape, *(f"{value:.1f} ({operations / value / 1e6:.0f})" for value in times.values())])
    print(report.table(("ms (GFLOP/s)", *CASES), rows))
    description = {"batch": options.batch, "load_average_before": load, "versions": report.versions("jax", "jaxlib")}
    report.write(f"conv_backward-{report.device_slug()}", description | {"milliseconds": results}, options.out)


if __name__ == "__main__":
    main()
