"""The full gradient of losses of the whole sequence, against `jax.grad` of a loop that is written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import learning, losses, nn
from hdlif_jax.learning import Batch
from tests.conftest import cross_entropy
from tests.learning.test_online import relative_difference
from tests.learning.test_rules import BATCH, learn, setup
from tests.nn.own import step_by_step

LOSSES = {
    "of the mean output": losses.of_mean_output(losses.cross_entropy()),
    "tet": losses.tet(weight=0.2),
    "own": losses.SequenceLoss(lambda logits, labels: jnp.mean(jnp.square(logits[-1] + logits[0]))),
}
RULES = {
    "step by step": learning.stbp(),
    "in segments": learning.stbp(segment=1),
    "layer by layer": learning.stbp(layerwise=True),
}


@pytest.fixture(scope="module")
def network_and_variables():
    return setup(num_steps=2)


def written_out(network, variables, loss, inputs, labels):
    def total(params):
        output = step_by_step(network, variables._replace(params=params), inputs)
        return loss(output.logits, labels), output

    return jax.jit(jax.value_and_grad(total, has_aux=True))(variables.params)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_stbp_of_a_sequence_loss_is_the_gradient_of_the_loop(loss, network_and_variables):
    network, variables = network_and_variables
    (value, output), grads = written_out(network, variables, loss, *BATCH)
    rules = RULES.items() if loss == LOSSES["tet"] else list(RULES.items())[::2]
    for name, rule in rules:
        got = jax.jit(lambda v, rule=rule: rule.gradient(network, loss, v, BATCH))(variables)
        assert relative_difference(got.grads, grads) < 1e-4, name
        np.testing.assert_allclose(got.loss, value, rtol=1e-5)
        np.testing.assert_allclose(got.logits, output.logits.sum(0), atol=1e-5)
        assert relative_difference(got.batch_stats, output.batch_stats) < 1e-5
        assert got.learned.all()


def test_on_sequences_too(network_and_variables):
    network, variables = network_and_variables
    inputs = jax.random.normal(jax.random.key(5), (2, 7, 5))
    _, grads = written_out(network, variables, LOSSES["tet"], inputs, BATCH.labels)
    for name, rule in RULES.items():
        got = jax.jit(lambda v, rule=rule: rule.gradient(network, LOSSES["tet"], v, Batch(inputs, BATCH.labels)))(
            variables
        )
        assert relative_difference(got.grads, grads) < 1e-4, name


def test_a_step_loss_is_the_sum_of_the_steps(network_and_variables):
    network, variables = network_and_variables
    summed = losses.SequenceLoss(lambda logits, labels: 2 * losses.of_each_step(cross_entropy)(logits, labels))
    one, other = (
        jax.jit(lambda v, loss=loss: learning.stbp().gradient(network, loss, v, BATCH))(variables)
        for loss in (cross_entropy, summed)
    )
    assert relative_difference(one.grads, other.grads) < 1e-5
    np.testing.assert_allclose(one.loss, other.loss, rtol=1e-6)


def test_what_a_batch_taught_is_the_sequence_loss_as_it_is(network_and_variables):
    network, variables = network_and_variables
    loss = LOSSES["of the mean output"]
    _, learned = learn(learning.stbp(), network, variables, loss)
    (value, _), _ = written_out(network, variables, loss, *BATCH)
    np.testing.assert_allclose(learned.loss, value, rtol=1e-5)


def test_the_loss_of_the_mean_output_teaches_other_than_the_mean_of_the_losses(network_and_variables):
    network, variables = network_and_variables
    grads = [
        jax.jit(lambda v, loss=loss: learning.stbp().gradient(network, loss, v, BATCH).grads)(variables)
        for loss in (losses.of_mean_output(losses.cross_entropy()), losses.of_each_step(losses.cross_entropy()))
    ]
    assert relative_difference(*grads) > 0.01


def test_labels_that_do_not_fit_a_sequence_loss(network_and_variables):
    network, variables = network_and_variables
    for rule in RULES.values():
        with pytest.raises(ValueError, match=r"labels have shape \(3,\); expected \(7,\) integers or \(7, 3\)"):
            jax.eval_shape(
                lambda v, rule=rule: rule.gradient(
                    network, losses.tet(), v, Batch(BATCH.inputs, jnp.zeros(3, jnp.int32))
                ),
                variables,
            )


def test_own_variables_are_left_alone(network_and_variables):
    network, variables = network_and_variables
    before = jax.tree.map(np.array, variables)
    jax.jit(lambda v: learning.stbp(layerwise=True).gradient(network, losses.tet(), v, BATCH))(variables)
    jax.tree.map(np.testing.assert_array_equal, variables, nn.Variables(*before))
