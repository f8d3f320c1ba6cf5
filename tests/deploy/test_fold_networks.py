"""The networks of earlier systems, with their neurons and norms, fold to what they compute in inference."""

import jax
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import deploy, nn
from hdlif_jax.deploy.fold import fold
from hdlif_jax.neurons import surrogates
from tests.deploy.networks import inputs_for, unfolded_logits, unsettled

HARD = nn.lif(decay=0.25, threshold=0.5, height=1.0, reset="hard", tie=">")
SOFT = nn.lif(height=1.0, learn_decay=False, learn_threshold=False)
TDBN = {"norm": nn.batch_norm(statistics="sequence", gain=0.5, unbiased=True), "weights": "float"}
SUMS = {"residual_norm": nn.batch_norm(statistics="sequence", gain=0.5**1.5, unbiased=True), "identity_norm": True}
BARE = {"norm": nn.no_norm(), "bias": True}
RESIDUAL = {"stage_sizes": (1, 2), "widths": (3, 4)}
VGG = {"stages": ((3, 4), (5,))}


def post(spec, **options):
    return nn.PostActivationResNet((8, 7, 2), 3, **RESIDUAL, strides=(1, 2), **options, spec=spec, rngs=nnx.Rngs(0))


def units(spec, **options):
    return nn.SpikingVGG((8, 8, 2), 3, **(VGG | {"map_size": 1} | options), spec=spec, rngs=nnx.Rngs(0))


def lively(model):
    """With kernels, and gains of standardised ones, so large that spikes get through all layers, also without norms."""
    generator = np.random.default_rng(5)
    for _, module in nn.modules(model):
        if isinstance(module, nn.Synapse):
            kernel = module.gain if module.weights == "standardized" else module.kernel
            kernel[...] = 3 * kernel[...] + 0.3 * generator.standard_normal(kernel.shape).astype(np.float32)
    return model


NETWORKS = {
    "tdBN": lambda: post(nn.Spec(3, HARD, **TDBN, **SUMS), stem_width=2, head_features=5),
    "Dspike": lambda: post(nn.Spec(3, nn.lif(surrogates.dspike(), decay=0.5, threshold=0.5, height=1.0), **TDBN)),
    "GLIF": lambda: post(nn.Spec(3, nn.glif(), **TDBN, **SUMS), head_features=5, head_neurons=False),
    "HD-LIF": lambda: post(nn.Spec(3, second_neuron=nn.parallel(), norm=nn.batch_norm())),
    "SLTT": lambda: nn.SpikeResNet(
        (8, 7, 2), 3, **RESIDUAL, spec=nn.Spec(3, SOFT, weights="float", bias=True), rngs=nnx.Rngs(0)
    ),
    "OTTT, ResNet": lambda: nn.NFResNet(
        (16, 15, 2),
        3,
        **RESIDUAL,
        spec=nn.Spec(3, nn.lif(height=2.74), weights="standardized", **BARE),
        rngs=nnx.Rngs(0),
    ),
    "OTTT, VGG": lambda: units(nn.Spec(3, nn.lif(height=2.74), weights="standardized", dropout=0.1, **BARE)),
    "ASGL": lambda: units(nn.Spec(3, nn.lif(surrogates.smooth_step(noise=0.2), reset="hard"), **TDBN)),
    "SLTT, VGG": lambda: units(nn.Spec(3, SOFT, weights="float", dropout=0.3), map_size=3),
    "LTL": lambda: units(nn.Spec(3, HARD, weights="float", **BARE), map_size=None, strided=True, hidden=(6, 5)),
    "DCT": lambda: units(
        nn.Spec(6, nn.lif(order="fire-charge", relative=True), norm=nn.no_norm(), weights="float"),
        map_size=None,
        hidden=(6,),
        head_bias=False,
        drops_pooled=False,
    ),
    "without spikes": lambda: units(nn.Spec(1, nn.relu(2.0), weights="float", **BARE), map_size=None, hidden=(6,)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_it_folds_exactly(name):
    model = lively(unsettled(NETWORKS[name]()))
    inputs = 2 * inputs_for(model, batch=4)
    expected = unfolded_logits(model, inputs)
    assert np.ptp(expected, 1).max() > 0.01  # inputs are told apart
    folded = fold(model)
    logits = jax.jit(lambda arrays: deploy.execute.rollout(folded.graph, "float", arrays, inputs[None]))(folded.arrays)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5 * max(1, np.abs(expected).max()))
    into = {node.name for node in folded.graph.nodes}
    behind = [path for path, module in nn.modules(model) if isinstance(module, nn.Identity) or path == "stem_norm"]
    assert not into & set(behind)  # those went into their convolutions
