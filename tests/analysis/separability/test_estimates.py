"""A rule's own gradient against the full one: of rules whose gradient is known otherwise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning, losses, nn
from hdlif_jax.analysis.separability import (
    make_comparison,
    make_rule_comparison,
    own_gradient,
    with_reset_gradient,
)
from hdlif_jax.learning import Batch
from tests.conftest import cross_entropy

T, B, K = 3, 6, 3
LIF = nn.lif()
NO_GRADIENT = "layers.2.bias"  # but rounding: a normaliser follows
KEYS = jax.random.split(jax.random.key(5), 24)


def build(neuron=LIF, norm=nn.batch_norm(), extra=()):
    rngs = nnx.Rngs(0)
    layers = [nn.Linear(8, 12, rngs=rngs), neuron, *extra, nn.Linear(12, 10, rngs=rngs), norm(10, rngs), neuron]
    return nn.Sequential(*layers, nn.Linear(10, K, rngs=rngs), num_steps=T, input_shape=(8,))


MODEL = build()
NETWORK, VARIABLES = nn.training_form(MODEL), nn.variables_of(MODEL)
BATCH = Batch(2 * jax.random.normal(jax.random.key(1), (B, 8)), jnp.arange(B) % K)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]).astype(np.float64)


def full(model=MODEL, loss=cross_entropy, variables=VARIABLES, key=None):
    """Mean over the steps of the gradient through time."""
    grads = learning.stbp(unroll=False).gradient(nn.training_form(model), loss, variables, BATCH, key).grads
    return flat(grads) / (1 if isinstance(loss, losses.SequenceLoss) else T)


@functools.cache
def compared(rule, loss=cross_entropy):
    return make_rule_comparison(NETWORK, rule, loss)(VARIABLES, BATCH, KEYS)


def test_the_full_gradient_is_its_own_estimate():
    for loss in (cross_entropy, losses.tet()):
        found = compared(learning.stbp(unroll=False), loss)
        assert found.draws == 1  # nothing is drawn, and it found out
        of_parameters = [found.parameters[path] for path in found.parameters if path != NO_GRADIENT]
        for estimate in (found.network, *found.layers.values(), *of_parameters):
            np.testing.assert_allclose(estimate, (1, 0, 0, 1, 1), atol=1e-6)


def test_accumulate_is_as_its_own_comparison_says():
    found = compared(learning.accumulate(unroll=False))
    recording = nn.training_form(MODEL, record=True)
    known = make_comparison(recording, cross_entropy, unroll=False)(VARIABLES, BATCH)
    assert found.layers.keys() == known.layers.keys()
    assert found.parameters.keys() == known.parameters.keys()
    for ours, theirs in (
        (found.network, known.network),
        *((found.layers[name], known.layers[name]) for name in found.layers),
        *((found.parameters[name], known.parameters[name]) for name in found.parameters if name != NO_GRADIENT),
    ):
        expected = theirs.accumulate.cosine, theirs.accumulate.relative_error, theirs.accumulate.norm_ratio
        np.testing.assert_allclose((ours.cosine, ours.bias, ours.norm_ratio), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ours.draw_cosine, ours.cosine)
    assert found.network.cosine < 0.999  # LIF carries on what the online gradient leaves out
    assert found.draws == 1


@pytest.mark.parametrize("rule", [learning.every_step(unroll=False), learning.random_k(T)])
def test_rules_of_all_steps_have_the_gradient_of_accumulate(rule):
    expected = own_gradient(learning.accumulate(unroll=False), NETWORK, cross_entropy, VARIABLES, BATCH)
    found = own_gradient(rule, NETWORK, cross_entropy, VARIABLES, BATCH, KEYS[0])
    np.testing.assert_allclose(flat(found), flat(expected), rtol=1e-4, atol=1e-6)


def test_what_a_rule_draws_is_bias_and_variance_without_the_bias_of_few_draws():
    rule, keys = learning.random_step(), KEYS[:16]
    found = make_rule_comparison(NETWORK, rule, cross_entropy)(VARIABLES, BATCH, keys)
    one = jax.jit(lambda key: own_gradient(rule, NETWORK, cross_entropy, VARIABLES, BATCH, key))
    g, s = np.stack([flat(one(key)) for key in keys]), full()
    n = len(g)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]  # independent draws
    own, error = (np.mean([x[i] @ x[j] for i, j in pairs]) for x in (g, g - s))
    cosine = g.mean(0) @ s / np.sqrt(own) / np.linalg.norm(s)  # of few draws also above 1
    np.testing.assert_allclose(found.network.cosine, min(1, cosine), rtol=1e-3)
    np.testing.assert_allclose(found.network.bias, np.sqrt(error) / np.linalg.norm(s), rtol=1e-3)
    np.testing.assert_allclose(found.network.variance, (np.mean(np.sum(g**2, 1)) - own) / own, rtol=1e-3)
    np.testing.assert_allclose(found.network.norm_ratio, np.sqrt(own) / np.linalg.norm(s), rtol=1e-3)
    cosines = [row @ s / np.linalg.norm(row) / np.linalg.norm(s) for row in g]
    np.testing.assert_allclose(found.network.draw_cosine, np.mean(cosines), rtol=1e-3)
    assert found.draws == n


def test_many_random_steps_have_the_exact_bias_and_variance():
    exact = make_comparison(nn.training_form(MODEL, record=True), cross_entropy, unroll=False)(VARIABLES, BATCH)
    found = compared(learning.random_step())
    expected = exact.network.random_step_estimator
    assert found.draws == len(KEYS)
    np.testing.assert_allclose(found.network.bias, expected.bias_stbp, rtol=0.15)
    np.testing.assert_allclose(found.network.variance, expected.variance, rtol=0.25)
    assert found.network.variance > 0.05  # which is no matter of course


def test_the_reference_has_the_reset_in_its_gradient():
    cut, whole = build(nn.lif(detach=True)), build(nn.lif(detach=False))
    rule = learning.stbp(unroll=False)
    found = make_rule_comparison(nn.training_form(cut), rule, cross_entropy)(VARIABLES, BATCH)
    own, reference = full(cut), full(whole)
    expected = own @ reference / np.linalg.norm(own) / np.linalg.norm(reference)
    np.testing.assert_allclose(found.network.cosine, expected, rtol=1e-4)
    assert found.network.cosine < 0.9999
    assert found.layers["layers.5"].cosine > 1 - 1e-6  # nothing resets after the last layer
    assert [getattr(module.options, "detach", None) for module in (cut.layers[1], with_reset_gradient(cut).layers[1])] \
        == [True, False]  # fmt: skip


def test_another_loss_of_the_full_gradient():
    loss, rule = losses.of_mean_output(losses.cross_entropy()), learning.accumulate(unroll=False)
    found = make_rule_comparison(NETWORK, rule, cross_entropy, full_loss=loss)(VARIABLES, BATCH)
    own, reference = flat(rule.gradient(NETWORK, cross_entropy, VARIABLES, BATCH).grads) / T, full(loss=loss)
    expected = np.linalg.norm(own - reference) / np.linalg.norm(reference)
    np.testing.assert_allclose(found.network.bias, expected, rtol=1e-3)
    assert abs(found.network.bias - compared(rule).network.bias) > 1e-3


def test_normalisers_over_the_sequence_run_layer_by_layer():
    model = build(norm=nn.batch_norm(statistics="sequence"))
    compare = make_rule_comparison(nn.training_form(model), learning.stbp(layerwise=True), losses.tet())
    estimate = compare(nn.variables_of(model), BATCH).network
    np.testing.assert_allclose(estimate, (1, 0, 0, 1, 1), atol=1e-6)


def test_what_cells_draw_is_the_same_for_both_and_varies():
    model = build(extra=(nn.Dropout(0.5, per="step"),))
    compare = make_rule_comparison(nn.training_form(model), learning.stbp(unroll=False), cross_entropy)
    estimate = compare(nn.variables_of(model), BATCH, KEYS[:8])
    assert estimate.draws == 8
    np.testing.assert_allclose(estimate.network[:2], (1, 0), atol=1e-5)
    assert estimate.network.variance > 0.01


def test_refusals():
    with pytest.raises(ValueError, match="keys is empty; give at least one"):
        make_rule_comparison(NETWORK, learning.accumulate(), cross_entropy)(VARIABLES, BATCH, [])
    with pytest.raises(ValueError, match="of your own functions"):
        make_rule_comparison(NETWORK._replace(model=None), learning.accumulate(), cross_entropy)
    with pytest.raises(TypeError, match="accumulate learns from single time-steps"):
        own_gradient(learning.accumulate(), NETWORK, losses.tet(), VARIABLES, BATCH)
