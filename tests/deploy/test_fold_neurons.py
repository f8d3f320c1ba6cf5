"""Every option of LIF, and neurons without memory, fold exactly."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.deploy import execute, load, write
from hdlif_jax.deploy.fold import fold
from hdlif_jax.neurons.surrogates import dspike, rectangle, smooth_step
from tests.deploy.networks import inputs_for, prepare_inputs, small_artifact, unfolded_logits, unsettled

OPTIONS = {
    "fixed leak and threshold": nn.lif(learn_decay=False, decay=0.7, learn_threshold=False, threshold=0.6),
    "height 1": nn.lif(height=1.0),
    "fixed threshold of another height": nn.lif(learn_threshold=False, threshold=0.8, height=0.25),
    "hard reset": nn.lif(reset="hard"),
    "no reset": nn.lif(reset="none", learn_decay=False, decay=0.3),
    "fires above": nn.lif(tie=">", surrogate=rectangle()),
    "fires before it charges": nn.lif(order="fire-charge", relative=True, tie=">", height=1.0),
    "resets by the step before": nn.lif(order="charge-reset-fire", tie=">", height=1.0),
    "integrate and fire": nn.lif(decay=1.0, learn_decay=False, height=1.0),
    "found threshold": nn.lif(learn_threshold=False, found_threshold=True, threshold=0.7),
    "Dspike": nn.lif(dspike(), reset="hard", tie=">", height=1.0),
    "noisy smooth step": nn.lif(smooth_step("ramp", noise=0.3), reset="hard"),
    "detached hard reset": nn.lif(reset="hard", detach=True, height=1.0),
}


def network(neuron, num_steps=3):
    spec = nn.Spec(num_steps=num_steps, neuron=neuron, weights="binary")
    return unsettled(nn.conv_net((6, 6, 2), 5, widths=(4, 6), spec=spec, rngs=nnx.Rngs(0)))


def folded_logits(folded, x, arithmetic="integer"):
    return np.asarray(execute.rollout(folded.graph, arithmetic, folded.arrays, x[None]))


@pytest.mark.parametrize("options", OPTIONS)
def test_every_lif_folds_exactly(options):
    model = network(OPTIONS[options])
    x = inputs_for(model)
    folded, expected = fold(model), unfolded_logits(model, x)
    assert all(node.integer for node in folded.graph.synapses if node.reads)
    for arithmetic in ("integer", "float"):
        np.testing.assert_allclose(
            folded_logits(folded, x, arithmetic), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max()
        )


@pytest.mark.parametrize(("tie", "fires"), [(">=", True), (">", False)])
def test_ties_are_kept(tie, fires):
    neuron = nn.lif(learn_decay=False, learn_threshold=False, threshold=0.5, tie=tie)
    layers = neuron, nn.Linear(2, 2, rngs=nnx.Rngs(0))
    folded = fold(nn.Sequential(*layers, num_steps=1, input_shape=(2,)))
    _, values = execute.advance(folded.graph, "float", folded.arrays, {}, jnp.full((1, 1, 2), 0.5), 0, 1)
    assert values["layers.0"].dtype == jnp.uint8
    np.testing.assert_array_equal(values["layers.0"], np.full((1, 1, 2), fires))


def test_gated_neurons_fold_exactly_by_channel_and_step():
    model = network(nn.glif(), num_steps=4)
    x = inputs_for(model)
    folded, expected = fold(model), unfolded_logits(model, x)
    assert folded.arrays["blocks.0.neuron1"]["conductance"].shape == (4, 4)
    assert folded.arrays["blocks.0.neuron1"]["threshold"].shape == (1, 4)
    np.testing.assert_allclose(folded_logits(folded, x), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("ceiling", [None, 0.5])
def test_networks_without_spikes_fold_exactly(ceiling):
    model = network(nn.relu(ceiling), num_steps=1)
    x = inputs_for(model)
    folded, expected = fold(model), unfolded_logits(model, x)
    assert {neuron.max_level for neuron in folded.graph.neurons} == {None}
    np.testing.assert_allclose(folded_logits(folded, x), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_the_unit_of_a_spike_is_its_height():
    folded = fold(network(nn.lif(height=0.25)))
    assert {neuron.level_size for neuron in folded.graph.neurons} == {0.25}
    assert {neuron.max_level for neuron in folded.graph.neurons} == {1}
    assert {neuron.bits for neuron in folded.graph.neurons} == {None}
    graded = fold(network(nn.hd_lif(bits=2, scale=0.5)))
    assert {(neuron.level_size, neuron.max_level, neuron.bits) for neuron in graded.graph.neurons} == {(0.5, 3, 2)}


def test_neurons_without_memory_carry_nothing_and_run_all_steps_at_once():
    model = network(nn.parallel())
    folded, x = fold(model), inputs_for(model)
    states, _ = execute.advance(
        folded.graph, "float", folded.arrays, {}, execute.encode(folded.graph, "float", folded.arrays, x[None]), 0, 3
    )
    assert states == {}
    expected = unfolded_logits(model, x)
    np.testing.assert_allclose(folded_logits(folded, x), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_operations_of_an_affine_map_that_stays_with_its_neuron_are_counted():
    spec = nn.Spec(neuron=nn.mem_bn(), second_neuron=nn.mem_bn())
    folded = fold(unsettled(nn.conv_net((6, 6, 2), 5, widths=(4,), spec=spec, rngs=nnx.Rngs(0))))
    assert [neuron.operations for neuron in folded.graph.neurons] == [5, 3]  # the second's moved into its convolution


def test_logits_that_are_spikes_are_given_in_their_own_units():
    rngs = nnx.Rngs(0)
    layers = nn.Linear(4, 8, rngs=rngs), nn.lif(), nn.Linear(8, 3, rngs=rngs), nn.hd_lif(bits=4, scale=0.125)
    model = unsettled(nn.Sequential(*layers, num_steps=3, input_shape=(4,)))
    model.layers[2].bias[...] += 1.0
    x = inputs_for(model, batch=8)
    expected = unfolded_logits(model, x)
    assert expected.any()
    logits = folded_logits(fold(model), x)
    assert logits.dtype == np.float32
    np.testing.assert_array_equal(logits, expected)


@pytest.mark.parametrize("integer", [False, True])
def test_a_layer_computes_in_integers_where_it_is_wide_enough(integer, monkeypatch):
    import jax

    from hdlif_jax import xla_cpu

    monkeypatch.setattr(xla_cpu, "has_fast_integers", lambda kernel_shape: integer and kernel_shape[-1] >= 6)
    folded = fold(network(nn.lif()))

    def program(arithmetic):
        x = jnp.ones((1, 1, 6, 6, 2))
        return str(jax.make_jaxpr(lambda x: execute.rollout(folded.graph, arithmetic, folded.arrays, x))(x))

    assert ("preferred_element_type=int32" in program("integer")) == integer
    assert "preferred_element_type=int32" not in program("float")


@pytest.mark.parametrize(
    "neuron",
    [nn.glif(), nn.relu(0.5), OPTIONS["fires before it charges"], OPTIONS["noisy smooth step"]],
    ids=["gated", "without spikes", "fires before it charges", "noisy smooth step"],
)
def test_they_are_exact_as_artifacts_and_in_a_stream(neuron, tmp_path):
    model = network(neuron)
    inputs = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 2)).astype(np.uint8)
    expected = unfolded_logits(model, prepare_inputs(inputs))
    close = {"rtol": 1e-5, "atol": 1e-5 * np.abs(expected).max()}
    write(tmp_path / "artifact", small_artifact(model))
    loaded = load(tmp_path / "artifact")
    np.testing.assert_allclose(loaded(inputs), expected, **close)
    state, streamed = loaded.init_state(3), []
    for _ in range(model.num_steps):
        state, logits = loaded.step(state, inputs)
        streamed.append(logits)
    np.testing.assert_allclose(np.stack(streamed), expected, **close)
