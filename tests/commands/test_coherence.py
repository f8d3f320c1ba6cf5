import dataclasses

import jax
import numpy as np
import pytest

from hdlif_jax import data
from hdlif_jax.commands.config import LearningConfig, ModelConfig
from hdlif_jax.commands.make import make_trainer
from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.support.plots import plot_curves
from hdlif_jax.commands.support.run import coherence_observers, each
from hdlif_jax.training import Callbacks, Checkpoints


@pytest.fixture(autouse=True)
def standard_promotion():
    with jax.numpy_dtype_promotion("standard"):  # optax' schedules mix types
        yield


def make_config(**changes):
    model = ModelConfig(widths=(4,), num_steps=2)
    return dataclasses.replace(PRESETS["digits"].config, epochs=1, batch_size=256, model=model, **changes)


def train(path, every):
    """The trained stem and the coherence records of a run."""
    config = make_config(coherence_every=every)
    trainer, records = make_trainer(config, data.digits()), []
    checkpoints = Checkpoints(path / "checkpoints")
    callbacks = Callbacks(on_state=each(coherence_observers(config, trainer, records.append)))
    state = trainer.fit(trainer.initial_state, checkpoints, callbacks).state
    checkpoints.close()
    assert trainer.plan.total_steps == 5
    return state.params["stem"]["kernel"], records


def test_compares_every_n_batches_and_changes_nothing(tmp_path):
    stem, records = train(tmp_path / "observed", every=2)
    assert [record["step"] for record in records] == [0, 2, 4]
    assert all(0 < record["cosine"] <= 1 for record in records)
    assert records[0]["cosine"] != records[1]["cosine"]
    assert set(records[0]["cosine_per_layer"]) >= {"stem", "blocks.0.conv1", "head"}
    unobserved_stem, none = train(tmp_path / "unobserved", every=0)
    assert none == []
    np.testing.assert_array_equal(stem, unobserved_stem)


def test_curve(tmp_path):
    epochs = [{"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5, "validation_accuracy_per_step": None,
               "firing_rates": {"blocks.0.neuron1": 0.3}}]  # fmt: skip
    record = {"epoch": 0.5, "cosine": 0.9, "cosine_per_layer": {"stem": 0.8, "head": 1.0}}
    for name, coherence in (("with.png", [record]), ("without.png", [])):
        plot_curves(tmp_path / name, "title", epochs, [0.5, 0.6], 20, coherence)
    assert width_of(tmp_path / "with.png") > width_of(tmp_path / "without.png")


def width_of(png):
    return int.from_bytes(png.read_bytes()[16:20])


def test_bad_configuration():
    with pytest.raises(ValueError, match="coherence_every=-1 must not be negative"):
        make_config(coherence_every=-1)
    with pytest.raises(ValueError, match=r"model\.num_steps=1: at one time-step"):
        dataclasses.replace(make_config(coherence_every=5), model=ModelConfig(num_steps=1))
    with pytest.raises(ValueError, match=r"learning\.loss=tet: online learning has no loss of whole sequences"):
        make_config(coherence_every=5, learning=LearningConfig(rule="stbp", loss="tet"))
