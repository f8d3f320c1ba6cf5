import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning, losses, nn
from hdlif_jax.analysis.separability import make_comparison, online_gradients, stbp_gradients
from hdlif_jax.analysis.separability.comparison import gradient_sums
from hdlif_jax.learning import Batch
from tests.conftest import cross_entropy, spec_of

BATCH = 4


def build(neuron="hd-lif", num_steps=3, *, record=True):
    model = nn.conv_net(
        (4, 4, 1),
        3,
        widths=(4,),
        spec=spec_of(num_steps=num_steps, neuron=neuron),
        rngs=nnx.Rngs(0),
    )
    return nn.training_form(model, record=record), nn.variables_of(model)


def batch(num_steps=None):
    shape = (BATCH, 4, 4, 1) if num_steps is None else (num_steps, BATCH, 4, 4, 1)
    return Batch(2 * jax.random.normal(jax.random.key(1), shape), jnp.arange(BATCH) % 3)


def assert_close(actual, expected):
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


# Rolled loops compile in a third of the time; the networks are so small that their slowness on a CPU does not matter.
@functools.cache
def gradients(neuron, event):
    (recording, variables), (plain, _) = build(neuron), build(neuron, record=False)
    inputs = batch(3 if event else None)

    @jax.jit
    def compute(variables):
        arguments = (cross_entropy, variables, inputs)
        return {
            "stbp": stbp_gradients(recording, *arguments, unroll=False),
            "online": online_gradients(recording, *arguments, unroll=False),
            "learning.stbp": learning.stbp(unroll=False).gradient(plain, *arguments).grads,
            "learning.accumulate": learning.accumulate(unroll=False).gradient(plain, *arguments).grads,
        }

    return compute(variables)


cases = pytest.mark.parametrize(("neuron", "event"), [("lif", False), ("mem-bn", True)])


@cases
def test_gradients_are_those_of_the_rules(neuron, event):
    found = gradients(neuron, event)
    assert_close(found["stbp"].params, found["learning.stbp"])
    assert_close(jax.tree.map(lambda leaf: jnp.sum(leaf, 0), found["online"].params), found["learning.accumulate"])


@cases
def test_last_step_has_the_same_membrane_gradient(neuron, event):
    found = gradients(neuron, event)
    last = [jax.tree.map(lambda leaf: leaf[-1], found[rule].membrane) for rule in ("online", "stbp")]
    assert_close(*last)
    first = [jax.tree.leaves(found[rule].membrane)[0][0] for rule in ("online", "stbp")]
    assert not np.allclose(*first, atol=1e-6)  # which is no matter of course


@functools.cache
def compared():
    network, variables = build("lif")
    return make_comparison(network, cross_entropy, unroll=False)(variables, batch())


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]).astype(np.float64)


def test_measures_against_numpy():
    found, result = gradients("lif", False), compared()
    stbp = flat(found["stbp"].params)
    steps = 3 * np.stack([flat(jax.tree.map(lambda leaf, t=t: leaf[t], found["online"].params)) for t in range(3)])
    accumulated = steps.mean(0)

    def cosine(estimate):
        return estimate @ stbp / np.linalg.norm(estimate) / np.linalg.norm(stbp)

    def error(estimate):
        return np.linalg.norm(estimate - stbp) / np.linalg.norm(stbp)

    def signs(estimate):
        active = (estimate != 0) | (stbp != 0)
        return np.mean(np.sign(estimate[active]) == np.sign(stbp[active]))

    def ratio(estimate):
        return np.linalg.norm(estimate) / np.linalg.norm(stbp)

    for index, measure in enumerate((cosine, error, signs, ratio)):
        np.testing.assert_allclose(result.network.accumulate[index], measure(accumulated), rtol=5e-3)
        expected = np.mean([measure(step) for step in steps])
        np.testing.assert_allclose(result.network.random_step[index], expected, rtol=5e-3)
    estimator = result.network.random_step_estimator
    spread = np.mean(np.sum((steps - accumulated) ** 2, 1))
    np.testing.assert_allclose(estimator.variance, spread / np.sum(accumulated**2), rtol=1e-4)
    np.testing.assert_allclose(estimator.bias_stbp, error(accumulated), rtol=1e-4)
    squared = np.mean(np.sum((steps - stbp) ** 2, 1)) / np.sum(stbp**2)
    np.testing.assert_allclose(estimator.squared_error_stbp, squared, rtol=1e-4)
    assert estimator.bias_accumulate < 1e-6


def test_estimator_is_the_one_of_sampled_random_steps():
    network, variables = build("lif", record=False)

    @jax.jit
    def draw(key):
        gradient = learning.random_step().gradient(network, cross_entropy, variables, batch(), key)
        return 3 * jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(gradient.grads)]), gradient.learned

    draws = [draw(key) for key in jax.random.split(jax.random.key(0), 60)]
    per_step = gradients("lif", False)["online"].params
    exact = [flat(jax.tree.map(lambda leaf, t=t: 3 * leaf[t], per_step)) for t in range(3)]
    drawn = np.array([int(np.argmax(learned)) for _, learned in draws])
    assert set(drawn) == {0, 1, 2}
    for (sample, _), t in zip(draws, drawn, strict=True):
        np.testing.assert_allclose(sample, exact[t], rtol=1e-4, atol=1e-5)
    # So moments over the draws are those of the three gradients, weighted by how often each was drawn.
    samples = np.stack([np.float64(sample) for sample, _ in draws])
    estimator = compared().network.random_step_estimator
    accumulated = np.mean(exact, axis=0)
    sampled = np.mean(np.sum((samples - accumulated) ** 2, 1)) / np.sum(accumulated**2)
    np.testing.assert_allclose(sampled, estimator.variance, rtol=0.2)


