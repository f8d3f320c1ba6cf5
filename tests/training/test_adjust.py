import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import nn
from hdlif_jax.training import Callbacks, Checkpoints, Interrupted
from tests.training.trainers import make_trainer

NEURON = nn.lif(learn_threshold=False, found_threshold=True)
SIX = 6  # batches of an epoch


class Recorded:
    """Sets the thresholds to a number of the epoch, the batch and what was learned, and notes the calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, epoch, variables, batch):
        self.calls.append((epoch, batch, variables))
        kernel = variables.params["stem"]["kernel"]
        threshold = 0.4 + 0.1 * epoch + 0.01 * jnp.mean(batch.inputs) + 0.01 * jnp.mean(jnp.abs(kernel))
        blocks = variables.batch_stats["blocks"][0]
        set_ = {name: blocks[name] | {"threshold": threshold} for name in ("neuron1", "neuron2")}
        stats = variables.batch_stats | {"blocks": {0: blocks | set_}}
        return nn.Variables(variables.params, stats)


def trainer(adjust, **options):
    return make_trainer(neuron=NEURON, second_neuron=NEURON, adjust=adjust, **options)


def threshold_of(variables):
    return float(variables.batch_stats["blocks"][0]["neuron1"]["threshold"])


@pytest.fixture(scope="module")
def whole():
    """An adjusted run of two epochs, its calls, and the thresholds by number of steps."""
    adjust, thresholds = Recorded(), {}
    run = trainer(adjust, checkpoint_every_steps=3)
    tell = Callbacks(on_state=lambda step, variables: thresholds.update({step: threshold_of(variables)}))
    return run, run.fit(callbacks=tell).state, tuple(adjust.calls), thresholds


def test_variables_are_adjusted_before_each_epoch_with_a_batch_as_the_network_reads_it(whole):
    run, state, calls, thresholds = whole
    assert [epoch for epoch, _, _ in calls] == [0, 1]
    for epoch, batch, _ in calls:
        raw = run.batch(SIX * epoch)
        np.testing.assert_allclose(batch.inputs, run.normalize(raw.inputs), rtol=1e-5)
        np.testing.assert_array_equal(batch.labels, raw.labels)
    assert thresholds[0] == thresholds[3] == thresholds[6]  # no step moves it
    assert thresholds[9] == thresholds[12] == threshold_of(state.variables)
    assert 0.3 < thresholds[0] < 0.45 < thresholds[9] < 0.55


@pytest.mark.parametrize(("stop", "again"), [(6, [1]), (9, [])])
def test_a_resumed_run_is_the_same_bit_for_bit(stop, again, whole, tmp_path):
    """At the end of an epoch the checkpoint is that of before; within one nothing is adjusted again."""
    run, expected, _, _ = whole
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
    with pytest.raises(Interrupted, match=f"stopped after step {stop} of 12"):
        run.fit(None, checkpoints, Callbacks(should_stop=lambda step: step == stop))
    calls = run._adjust.calls
    calls.clear()
    state = run.fit(checkpoints.load(run.initial_state), checkpoints).state
    checkpoints.close()
    assert [epoch for epoch, _, _ in calls] == again
    jax.tree.map(np.testing.assert_array_equal, state, expected)


def test_variables_of_another_network_are_refused():
    with pytest.raises(ValueError, match="params have another structure than the network's"):
        trainer(lambda epoch, variables, batch: nn.Variables({}, variables.batch_stats)).fit()
    with pytest.raises(TypeError, match="adjust=3 must be a function"):
        trainer(3)
