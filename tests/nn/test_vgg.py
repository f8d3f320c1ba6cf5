import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.nn import Tick
from tests.nn.test_resnet import check_gradients, quick_model

EVENTS = nn.Spec(num_steps=2, neuron=nn.mem_bn(), weights="binary")


def test_halving_averages_two_by_two_and_cuts_the_odd_rest():
    spikes = jax.random.normal(jax.random.key(0), (2, 5, 4, 3))
    expected = np.zeros((2, 2, 2, 3))
    for row in range(2):
        for column in range(2):
            window = np.asarray(spikes)[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            expected[:, row, column] = window.mean((1, 2))
    np.testing.assert_allclose(nn.AvgPool2x2()(spikes), expected, rtol=1e-6)


def test_vgg13_is_ten_convolutions_with_four_averages():
    model = nnx.eval_shape(lambda: nn.vgg13((64, 64, 3), 200, rngs=nnx.Rngs(0)))
    assert [unit.conv.kernel.shape[-1] for unit in model.units] == [64, 64, 128, 128, 256, 256, 512, 512, 512, 512]
    assert model.pooled_units == (1, 3, 5, 8)
    assert model.head.kernel.shape == (512, 200)
    assert [unit.conv.weights for unit in model.units] == ["float"] + ["ternary"] * 9


def test_vgg_snn_is_eight_convolutions_with_four_averages():
    model = nnx.eval_shape(lambda: nn.vgg_snn((48, 48, 2), 10, rngs=nnx.Rngs(0)))
    assert [unit.conv.kernel.shape[-1] for unit in model.units] == [64, 128, 256, 256, 512, 512, 512, 512]
    assert model.pooled_units == (1, 3, 5, 7)
    assert model.head.kernel.shape == (512 * 3 * 3, 10)
    assert {unit.conv.weights for unit in model.units} == {"ternary"}  # on events the first one too
    images = nnx.eval_shape(lambda: nn.vgg_snn((48, 48, 3), 10, rngs=nnx.Rngs(0)))
    assert images.units[0].conv.weights == "float"


def test_a_step_is_units_averages_and_a_linear_layer():
    """The same composition written out, for two stages, with SECA and Mem-BN."""
    spec = nn.Spec(num_steps=2, neuron=nn.mem_bn(), attention="seca-1")
    model = nn.SpikingVGG((6, 6, 2), 3, stages=((3,), (4, 5)), global_average=True, spec=spec, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(1), (2, 6, 6, 2))
    state, logits = model(None, model.encode(x), Tick(0))
    layer = x
    for index, unit in enumerate(model.units):
        neuron_state, layer = unit.neuron(None, unit.attention(unit.norm(unit.conv(layer))), Tick(0))
        np.testing.assert_array_equal(state[index], neuron_state)
        layer = nn.AvgPool2x2()(layer) if index == 0 else layer
    expected = np.asarray(layer).mean((1, 2)) @ np.asarray(model.head.kernel[...])
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "input_shape", "spec"),
    [
        (nn.vgg13, (16, 16, 3), nn.Spec(num_steps=2)),
        (nn.vgg_snn, (16, 16, 2), EVENTS),
        (nn.vgg_snn, (16, 16, 2), nn.Spec(num_steps=2, neuron=nn.lif(), weights="float")),
    ],
)
def test_shapes_state_and_gradients(build, input_shape, spec):
    check_gradients(quick_model(lambda: build(input_shape, 5, width=2, spec=spec, rngs=nnx.Rngs(0))))


@pytest.mark.parametrize(
    ("build", "input_shape", "options", "message"),
    [
        (nn.vgg13, (64, 64, 3), {"attention": "seca-2"}, "attention='seca-2' needs a residual block"),
        (nn.vgg13, (64, 64, 3), {"second_neuron": nn.parallel()}, "a VGG has no blocks"),
        (nn.vgg13, (8, 64, 3), {}, "halved 4 times, which needs images of at least 16×16"),
        (nn.vgg_snn, (15, 15, 2), {}, "at least 16×16"),
        (nn.vgg_snn, (48, 48), {}, r"input_shape=\(48, 48\) must be"),
    ],
)
def test_a_mix_that_does_not_exist_is_refused(build, input_shape, options, message):
    with pytest.raises(ValueError, match=message):
        build(input_shape, 10, spec=nn.Spec(**options), rngs=nnx.Rngs(0))


@pytest.mark.parametrize("build", [nn.vgg13, nn.vgg_snn])
def test_width_must_be_positive(build):
    with pytest.raises(ValueError, match="width=0 must be at least 1"):
        build((64, 64, 3), 10, width=0, spec=nn.Spec(), rngs=nnx.Rngs(0))


def test_all_neurons_parallel():
    spec = nn.Spec(num_steps=2, neuron=nn.parallel())
    model = nn.vgg13((16, 16, 3), 3, width=2, spec=spec, rngs=nnx.Rngs(0))
    state, _ = model(None, model.encode(jnp.ones((1, 16, 16, 3))), Tick(0))
    assert jax.tree.leaves(state) == []
