import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from hdlif_jax import nn, rollout
from hdlif_jax.quantize import quantize_ternary
from tests.conftest import cross_entropy, perturbed, small_network


@pytest.mark.parametrize("options", [{}, {"neuron": "mem-bn", "attention": "seca-2"}, {"neuron": "lif"}])
def test_the_training_form_equals_the_module(options, images):
    model = small_network(**options)
    network, variables = nn.training_form(model), nn.variables_of(model)
    current, batch_stats = network.encode(network.quantize(variables.params), variables.batch_stats, images)
    state, logits, batch_stats = jax.jit(network.step)(
        network.quantize(variables.params), batch_stats, None, current, jnp.int32(1)
    )
    model.train()
    expected_state, expected = model(None, model.encode(images), 1)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), state, expected_state)
    # the module's statistics have moved, and the function's moved alike
    moved = nn.variables_of(model).batch_stats
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), batch_stats, moved)
    assert not np.allclose(moved["stem_norm"]["var"], variables.batch_stats["stem_norm"]["var"])


def test_the_inference_form_returns_the_statistics_unchanged(images):
    model = small_network(neuron="mem-bn")
    network, variables = nn.inference_form(model), nn.variables_of(model)
    current, batch_stats = network.encode(*variables, images)
    _, _, batch_stats = network.step(variables.params, batch_stats, None, current, 0)
    jax.tree.map(np.testing.assert_array_equal, batch_stats, variables.batch_stats)


def test_making_a_form_leaves_the_model_alone():
    model = small_network()
    nn.inference_form(model, record=True)
    block = model.blocks[0]
    assert not block.norm1.use_running_average
    assert not block.neuron1.record
    assert not block.conv1.kernel_is_quantized


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
    assert state["blocks"].keys() == {0, 1}
    np.testing.assert_array_equal(state["blocks"][1]["neuron1"].residual, np.zeros((5, 6, 6, 4)))
    assert state["blocks"][1]["neuron2"].residual is None  # parallel neurons have no memory


def test_recorded_spikes_are_named_by_module_path(images):
    model = small_network()
    network, variables = nn.inference_form(model, record=True), nn.variables_of(model)
    current, _ = network.encode(*variables, images)
    state, _, _ = network.step(*variables, None, current, 0)
    spikes = nn.recorded_spikes(state)
    assert list(spikes) == [f"blocks.{block}.neuron{neuron}" for block in (0, 1) for neuron in (1, 2)]
    assert spikes["blocks.1.neuron2"].shape == (8, 3, 3, 6)
    assert all(leaf is None for leaf in nn.recorded_spikes(nn.carried(state)).values())


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


def test_variables_are_copies(images):
    model = small_network()
    variables = nn.variables_of(model)
    before = jax.tree.map(np.array, variables)
    model.train()
    model(None, model.encode(images), 0)
    jax.tree.map(np.testing.assert_array_equal, before, variables)
    assert perturbed(variables) is not variables


@pytest.mark.parametrize("neuron", ["hd-lif", "mem-bn", "lif"])
def test_bfloat16_is_for_convolutions_and_currents_alone(neuron, images):
    """Products and what flows between layers are rounded; parameters, statistics, membranes and logits are not."""
    model = small_network(neuron=neuron, weights="ternary", attention="seca-1", parallel=False)
    variables = nn.variables_of(model)
    network = nn.training_form(model, compute_dtype="bfloat16", integer_forward=False)

    def step(variables, images):
        params = network.quantize(variables.params)
        current, batch_stats = network.encode(params, variables.batch_stats, images)
        state, logits, batch_stats = network.step(params, batch_stats, None, current, 0)
        return current, state, logits, batch_stats

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
        network = nn.training_form(model, compute_dtype=dtype)
        labels = jnp.arange(8) % 3
        gradient = rollout.accumulate(network, cross_entropy, variables, images, labels)
        return gradient.logits, gradient.grads

    (exact, exact_grads), (rounded, rounded_grads) = results("float32"), results("bfloat16")
    assert 1e-6 < float(jnp.max(jnp.abs(rounded - exact)) / jnp.max(jnp.abs(exact))) < 0.03
    for (path, _), other in zip(jax.tree.leaves_with_path(exact_grads), jax.tree.leaves(rounded_grads), strict=True):
        assert other.dtype == jnp.float32, path
    exact_flat, rounded_flat = (ravel_pytree(grads)[0] for grads in (exact_grads, rounded_grads))
    cosine = jnp.vdot(exact_flat, rounded_flat) / jnp.linalg.norm(exact_flat) / jnp.linalg.norm(rounded_flat)
    assert cosine > 0.995
