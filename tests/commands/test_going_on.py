"""Runs that begin with other weights, go on longer, or whose data has moved; all in this process, on tiny networks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.flax import save_file as save_halves
from safetensors.numpy import save_file

from hdlif_jax import training
from hdlif_jax.commands.config import DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from hdlif_jax.commands.make import make_schedule
from hdlif_jax.commands.support import run as running
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.run_directory import RunDirectory
from hdlif_jax.commands.support.runs import load_run
from hdlif_jax.commands.train import main, parse_arguments
from hdlif_jax.interop import torch
from tests.commands.conftest import read_json

CONFIG = TrainConfig(
    epochs=2,
    batch_size=512,
    model=ModelConfig(widths=(2,), num_steps=2),
    data=DataConfig(validation_fraction=0),
    optimizer=OptimizerConfig(learning_rate=0.1, warmup_epochs=0),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run without a validation split."""
    directory = RunDirectory(tmp_path_factory.mktemp("runs") / "first")
    running.run(directory, CONFIG, resumed=False)
    return directory


def test_a_run_that_holds_out_nothing_is_whole(finished):
    summary = read_json(finished.path / "summary.json")
    assert (summary["validation_accuracy"], summary["preset"], summary["recalibrated"]) == (None, "custom", False)
    assert finished.curves.stat().st_size > 10_000
    assert [record["validation_accuracy_per_step"] for record in finished.read_metrics("epoch")] == [None, None]
    with pytest.raises(ValueError, match="no checkpoint with a validation accuracy; use the last"):
        load_run(finished.path, step="best")


def test_a_finished_run_is_trained_longer(finished, tmp_path):
    longer = dataclasses.replace(CONFIG, epochs=4)
    words = ["--resume", str(finished.path), "--epochs", "4"]
    directory, config, resumed, execution, _ = parse_arguments(words)
    assert (config, resumed) == (longer, True)
    before = read_json(finished.path / "summary.json")
    running.run(directory, config, resumed, execution)
    assert finished.config() == longer
    changes = read_json(finished.path / "config.json")["changes"]
    per_epoch = finished.read_metrics("step")[-1]["step"] // 4
    assert changes == [{"field": "epochs", "from": 2, "to": 4, "step": 2 * per_epoch}]
    assert read_json(finished.path / "summary.json")["epochs"] == 4
    assert read_json(finished.path / "summary-2-epochs.json") == before
    assert load_run(finished.path).step == 4 * per_epoch
    # The learning rate is that of a run of 4 epochs from there on, and was that of one of 2 before.
    found = [record["learning_rate"] for record in finished.read_metrics("step")]
    schedules = [make_schedule(CONFIG.optimizer, per_epoch, epochs) for epochs in (2, 4)]
    expected = [float(schedules[step >= 2 * per_epoch](step)) for step in range(4 * per_epoch)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    with pytest.raises(CommandError, match="has done 4 epochs; ask for more than --epochs 3"):
        running.run(directory, dataclasses.replace(CONFIG, epochs=3), True)
    assert finished.config() == longer


def test_data_that_has_moved_is_found_and_remembered(finished, tmp_path):
    directory, config, resumed, _, _ = parse_arguments(
        ["--resume", str(finished.path), "--data.dir", "elsewhere", "--devices", "1"]
    )
    assert (config.data.dir, resumed) == ("elsewhere", True)
    assert finished.config().data.dir == "data"  # not before the run has really begun
    directory.change(config, 7)
    assert finished.config().data.dir == "elsewhere"
    assert read_json(finished.path / "config.json")["changes"][-1]["field"] == "data.dir"


def test_a_run_starts_with_the_layers_of_another_that_fit(finished, tmp_path, capsys):
    directory = RunDirectory(tmp_path / "second")
    config = dataclasses.replace(CONFIG, epochs=1, model=ModelConfig(widths=(2, 3), num_steps=2))
    trainer = running.make_trainer(config, running.load_dataset(config))
    start = running.starting_weights(trainer.model, finished.path)
    output = capsys.readouterr().out
    assert "starts anew: it has no params.blocks.1.conv1.kernel" in output
    assert "starts anew: params.head.kernel is float32[2, 10], the network needs float32[3, 10]" in output
    directory.create(config, start=start, init_from=finished.path)
    assert read_json(directory.path / "config.json")["init_from"] == str(finished.path)
    # What the run starts with, also where it was killed before its first checkpoint.
    old, new = training.by_name(load_run(finished.path).variables), training.by_name(start)
    again = training.load_weights(directory.start, trainer.model)
    jax.tree.map(np.testing.assert_array_equal, trainer.start_with(again).variables, start)
    np.testing.assert_array_equal(new["params.stem.kernel"], old["params.stem.kernel"])
    np.testing.assert_array_equal(new["batch_stats.stem_norm.mean"], old["batch_stats.stem_norm.mean"])
    file = tmp_path / "weights.safetensors"
    training.save_weights(file, load_run(finished.path).variables, config=CONFIG)
    jax.tree.map(np.testing.assert_array_equal, running.starting_weights(trainer.model, file), start)
    # And of a file by PyTorch's names and in its layouts.
    model = running.make_trainer(CONFIG, running.load_dataset(CONFIG)).model
    variables = load_run(finished.path).variables
    state = torch.to_state_dict(model, variables, naming=torch.names_of(model), latent=True)
    save_file(state, tmp_path / "theirs.safetensors")
    capsys.readouterr()
    theirs = running.starting_weights(trainer.model, tmp_path / "theirs.safetensors")
    jax.tree.map(np.testing.assert_array_equal, theirs, start)
    assert "fc is refused: kernel of head would be [2, 10], and it is [3, 10]" in capsys.readouterr().out
    halves = {name: jnp.asarray(array, jnp.bfloat16) for name, array in state.items()}
    save_halves(halves, tmp_path / "halves.safetensors")
    rounded = running.starting_weights(trainer.model, tmp_path / "halves.safetensors")
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=2**-7, atol=1e-6), rounded, start)


@pytest.mark.parametrize("case", ["no weights", "no such file", "nothing fits", "no layer fits"])
def test_weights_that_cannot_be_used_are_an_error_in_one_line(case, finished, tmp_path, capsys, monkeypatch):
    source = tmp_path / "file"
    if case == "no weights":
        source.write_text("thesis")
    if case == "nothing fits":
        training.save_weights(source, training.load_run(finished.path).variables._replace(params={}, batch_stats={}))
    if case == "no layer fits":
        source = source.with_suffix(".safetensors")
        save_file({"x.weight": np.ones((3, 4), np.float32)}, source)
    out = tmp_path / "run"
    words = ["--model.widths", "4", "--batch-size", "512", "--init-from", str(source), "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["train", *words])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert str(source) in message or "none of the network's" in message
    assert not out.exists()
