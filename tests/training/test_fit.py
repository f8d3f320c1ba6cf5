import dataclasses
import re

import jax
import numpy as np
import pytest

from hdlif_jax import learning
from hdlif_jax.training import Callbacks, Checkpoints, Interrupted, TrainingDiverged
from tests.nn.own import SlowCell
from tests.training.trainers import make_dataset, make_trainer


@pytest.fixture
def checkpoints(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
    yield checkpoints
    checkpoints.close()


@pytest.fixture(scope="module")
def trainer():
    return make_trainer()


def test_trains_reports_and_saves(trainer, checkpoints):
    steps, epochs = [], []
    state, history = trainer.fit(checkpoints=checkpoints, callbacks=Callbacks(steps.append, epochs.append))
    assert list(history) == epochs
    assert trainer.plan.steps_per_epoch == 6
    assert [record["step"] for record in steps] == list(range(1, 13))
    assert [record["epoch"] for record in epochs] == [1, 2]
    assert epochs[-1]["train_loss"] < steps[0]["loss"]
    np.testing.assert_allclose(epochs[0]["train_loss"], np.mean([record["loss"] for record in steps[:6]]), rtol=1e-6)
    assert len(epochs[-1]["validation_accuracy_per_step"]) == 2
    assert epochs[-1]["firing_rates"].keys() == {"blocks.0.neuron1", "blocks.0.neuron2"}
    jax.tree.map(np.testing.assert_array_equal, checkpoints.load(trainer.initial_state), state)


def test_stopping_in_the_middle_of_an_epoch_and_going_on_changes_nothing(trainer, checkpoints, tmp_path):
    whole = trainer.fit(trainer.initial_state, Checkpoints(tmp_path / "whole" / "checkpoints")).state
    asked = iter([False] * 8 + [True])
    with pytest.raises(Interrupted, match=r"stopped after step 9 of 12; checkpoint .*checkpoints/9"):
        trainer.fit(trainer.initial_state, checkpoints, Callbacks(should_stop=lambda step: next(asked)))
    resumed = make_trainer()
    state = resumed.fit(checkpoints.load(resumed.initial_state), checkpoints).state
    jax.tree.map(np.testing.assert_array_equal, state, whole)


@pytest.mark.parametrize("step", [6, 12])
def test_a_stop_at_the_end_of_an_epoch_finishes_the_epoch_first(step, trainer, checkpoints):
    epochs = []
    callbacks = Callbacks(on_epoch=epochs.append, should_stop=lambda at: at == step)
    state = trainer.initial_state
    if step < trainer.plan.total_steps:
        with pytest.raises(Interrupted, match=r"stopped after step 6 of 12; checkpoint .*checkpoints/6"):
            trainer.fit(state, checkpoints, callbacks)
        assert checkpoints.best() == 6  # it has its accuracy
        trainer.fit(checkpoints.load(trainer.initial_state), checkpoints, callbacks)
    else:
        trainer.fit(state, checkpoints, callbacks)
    assert [record["epoch"] for record in epochs] == [1, 2]


def test_what_is_in_a_checkpoint_has_been_told(trainer, checkpoints):
    """Else a run that is killed between the two would never tell it."""

    def kill(record):
        checkpoints.wait()
        raise SystemExit

    with pytest.raises(SystemExit):
        trainer.fit(trainer.initial_state, checkpoints, Callbacks(on_epoch=kill))
    assert checkpoints.steps() == []


def test_batches_are_a_permutation_in_each_epoch_and_differ_between_them(trainer):
    def epoch_images(epoch):
        first = epoch * trainer.plan.steps_per_epoch
        return np.concatenate([trainer.batch(first + index)[0] for index in range(trainer.plan.steps_per_epoch)])

    known = {image.tobytes() for image in trainer.plan.train.inputs}
    epochs = [epoch_images(epoch) for epoch in range(2)]
    for images in epochs:
        assert {image.tobytes() for image in images} <= known
        assert len({image.tobytes() for image in images}) == len(images)
    assert not np.array_equal(*epochs)


def test_accuracy_does_not_depend_on_the_padding_of_the_last_batch(trainer, monkeypatch):
    whole = trainer.accuracy_per_step(trainer.initial_state, trainer.dataset.test)
    monkeypatch.setattr("hdlif_jax.training.evaluate.EVAL_BATCH", 7)
    assert trainer.accuracy_per_step(trainer.initial_state, trainer.dataset.test) == whole


def test_events_are_turned_to_time_major(checkpoints):
    trainer = make_trainer(make_dataset(num_frames=3), epochs=1, num_steps=3)
    state = trainer.fit(trainer.initial_state, checkpoints).state
    assert int(state.step) == trainer.plan.total_steps


def test_a_silent_layer_is_warned_about_at_the_start_and_in_training(checkpoints):
    trainer = make_trainer(epochs=1)
    params = jax.tree.map(np.copy, trainer.initial_state.params)
    params["stem_norm"]["bias"] -= 50  # far below every threshold
    warnings = []
    trainer.fit(
        dataclasses.replace(trainer.initial_state, params=params), checkpoints, Callbacks(on_warning=warnings.append)
    )
    silent = [warning for warning in warnings if warning.startswith("blocks.0.neuron1 never fires")]
    assert len(silent) == 2


def test_whoever_gives_no_callbacks_is_warned_by_python():
    trainer = make_trainer(epochs=1, neuron=SlowCell, second_neuron=None)
    with pytest.warns(UserWarning, match="get no gradient under random_step") as warned:
        trainer.fit()
    assert len([warning for warning in warned if "no gradient" in str(warning.message)]) == 1


def test_a_loss_that_is_not_finite_names_the_step_and_the_checkpoint(checkpoints):
    trainer = make_trainer(epochs=4)
    params = jax.tree.map(np.copy, trainer.initial_state.params)

    runner = trainer.runner()
    whole = runner.run

    def break_after_the_first_epoch(record):
        def run(state, step, last_step):
            params = jax.tree.map(lambda leaf: leaf * np.float32(np.nan), state.params)
            return whole(dataclasses.replace(state, params=params), step, last_step)

        runner.run = run

    trainer.runner = lambda: runner
    with pytest.raises(
        TrainingDiverged,
        match=r"the loss is nan at step 7: the parameters .* not finite.*; the last good checkpoint is that of step 6",
    ):
        trainer.fit(
            dataclasses.replace(trainer.initial_state, params=params),
            checkpoints,
            Callbacks(on_epoch=break_after_the_first_epoch),
        )
    assert checkpoints.steps() == [6]


def test_parameters_that_the_rule_does_not_reach_are_named_once_and_nothing_is_traced_twice(checkpoints):
    traces, warnings = [], []

    class Counting(learning.random_step):
        def gradient(self, *arguments, **keywords):
            traces.append(arguments)
            return super().gradient(*arguments, **keywords)

    trainer = make_trainer(epochs=1, neuron=SlowCell, second_neuron=None, rule=Counting())
    trainer.fit(trainer.initial_state, checkpoints, Callbacks(on_warning=warnings.append))
    assert len(traces) == 1
    (warning,) = [warning for warning in warnings if "no gradient" in warning]
    assert re.sub("[^ ]*Counting", "random_step", warning) == (
        "blocks.0.neuron1.raw_strength, blocks.0.neuron2.raw_strength get no gradient under random_step(), as they act "
        "through the state alone; learning.stbp() reaches them"
    )


def test_a_batch_larger_than_the_dataset():
    with pytest.raises(ValueError, match="batch_size=64 is more than the 48 training examples; choose batch_size ≤ 48"):
        make_trainer(batch_size=64)


@pytest.mark.parametrize("rule", [learning.every_step(), learning.random_k(2)])
def test_the_learning_rate_follows_batches_and_not_updates(rule, checkpoints):
    records = []
    trainer = make_trainer(epochs=1, rule=rule)
    trainer.fit(trainer.initial_state, checkpoints, Callbacks(on_step=records.append))
    rates = [record["learning_rate"] for record in records]
    expected = 0.025 * (1 + np.cos(np.pi * np.arange(6) / 6))
    np.testing.assert_allclose(rates, expected, atol=1e-6)


def test_a_run_needs_no_checkpoints_and_can_be_made_again(trainer):
    """The initial state is new at every look, as `fit` gives arrays away; a stop hands back what was trained."""
    first, history = trainer.fit(trainer.initial_state)
    second, _ = trainer.fit(trainer.initial_state)
    jax.tree.map(np.testing.assert_array_equal, first, second)
    assert [record["epoch"] for record in history] == [1, 2]
    stopped, history = trainer.fit(callbacks=Callbacks(should_stop=lambda step: step == 6))
    assert (int(stopped.step), len(history)) == (6, 1)


def test_a_state_that_was_given_away_is_refused(trainer):
    state = trainer.initial_state
    trainer.runner().run(state, 0, 6)
    split = trainer.plan.validation
    uses = (
        trainer.fit,
        trainer.firing_rates,
        trainer.recalibrated,
        lambda state: trainer.accuracy_per_step(state, split),
    )
    for use in uses:
        with pytest.raises(
            ValueError, match=r"the state was given away to an earlier fit; take trainer\.initial_state"
        ):
            use(state)
