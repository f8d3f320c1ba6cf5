"""What public functions say to something else than variables, a batch, its labels or a state, and that it is short."""

import optax
import pytest

from hdlif_jax import deploy, learning, losses, nn, rollout, training
from hdlif_jax.learning import Batch, Learner
from tests.needs import BATCH, KEY, LOSS, MODEL, RUNS, STATE, TRAINS, VARIABLES, B, F, K, X, refuses, update

OF_VARIABLES = {
    "init_state": lambda variables: nn.init_state(RUNS, variables, B),
    "with_variables": lambda variables: nn.with_variables(MODEL, variables),
    "rollout": lambda variables: rollout.rollout(RUNS, variables, X),
    "rollout_spikes": lambda variables: rollout.rollout_spikes(RUNS, variables, X),
    "firing_rates": lambda variables: rollout.firing_rates(TRAINS, variables, X),
    "layerwise rates": lambda variables: rollout.firing_rates(TRAINS, variables, X, layerwise=True),
    "record": lambda variables: rollout.record(RUNS, variables, X),
    "random_step": lambda variables: learning.random_step().gradient(TRAINS, LOSS, variables, BATCH, KEY),
    "accumulate": lambda variables: learning.accumulate().gradient(TRAINS, LOSS, variables, BATCH),
    "stbp": lambda variables: learning.stbp().gradient(TRAINS, LOSS, variables, BATCH),
    "layerwise": lambda variables: learning.stbp(layerwise=True).gradient(TRAINS, LOSS, variables, BATCH),
    "every_step": lambda variables: learning.every_step()(TRAINS, LOSS, update, Learner(variables, ()), BATCH, KEY),
    "explain_non_finite": lambda variables: training.explain_non_finite(MODEL, variables, BATCH),
    "recalibrate": lambda variables: training.recalibrate(MODEL, variables, [X]),
    "fold": lambda variables: deploy.fold.fold(MODEL, variables),
}


@pytest.mark.parametrize("name", OF_VARIABLES)
@pytest.mark.parametrize("value", [VARIABLES.params, STATE, MODEL], ids=["parameters", "learner", "model"])
def test_variables_are_asked_for_by_name(name, value):
    """Parameters alone, or a learner instead of its variables, are what one gives by mistake."""
    message = f"variables are a {type(value).__name__}; give nn.Variables(params, batch_stats)"
    refuses(message, lambda: OF_VARIABLES[name](value))


@pytest.mark.parametrize("name", ["start", "random_step", "accumulate", "stbp", "every_step", "explain_non_finite"])
def test_a_batch_is_a_pair(name):
    _, step = training.start(MODEL, learning.random_step(), LOSS, optax.sgd(0.1))
    calls = {
        "start": lambda batch: step(STATE, batch),
        "random_step": lambda batch: learning.random_step().gradient(TRAINS, LOSS, VARIABLES, batch, KEY),
        "accumulate": lambda batch: learning.accumulate().gradient(TRAINS, LOSS, VARIABLES, batch),
        "stbp": lambda batch: learning.stbp().gradient(TRAINS, LOSS, VARIABLES, batch),
        "every_step": lambda batch: learning.every_step()(TRAINS, LOSS, update, Learner(VARIABLES, ()), batch, KEY),
        "explain_non_finite": lambda batch: training.explain_non_finite(MODEL, VARIABLES, batch),
    }
    refuses("batch is a ArrayImpl; give a pair (inputs, labels)", lambda: calls[name](X))
    calls[name]((X, BATCH.labels))


def test_a_step_takes_the_state_that_start_gave():
    _, step = training.start(MODEL, learning.random_step(), LOSS, optax.sgd(0.1))
    refuses("must be of type TrainState; give what the step", lambda: step(VARIABLES, BATCH))


@pytest.mark.parametrize("name", ["start", "random_step", "stbp"])
def test_labels_are_an_array(name):
    labels = [0, 1] * (B // 2)
    _, step = training.start(MODEL, learning.random_step(), LOSS, optax.sgd(0.1))
    calls = {
        "start": lambda: step(STATE, (X, labels)),
        "random_step": lambda: learning.random_step().gradient(TRAINS, LOSS, VARIABLES, Batch(X, labels), KEY),
        "stbp": lambda: learning.stbp().gradient(TRAINS, LOSS, VARIABLES, Batch(X, labels)),
    }
    refuses("labels are a list; give an array, e.g. jax.numpy.asarray(labels)", calls[name])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: training.start(MODEL, learning.random_step, LOSS, optax.sgd(0.1)),
            "rule=random_step is not called yet; write random_step()",
        ),
        (
            lambda: training.start(MODEL, learning.random_step(), losses.cross_entropy, optax.sgd(0.1)),
            "loss=cross_entropy is not called yet; write cross_entropy()",
        ),
        (
            lambda: training.start(MODEL, learning.random_step(), LOSS, optax.sgd),
            "optimizer=sgd is not called yet; write sgd(...)",
        ),
        (lambda: nn.mlp((F,), K), "mlp() missing 1 required keyword-only argument: 'rngs'"),
    ],
)
def test_a_message_says_no_more_than_what_to_write(call, message):
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value) == message
