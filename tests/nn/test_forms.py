import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.flatten_util import ravel_pytree

from hdlif_jax import learning, nn, rollout
from hdlif_jax.nn import Tick
from hdlif_jax.nn.forms import in_form
from hdlif_jax.nn.intercept import modules
from hdlif_jax.quantize import quantize_ternary
from tests.conftest import cross_entropy, perturbed, small_network


@pytest.mark.parametrize("options", [{}, {"neuron": "mem-bn", "attention": "seca-2"}, {"neuron": "lif"}])
def test_the_training_form_equals_the_module(options, images):
    model = small_network(**options)
    network, variables = nn.training_form(model), nn.variables_of(model)
    params = network.quantize(variables.params)
    current, batch_stats = network.encode(params, variables.batch_stats, images)
    output = jax.jit(network.step)(params, batch_stats, None, current, Tick(jnp.int32(1)))
    module = in_form(nn.with_variables(model, nn.Variables(params, variables.batch_stats)), network.form)
    expected_state, expected = module(None, module.encode(images), Tick(1))
    np.testing.assert_allclose(output.logits, expected, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), output.state, expected_state)
    # the module's statistics have moved, and the function's moved alike
    moved = nn.variables_of(module).batch_stats
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), output.batch_stats, moved)
    assert not np.allclose(moved["stem_norm"]["var"], variables.batch_stats["stem_norm"]["var"])


def test_the_inference_form_returns_the_statistics_unchanged(images):
    model = small_network(neuron="mem-bn")
    network, variables = nn.inference_form(model), nn.variables_of(model)
    current, batch_stats = network.encode(*variables, images)
    output = network.step(variables.params, batch_stats, None, current, Tick(0))
    jax.tree.map(np.testing.assert_array_equal, output.batch_stats, variables.batch_stats)


def test_making_a_form_leaves_the_model_alone():
    model = small_network()
    kinds = [type(module) for _, module in modules(model)]
    network, variables = nn.training_form(model, record=True), nn.variables_of(model)
    network.step(*variables, None, network.encode(*variables, jnp.ones((2, 6, 6, 2)))[0], Tick(0))
    assert [type(module) for _, module in modules(model)] == kinds
    for _, module in modules(model):
        assert getattr(module, "form", None) is None
    block = model.blocks[0]
    assert not block.norm1.trains
    np.testing.assert_array_equal(block.conv1.effective_kernel(), quantize_ternary(block.conv1.kernel[...]))
    jax.tree.map(np.testing.assert_array_equal, nn.variables_of(model), variables)


