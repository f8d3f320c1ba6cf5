import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.deploy import execute
from hdlif_jax.deploy import graph as ops
from hdlif_jax.deploy.fold import fold
from hdlif_jax.ops import average_pool
from tests.deploy.networks import conv_net, inputs_for, named, unfolded_logits, unsettled

MEM_BN = {"neuron": "mem-bn", "parallel": False}
FAMILIES = {
    "vanilla ternary": (conv_net, {"parallel": False}, False),
    "parallel binary": (conv_net, {"weights": "binary"}, False),
    "parallel float weights and spikes": (conv_net, {"weights": "float", "spike_bits": None}, False),
    "LIF binary": (conv_net, {"neuron": "lif", "weights": "binary"}, False),
    "Mem-BN parallel, events": (conv_net, {"neuron": "mem-bn"}, True),
    "SECA I": (conv_net, {"neuron": "mem-bn", "attention": "seca-1"}, False),
    "SECA II": (conv_net, {**MEM_BN, "attention": "seca-2"}, False),
    "VGG-SNN, events": (lambda **options: named(nn.vgg_snn, (16, 16, 2), **options), {"neuron": "mem-bn"}, True),
}
MORE_FAMILIES = {
    "parallel ternary": (conv_net, {}, False),
    "float weights": (conv_net, {"weights": "float"}, False),
    "ternary, float spikes": (conv_net, {"spike_bits": None}, False),
    "two-bit spikes": (conv_net, {"spike_bits": 2}, False),
    "eight-bit spikes": (conv_net, {"spike_bits": 8, "spike_scale": 1 / 64}, False),
    "LIF float weights": (conv_net, {"neuron": "lif", "weights": "float"}, False),
    "Mem-BN ternary": (conv_net, MEM_BN, False),
    "Mem-BN binary": (conv_net, {**MEM_BN, "weights": "binary"}, False),
    "Mem-BN float weights": (conv_net, {**MEM_BN, "weights": "float"}, False),
    "SECA I binary": (conv_net, {"attention": "seca-1", "weights": "binary", "neuron": "mem-bn"}, False),
    "SECA I float weights": (conv_net, {"attention": "seca-1", "weights": "float", "neuron": "mem-bn"}, False),
    "SECA II binary": (conv_net, {"attention": "seca-2", "weights": "binary", "neuron": "mem-bn"}, False),
    "SECA II float weights": (conv_net, {"attention": "seca-2", "weights": "float", "neuron": "mem-bn"}, False),
    "one step": (conv_net, {"num_steps": 1}, False),
    "ResNet-19": (lambda **options: named(nn.resnet19, (8, 8, 3), **options), {}, False),
    "ResNet-18, pooling stem": (
        lambda **options: named(nn.resnet18, (16, 16, 3), num_classes=200, **options),
        {"num_steps": 2},
        False,
    ),
    "VGG-13": (lambda **options: named(nn.vgg13, (16, 16, 3), **options), {"num_steps": 2}, False),
}


def run(folded, x, arithmetics=("integer",)):
    """All values of a folded network, for each arithmetic."""
    graph = folded.graph
    x = x if x.ndim == 5 else x[None]

    def values(arrays, x):
        result = []
        for arithmetic in arithmetics:
            current = execute.encode(graph, arithmetic, arrays, x)
            result.append(execute.advance(graph, arithmetic, arrays, {}, current, 0, graph.num_steps)[1])
        return result

    return jax.tree.map(np.asarray, jax.jit(values)(folded.arrays, x))


def check_family(build, options, sequence):
    model = build(**{"num_steps": 3, **options})
    x = inputs_for(model, sequence=sequence)
    expected = unfolded_logits(model, x)
    folded = fold(model)
    values, by_float = run(folded, x, ("integer", "float"))
    np.testing.assert_allclose(values[folded.graph.logits], expected, atol=1e-4 * np.abs(expected).max(), rtol=0)
    for neuron in folded.graph.neurons:
        np.testing.assert_array_equal(values[neuron.name], by_float[neuron.name])
        assert values[neuron.name].any()
    has_integer = any(getattr(node, "integer", False) for node in folded.graph.body)
    quantized = options.get("spike_bits", 4) is not None and options.get("spike_bits") != 8
    assert has_integer == (quantized and options.get("weights") != "float")


