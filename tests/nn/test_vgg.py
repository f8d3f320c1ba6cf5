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
    model = nn.SpikingVGG((6, 6, 2), 3, stages=((3,), (4, 5)), map_size=1, spec=spec, rngs=nnx.Rngs(0))
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


def test_the_small_one_halves_at_each_width_but_the_last():
    model = nn.vgg((8, 8, 1), 10, widths=(3, 4, 5), rngs=nnx.Rngs(0))
    assert [unit.conv.kernel.shape[-1] for unit in model.units] == [3, 4, 5]
    assert model.pooled_units == (0, 1)
    assert model.head.kernel.shape == (5, 10)
    assert (model.units[1].conv.spikes.pooled, model.head.spikes.pooled) == (4, 4)


def test_hidden_linear_layers_and_a_map_of_averages():
    """Written out: unit, average over 2×2, map of 3×3 windows, hidden layer of neurons, logits without bias."""
    spec = nn.Spec(num_steps=2, neuron=nn.lif(), weights="float", norm=nn.no_norm(), bias=True)
    options = {"stages": ((3,),), "map_size": 3, "hidden": (6,), "head_bias": False}
    model = nn.SpikingVGG((8, 8, 2), 4, **options, spec=spec, rngs=nnx.Rngs(0))
    x = 3 * jax.random.normal(jax.random.key(1), (2, 8, 8, 2))
    _, logits = model(None, model.encode(x), Tick(0))
    spikes = np.asarray(model.units[0].neuron(None, model.units[0].conv(x), Tick(0))[1])
    halves = spikes.reshape(2, 4, 2, 4, 2, 3).mean((2, 4))
    windows = [slice(0, 2), slice(1, 3), slice(2, 4)]  # three of four rows: they overlap, as PyTorch's do
    maps = np.stack([np.stack([halves[:, r, c].mean((1, 2)) for c in windows], 1) for r in windows], 1)
    current = maps.reshape(2, -1) @ np.asarray(model.hidden[0].linear.kernel[...])
    _, hidden = model.hidden[0].neuron(None, jnp.asarray(current), Tick(0))
    np.testing.assert_allclose(logits, np.asarray(hidden) @ np.asarray(model.head.kernel[...]), atol=1e-5)


def test_a_smaller_image_is_repeated_in_its_map_of_averages():
    image = jnp.arange(4.0).reshape(1, 2, 2, 1)
    np.testing.assert_array_equal(nn.AdaptiveAverage(4)(image)[0, :, :, 0], np.kron([[0, 1], [2, 3]], np.ones((2, 2))))
    np.testing.assert_array_equal(nn.AdaptiveAverage(1)(image), [[[[1.5]]]])


def test_strides_stand_in_for_averages():
    spec = nn.Spec(num_steps=2, neuron=nn.lif())
    options = {"stages": ((2, 3), (4, 5)), "map_size": None, "strided": True}
    model = nn.SpikingVGG((9, 8, 2), 4, **options, spec=spec, rngs=nnx.Rngs(0))
    assert [unit.conv.stride for unit in model.units] == [1, 2, 1, 2]
    assert model.head.kernel.shape == (3 * 2 * 5, 4)
    state, logits = model(None, model.encode(jnp.ones((1, 9, 8, 2))), Tick(0))
    assert logits.shape == (1, 4)


def test_dropout_drops_the_same_spikes_at_all_steps_while_training():
    spec = nn.Spec(num_steps=3, neuron=nn.lif(decay=1e-6, learn_decay=False), norm=nn.no_norm(), dropout=0.5)
    model = nn.vgg((4, 4, 1), 2, widths=(32,), spec=spec, rngs=nnx.Rngs(0))
    variables, x = nn.variables_of(model), 9 * jax.random.normal(jax.random.key(1), (2, 4, 4, 1))
    network = nn.training_form(model)
    logits = network.sequence(network.quantize(variables.params), variables.batch_stats, x, jax.random.key(0)).logits
    plain = nn.inference_form(model)
    kept = plain.sequence(plain.quantize(variables.params), variables.batch_stats, x).logits
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-3)  # a neuron without memory sees the same at every step
    assert float(jnp.abs(logits - kept).max()) > 0.1
    assert model.head.spikes == nn.BINARY._replace(pooled=16)