def test_quantize_replaces_the_quantised_kernels_and_nothing_else():
    model = small_network(weights="ternary")
    params = nn.variables_of(model).params
    quantized = nn.training_form(model).quantize(params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        got = quantized
        for entry in path:
            got = got[entry.key]
        is_quantized = name.endswith("kernel") and "blocks" in name
        np.testing.assert_allclose(got, quantize_ternary(leaf) if is_quantized else leaf, rtol=1e-6)


def test_the_state_starts_at_zero_and_has_an_entry_for_each_neuron_layer():
    model = small_network()
    state = nn.init_state(nn.training_form(model), nn.variables_of(model), 5)
    assert len(state) == 2
    np.testing.assert_array_equal(state[1][0], np.zeros((5, 6, 6, 4)))
    assert state[1][1] == ()  # parallel neurons have no memory


def test_recorded_spikes_are_named_by_module_path(images):
    model = small_network()
    network, variables = nn.inference_form(model, record=True), nn.variables_of(model)
    current, _ = network.encode(*variables, images)
    output = network.step(*variables, None, current, Tick(0))
    spikes = output.records
    assert list(spikes) == [f"blocks.{block}.neuron{neuron}" for block in (0, 1) for neuron in (1, 2)]
    assert spikes["blocks.1.neuron2"].shape == (8, 3, 3, 6)
    silent = nn.inference_form(model).step(*variables, None, current, Tick(0))
    assert silent.records == {}
    jax.tree.map(np.testing.assert_array_equal, silent.state, output.state)  # records are beside the state


def test_a_record_is_what_the_cell_gave():
    cell, gave = nn.hd_lif()(2, 3), []

    class Watched(nn.HDLIFCell):
        def advance(self, state, x, tick):
            result = super().advance(state, x, tick)
            gave.append(result[1])
            return result

    watched = Watched(2, cell.quantize)
    model = nn.Sequential(watched, nn.Linear(3, 2, rngs=nnx.Rngs(0)), num_steps=2, input_shape=(3,))
    network = nn.training_form(model, record=True)
    output = network.step(*nn.variables_of(model), None, jnp.ones((2, 3)), Tick(0))
    assert list(output.records) == ["layers.0"]
    assert output.records["layers.0"] is gave[-1]


def test_per_step_parameters_are_marked():
    network = nn.training_form(small_network(neuron="mem-bn"))
    neuron = network.per_step["blocks"][0]["neuron1"]
    assert all(neuron.values())
    assert not network.per_step["blocks"][0]["conv1"]["kernel"]


def test_variables_of_another_model_are_refused(images):
    network = nn.training_form(small_network())
    other = nn.variables_of(small_network(widths=(4, 4, 4)))
    with pytest.raises(ValueError, match="params have another structure than the network"):
        network.encode(*other, images)
    with pytest.raises(ValueError, match="params have another structure than the network"):
        nn.with_variables(small_network(), other)


@pytest.mark.parametrize(
    ("options", "path", "shapes"),
    [
        ({"widths": (5, 6)}, "blocks.0.conv1.kernel", "float32[3, 3, 5, 5] and the network needs float32[3, 3, 4, 4]"),
        ({"num_steps": 6}, "blocks.0.neuron1.raw_decay", "float32[6] and the network needs float32[4]"),
        ({"num_classes": 2}, "head.bias", "float32[2] and the network needs float32[3]"),
    ],
)
def test_arrays_of_other_shapes_are_refused_by_path(options, path, shapes, images):
    model, other = small_network(), nn.variables_of(small_network(**options))
    batch, key = learning.Batch(images, jnp.arange(8) % 3), jax.random.key(0)
    for use in (
        lambda: nn.with_variables(model, other),
        lambda: nn.inference_form(model).encode(*other, images),
        lambda: nn.init_state(nn.training_form(model), other, 2),
        lambda: nn.training_form(model).quantize(other.params),
        lambda: nn.training_form(model).sequence(*other, images),
        lambda: rollout.rollout(nn.inference_form(model), other, images),
        lambda: learning.random_step().gradient(nn.training_form(model), cross_entropy, other, batch, key),
        lambda: learning.stbp(layerwise=True).gradient(nn.training_form(model), cross_entropy, other, batch),
    ):
        with pytest.raises(ValueError, match=re.escape(f"params: {path} is {shapes}; build both from the same model")):
            use()


def test_statistics_of_other_shapes_are_refused_too():
    model = small_network(neuron="mem-bn")
    variables = nn.variables_of(model)
    variables.batch_stats["blocks"][0]["neuron1"]["mean"] = jnp.zeros((3, 4))
    with pytest.raises(ValueError, match=r"neuron1.mean is float32\[3, 4\] and the network needs float32\[4, 4\]"):
        nn.with_variables(model, variables)


def test_with_variables_is_a_copy_that_holds_them():
    model = small_network()
    variables = perturbed(nn.variables_of(model))
    filled = nn.with_variables(model, variables)
    jax.tree.map(np.testing.assert_array_equal, nn.variables_of(filled), variables)
    filled.head.bias[...] = jnp.full(3, 7.0)
    assert not np.any(model.head.bias[...] == 7)
    assert not np.any(variables.params["head"]["bias"] == 7)


class OfItsOwn(nn.Stateful):
    """A network that holds a layer of Flax beside its cell."""

    def __init__(self, layer):
        self.num_steps, self.input_shape, self.num_classes = 2, (3,), 2
        self.cell, self.layer, self.head = nn.lif()(2, 3), layer, nn.Linear(3, 2, rngs=nnx.Rngs(0))

    def encode(self, x):
        return x

    def __call__(self, state, current, tick):
        carry = nn.Carry(state, tick)
        return carry.state, self.head(self.layer(carry(self.cell, current)))


@pytest.mark.parametrize("rngs", [None, nnx.Rngs(0), nnx.Rngs(dropout=1)], ids=["none", "default", "dropout"])
def test_dropout_of_flax_is_refused_by_path_with_what_to_use(rngs):
    """It would drop the same in every step."""
    with pytest.raises(ValueError, match=r"layer is Flax's Dropout.*; use hdlif_jax\.nn\.Dropout\(0\.5\)"):
        nn.Sequential(nn.lif(), nnx.Dropout(0.5, rngs=rngs), num_steps=2, input_shape=(3,))
    for form in (nn.training_form, nn.inference_form):
        with pytest.raises(ValueError, match=r"^layer is Flax's Dropout.*; use hdlif_jax\.nn\.Dropout\(0\.2\)"):
            form(OfItsOwn(nnx.Dropout(0.2, rngs=rngs)))


class Noisy(nnx.Module):
    def __init__(self, seed):
        self.rngs, self.calls = (nnx.Rngs(seed), None) if seed is not None else (None, nnx.Variable(jnp.int32(0)))

    def __call__(self, x):
        return x


@pytest.mark.parametrize(("seed", "array"), [(0, r"layer\.rngs\.default\.count"), (None, r"layer\.calls")])
def test_arrays_that_are_no_variables_of_a_network_are_refused_by_path(seed, array):
    """What is kept to draw from, or counts, would stay the same in every step."""
    with pytest.raises(ValueError, match=rf"{array} of Noisy is neither a parameter nor .*use nn\.Dropout, or draw"):
        nn.training_form(OfItsOwn(Noisy(seed)))


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int32])
def test_pixels_and_counts_are_read_as_numbers(dtype):
    """What a cell gives is of the type that it reads, and a spike of 0.7 is no integer."""
    layers = nn.lif(threshold=0.7), nn.Linear(3, 2, rngs=nnx.Rngs(0))
    model = nn.Sequential(*layers, num_steps=2, input_shape=(3,))
    network, variables = nn.inference_form(model, record=True), nn.variables_of(model)
    counts = jnp.array([[0, 1, 2], [3, 0, 0]])
    logits, spikes = rollout.rollout_spikes(network, variables, counts.astype(dtype))
    expected, expected_spikes = rollout.rollout_spikes(network, variables, counts.astype(jnp.float32))
    np.testing.assert_array_equal(logits, expected)
    np.testing.assert_array_equal(spikes["layers.0"], expected_spikes["layers.0"])
    assert np.any(np.asarray(spikes["layers.0"]) == np.float32(0.7))
    np.testing.assert_allclose(network.sequence(*variables, counts.astype(dtype)).logits, expected, atol=1e-6)


