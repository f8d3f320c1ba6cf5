"""Norms find what they normalise by name; dropout is the identity; what has no rule is refused by name."""

import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.deploy import execute
from hdlif_jax.deploy.fold import fold
from hdlif_jax.deploy.graph import Function
from hdlif_jax.quantize import SpikeQuantizer
from tests.deploy.networks import conv_net, inputs_for, unfolded_logits, unsettled


def check(model, x=None):
    """The folded network, whose logits are those of the model."""
    x = inputs_for(model) if x is None else x
    folded, expected = fold(model), unfolded_logits(model, x)
    logits = execute.rollout(folded.graph, "integer", folded.arrays, x[None])
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    return folded


def functions(folded):
    return [(node.name, node.kind) for node in folded.graph.nodes if isinstance(node, Function)]


def flax_norm(**options):
    return lambda num_channels, rngs: nnx.BatchNorm(num_channels, use_running_average=True, rngs=rngs, **options)


@pytest.mark.parametrize(
    "norm",
    [
        nn.batch_norm(gain=0.7, epsilon=1e-3),
        nn.batch_norm(statistics="sequence", gain=1.5),
        flax_norm(epsilon=1e-2),
        flax_norm(use_scale=False),
        flax_norm(use_bias=False),
    ],
    ids=["gain", "statistics of the sequence", "Flax", "Flax without scale", "Flax without bias"],
)
def test_every_batch_norm_goes_into_its_convolution(norm):
    spec = nn.Spec(num_steps=2, norm=norm)
    model = unsettled(nn.conv_net((6, 6, 2), 5, widths=(4, 6), spec=spec, rngs=nnx.Rngs(0)))
    assert functions(check(model)) == [("average", "global-average")]


def test_a_norm_of_another_axis_is_refused():
    model = conv_net()
    model.blocks[0].norm1 = nnx.BatchNorm(6, axis=1, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"blocks\.0\.norm1 normalises axis 1"):
        fold(model)


class Branches(nnx.Module):
    """Two convolutions, and only then their norms."""

    def __init__(self, rngs):
        self.input_shape, self.num_classes, self.num_steps = (6, 6, 2), 5, 3
        self.stem = nn.Conv(2, 4, rngs=rngs)
        self.neuron = nn.hd_lif()(3, 4)
        self.left = nn.Conv(4, 6, weights="ternary", spikes=self.neuron.emits, rngs=rngs)
        self.right = nn.Conv(4, 6, weights="binary", spikes=self.neuron.emits, rngs=rngs)
        self.left_norm, self.right_norm, self.sum_norm = nn.BatchNorm(6), nn.BatchNorm(6), nn.BatchNorm(6)
        self.average = nn.GlobalAverage()
        self.head = nn.Linear(6, 5, rngs=rngs)

    def encode(self, x):
        return self.stem(x)

    def __call__(self, state, current, tick):
        state, spikes = self.neuron(state, current, tick)
        left, right = self.left(spikes), self.right(spikes)
        return state, self.head(self.average(self.left_norm(left) + self.right_norm(right)))


class SharedConvolution(Branches):
    def __call__(self, state, current, tick):
        state, spikes = self.neuron(state, current, tick)
        left = self.left(spikes)
        return state, self.head(self.average(self.left_norm(left) + self.right_norm(left)))


class NormOfASum(Branches):
    def __call__(self, state, current, tick):
        state, spikes = self.neuron(state, current, tick)
        return state, self.head(self.average(self.sum_norm(self.left(spikes) + self.right(spikes))))


class NormOfSpikes(Branches):
    def __init__(self, rngs):
        super().__init__(rngs)
        self.spike_norm = nn.BatchNorm(4)

    def __call__(self, state, current, tick):
        state, spikes = self.neuron(state, current, tick)
        return state, self.head(self.average(self.left(self.spike_norm(spikes))))


class NormOfTheStem(Branches):
    def __init__(self, rngs):
        super().__init__(rngs)
        self.stem_norm = nn.BatchNorm(4)

    def __call__(self, state, current, tick):
        return super().__call__(state, self.stem_norm(current), tick)


class TwoSums(Branches):
    """Sums in both parts: the stem's is the first that the body computes with."""

    def __init__(self, rngs):
        super().__init__(rngs)
        self.other_stem = nn.Conv(2, 4, rngs=rngs)

    def encode(self, x):
        return self.stem(x) + self.other_stem(x)

    def __call__(self, state, current, tick):
        return super().__call__(state, current + current, tick)


@pytest.mark.parametrize(
    ("kind", "own_nodes"),
    [
        (Branches, []),
        (SharedConvolution, ["left_norm", "right_norm"]),
        (NormOfASum, ["sum_norm"]),
        (NormOfSpikes, ["spike_norm"]),
        (NormOfTheStem, []),
        (TwoSums, []),
    ],
)
def test_a_norm_goes_into_the_layer_that_it_normalises_wherever_that_was_called_or_stays_alone(kind, own_nodes):
    folded = check(unsettled(kind(nnx.Rngs(0))))
    assert [name for name, kind in functions(folded) if kind == "affine"] == own_nodes


