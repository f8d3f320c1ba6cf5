"""Comparing outputs with those of another library."""

import contextlib
from collections.abc import Iterator

import jax
import numpy as np
import torch


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Without TensorFloat-32, which moves spikes, in JAX and in PyTorch; on a CPU nothing changes."""
    if jax.default_backend() == "cpu":
        yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        with jax.default_matmul_precision("highest"):
            yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def distance(values: np.ndarray, expected: np.ndarray) -> float:
    """‖values − expected‖ / ‖expected‖."""
    return float(np.linalg.norm(values - expected) / np.linalg.norm(expected))


def typical_distance(logits: np.ndarray, expected: np.ndarray) -> float:
    """‖logits − expected‖ / ‖expected‖ of the median image of `[T, B, K]` with running statistics.

    Where a membrane lies between two levels, another order of summation moves a spike, and that image's logits with it;
    most images of a batch have none such.
    """
    norms = (np.linalg.norm(values, axis=(0, 2)) for values in (logits - expected, expected))
    return float(np.median(np.divide(*norms)))