@pytest.mark.parametrize("family", FAMILIES)
def test_folded_equals_unfolded_and_integer_equals_float(family):
    check_family(*FAMILIES[family])


@pytest.mark.slow
@pytest.mark.parametrize("family", MORE_FAMILIES)
def test_folded_equals_unfolded_in_every_family(family):
    check_family(*MORE_FAMILIES[family])


def test_levels_and_types():
    folded = fold(conv_net(weights="ternary"))
    for node, fields in folded.arrays.items():
        for field, array in fields.items():
            quantized = field == "kernel" and not node.startswith(("stem", "head"))
            assert array.dtype == (np.int8 if quantized else np.float32)
            if quantized:
                assert set(np.unique(array)) == {-1, 0, 1}


def test_batch_norm_goes_into_scale_and_bias():
    model = conv_net(weights="binary")
    folded = fold(model)
    conv, norm = model.blocks[0].conv1, model.blocks[0].norm1
    kernel = np.asarray(conv.kernel[...], np.float64)
    gain = np.asarray(norm.scale[...]) / np.sqrt(np.asarray(norm.var[...]) + 1e-5)
    scale = np.abs(kernel).mean((0, 1, 2)) * gain * 0.25  # 0.25: the size of a spike level
    bias = np.asarray(norm.bias[...]) - gain * np.asarray(norm.mean[...])
    np.testing.assert_allclose(folded.arrays["blocks.0.conv1"]["scale"][0], scale, rtol=1e-5)
    np.testing.assert_allclose(folded.arrays["blocks.0.conv1"]["bias"][0], bias, rtol=1e-4, atol=1e-6)


def test_mem_bn_becomes_decay_and_affine_by_equations_7_and_8():
    model = conv_net(**MEM_BN)
    folded = fold(model)
    cell = model.blocks[0].neuron1

    def sigmoid(raw):
        return 1 / (1 + np.exp(-np.asarray(raw[...], np.float64)))[:, None]

    gain = np.asarray(cell.scale[...]) / np.sqrt(np.asarray(cell.var[...]) + 1e-5)
    alpha = sigmoid(cell.raw_membrane_weight) + sigmoid(cell.raw_normalized_weight) * gain
    beta = sigmoid(cell.raw_normalized_weight) * (gain * np.asarray(cell.mean[...]) - np.asarray(cell.shift[...]))
    np.testing.assert_allclose(folded.arrays["blocks.0.neuron1"]["decay"], alpha * sigmoid(cell.raw_decay), rtol=1e-5)
    np.testing.assert_allclose(folded.arrays["blocks.0.neuron1"]["current_scale"], alpha, rtol=1e-5)
    np.testing.assert_allclose(folded.arrays["blocks.0.neuron1"]["current_shift"], -beta, rtol=1e-4, atol=1e-6)


def test_mem_bn_moves_into_the_convolution_before_it_where_that_feeds_nothing_else():
    block = fold(conv_net(**MEM_BN)).arrays
    assert "current_scale" in block["blocks.0.neuron1"]  # its current is the residual stream
    assert "current_scale" not in block["blocks.0.neuron2"]  # its current is a Conv-BN's
    assert block["blocks.0.conv1"]["scale"].shape == block["blocks.0.conv1"]["bias"].shape == (4, 6)
    vgg = fold(named(nn.vgg_snn, (16, 16, 2), **MEM_BN)).arrays
    left = [node for node, fields in vgg.items() if "current_scale" in fields]
    assert left == ["units.0.neuron"]  # a static image passes the first convolution once for all steps
    with_attention = fold(conv_net(**MEM_BN, attention="seca-1")).arrays
    assert "current_scale" in with_attention["blocks.0.neuron2"]


