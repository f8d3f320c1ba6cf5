import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.nn import Tick

SPEC = nn.Spec(2, nn.lif(height=2.74), norm=nn.no_norm(), weights="standardized", bias=True)


def small(spec=SPEC):
    return nn.NFResNet((12, 9, 2), 3, stage_sizes=(2, 1), widths=(3, 4), spec=spec, rngs=nnx.Rngs(0))


def test_a_step_is_blocks_of_scaled_branches():
    """The same composition written out, with γ, the head and the biases away from their start."""
    model = small()
    for index, block in enumerate(model.blocks):
        block.branch.gain[...] = jnp.float32(0.5 + index)
    model.head.kernel[...] = jax.random.normal(jax.random.key(3), (4, 3))
    x = 3 * jax.random.normal(jax.random.key(1), (2, 12, 9, 2))
    state, logits = model(None, model.encode(x), Tick(0))

    def fire(cell, current):
        return cell(None, current, Tick(0))[1]

    stem = np.asarray(model.stem(x))
    padded = np.pad(stem, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = [[padded[:, r : r + 3, c : c + 3].sum((1, 2)) / 9 for c in range(0, 5, 2)] for r in range(0, 6, 2)]
    current = jnp.asarray(np.stack([np.stack(row, 1) for row in rows], 1))
    np.testing.assert_allclose(model.encode(x), current, atol=1e-5)
    deviations = (1.0, math.sqrt(1.04), math.sqrt(1.08))
    for index, (block, deviation) in enumerate(zip(model.blocks, deviations, strict=True)):
        spikes = fire(block.neuron1, current / deviation)
        assert set(np.unique(spikes)) <= {np.float32(0), np.float32(2.74)}
        branch = 0.2 * (0.5 + index) * block.conv2(fire(block.neuron2, block.conv1(spikes)))
        current = branch + (block.shortcut.conv(spikes) if index == 2 else current)
    averages = np.asarray(current).mean((1, 2))
    np.testing.assert_allclose(logits, averages @ np.asarray(model.head.kernel[...]), atol=1e-4)
    assert len(jax.tree.leaves(state)) == 6


def test_the_deviation_starts_anew_behind_a_block_that_changes_the_shape():
    model = nnx.eval_shape(lambda: nn.nf_resnet34((64, 64, 3), 10, width=2, rngs=nnx.Rngs(0)))
    variances = [1 / block.scale.factor**2 for block in model.blocks]
    expected = [1 + 0.04 * index for index in range(4)]  # the first of a stage goes on, the others begin at 1.04
    for size in (4, 6, 3):
        expected += [1 + 0.04 * index for index in range(1, size + 1)]
    np.testing.assert_allclose(variances, expected[: len(variances)])


def test_it_starts_as_its_shortcuts_and_says_nothing():
    model = small()
    x = jax.random.normal(jax.random.key(1), (2, 12, 9, 2))
    current = model.encode(x)
    _, after = model.blocks[0](None, current, Tick(0))
    np.testing.assert_array_equal(after, current)
    np.testing.assert_array_equal(model(None, current, Tick(0))[1], np.zeros((2, 3)))
    kinds = {module.weights for _, module in nn.modules(model) if isinstance(module, nn.Conv)}
    assert kinds == {"standardized"}
    assert model.head.weights == "float"


def test_scales():
    x = jax.random.normal(jax.random.key(1), (2, 3))
    np.testing.assert_allclose(nn.Scale(0.5)(x), 0.5 * x)
    learned = nn.Scale(0.5, 3.0)
    np.testing.assert_allclose(learned(x), 1.5 * x)
    assert nnx.state(nn.Scale(0.5), nnx.Param) == {}
    assert learned.gain.shape == ()


def test_attention_is_refused():
    with pytest.raises(ValueError, match="attention='seca-1' has no place in a ResNet without normalisers"):
        small(nn.Spec(attention="seca-1"))
