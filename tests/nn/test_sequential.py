import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning, nn, rollout
from hdlif_jax.nn import Tick
from tests.conftest import cross_entropy

IMAGE = (8, 8, 2)


def linear(features, outputs, **options):
    return nn.Linear(features, outputs, rngs=nnx.Rngs(0), **options)


def conv(in_channels, out_channels, **options):
    return nn.Conv(in_channels, out_channels, rngs=nnx.Rngs(0), **options)


def test_is_its_layers_one_after_the_other():
    model = nn.Sequential(
        linear(5, 6), nn.lif(), linear(6, 4), nn.hd_lif(), linear(4, 3), num_steps=3, input_shape=(5,)
    )
    x = jax.random.normal(jax.random.key(0), (7, 5))
    state, hidden = None, x
    for t in range(3):
        old = (None, None) if state is None else state
        first, hidden = model.layers[1](old[0], model.layers[0](x), Tick(t))
        second, hidden = model.layers[3](old[1], model.layers[2](hidden), Tick(t))
        state, logits = model(state, model.encode(x), Tick(t))
        np.testing.assert_array_equal(logits, model.layers[4](hidden))
        jax.tree.map(np.testing.assert_array_equal, state, (first, second))
    assert (model.num_classes, model.num_steps, model.input_shape) == (3, 3, (5,))


def test_factories_learn_their_channels_from_the_layers_before_them():
    seen = []

    def factory(num_steps, num_channels):
        seen.append((num_steps, num_channels))
        return nn.mem_bn()(num_steps, num_channels)

    nn.Sequential(
        conv(2, 5),
        factory,
        nn.AvgPool2x2(),
        conv(5, 7),
        factory,
        nn.Flatten(),
        factory,
        linear(7 * 16, 3),
        num_steps=6,
        input_shape=IMAGE,
    )
    assert seen == [(6, 5), (6, 7), (6, 7 * 16)]


@pytest.mark.parametrize(
    ("between", "pooled"),
    [
        ((), 1),
        ((nn.AvgPool2x2,), 4),
        ((nn.AvgPool2x2, nn.AvgPool2x2), 16),
        ((nn.MaxPool3x3,), 1),
        ((nn.MaxPool2x2,), 1),
        ((nn.Flatten,), 1),
        ((nn.GlobalAverage,), 64),
        ((nn.AvgPool2x2, nn.GlobalAverage), 64),
        ((nn.AvgPool2x2, nn.Flatten), 4),
    ],
)
def test_what_a_cell_emits_is_known_behind_pools(between, pooled):
    """Against the number of spikes that one input averages, by the smallest step between the inputs that occur."""
    layers = [conv(2, 4), nn.hd_lif(bits=2, scale=0.5), *(layer() for layer in between)]
    if nn.Flatten not in between and nn.GlobalAverage not in between:
        layers.append(nn.Flatten())
    x = jax.random.normal(jax.random.key(1), (4, *IMAGE))
    reaching = x
    for layer in layers:
        reaching = layer(2, 4)(None, 2 * reaching, Tick(0))[1] if isinstance(layer, nn.hd_lif) else layer(reaching)
    model = nn.Sequential(*layers, linear(reaching.shape[-1], 3), num_steps=2, input_shape=IMAGE)
    spikes = model.layers[len(layers)].spikes
    assert spikes == model.layers[1].emits._replace(pooled=pooled)
    if spikes.unit is not None:
        levels = np.asarray(reaching) / spikes.unit
        np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)


def test_what_a_cell_emits_is_known_behind_dropout_but_on_no_grid():
    layers = linear(5, 6), nn.hd_lif(), nn.Dropout(0.3), linear(6, 3)
    spikes = nn.Sequential(*layers, num_steps=2, input_shape=(5,)).layers[3].spikes
    assert spikes.unit is None  # a third more than a level is no level
    assert spikes.quantizer == dataclasses.replace(nn.hd_lif()(2, 6).quantize, softness=None)
    layers = linear(5, 6), nn.lif(), nn.Dropout(0.3), linear(6, 3)
    assert nn.Sequential(*layers, num_steps=2, input_shape=(5,)).layers[3].spikes == nn.BINARY