def test_dropout_is_the_identity():
    rngs = nnx.Rngs(0)
    layers = (
        nn.Flatten(),
        nn.Linear(18, 8, rngs=rngs),
        nn.lif(),
        nn.Dropout(0.5),
        nn.Linear(8, 8, weights="ternary", rngs=rngs),
        nn.BatchNorm(8),
        nn.hd_lif(),
        nn.Linear(8, 3, rngs=rngs),
    )
    model = unsettled(nn.Sequential(*layers, num_steps=2, input_shape=(3, 3, 2)))
    folded = check(model)
    assert functions(folded) == [("layers.0", "flatten")]
    (hidden,) = (node for node in folded.graph.synapses if node.name == "layers.4")
    assert hidden.integer
    assert hidden.reads == "layers.2"


def test_average_pooling_stays_integer_while_a_byte_holds_the_sum():
    rngs = nnx.Rngs(0)

    def network(bits):
        layers = (
            nn.Conv(2, 4, rngs=rngs),
            nn.hd_lif(bits=bits, scale=1 / 16),
            nn.AvgPool2x2(),
            nn.Conv(4, 4, weights="binary", rngs=rngs),
            nn.BatchNorm(4),
            nn.parallel(),
            nn.GlobalAverage(),
            nn.Linear(4, 3, rngs=rngs),
        )
        return unsettled(nn.Sequential(*layers, num_steps=2, input_shape=(7, 7, 2)))

    for bits, kind, integer in ((4, "sum", True), (6, "sum", False), (8, "average", False)):
        folded = check(network(bits))
        assert functions(folded)[0] == ("layers.2", kind)
        assert next(node for node in folded.graph.synapses if node.name == "layers.3").integer == integer


@pytest.mark.parametrize("module", [lambda rngs: nnx.Linear(8, 8, rngs=rngs), lambda rngs: nnx.LayerNorm(8, rngs=rngs)])
def test_modules_of_flax_without_a_rule_are_refused_by_name(module):
    rngs = nnx.Rngs(0)
    layers = nn.Linear(4, 8, rngs=rngs), module(rngs), nn.lif(), nn.Linear(8, 3, rngs=rngs)
    model = nn.Sequential(*layers, num_steps=2, input_shape=(4,))
    with pytest.raises(
        TypeError, match=r"layers\.1 is of type (Linear|LayerNorm), which has no folded form"
    ) as refusal:
        fold(model)
    assert "\n" not in str(refusal.value)


class Sums(nnx.Module):
    """A module of modules, whose own code adds."""

    def __init__(self, rngs):
        self.first, self.second = nn.Linear(4, 8, rngs=rngs), nn.Linear(4, 8, rngs=rngs)

    def __call__(self, x):
        return self.first(x) + self.second(x)


def test_modules_of_modules_are_looked_into():
    rngs = nnx.Rngs(0)
    layers = Sums(rngs), nn.lif(), nn.Linear(8, 3, rngs=rngs)
    folded = check(unsettled(nn.Sequential(*layers, num_steps=2, input_shape=(4,))))
    assert [node.name for node in folded.graph.nodes[:3]] == ["layers.0.first", "layers.0.second", "sum.2"]


class Feedback(Branches):
    """What it gives comes back at the next step."""

    def __call__(self, state, current, tick):
        inner, last = (None, None) if state is None else state
        inner, logits = super().__call__(inner, current if last is None else current + last, tick)
        return (inner, current), logits


class FirstStep(Branches):
    def __call__(self, state, current, tick):
        return super().__call__(state, current + current if tick.t == 0 else current, tick)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Feedback, "Feedback cannot be folded: it keeps a state outside of its cells"),
        (FirstStep, "FirstStep cannot be folded: Attempted boolean conversion of traced array"),
    ],
)
def test_a_network_that_is_another_at_another_step_is_refused(kind, message):
    with pytest.raises(TypeError, match=message) as refusal:
        fold(kind(nnx.Rngs(0)))
    assert "\n" not in str(refusal.value)


class OddQuantizer(SpikeQuantizer):
    def __call__(self, raw_spikes):
        return super().__call__(raw_spikes) + 0.1


def test_a_quantiser_of_ones_own_is_not_folded_as_q():
    model = conv_net()
    model.blocks[0].neuron1.quantize = OddQuantizer()
    with pytest.raises(TypeError, match=r"blocks\.0\.neuron1 quantises its spikes by a OddQuantizer"):
        fold(model)


def test_calls_hold_the_modules_of_the_callers_model():
    from hdlif_jax.deploy.symbols import calls_of

    model = conv_net()
    calls = calls_of(model)
    assert next(call.module for call in calls.body if call.name == "blocks.0.conv1") is model.blocks[0].conv1
    assert next(call.module for call in calls.encoder) is model.stem
    assert (calls.current, calls.logits) == ("stem_norm", "head")