def test_folding_leaves_the_model_alone():
    model = conv_net()
    before = nn.variables_of(model)
    fold(model)
    jax.tree.map(np.testing.assert_array_equal, before, nn.variables_of(model))
    assert type(model.blocks[0].conv1) is nn.Conv


def test_variables_of_a_checkpoint():
    model, trained = conv_net(), conv_net(seed=3)
    np.testing.assert_equal(fold(model, nn.variables_of(trained)).arrays, fold(trained).arrays)
    with pytest.raises(ValueError, match="structure"):
        fold(model, nn.variables_of(conv_net(**MEM_BN)))


class OwnNetwork(nnx.Module):
    """A network that the library does not know, of parts that it knows."""

    def __init__(self, rngs):
        self.input_shape, self.num_classes, self.num_steps = (6, 6, 2), 5, 3
        self.stem = nn.Conv(2, 4, rngs=rngs)
        self.neuron = nn.hd_lif()(3, 4)
        self.left = nn.Conv(4, 6, 1, weights="ternary", spikes=self.neuron.emits, rngs=rngs)
        self.right = nn.Conv(4, 6, weights="binary", spikes=self.neuron.emits, rngs=rngs)
        self.average = nn.GlobalAverage()
        self.head = nn.Linear(6, 5, rngs=rngs)

    def encode(self, x):
        return self.stem(x)

    def __call__(self, state, current, tick):
        state, spikes = self.neuron(state, current, tick)
        return state, self.head(self.average(self.left(spikes) + self.right(spikes)))


def test_a_new_network_of_known_modules_needs_no_code():
    model = unsettled(OwnNetwork(nnx.Rngs(0)))
    x = inputs_for(model)
    expected = unfolded_logits(model, x)
    folded = fold(model)
    np.testing.assert_allclose(run(folded, x)[0]["head"], expected, rtol=1e-4, atol=1e-5)


class AddsSpikes(OwnNetwork):
    """Adds spikes to spikes and to a current, and ends in a sum with spikes."""

    def __init__(self, neuron, rngs):
        super().__init__(rngs)
        self.neuron, self.last = neuron(3, 4), neuron(3, 6)
        self.left = nn.Conv(4, 4, 1, spikes=self.neuron.emits, rngs=rngs)
        self.right = nn.Conv(4, 6, rngs=rngs)
        self.pool = nn.GlobalAverage()
        self.head = nn.Linear(6, 6, rngs=rngs)
        self.num_classes = 6

    def __call__(self, state, current, tick):
        carry = nn.Carry(state, tick)
        spikes = carry(self.neuron, current)
        last = carry(self.last, self.right(self.left(spikes) + spikes + spikes))
        averages = self.pool(last)
        return carry.state, self.head(averages) + averages


@pytest.mark.parametrize(
    "neuron", [nn.hd_lif(), nn.hd_lif(bits=None), nn.lif(height=2.74), nn.lif(threshold=0.5)], ids=repr
)
def test_spikes_may_be_added_to_anything(neuron):
    model = unsettled(AddsSpikes(neuron, nnx.Rngs(0)))
    x = inputs_for(model)
    expected = unfolded_logits(model, x)
    assert np.abs(expected).max() > 0.1
    folded = fold(model)
    np.testing.assert_allclose(run(folded, x)[0][folded.graph.logits], expected, rtol=1e-4, atol=1e-5)
    as_floats = [node.name for node in folded.graph.nodes if node.name == "neuron.spikes"]
    assert len(as_floats) == (neuron != nn.hd_lif(bits=None))  # once, though three sums read them


class Multiplies(OwnNetwork):
    def __call__(self, state, current, tick):
        return super().__call__(state, current * 2, tick)


class Repeats(OwnNetwork):
    def __call__(self, state, current, tick):
        state, spikes = self.neuron(state, current, tick)
        return state, self.head(self.average(self.left(spikes) + self.left(spikes)))


class AddsANumber(OwnNetwork):
    def encode(self, x):
        return self.stem(x) + 1


