"""The layer-by-layer form is the step-by-step form in another order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.nn.forms import network_of
from hdlif_jax.nn.resnet import StemShape
from tests.conftest import perturbed, spec_of
from tests.nn.own import RecurrentCell, RefractoryCell, Scale, features, step_by_step, synaptic

INPUTS = {
    "static": jax.random.normal(jax.random.key(10), (7, 5)),
    "sequence": jax.random.normal(jax.random.key(11), (4, 7, 5)),
}
CELLS = {
    "lif": nn.lif(),
    "hd-lif": nn.hd_lif(),
    "parallel": nn.parallel(),
    "mem-bn": nn.mem_bn(),
    "synaptic": synaptic(),
    "refractory": lambda num_steps, num_channels: RefractoryCell(),
    "recurrent": lambda num_steps, num_channels: RecurrentCell(num_channels),
}


def assert_equal_in_both_orders(model, inputs, form, key=None):
    network, variables = network_of(model, form._replace(record=True)), perturbed(nn.variables_of(model), scale=0.05)

    @jax.jit
    def both(variables, inputs):
        layer_by_layer = network.sequence(network.quantize(variables.params), variables.batch_stats, inputs, key)
        return layer_by_layer, step_by_step(network, variables, inputs, key)

    got, expected = both(variables, inputs)
    np.testing.assert_allclose(got.logits, expected.logits, atol=1e-6, rtol=1e-6)
    assert got.records.keys() == expected.records.keys()
    assert max(float(jnp.mean(spikes != 0)) for spikes in got.records.values()) > 0.05
    for tree in ("batch_stats", "records"):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6, rtol=1e-6),
            getattr(got, tree),
            getattr(expected, tree),
        )
    return got


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("factory", CELLS.values(), ids=CELLS)
def test_equals_step_by_step_for_every_cell(factory, train, kind):
    rngs = nnx.Rngs(0)
    model = features(
        nn.Linear(5, 6, rngs=rngs),
        nn.BatchNorm(6),
        factory,
        nn.Linear(6, 6, weights="ternary", rngs=rngs),
        nn.BatchNorm(6),
        factory,
    )
    output = assert_equal_in_both_orders(model, INPUTS[kind], nn.Form(train))
    assert list(output.records) == ["layers.2", "layers.5"]
    assert output.records["layers.2"].shape == (4, 7, 6)


DROPS = nn.Spec(neuron=nn.lif(threshold=0.25), weights="standardized", bias=True, dropout=0.4)
RESIDUAL = {"stage_sizes": (1, 1), "widths": (3, 4)}
NETWORKS = {
    "residual blocks": lambda: nn.conv_net(
        (6, 6, 2), 3, widths=(4, 6), spec=spec_of(neuron="mem-bn", attention="seca-2"), rngs=nnx.Rngs(0)
    ),
    "a stem that pools and a head that spikes": lambda: nn.SpikingResNet(
        (6, 6, 2),
        3,
        stage_sizes=(1,),
        widths=(4,),
        strides=(1,),
        stem=StemShape(pools=True),
        head_features=5,
        spec=spec_of(attention="seca-1"),
        rngs=nnx.Rngs(0),
    ),
    "units that pool": lambda: nn.SpikingVGG(
        (6, 6, 2), 3, stages=((3,), (4,)), map_size=None, spec=nn.Spec(), rngs=nnx.Rngs(0)
    ),
    "units that drop, and hidden layers": lambda: nn.SpikingVGG(
        (6, 6, 2), 3, stages=((3,), (4,)), map_size=2, hidden=(5,), spec=DROPS, rngs=nnx.Rngs(0)
    ),
    "neurons behind sums": lambda: nn.PostActivationResNet(
        (6, 6, 2), 3, **RESIDUAL, strides=(1, 2), head_features=5, spec=DROPS, rngs=nnx.Rngs(0)
    ),
    "shortcuts of spikes": lambda: nn.SpikeResNet((6, 6, 2), 3, **RESIDUAL, spec=DROPS, rngs=nnx.Rngs(0)),
    "scaled branches": lambda: nn.NFResNet((6, 6, 2), 3, **RESIDUAL, spec=DROPS, rngs=nnx.Rngs(0)),
}


@pytest.mark.parametrize("kind", ["images", "events"])
@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_equals_step_by_step_for_every_network(build, kind, request):
    assert_equal_in_both_orders(build(), request.getfixturevalue(kind), nn.Form(train=True), jax.random.key(7))


def test_a_static_input_runs_the_stem_once(images):
    """And moves its statistics once, as step by step."""
    model = nn.conv_net((6, 6, 2), 3, widths=(9,), rngs=nnx.Rngs(0))  # wide enough for a column at a time
    network, variables = nn.training_form(model), nn.variables_of(model)
    _, expected = network.encode(*variables, images)
    got = network.sequence(*variables, images).batch_stats
    np.testing.assert_allclose(got["stem_norm"]["var"], expected["stem_norm"]["var"], rtol=1e-6)
    program = str(jax.make_jaxpr(network.sequence)(*variables, images))
    assert program.count("conv_general_dilated[") == 3  # the stem and the two of the block, each in one call
    assert program.count("f32[8,6,6,9] = conv") == 1  # on 8 images
    assert program.count("f32[32,6,6,9] = conv") == 2  # on 4 · 8


def test_own_layers_without_state_see_a_batch_and_no_time():
    rngs = nnx.Rngs(0)
    model = features(Scale(5), nnx.Linear(5, 6, rngs=rngs), nn.hd_lif(), Scale(6), nn.hd_lif())
    assert_equal_in_both_orders(model, INPUTS["sequence"], nn.Form(train=True))


class Residual(nn.Module):
    """A layer of layers with a sum."""

    def __init__(self, width, rngs):
        self.inner, self.scale = nn.Linear(width, width, rngs=rngs), Scale(width)

    def __call__(self, x):
        return x + self.scale(self.inner(x))


def test_own_layers_of_layers_are_taken_apart():
    model = features(nn.Linear(5, 6, rngs=nnx.Rngs(0)), Residual(6, nnx.Rngs(1)), nn.lif(), Residual(6, nnx.Rngs(2)))
    assert_equal_in_both_orders(model, INPUTS["sequence"], nn.Form(train=True))


def flax_norm_model():
    rngs = nnx.Rngs(0)
    return features(nn.Linear(5, 6, rngs=rngs), nn.hd_lif(), nnx.Linear(6, 6, rngs=rngs), nnx.BatchNorm(6, rngs=rngs))


def test_statistics_that_cannot_be_split_by_time_are_refused_by_name():
    model = flax_norm_model()
    network, variables = nn.training_form(model), nn.variables_of(model)
    with pytest.raises(ValueError, match=r"layers\.3 is of type BatchNorm with running statistics and no over_time"):
        network.sequence(*variables, INPUTS["sequence"])
    step_by_step(network, variables, INPUTS["sequence"])


class Feedback(nn.Stateful):
    """A layer outside of any cell that remembers what it gave."""

    def __init__(self):
        self.cell = nn.lif()(4, 6)

    def __call__(self, state, x, tick):
        before, last = (None, jnp.zeros_like(x)) if state is None else state
        after, spikes = self.cell(before, x + 0.5 * last, tick)
        return (after, spikes), spikes


def test_a_memory_outside_of_cells_runs_step_by_step_alone():
    """Where all time-steps run at once there is no step before; zeros in its place would be wrong without a word."""
    model = features(nn.Linear(5, 6, rngs=nnx.Rngs(0)), Feedback())
    network, variables = nn.training_form(model), nn.variables_of(model)
    step_by_step(network, variables, INPUTS["sequence"])
    with pytest.raises(ValueError, match="the network keeps a state outside of its cells") as caught:
        network.sequence(*variables, INPUTS["sequence"])
    assert "\n" not in str(caught.value)


def test_a_norm_of_one_s_own_does_not_inherit_what_it_does_over_time():
    class Doubled(nn.BatchNorm):
        def __call__(self, x):
            return 2 * super().__call__(x)

    class DoubledOverTime(Doubled):
        def over_time(self, x):
            return 2 * super().over_time(x)

    model = features(nn.Linear(5, 6, rngs=nnx.Rngs(0)), nn.lif(), Doubled(6))
    network, variables = nn.training_form(model), nn.variables_of(model)
    with pytest.raises(
        ValueError, match=r"layers\.2 is of type Doubled with a __call__ of its own and the over_time of"
    ):
        network.sequence(*variables, INPUTS["sequence"])
    model = features(nn.Linear(5, 6, rngs=nnx.Rngs(0)), nn.lif(), DoubledOverTime(6))
    assert_equal_in_both_orders(model, INPUTS["sequence"], nn.Form(train=True))


def test_in_inference_they_are_constants_and_fold():
    assert_equal_in_both_orders(flax_norm_model(), INPUTS["sequence"], nn.Form(train=False))


def test_an_own_layer_may_say_what_it_does_over_time():
    class Difference(nn.Module):
        """x_t − x_{t−1}, which no single step can say."""

        def __call__(self, x):
            raise ValueError("only over time")

        def over_time(self, x):
            return jnp.diff(x, axis=0, prepend=jnp.zeros_like(x[:1]))

    model = features(nn.Linear(5, 6, rngs=nnx.Rngs(0)), nn.lif(), nn.Linear(6, 6, rngs=nnx.Rngs(1)))
    model.layers.insert(3, Difference())
    network, variables = nn.inference_form(model, record=True), nn.variables_of(model)
    output = network.sequence(*variables, INPUTS["sequence"])
    hidden = np.asarray(output.records["layers.1"]) @ np.asarray(model.layers[2].kernel[...])
    differences = np.diff(hidden, axis=0, prepend=0)
    np.testing.assert_allclose(
        output.logits, differences @ np.asarray(model.layers[4].kernel[...]), rtol=1e-5, atol=1e-6
    )


class Gated(nn.Module):
    """A layer of several whose own code looks at shapes: the time axis must not reach it."""

    def __init__(self, norm=None):
        self.linear = nn.Linear(6, 6, rngs=nnx.Rngs(0))
        self.norm = nn.Flatten() if norm is None else norm(6, nnx.Rngs(1))

    def __call__(self, x):
        flat = x.reshape(x.shape[0], -1)
        return self.norm(self.linear(flat)) * jnp.mean(flat, 1, keepdims=True)


@pytest.mark.parametrize("norm", [None, nn.batch_norm()])
@pytest.mark.parametrize("form", [nn.training_form, nn.inference_form])
def test_a_layer_of_several_is_called_as_a_whole(norm, form):
    rngs = nnx.Rngs(2)
    layers = nn.Linear(5, 6, rngs=rngs), nn.lif(), Gated(norm), nn.lif(), nn.Linear(6, 3, rngs=rngs)
    model = nn.Sequential(*layers, num_steps=3, input_shape=(5,))
    network, variables = form(model), nn.variables_of(model)
    inputs = 2 * jax.random.normal(jax.random.key(0), (3, 4, 5))
    params = network.quantize(variables.params)
    output = network.sequence(params, variables.batch_stats, inputs)
    stats, state = variables.batch_stats, nn.init_state(network, variables, 4)
    for t, x in enumerate(inputs):
        current, stats = network.encode(params, stats, x)
        step = network.step(params, stats, state, current, nn.Tick(t))
        state, stats = step.state, step.batch_stats
        np.testing.assert_allclose(output.logits[t], step.logits, atol=1e-6)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-6), output.batch_stats, stats)


def test_a_norm_over_the_sequence_inside_a_layer_of_several_is_refused():
    rngs = nnx.Rngs(2)
    layers = (
        nn.Linear(5, 6, rngs=rngs),
        nn.lif(),
        Gated(nn.batch_norm(statistics="sequence")),
        nn.Linear(6, 3, rngs=rngs),
    )
    network = nn.training_form(model := nn.Sequential(*layers, num_steps=3, input_shape=(5,)))
    with pytest.raises(ValueError, match=r"layers\.2, a Gated, holds a norm over the sequence; set composes = True"):
        network.sequence(*nn.variables_of(model), jnp.ones((3, 4, 5)))


def test_the_memory_of_the_gradient_grows_no_faster_than_time():
    def temporaries(num_steps):
        spec = spec_of(num_steps=num_steps, neuron="lif", weights="float")
        model = nn.conv_net((4, 4, 1), 3, widths=(8,), spec=spec, rngs=nnx.Rngs(0))
        network, inputs = nn.training_form(model), jnp.ones((16, 4, 4, 1))

        def loss(params, batch_stats):
            return jnp.sum(network.sequence(params, batch_stats, inputs).logits ** 2)

        return jax.jit(jax.grad(loss)).lower(*nn.variables_of(model)).compile().memory_analysis().temp_size_in_bytes

    assert temporaries(16) <= 4.5 * temporaries(4)