def test_layers_parameters_and_membranes_are_named():
    result = compared()
    assert {"stem", "head", "blocks.0.conv1", "blocks.0.neuron1"} <= set(result.layers)
    assert {"head.kernel", "head.bias", "blocks.0.neuron1.raw_decay"} <= set(result.parameters)
    assert set(result.membrane) == {"blocks.0.neuron1", "blocks.0.neuron2"}
    assert result.membrane["blocks.0.neuron1"].cosine.shape == (3,)
    np.testing.assert_allclose(result.membrane["blocks.0.neuron1"].cosine[-1], 1, atol=1e-6)
    only_kernel = result.parameters["stem.kernel"].accumulate
    assert result.layers["stem"].accumulate == only_kernel
    np.testing.assert_allclose(result.layers["head"].accumulate.cosine, 1, atol=1e-6)  # nothing in time above the head


@pytest.mark.parametrize("event", [False, True])
def test_32_steps_with_one_compilation(event):
    network, variables = build("hd-lif", num_steps=32)
    traces = 0

    def counting(logits, labels):
        nonlocal traces
        traces += 1
        return cross_entropy(logits, labels)

    compare = make_comparison(network, counting, unroll=False)
    inputs, labels = batch(32 if event else None)
    result = compare(variables, Batch(inputs, labels))
    traced = traces
    again = compare(variables, Batch(inputs + 1, labels))
    assert traces == traced
    assert result.membrane["blocks.0.neuron1"].cosine.shape == (32,)
    assert 0 < result.network.accumulate.cosine < 1
    assert again.network.accumulate.cosine != result.network.accumulate.cosine


def test_bad_input():
    network, variables = build()
    inputs, labels = batch()
    compare = make_comparison(network, cross_entropy)
    with pytest.raises(ValueError, match="not all finite"):
        compare(variables, Batch(inputs.at[0, 0, 0, 0].set(jnp.nan), labels))
    with pytest.raises(ValueError, match=r"inputs have shape \(4, 5, 5, 1\)"):
        compare(variables, Batch(jnp.ones((4, 5, 5, 1)), labels))
    with pytest.raises(ValueError, match="inputs have 2 time-steps but the network has 3"):
        compare(variables, Batch(jnp.ones((2, 4, 4, 4, 1)), labels))
    with pytest.raises(ValueError, match=r"labels have shape \(3,\)"):
        compare(variables, Batch(inputs, labels[:3]))
    one_step, variables_of_one = build(num_steps=1)
    with pytest.raises(ValueError, match="num_steps=1, where online and STBP gradients are the same"):
        make_comparison(one_step, cross_entropy)
    with pytest.raises(ValueError, match="num_steps=1"):
        gradient_sums(one_step, cross_entropy, variables_of_one, Batch(inputs, labels))


def test_network_must_record():
    network, variables = build(record=False)
    with pytest.raises(
        ValueError, match=r"does not record its spikes; build it with nn.training_form\(model, record=True\)"
    ):
        make_comparison(network, cross_entropy)(variables, batch())


def test_online_learning_has_no_loss_of_the_whole_sequence():
    network, variables = build()
    loss = losses.of_mean_output(losses.cross_entropy())
    for function in (
        lambda: make_comparison(network, loss),
        lambda: gradient_sums(network, loss, variables, batch()),
        lambda: online_gradients(network, loss, variables, batch()),
    ):
        with pytest.raises(TypeError, match=r"of_mean_output.* is a loss of the whole sequence; use a step loss"):
            function()


def test_stbp_of_a_loss_of_the_whole_sequence_has_membrane_gradients():
    network, variables = build("lif")
    loss = losses.of_mean_output(losses.mean_squared_error())
    found = stbp_gradients(network, loss, variables, batch(), unroll=False)
    expected = learning.stbp(unroll=False).gradient(network, loss, variables, batch()).grads
    assert_close(found.params, expected)
    assert {path: leaf.shape for path, leaf in found.membrane.items()} == {
        "blocks.0.neuron1": (3, 4, 4, 4, 4),
        "blocks.0.neuron2": (3, 4, 4, 4, 4),
    }


def test_inference_form_is_refused():
    model = nn.conv_net((4, 4, 1), 3, widths=(4,), spec=spec_of(num_steps=2), rngs=nnx.Rngs(0))
    network, variables = nn.inference_form(model, record=True), nn.variables_of(model)
    with pytest.raises(ValueError, match=r"the network is in inference form; learn with nn.training_form\(model\)"):
        make_comparison(network, cross_entropy)(variables, batch())