class Pools(OwnNetwork):
    def encode(self, x):
        return average_pool(self.stem(x))


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        (Pools, TypeError, "may only add values"),
        (Multiplies, TypeError, "may only add values"),
        (Repeats, TypeError, "left is called more than once"),
        (AddsANumber, TypeError, "only sums of two values"),
    ],
)
def test_networks_that_cannot_be_folded(kind, error, message):
    with pytest.raises(error, match=message):
        fold(kind(nnx.Rngs(0)))


def test_soft_rounding_cannot_be_deployed():
    model = conv_net()
    quantizer = type(model.blocks[0].neuron1.quantize)(softness=0.5)
    model.blocks[0].neuron1.quantize = quantizer
    with pytest.raises(ValueError, match="at most 8 bits"):
        fold(model)


def test_argmax_is_that_of_the_network_on_all_digits():
    from hdlif_jax.data import digits

    inputs = jnp.asarray(digits().test.inputs, jnp.float32) / 255
    model = conv_net(input_shape=(8, 8, 1))
    model.head.bias[...] -= unfolded_logits(model, inputs).mean((0, 1))  # so that no class always wins
    expected = unfolded_logits(model, inputs).sum(0).argmax(-1)
    assert len(np.unique(expected)) > 2
    for values in run(fold(model), inputs, ("integer", "float")):
        np.testing.assert_array_equal(values["head"].sum(0).argmax(-1), expected)


def test_one_layer_by_numpy():
    folded = fold(conv_net(weights="ternary", parallel=False))
    (values,) = run(folded, inputs_for(conv_net()))
    node = next(node for node in folded.graph.body if isinstance(node, ops.Conv))
    assert values[node.source].dtype == np.uint8
    assert values[node.source].max() <= 15
    levels, kernel = values[node.source].astype(int), folded.arrays[node.name]["kernel"].astype(int)
    padded = np.pad(levels, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
    sums = 0
    for row, column in np.ndindex(3, 3):
        sums = sums + padded[:, :, row : row + 8, column : column + 8] @ kernel[row, column]
    expected = sums * folded.arrays[node.name]["scale"] + folded.arrays[node.name]["bias"]
    np.testing.assert_allclose(values[node.name], expected, rtol=1e-5, atol=1e-5)


class HardResetLIF(nn.LIFCell):
    """A cell of another kind that inherits from one of the library."""

    def advance(self, state, x, tick):
        state, spikes = super().advance(state, x, tick)
        return jnp.where(spikes > 0, 0, state), spikes


class HalvingBatchNorm(nn.BatchNorm):
    def __call__(self, x):
        return super().__call__(x) / 2


@pytest.mark.parametrize(
    ("place", "module"),
    [("neuron1", lambda: HardResetLIF()), ("norm1", lambda: HalvingBatchNorm(6))],
)
def test_a_subclass_is_not_folded_as_what_it_inherits_from(place, module):
    model = conv_net(neuron="lif")
    setattr(model.blocks[0], place, module())
    with pytest.raises(TypeError, match=rf"blocks.0.{place} is of type \w+, which has no folded form; register one"):
        fold(model)


def test_a_cell_without_a_rule_is_refused_by_name():
    class OwnCell(nn.NeuronCell):
        emits = nn.BINARY
        operations = 3

        def advance(self, state, x, tick):
            return state, x

    model = conv_net()
    model.blocks[1].neuron2 = OwnCell()
    with pytest.raises(TypeError, match=r"blocks.1.neuron2 is of type OwnCell, which has no folded form"):
        fold(model)


def test_arrays_of_another_number_of_steps_are_refused():
    """Steps would read the arrays of others."""
    shorter, longer = (fold(conv_net(num_steps=steps, neuron="mem-bn")) for steps in (2, 4))
    inputs = np.zeros((2, *longer.graph.input_shape), np.float32)
    execute.logits_function(longer.graph)(longer.arrays, inputs)
    with pytest.raises(ValueError, match="is of 2 time-steps and the graph of 4; give the arrays"):
        execute.logits_function(longer.graph)(shorter.arrays, inputs)
