"""Maxima of spikes and convolutions without padding fold exactly, as networks of PyTorch bring them along."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn, ops
from hdlif_jax.deploy import execute
from hdlif_jax.deploy.fold import fold
from tests.deploy.networks import inputs_for, unfolded_logits, unsettled

LIF = nn.lif(height=1.0)


def sequential():
    rngs = nnx.Rngs(0)
    return nn.Sequential(
        nn.Conv(2, 4, 5, padding=1, bias=True, rngs=rngs),
        LIF,
        nn.MaxPool2x2(),
        nn.Conv(4, 6, 2, padding=0, weights="ternary", rngs=rngs),
        nn.batch_norm(),
        LIF,
        nn.Flatten(),
        nn.Linear(6 * 2 * 2, 3, rngs=rngs),
        num_steps=3,
        input_shape=(9, 8, 2),
    )


def resnet():
    spec = nn.Spec(3, LIF, weights="ternary")
    stem = nn.StemShape(3, pools=True, pools_spikes=True)
    sizes = {"stage_sizes": (1, 1), "widths": (4, 6), "strides": (1, 2)}
    return nn.PostActivationResNet((9, 8, 2), 3, **sizes, stem=stem, spec=spec, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("make", [sequential, resnet])
@pytest.mark.parametrize("arithmetic", ["integer", "float"])
def test_maxima_and_paddings_fold_exactly(make, arithmetic):
    model = unsettled(make())
    x = inputs_for(model)
    expected, folded = unfolded_logits(model, x), fold(model)
    logits = np.asarray(execute.rollout(folded.graph, arithmetic, folded.arrays, x[None]))
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_a_maximum_over_squares_cuts_an_odd_row_off():
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype(np.float32)
    expected = x[:, :4].reshape(2, 2, 2, 3, 2, 3).max((2, 4))
    np.testing.assert_array_equal(ops.max_pool_2x2(jnp.asarray(x)), expected)


def test_spikes_of_a_stem_need_a_neuron():
    stem = nn.StemShape(3, pools=True, pools_spikes=True)
    with pytest.raises(ValueError, match="pools_spikes=True needs a neuron behind the stem"):
        nn.SpikingResNet(
            (8, 8, 3), 3, stage_sizes=(1,), widths=(2,), strides=(1,), stem=stem, spec=nn.Spec(), rngs=nnx.Rngs(0)
        )
