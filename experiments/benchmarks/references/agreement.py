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
