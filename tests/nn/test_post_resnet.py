import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.nn import Tick
from tests.nn.test_resnet import check_gradients, quick_model

TDBN = nn.batch_norm(statistics="sequence", gain=0.5, unbiased=True)
LIF = nn.lif(decay=0.25, threshold=0.5, height=1.0, reset="hard", tie=">")


def small(spec, **options):
    sizes = {"stage_sizes": (1, 1), "widths": (3, 4), "strides": (1, 2)} | options
    return nn.PostActivationResNet((6, 5, 2), 3, **sizes, spec=spec, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("identity_norm", [False, True])
def test_a_step_is_stem_blocks_and_a_neuron_behind_every_sum(identity_norm):
    """The same composition written out."""
    half = nn.batch_norm(gain=0.5**0.5)
    spec = nn.Spec(2, LIF, weights="float", residual_norm=half, identity_norm=identity_norm)
    model = small(spec)
    x = 3 * jax.random.normal(jax.random.key(1), (2, 6, 5, 2))
    state, logits = model(None, model.encode(x), Tick(0))

    def fire(cell, current):
        return cell(None, current, Tick(0))[1]

    spikes = fire(model.neuron, model.stem_norm(model.stem(x)))
    assert set(np.unique(spikes)) == {0, 1}
    first, second = model.blocks
    hidden = fire(first.neuron1, first.norm1(first.conv1(spikes)))
    kept = first.shortcut(spikes) if identity_norm else spikes
    spikes = fire(first.neuron2, first.norm2(first.conv2(hidden)) + kept)
    hidden = fire(second.neuron1, second.norm1(second.conv1(spikes)))
    changed = second.shortcut.norm(second.shortcut.conv(spikes))
    spikes = fire(second.neuron2, second.norm2(second.conv2(hidden)) + changed)
    assert spikes.shape == (2, 3, 3, 4)
    expected = np.asarray(spikes).mean((1, 2)) @ np.asarray(model.head.kernel[...])
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert len(jax.tree.leaves(state)) == 5
    assert model.head.spikes == nn.BINARY._replace(pooled=9)
    norms = {True: [first.norm2, second.norm2, second.shortcut.norm], False: [first.norm1, model.stem_norm]}
    assert all((norm.options == half) is summed for summed, found in norms.items() for norm in found)
    assert isinstance(first.shortcut, nn.BatchNorm) is identity_norm


def test_each_layer_reads_the_neurons_before_it():
    spec = nn.Spec(neuron=nn.lif(), second_neuron=nn.hd_lif(bits=2))
    model = small(spec)
    first, second = model.blocks
    assert first.conv1.spikes == nn.BINARY
    assert first.conv2.spikes == nn.BINARY
    assert second.conv1.spikes.bits == second.shortcut.conv.spikes.bits == model.head.spikes.bits == 2
    assert nn.Spec(neuron=nn.lif(), dropout=0.5).make_dropout().rate == 0.5


def test_heads():
    neurons = small(nn.Spec(neuron=LIF), head_features=5)
    pair = small(nn.Spec(neuron=LIF), head_features=5, head_neurons=False)
    x = jax.random.normal(jax.random.key(1), (2, 6, 5, 2))
    assert neurons.head.hidden.spikes == nn.BINARY._replace(pooled=9)
    assert neurons.head.output.spikes == nn.BINARY
    assert neurons.head.hidden.bias.shape == (5,)
    averages = jax.random.normal(jax.random.key(2), (2, 4))
    expected = averages @ pair.head.hidden.kernel[...] @ pair.head.output.kernel[...]
    np.testing.assert_allclose(pair.head(averages), expected, atol=1e-5)
    for model in (neurons, pair):
        assert model(None, model.encode(x), Tick(0))[1].shape == (2, 3)


@pytest.mark.parametrize(
    ("build", "blocks", "widths"),
    [
        (nn.post_resnet18, 8, [64, 64, 128, 128, 256, 256, 512, 512]),
        (nn.post_resnet34, 16, [64] * 3 + [128] * 4 + [256] * 6 + [512] * 3),
        (nn.post_resnet19, 8, [128] * 3 + [256] * 3 + [512] * 2),
    ],
)
def test_sizes(build, blocks, widths):
    model = nnx.eval_shape(lambda: build((32, 32, 3), 10, spec=nn.Spec(neuron=LIF), rngs=nnx.Rngs(0)))
    assert [block.conv2.kernel.shape[-1] for block in model.blocks] == widths
    assert model.stem.kernel.shape == (3, 3, 3, 64)
    assert model.stem_pool is None
    large = nnx.eval_shape(lambda: build((224, 224, 3), 1000, spec=nn.Spec(neuron=LIF), rngs=nnx.Rngs(0)))
    assert (large.stem.kernel.shape, large.stem.stride) == ((7, 7, 3, 64), 2)
    assert large.stem_pool is not None
    reads = large.head.hidden if build is nn.post_resnet19 else large.head
    side = 224 // (4 * 4 if build is nn.post_resnet19 else 4 * 8)
    assert reads.spikes.pooled == side * side


def test_shapes_state_and_gradients():
    spec = nn.Spec(num_steps=2, neuron=LIF, weights="float")
    check_gradients(quick_model(lambda: small(spec)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: small(nn.Spec(attention="seca-1")), "attention='seca-1' has no place in a post-activation ResNet"),
        (lambda: small(nn.Spec(), strides=(1,)), "have 2, 2 and 1 entries"),
        (lambda: nn.post_resnet18((8, 8, 3), 5, stem="events", rngs=nnx.Rngs(0)), "stem='events' reads 2 channels"),
        (lambda: nn.vgg((8, 8, 3), 5, spec=nn.Spec(identity_norm=True), rngs=nnx.Rngs(0)), "no place in a VGG"),
    ],
)
def test_a_mix_that_does_not_exist_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_norms_over_the_sequence_train_layer_by_layer():
    """Each norm sees all steps and both branches of every sum: its output has the variance of its gain."""
    spec = nn.Spec(2, LIF, norm=TDBN, residual_norm=nn.batch_norm(statistics="sequence", gain=0.25), weights="float")
    model = small(spec)
    network, variables = nn.training_form(model), nn.variables_of(model)
    inputs = jax.random.normal(jax.random.key(0), (2, 3, 6, 5, 2))
    output = network.sequence(network.quantize(variables.params), variables.batch_stats, inputs)
    assert output.logits.shape == (2, 3, 3)
    values = np.asarray(model.stem(inputs.reshape(6, 6, 5, 2)), np.float64)
    moved = output.batch_stats["stem_norm"]
    np.testing.assert_allclose(moved["var"], 0.9 + 0.1 * values.var((0, 1, 2), ddof=1), rtol=1e-4)
    assert jnp.any(output.batch_stats["blocks"][1]["shortcut"]["norm"]["var"] != 1)
