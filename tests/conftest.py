"""Strict numerics, and four fake devices as on a small machine with accelerators."""

import gc
import importlib.metadata
import os

# Before the first import of jax: the number of devices is fixed then. Tests compile much and run little, so the code
# generator's optimisations are off; XLA's own passes, which decide about memory and numerics, are on.
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=4",
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_parallel_codegen_split_count=1",  # a code generator for each part costs more than small parts
        # The other emitters compile twice as fast; a later XLA has none.
        "--xla_cpu_use_fusion_emitters=false" if importlib.metadata.version("jaxlib").startswith("0.10.") else "",
    ]
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAX_COMPILATION_CACHE_DIR"] = ""  # commands neither read nor fill the user's

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hdlif_jax import nn

gc.set_threshold(50_000, 20, 20)  # tracing makes many objects: Python's 700 take as long as the tracing itself
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def spec_of(
    *,
    num_steps=4,
    neuron="hd-lif",
    parallel=None,
    weights="ternary",
    spike_bits=4,
    spike_scale=0.25,
    attention="none",
):
    """A specification from the paper's words.

    Args:
      num_steps: T.
      neuron: "lif", "hd-lif", "mem-bn" or "parallel".
      parallel: whether the second neuron of a block is parallel; None is yes, except for LIF.
      weights: of the convolutions.
      spike_bits: of the neurons that quantise; None for unquantised spikes.
      spike_scale: of the neurons that quantise.
      attention: of the blocks.
    """
    levels = {"bits": spike_bits, "scale": spike_scale}
    factories = {
        "lif": nn.lif(),
        "hd-lif": nn.hd_lif(**levels),
        "mem-bn": nn.mem_bn(**levels),
        "parallel": nn.parallel(**levels),
    }
    second = factories["parallel"] if (neuron != "lif" if parallel is None else parallel) else None
    return nn.Spec(num_steps, factories[neuron], second, weights=weights, attention=attention)


def small_network(*, input_shape=(6, 6, 2), widths=(4, 6), num_classes=3, seed=0, **options):
    """A two-block network for tests; options as `spec_of`."""
    return nn.conv_net(input_shape, num_classes, widths=widths, spec=spec_of(**options), rngs=nnx.Rngs(seed))


def perturbed(tree, seed=0, scale=0.3):
    """A tree with noise on every leaf, so that no parameter is at its initial value."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    # An entry's number depends on its key and place alone, so that all leaves are drawn by one program.
    size = 1 << max(leaf.size for leaf in leaves).bit_length()
    noise = scale * np.asarray(jax.vmap(lambda key: jax.random.normal(key, (size,)))(keys))
    noisy = [np.asarray(leaf) + row[: leaf.size].reshape(leaf.shape) for leaf, row in zip(leaves, noise, strict=True)]
    return jax.tree.unflatten(structure, map(jnp.asarray, noisy))


def cross_entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


@pytest.fixture
def images():
    """Eight images `[8, 6, 6, 2]`."""
    return jax.random.normal(jax.random.key(10), (8, 6, 6, 2))


@pytest.fixture
def events():
    """Four frames of eight sequences `[4, 8, 6, 6, 2]`."""
    return jax.random.normal(jax.random.key(11), (4, 8, 6, 6, 2))


@pytest.fixture
def labels():
    return jnp.arange(8) % 3


@pytest.fixture
def key():
    return jax.random.key(0)
