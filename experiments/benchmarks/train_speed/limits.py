"""What a device can do at most, measured: a large matrix product and a large copy, the best of JAX and PyTorch."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import torch


def measure(on_gpu: bool) -> dict[str, dict[str, float]]:
    """TFLOP/s of products by dtype, and GB/s of a copy that is read and written; `"best"` and each framework's."""
    size, megabytes, repeats = (8192, 1024, 20) if on_gpu else (1024, 128, 3)
    found: dict[str, dict[str, float]] = {}
    for dtype in ("float32", "bfloat16"):
        seconds = {
            "jax": _jax_seconds(lambda x: x @ x, jnp.ones((size, size), dtype), repeats),
            "torch": _torch_seconds(lambda x: x @ x, torch.ones(size, size, dtype=getattr(torch, dtype)), repeats),
        }
        found[f"{dtype}_tflops"] = {name: 2 * size**3 / value / 1e12 for name, value in seconds.items()}
    count = megabytes * 2**20 // 4
    seconds = {
        "jax": _jax_seconds(lambda x: x + 1, jnp.ones(count), repeats),
        "torch": _torch_seconds(torch.clone, torch.ones(count), repeats),
    }
    found["copy_gb_per_s"] = {name: 2 * 4 * count / value / 1e9 for name, value in seconds.items()}
    return {name: values | {"best": max(values.values())} for name, values in found.items()}


def _jax_seconds(function: Callable[[Any], Any], argument: jax.Array, repeats: int) -> float:
    function = jax.jit(function)

    def run(count: int) -> None:
        for _ in range(count):
            result = function(argument)
        jax.block_until_ready(result)

    return _seconds(run, repeats)


def _torch_seconds(function: Callable[[Any], Any], argument: torch.Tensor, repeats: int) -> float:
    argument = argument.cuda() if torch.cuda.is_available() else argument

    def run(count: int) -> None:
        for _ in range(count):
            function(argument)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return _seconds(run, repeats)


def _seconds(run: Callable[[int], None], repeats: int) -> float:
    """Of one call, in the fastest of eight runs of `repeats` calls."""
    run(1)
    times = []
    for _ in range(8):
        start = time.perf_counter()
        run(repeats)
        times.append((time.perf_counter() - start) / repeats)
    return min(times)