def test_synapses_read_currents_before_cells_and_behind_other_layers():
    layers = linear(5, 6), nn.hd_lif(), linear(6, 6), nn.BatchNorm(6), linear(6, 4), nn.lif(), linear(4, 3)
    model = nn.Sequential(*layers, num_steps=2, input_shape=(5,))
    assert [model.layers[index].spikes for index in (0, 4)] == [None, None]
    assert model.layers[2].spikes == model.layers[1].emits
    assert model.layers[6].spikes == nn.BINARY


def test_what_a_layer_was_told_to_read_stays():
    told = nn.SpikeInput(None, pooled=9)
    model = nn.Sequential(linear(5, 6), nn.hd_lif(), linear(6, 3, spikes=told), num_steps=2, input_shape=(5,))
    assert model.layers[2].spikes == told


def test_norms_learn_their_channels_too():
    layers = conv(2, 5), nn.batch_norm(momentum=0.5), nn.lif(), nn.Flatten(), nn.batch_norm(), linear(5 * 64, 3)
    model = nn.Sequential(*layers, num_steps=2, input_shape=IMAGE)
    assert model.layers[1].scale.shape == (5,)
    assert model.layers[1].options == nn.batch_norm(momentum=0.5)
    assert model.layers[4].scale.shape == (5 * 64,)


def test_residual_blocks_are_layers():
    spec = nn.Spec(num_steps=2)
    block = nn.ResidualBlock(2, 4, stride=2, spec=spec, rngs=nnx.Rngs(0))
    model = nn.Sequential(block, nn.GlobalAverage(), linear(4, 3), num_steps=2, input_shape=IMAGE)
    assert model.layers[2].spikes is None  # a block gives currents
    logits = rollout.rollout(nn.inference_form(model), nn.variables_of(model), jnp.ones((3, *IMAGE)))
    assert logits.shape == (2, 3, 3)


def watched_model():
    """A network whose stem says how often it ran."""
    runs = []

    class Stem(nn.Module):
        def __call__(self, x):
            runs.append(x.shape)
            return x

    model = nn.Sequential(Stem(), linear(5, 6), nn.lif(), linear(6, 3), num_steps=4, input_shape=(5,))
    runs.clear()
    return model, runs


def test_the_stem_runs_once_on_static_inputs_and_at_every_step_on_sequences():
    model, runs = watched_model()
    assert model.num_stem == 2
    network, variables = nn.training_form(model), nn.variables_of(model)
    rule = learning.accumulate(unroll=True)
    labels = jnp.zeros(7, jnp.int32)
    numbers = []
    for shape in ((7, 5), (4, 7, 5)):
        batch = learning.Batch(jnp.ones(shape), labels)
        nn.init_state(network, variables, 7)  # whose shapes the stem gives too, once
        runs.clear()
        jax.eval_shape(lambda v, batch=batch: rule.gradient(network, cross_entropy, v, batch), variables)
        numbers.append(len(runs))
    assert numbers == [1, 4]


