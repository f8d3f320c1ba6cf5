"""Arrays of numpy as inputs, given and closed over, also where the time-step is traced."""

import jax
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning, losses, nn, rollout

T, B, F, K = 3, 4, 5, 2
MODEL = nn.mlp((F,), K, widths=(4,), spec=nn.Spec(num_steps=T), rngs=nnx.Rngs(0))
VARIABLES = nn.variables_of(MODEL)
LABELS = np.arange(B) % K
RUNS, TRAINS = nn.inference_form(MODEL, record=True), nn.training_form(MODEL)


def inputs_of(dtype, *, static=False):
    values = np.random.default_rng(0).integers(0, 3, (B, F) if static else (T, B, F))
    return values.astype(dtype)


RULES = [
    learning.random_step(),
    learning.accumulate(unroll=False),
    learning.every_step(unroll=False),
    learning.stbp(unroll=False),
    learning.stbp(segment=1, unroll=False),
    learning.stbp(layerwise=True),
]


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int64, np.float16])
def test_a_rollout_reads_them_closed_over_as_it_reads_arguments(dtype, static):
    inputs = inputs_of(dtype, static=static)
    closed = jax.jit(lambda variables: rollout.rollout(RUNS, variables, inputs))(VARIABLES)
    given = jax.jit(lambda variables, inputs: rollout.rollout(RUNS, variables, inputs))(
        VARIABLES, inputs.astype(np.float32)
    )
    np.testing.assert_allclose(closed, given, rtol=2e-3 if dtype == np.float16 else 1e-6, atol=1e-6)


def test_so_does_what_records():
    inputs = inputs_of(np.float32)
    for run in (rollout.rollout_spikes, rollout.firing_rates, rollout.record):
        closed = jax.jit(lambda variables, run=run: run(RUNS, variables, inputs))(VARIABLES)
        jax.tree.map(np.testing.assert_array_equal, closed, run(RUNS, VARIABLES, jax.numpy.asarray(inputs)))


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_so_do_rules(rule):
    batch, loss, key = learning.Batch(inputs_of(np.float32), LABELS), losses.cross_entropy(), jax.random.key(0)

    def taught(variables, batch):
        learner = learning.Learner(variables, ())
        return rule(TRAINS, loss, lambda grads, state, params, learned: (grads, state), learner, batch, key)

    closed = jax.jit(lambda variables: taught(variables, batch))(VARIABLES)
    given = jax.jit(taught)(VARIABLES, batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), closed, given)
