"""No layer is taken for its base class: what is written anew is counted by what it says anew, or refused by name."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import analysis, nn
from hdlif_jax.analysis.separability.cells import neuron_of
from hdlif_jax.commands import registry
from hdlif_jax.deploy import fold, register  # noqa: F401 - fold registers the rules
from hdlif_jax.quantize import SpikeQuantizer
from tests.conftest import spec_of

RNGS = nnx.Rngs(0)
CELLS = {
    "lif": nn.lif(),
    "adaptive-lif": nn.adaptive_lif(),
    "hd-lif": nn.hd_lif(),
    "mem-bn": nn.mem_bn(),
    "parallel": nn.parallel(),
    "glif": nn.glif(),
    "relu": nn.relu(),
}


def own(module, method, **attributes):
    """The module, of a subclass that has written a method anew."""
    base = type(module)
    anew = {method: lambda self, *arguments: getattr(base, method)(self, *arguments)}
    module.__class__ = type(f"Own{base.__name__}", (base,), anew | attributes)
    return module


def network(**changes):
    """A network of one neuron, with parts replaced."""
    rngs = nnx.Rngs(0)
    parts = {
        "stem": nn.Conv(2, 4, rngs=rngs),
        "norm": nn.BatchNorm(4),
        "attention": nn.SECA(rngs=rngs),
        "neuron": nn.lif()(2, 4),
        "pool": nn.AvgPool2x2(),
        "dropout": nn.Dropout(0.5),
        "flatten": nn.Flatten(),
        "head": nn.Linear(4 * 9, 3, rngs=rngs),
    }
    return nn.Sequential(*(parts | changes).values(), num_steps=2, input_shape=(6, 6, 2))


def test_every_cell_of_the_registry_is_here():
    assert registry.NEURONS.keys() == CELLS.keys()


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("method", ["advance", "__call__"])
def test_a_neuron_with_dynamics_of_its_own_says_its_operations_anew(name, method):
    x = [jnp.ones((1, 6, 6, 2))]
    model = network(neuron=own(CELLS[name](2, 4), method))
    for count in (analysis.neural_operations, lambda model: analysis.measure(model, x)):
        with pytest.raises(
            TypeError, match=r"layers\.3 \(Own\w+\) has dynamics of its own and the operations of \w+Cell"
        ):
            count(model)
    declared = network(neuron=own(CELLS[name](2, 4), method, operations=7))
    assert analysis.measure(declared, x).neurons[0].nops == 7 * 2 * 6 * 6 * 4
    inherited = network(neuron=own(CELLS[name](2, 4), "start"))
    assert analysis.neural_operations(inherited) == analysis.neural_operations(network(neuron=CELLS[name](2, 4)))


@pytest.mark.parametrize("name", CELLS)
def test_its_leak_is_not_that_of_the_neuron_that_it_comes_from(name):
    assert neuron_of(own(CELLS[name](2, 4), "advance"), 2).decay is None


@pytest.mark.parametrize(
    ("layer", "build"),
    [("stem", lambda: nn.Conv(2, 4, rngs=RNGS)), ("head", lambda: nn.Linear(36, 3, rngs=RNGS))],
)
def test_a_synapse_with_a_call_of_its_own_says_what_it_costs_or_is_refused(layer, build):
    expected = analysis.measure(network(), [jnp.ones((1, 6, 6, 2))])
    model = network(**{layer: own(build(), "__call__")})
    with pytest.raises(TypeError, match=r"layers\.[07] \(Own\w+\) has a __call__ of its own.*set weighted_sum = True"):
        analysis.measure(model, [jnp.ones((1, 6, 6, 2))])
    with pytest.raises(TypeError, match=r"layers\.[07] \(Own\w+\) has a __call__ of its own"):
        analysis.parameter_megabytes(model)
    model = network(**{layer: own(build(), "__call__", weighted_sum=True)})
    counted = analysis.measure(model, [jnp.ones((1, 6, 6, 2))])
    assert [row.macs for row in counted.synapses] == [row.macs for row in expected.synapses]
    with pytest.raises(TypeError, match=r"layers\.[07] \(Own\w+\) has an effective_kernel of its own"):
        analysis.measure(network(**{layer: own(build(), "effective_kernel")}), [jnp.ones((1, 6, 6, 2))])


def test_kernels_with_more_levels_than_three_do_not_compute_as_three():
    class TwoBits(nn.Conv):
        def effective_kernel(self):
            return jnp.round(2 * self.kernel[...]) / 2

    conv = TwoBits(2, 4, weights="ternary", spikes=nn.SpikeInput(SpikeQuantizer(0.25)), rngs=RNGS)
    x = jnp.full((1, 4, 4, 2), 0.5)
    outputs = []
    for integer in (True, False):
        conv.form = nn.Form(train=False, integer=integer)
        outputs.append(conv(x))
    np.testing.assert_array_equal(*outputs)


def test_a_quantiser_of_its_own_has_no_known_grid():
    class Odd(SpikeQuantizer):
        def __call__(self, raw_spikes):
            return super().__call__(raw_spikes) + 0.1

    assert nn.SpikeInput(SpikeQuantizer()).unit == 0.25
    assert nn.SpikeInput(Odd()).unit is None


def test_pooling_of_its_own_is_not_taken_for_the_pooling_that_it_comes_from():
    spikes = nn.hd_lif()(2, 4)
    assert network(neuron=spikes).layers[-1].spikes.pooled == 4
    for layer, build in (
        ("pool", nn.AvgPool2x2),
        ("pool", nn.MaxPool3x3),
        ("flatten", nn.Flatten),
    ):
        model = network(neuron=nn.hd_lif()(2, 4), **{layer: own(build(), "__call__")})
        assert model.layers[-1].spikes is None
    rngs = nnx.Rngs(0)
    average = own(nn.GlobalAverage(), "__call__")
    layers = (nn.Conv(2, 4, rngs=rngs), nn.hd_lif(), average, nn.Linear(4, 3, rngs=rngs))
    assert nn.Sequential(*layers, num_steps=2, input_shape=(4, 4, 2)).layers[-1].spikes is None


def test_a_norm_factory_of_its_own_makes_its_own_norm():
    class centred(nn.batch_norm):  # noqa: N801
        def __call__(self, num_channels, rngs):
            return nnx.LayerNorm(num_channels, rngs=rngs)

    assert isinstance(network(norm=centred()).layers[1], nnx.LayerNorm)


OF_THE_LIBRARY = [kind for kind in register.RULES if kind.__module__.startswith(("hdlif_jax", "flax"))]


@pytest.mark.parametrize("kind", OF_THE_LIBRARY, ids=lambda kind: kind.__name__)
def test_no_subclass_is_folded_as_its_base(kind):
    module = object.__new__(type(f"Own{kind.__name__}", (kind,), {}))
    with pytest.raises(TypeError, match=rf"layer is of type Own{kind.__name__}, which has no folded form"):
        register.rule_of("layer", module)


def test_every_neuron_of_the_registry_has_a_fold_rule():
    """So that the test above means something."""
    assert {type(factory(2, 4)) for factory in CELLS.values()} <= set(OF_THE_LIBRARY)
    assert {nn.Conv, nn.Linear, nn.BatchNorm, nn.SECA, nn.AvgPool2x2, nn.GlobalAverage} <= set(OF_THE_LIBRARY)


def test_a_state_that_nobody_counts_is_refused():
    class Readout(nn.Cell):
        def advance(self, state, x, tick):
            return state + x, state + x

    class Loose(nn.Stateful):
        def __call__(self, state, x, tick):
            return None, x

    for kind in (Readout, Loose):
        model = network(dropout=kind())
        with pytest.raises(TypeError, match=rf"layers\.5 \({kind.__name__}\) has a state and is no neuron"):
            analysis.neural_operations(model)
        kind.operations = 0
        assert analysis.neural_operations(model) == {"layers.3": 3 * 2 * 144}
    with pytest.raises(TypeError, match=r"layers\.5 \(OwnDropout\) has a state and is no neuron"):
        analysis.neural_operations(network(dropout=own(nn.Dropout(), "advance")))


def test_linear_layers_and_convolutions_of_flax_are_counted():
    rngs = nnx.Rngs(0)
    conv = nnx.Conv(2, 4, (3, 3), strides=2, feature_group_count=2, rngs=rngs)
    layers = (conv, nn.lif(), nn.Flatten(), nnx.Linear(36, 3, use_bias=False, rngs=rngs))
    model = nn.Sequential(*layers, num_steps=2, input_shape=(6, 6, 2))
    stem, head = analysis.measure(model, [jnp.ones((2, 6, 6, 2))]).synapses
    assert (stem.parameters, stem.macs, stem.reads) == (9 * 1 * 4 + 4, 9 * 1 * 36, "currents")
    assert (head.parameters, head.macs, head.bytes_paper) == (36 * 3, 2 * 36 * 3, 4 * 36 * 3)
    flops = jax.jit(lambda x: model.layers[3](x)).lower(jnp.ones((1, 36))).compile().cost_analysis()["flops"]
    assert flops == 2 * head.macs / 2


class Embedded(nnx.Module):
    """A layer of flax that has a kernel and is no linear layer."""

    def __init__(self):
        self.embed = nnx.Embed(8, 4, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return x + self.embed(jnp.zeros(x.shape[:-1], int))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Embedded, r"layers\.1\.embed \(Embed\) has a embedding of shape \(8, 4\)"),
        (lambda: nnx.ConvTranspose(4, 4, (3, 3), rngs=RNGS), r"layers\.1 \(ConvTranspose\) has a kernel"),
        (
            lambda: nnx.Conv(4, 4, (3, 3), padding=1, input_dilation=(2, 2), rngs=RNGS),
            r"layers\.1 \(Conv\) has a kernel",
        ),
        (lambda: own(nnx.Conv(4, 4, (3, 3), rngs=RNGS), "__call__"), r"layers\.1 \(OwnConv\) has a kernel"),
    ],
)
def test_other_layers_of_flax_with_kernels_are_refused_by_name(layer, message):
    rngs = nnx.Rngs(0)
    layers = (nn.Conv(2, 4, rngs=rngs), layer(), nn.lif(), nn.GlobalAverage(), nn.Linear(4, 3, rngs=rngs))
    model = nn.Sequential(*layers, num_steps=2, input_shape=(4, 4, 2))
    with pytest.raises(TypeError, match=message + ".*whose operations nobody counts"):
        analysis.measure(model, [jnp.ones((1, 4, 4, 2))])


@pytest.mark.parametrize("norm", [nnx.LayerNorm, nnx.RMSNorm, nnx.BatchNorm])
def test_norms_of_flax_cost_their_parameters(norm):
    model = network(norm=norm(4, rngs=nnx.Rngs(0)))
    costs = analysis.measure(model, [jnp.ones((1, 6, 6, 2))])
    assert costs.other_bytes == 4 * (entries(model) - sum(row.parameters for row in costs.synapses))


def entries(model):
    return sum(leaf.size for leaf in jax.tree.leaves(nn.variables_of(model)))


@pytest.mark.parametrize("weights", ["float", "ternary"])
@pytest.mark.parametrize("name", registry.NETWORKS)
def test_memory_is_that_of_every_parameter_and_statistic(name, weights):
    """Of all registry networks, with neurons that have parameters of their own and, where it has a place, attention."""
    architecture = registry.NETWORKS[name]
    size = {architecture.size: (2, 2) if architecture.size == "widths" else 2}

    def build(attention):
        spec = spec_of(num_steps=1, neuron="mem-bn", parallel=False, weights=weights, attention=attention)
        return architecture.build((32, 32, 2), 3, spec=spec, rngs=nnx.Rngs(0), **size)

    model = build("none")
    with contextlib.suppress(ValueError):  # of networks that have no place for it
        model = build("seca-1")
    found = analysis.memory(model)
    synapses = [layer for _, layer in nn.modules(model) if isinstance(layer, nn.Synapse)]
    quantized = [layer.kernel.size for layer in synapses if layer.weights != "float"]
    floats = entries(model) - sum(quantized)
    assert found.packed + found.other == 4 * floats + sum(-(-size // 5) + 4 for size in quantized)
    assert found.paper + found.other == 4 * floats + 0.375 * sum(quantized)
    assert bool(quantized) == (weights == "ternary")


def test_what_is_measured_has_the_memory_of_the_model():
    model = network()
    costs, found = analysis.measure(model, [jnp.ones((1, 6, 6, 2))]), analysis.memory(model)
    assert costs.other_bytes == found.other
    assert costs.summary()["param_mb_packed"] == pytest.approx(found.packed / 1e6)
    assert costs.summary()["param_mb_paper"] == pytest.approx(found.paper / 1e6)