def test_a_network_needs_no_state_of_its_own():
    """From layers to a gradient, and step by step, without a line about state."""
    model = nn.Sequential(linear(5, 6), nn.lif(), nn.Dropout(), linear(6, 3), num_steps=2, input_shape=(5,))
    network, variables = nn.inference_form(model), nn.variables_of(model)
    x = jax.random.normal(jax.random.key(0), (7, 5))
    logits, state = rollout.rollout(network, variables, x), None
    for t in range(2):
        state, step_logits, _, _ = network.step(*variables, state, network.encode(*variables, x)[0], Tick(t))
        np.testing.assert_allclose(step_logits, logits[t], atol=1e-6)
    start = nn.init_state(network, variables, 7)
    assert jax.tree.structure(start) == jax.tree.structure(state)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([linear(5, 3)], "no layer is stateful: a spiking network has at least one cell, such as nn.lif"),
        ([], "no layer is stateful"),
        ([linear(4, 6), nn.lif(), linear(6, 3)], r"layer 0 \(Linear\) cannot read an input of shape \(5,\): "),
        ([linear(5, 6), nn.lif(), linear(7, 3)], r"layer 2 \(Linear\) cannot read an input of shape \(6,\): "),
        ([conv(2, 4), nn.lif(), linear(4, 3)], r"layer 0 \(Conv\) cannot read an input of shape \(5,\): "),
        ([nn.AvgPool2x2(), nn.lif()], r"layer 0 \(AvgPool2x2\) cannot read an input of shape \(5,\): "),
        ([nn.MaxPool3x3(), nn.lif()], r"layer 0 \(MaxPool3x3\) cannot read an input of shape \(5,\): "),
        ([nn.GlobalAverage(), nn.lif()], r"layer 0 \(GlobalAverage\) cannot read an input of shape \(5,\): "),
        ([nn.SECA(rngs=nnx.Rngs(0)), nn.lif()], r"layer 0 \(SECA\) cannot read an input of shape \(5,\): "),
        ([nn.BatchNorm(4), nn.lif()], r"layer 0 \(BatchNorm\) cannot read an input of shape \(5,\): "),
        ([nn.mem_bn()(2, 4), linear(5, 3)], r"layer 0 \(MemBNHDLIFCell\) cannot read an input of shape \(5,\): "),
    ],
)
def test_layers_that_do_not_fit_are_refused_by_name(layers, message):
    with pytest.raises(ValueError, match=message) as caught:
        nn.Sequential(*layers, num_steps=2, input_shape=(5,))
    assert "\n" not in str(caught.value)


def test_the_last_layer_gives_logits():
    with pytest.raises(ValueError, match=r"the last layer gives \(8, 8, 4\) for an input; end in logits \(K,\)"):
        nn.Sequential(conv(2, 4), nn.lif(), num_steps=2, input_shape=IMAGE)


@pytest.mark.parametrize("wrong", [nn.lif, nn.Flatten, nnx.Linear, "lif", 3])
def test_what_is_no_layer_is_refused_by_its_place(wrong):
    with pytest.raises(TypeError, match=r"layer 1, .*, is no module and makes none; call it first"):
        nn.Sequential(linear(5, 6), wrong, linear(6, 3), num_steps=2, input_shape=(5,))


def test_a_sequence_has_a_step():
    with pytest.raises(ValueError, match="num_steps=0 must be at least 1"):
        nn.Sequential(nn.lif(), linear(5, 3), num_steps=0, input_shape=(5,))


def test_an_mlp_flattens_and_spikes_in_every_hidden_layer():
    spec = nn.Spec(num_steps=3, neuron=nn.hd_lif(bits=2), weights="binary")
    model = nn.mlp((4, 4, 1), 5, widths=(6, 7), spec=spec, rngs=nnx.Rngs(0))
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["Flatten", "Linear", "HDLIFCell", "Linear", "HDLIFCell", "Linear"]
    synapses = [layer for layer in model.layers if isinstance(layer, nn.Linear)]
    assert [layer.kernel.shape for layer in synapses] == [(16, 6), (6, 7), (7, 5)]
    assert [layer.weights for layer in synapses] == ["float", "binary", "float"]
    assert [layer.spikes and layer.spikes.bits for layer in synapses] == [None, 2, 2]
    assert (model.num_steps, model.num_classes) == (3, 5)
    assert rollout.rollout(nn.inference_form(model), nn.variables_of(model), jnp.ones((2, 4, 4, 1))).shape == (3, 2, 5)


def test_an_mlp_of_features_does_not_flatten():
    model = nn.mlp((5,), 3, widths=(6,), rngs=nnx.Rngs(0))
    assert isinstance(model.layers[0], nn.Linear)


def test_an_mlp_without_hidden_layers_is_refused():
    with pytest.raises(ValueError, match=r"widths=\(\) must not be empty"):
        nn.mlp((5,), 3, widths=(), rngs=nnx.Rngs(0))