def test_a_cell_that_is_called_twice_cannot_be_recorded():
    cell = nn.hd_lif()(2, 3)
    model = nn.Sequential(cell, cell, nn.Linear(3, 2, rngs=nnx.Rngs(0)), num_steps=2, input_shape=(3,))
    network = nn.training_form(model, record=True)
    with pytest.raises(ValueError, match=r"layers\.0 is called more than once in a time-step; give every call its own"):
        network.step(*nn.variables_of(model), None, jnp.ones((2, 3)), Tick(0))
    nn.training_form(model).step(*nn.variables_of(model), None, jnp.ones((2, 3)), Tick(0))


def test_variables_are_copies(images):
    model = small_network()
    variables = nn.variables_of(model)
    before = jax.tree.map(np.array, variables)
    module = in_form(model, nn.Form(train=True))
    module(None, module.encode(images), Tick(0))
    model.stem_norm.mean[...] = jnp.ones(4)
    jax.tree.map(np.testing.assert_array_equal, before, variables)
    assert perturbed(variables) is not variables


@pytest.mark.parametrize("neuron", ["hd-lif", "mem-bn", "lif"])
def test_bfloat16_is_for_convolutions_and_currents_alone(neuron, images):
    """Products and what flows between layers are rounded; parameters, statistics, membranes and logits are not."""
    model = small_network(neuron=neuron, weights="ternary", attention="seca-1", parallel=False)
    variables = nn.variables_of(model)
    network = nn.training_form(model, dtype="bfloat16", integer=False)

    def step(variables, images):
        params = network.quantize(variables.params)
        current, batch_stats = network.encode(params, variables.batch_stats, images)
        output = network.step(params, batch_stats, None, current, Tick(0))
        return current, output.state, output.logits, output.batch_stats

    current, state, logits, batch_stats = jax.eval_shape(step, variables, images)
    assert current.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves((state, logits, batch_stats))} == {jnp.dtype("float32")}
    convolutions = re.findall(
        r"stablehlo\.convolution.*-> tensor<[0-9x]*(\w+)>", jax.jit(step).lower(variables, images).as_text()
    )
    assert set(convolutions) == {"bf16"}
    assert len(convolutions) == 6  # the stem, two blocks of two, one shortcut


def test_bfloat16_rounds_and_does_no_more(images):
    """Unquantised, so that a rounding moves a result by as much and not by a spike level: within a few times 2⁻⁸."""
    model = small_network(spike_bits=None, parallel=False)
    variables = nn.variables_of(model)

    def results(dtype):
        network = nn.training_form(model, dtype=dtype)
        batch = learning.Batch(images, jnp.arange(8) % 3)
        gradient = learning.accumulate().gradient(network, cross_entropy, variables, batch)
        return gradient.logits, gradient.grads

    (exact, exact_grads), (rounded, rounded_grads) = results("float32"), results("bfloat16")
    assert 1e-6 < float(jnp.max(jnp.abs(rounded - exact)) / jnp.max(jnp.abs(exact))) < 0.03
    for (path, _), other in zip(jax.tree.leaves_with_path(exact_grads), jax.tree.leaves(rounded_grads), strict=True):
        assert other.dtype == jnp.float32, path
    exact_flat, rounded_flat = (ravel_pytree(grads)[0] for grads in (exact_grads, rounded_grads))
    cosine = jnp.vdot(exact_flat, rounded_flat) / jnp.linalg.norm(exact_flat) / jnp.linalg.norm(rounded_flat)
    assert cosine > 0.995


@pytest.mark.parametrize("form", [nn.training_form, nn.inference_form])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dtype": None}, "dtype=None is none that currents flow in"),
        ({"record": "no"}, "record='no' must be True or False"),
        ({"integer": 1}, "integer=1 must be True or False or None"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_no_form_is_refused(form, wrong, message):
    """numpy takes None for float64."""
    with pytest.raises(TypeError, match=message):
        form(small_network(), **wrong)
