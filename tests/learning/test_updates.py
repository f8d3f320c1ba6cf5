import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax import learning, nn
from hdlif_jax.learning import Batch
from hdlif_jax.nn import Tick
from tests.conftest import cross_entropy
from tests.learning.test_online import relative_difference, setup


def test_every_step_updates_after_each_step(images, labels):
    """Against a Python loop of single learning steps with plain gradient descent in between."""
    network, variables = setup()

    def update(grads, count, params, learned):
        params = jax.tree.map(lambda param, grad: param - 0.1 * grad, params, grads)
        return params, count + jnp.sum(jnp.where(learned, jnp.array([1, 2, 4, 8]), 0))

    rule, batch = learning.every_step(), Batch(images, labels)
    learner, (loss, logits, steps) = jax.jit(
        lambda v: rule(network, cross_entropy, update, learning.Learner(v, jnp.int32(0)), batch, None)
    )(variables)
    (params, batch_stats), count = learner
    assert count == 15  # each step learned, once
    assert steps.all()

    def loss_of_step(params, state, stats, t):
        quantized = network.quantize(params)
        current, stats = network.encode(quantized, stats, images)
        state, logits, stats, _ = network.step(quantized, stats, state, current, Tick(t))
        return cross_entropy(logits, labels), (state, stats)

    learn = jax.jit(jax.value_and_grad(loss_of_step, has_aux=True))
    expected, stats, losses = variables.params, variables.batch_stats, []
    state = nn.init_state(network, variables, 8)
    for t in range(4):
        (step_loss, (state, stats)), grads = learn(expected, state, stats, t)
        expected = jax.tree.map(lambda param, grad: param - 0.1 * grad, expected, grads)
        losses.append(step_loss)
    assert relative_difference(params, expected) < 1e-4
    assert relative_difference(batch_stats, stats) < 1e-4
    np.testing.assert_allclose(4 * loss, sum(losses), rtol=1e-5)  # the mean of the steps
    assert logits.shape == (8, 3)
