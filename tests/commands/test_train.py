import json
import pathlib
import shutil
import signal

import jax
import numpy as np
import pytest
from PIL import Image

from hdlif_jax.commands.config import TrainConfig
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.run import resume_command
from hdlif_jax.commands.support.run_directory import RunDirectory
from hdlif_jax.commands.train import main, parse_arguments
from tests.commands.conftest import TINY, read_json, wait_for
from tests.commands.survival import final_arrays


def test_a_run_leaves_everything_behind(finished_run):
    directory, output = finished_run
    summary = read_json(directory / "summary.json")
    assert summary["dataset"] == "digits"
    assert summary["epochs"] == 4
    assert len(summary["accuracy_per_step"]) == 2
    assert summary["test_accuracy"] == summary["accuracy_per_step"][-1]
    assert 0 < summary["test_accuracy"] <= 1
    assert summary["train_seconds"] > 0
    assert summary["images_per_second"] > 0
    assert summary["parameters"] > 100
    assert summary["device"].startswith("cpu")
    config = read_json(directory / "config.json")
    assert config["config"]["model"]["widths"] == [4]
    assert config["versions"]["jax"]
    assert config["command"] == ["python", "-m", "experiments.train", *TINY, "--out", str(directory)]
    records = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if record["kind"] == "step"] == list(range(1, 21))
    assert [record["epoch"] for record in records if record["kind"] == "epoch"] == [1, 2, 3, 4]
    with Image.open(directory / "curves.png") as picture:
        assert picture.size[0] > 1000
    assert "epoch 4/4" in output
    assert f"{summary['test_accuracy']:.4f}" in output


def test_a_configuration_read_back_is_the_one_written(finished_run):
    directory, _ = finished_run
    config = RunDirectory(directory).config()
    assert isinstance(config, TrainConfig)
    assert config == parse_arguments([*TINY])[1]


def test_a_finished_run_says_so(finished_run, command):
    directory, _ = finished_run
    before = (directory / "summary.json").read_text()
    status, output, errors = command.run("train", "--resume", directory)
    assert (status, errors) == (0, "")
    assert "is finished: its 4 epochs are done" in output
    assert (directory / "summary.json").read_text() == before


@pytest.mark.parametrize("stop", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGKILL])
def test_a_stopped_run_goes_on_to_the_same_parameters(stop, finished_run, command, tmp_path):
    finished, _ = finished_run
    directory = tmp_path / "run"
    process = command.start("train", *TINY, "--out", directory)
    wait_for(directory / "checkpoints" / "5", process)
    process.send_signal(stop)
    _, errors = process.communicate(timeout=120)
    if stop == signal.SIGINT:
        assert process.returncode == 130
        assert errors.startswith("stopped after step")
        assert errors.count("\n") == 1
        assert errors.endswith(f"; go on with python -m experiments.train --resume {directory}\n")
    else:
        assert process.returncode == -signal.SIGKILL
    assert not (directory / "summary.json").exists()

    status, output, errors = command.run("train", "--resume", directory)
    assert status == 0, errors
    assert "continuing" in output
    jax.tree.map(np.testing.assert_array_equal, final_arrays(directory), final_arrays(finished))
    for name in ("test_accuracy", "accuracy_per_step"):
        assert read_json(directory / "summary.json")[name] == read_json(finished / "summary.json")[name]
    losses = [[record["loss"] for record in RunDirectory(run).read_metrics("step")] for run in (directory, finished)]
    assert losses[0] == losses[1]


def one_line_error(capsys):
    captured = capsys.readouterr().err
    assert captured.count("\n") == 1, captured
    assert "Traceback" not in captured
    return captured


BAD_ARGUMENTS = {
    "unknown preset": (["digit"], "unknown preset 'digit'; did you mean digits, "),
    "unknown field": (["--model.weight", "binary"], "option --model.weight; did you mean --model.weights, --model.wi"),
    "unknown choice": (["--model.weights", "int4"], "invalid choice 'int4'"),
    "not a number": (["--epochs", "many"], "--epochs: invalid literal"),
    "out of range": (["--epochs", "0"], "epochs=0 must be at least 1"),
    "a mix that does not exist": (["--model.neuron", "lif", "--model.parallel", "True"], "has no parallel form"),
    "unknown loss": (["--learning.loss", "hinge"], "invalid choice 'hinge'"),
    "a loss that the rule cannot use": (["--learning.loss", "tet"], "loss='tet' is of the whole sequence"),
    "a surrogate of exact gradients": (["--model.surrogate", "arctan"], "is for neurons whose spikes are a step"),
    "k and T": (["--learning.rule", "random_k", "--learning.k", "9"], "learning.k=9 exceeds model.num_steps=4"),
    "tdBN and an online rule": (
        ["digits-tdbn", "--learning.rule", "accumulate", "--learning.loss", "cross-entropy"],
        "model.norm=tdbn normalises all time-steps together, and learning.rule=accumulate sees them one by one; choose "
        "learning.rule=stbp without segments, or model.norm=batch-norm",
    ),
    "a trace of neurons without one": (
        ["digits", "--learning.rule", "accumulate", "--learning.trace", "decay", "--model.neuron", "adaptive-lif"],
        "is not of model.neuron=adaptive-lif as it is, which has no trace; choose learning.trace=none, or ",
    ),
    "a ratio of hard resets": (
        ["digits-ndot", "--model.lif.reset", "hard"],
        "is not of model.neuron=lif as it is, which has decay; choose learning.trace=decay, or model.neuron=lif with "
        "model.lif.reset=soft and model.lif.order=charge-fire, which has all",
    ),
    "a ratio of late spikes": (
        ["digits-ndot", "--model.lif.order", "fire-charge"],
        "is not of model.neuron=lif as it is, which has decay; choose learning.trace=decay, or",
    ),
    "a trace and STBP": (["digits-ottt", "--learning.rule", "stbp"], "goes back through time itself; use rule=accum"),
    "LTL without a teacher": (
        ["digits", "--learning.rule", "layer-local"],
        "learning.rule=layer-local learns from a teacher, a network without spikes that is trained first; name it with "
        "first.preset, e.g. digits-ltl-teacher, and first.use=teacher",
    ),
    "a teacher of nobody": (
        ["digits", "--first.preset", "digits-ltl-teacher", "--first.use", "teacher"],
        "first.use=teacher with learning.rule=random_step, which learns from no teacher; choose first.use=weights",
    ),
    "LTL of frames": (
        ["digits-ltl-online", "--data.name", "nmnist"],
        "compares rates with a teacher's activations of one image, and nmnist is made of sequences",
    ),
    "no step that teaches": (
        ["digits-ltl-online", "--model.num-steps", "4"],
        "leaves none of model.num_steps=4 to teach",
    ),
    "a teacher with spikes": (
        ["digits-ltl-online", "--first.preset", "digits-hd-lif"],
        "first.preset='digits-hd-lif' has spikes (model.neuron=hd-lif), and a teacher has none; name a preset or run "
        "with model.neuron=relu, such as digits-ltl-teacher",
    ),
    "batch size": (["--batch-size", "5000"], "batch_size=5000 is more than the 1295 training examples"),
    "no configuration": (["--config", "nowhere.yaml"], "nowhere.yaml is no file; name a run's config.json"),
    "a configuration after": (["digits", "--config", "x"], "--config FILE comes first, in place of a preset"),
    "resume and more": (["--resume", "x", "--seed", "3"], "leave out --seed"),
    "more epochs of no run": (["--resume", "x", "--epochs", "3"], "is not a run directory"),
    "no run": (["--resume", "nowhere"], "is not a run directory: it has no config.json"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments(case, capsys, monkeypatch, tmp_path):
    arguments, message = BAD_ARGUMENTS[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train", *arguments])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    assert message in one_line_error(capsys)
    assert not list(tmp_path.iterdir())


def occupied_by_something_else(directory, finished):
    directory.mkdir()
    (directory / "thesis.tex").write_text("precious")
    return [*TINY, "--out", directory], "is not empty and not a run directory"


def occupied_by_another_configuration(directory, finished):
    shutil.copytree(finished, directory)
    return ["--epochs", "3", "--out", directory], "belongs to a run with another configuration"


def occupied_by_the_finished_run(directory, finished):
    shutil.copytree(finished, directory)
    return [*TINY, "--out", directory], "holds the finished run of this configuration"


def occupied_by_the_unfinished_run(directory, finished):
    shutil.copytree(finished, directory)
    (directory / "summary.json").unlink()
    return [*TINY, "--out", directory], "continue it with --resume"


def below_a_file(directory, finished):
    directory.write_text("a file")
    return [*TINY, "--out", directory / "run"], "Not a directory"


def a_file(directory, finished):
    directory.write_text("a file")
    return [*TINY, "--out", directory], "is a file, not a directory"


def truncate(checkpoint):
    largest = max((file for file in checkpoint.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:100])


def truncated_checkpoints(directory, finished):
    shutil.copytree(finished, directory)
    (directory / "summary.json").unlink()
    for checkpoint in (directory / "checkpoints").iterdir():
        truncate(checkpoint)
    return [
        "--resume",
        directory,
    ], "was changed or cut short; no checkpoint is whole: start the run again in another directory"


def a_checkpoint_of_another_model(directory, finished):
    shutil.copytree(finished, directory)
    (directory / "summary.json").unlink()
    change_config(directory, lambda config: config["config"]["model"].update(widths=[6]))
    return ["--resume", directory], "belongs to another model"


def a_broken_configuration(directory, finished):
    shutil.copytree(finished, directory)
    (directory / "config.json").write_text("{")
    return ["--resume", directory], "config.json is not valid JSON"


def a_configuration_of_another_schema(directory, finished):
    shutil.copytree(finished, directory)
    change_config(directory, lambda config: config.update(schema=99))
    return ["--resume", directory], "has schema 99"


def a_configuration_with_an_unknown_field(directory, finished):
    shutil.copytree(finished, directory)
    change_config(directory, lambda config: config["config"].update(epoch=1))
    return ["--resume", directory], "TrainConfig has no field epoch"


def change_config(directory, change):
    config = read_json(directory / "config.json")
    change(config)
    (directory / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "case",
    [
        occupied_by_something_else,
        occupied_by_another_configuration,
        occupied_by_the_finished_run,
        occupied_by_the_unfinished_run,
        below_a_file,
        a_file,
        truncated_checkpoints,
        a_checkpoint_of_another_model,
        a_broken_configuration,
        a_configuration_of_another_schema,
        a_configuration_with_an_unknown_field,
    ],
)
def test_nothing_is_overwritten(case, finished_run, tmp_path, capsys, monkeypatch):
    directory = tmp_path / "run"
    arguments, message = case(directory, finished_run[0])
    before = snapshot(tmp_path)
    monkeypatch.setattr("sys.argv", ["train", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    assert message in one_line_error(capsys)
    assert snapshot(tmp_path) == before


def snapshot(directory):
    return {path: path.read_bytes() for path in pathlib.Path(directory).rglob("*") if path.is_file()}


def test_a_diverging_run_names_the_step_and_the_checkpoint(tmp_path, capsys, monkeypatch):
    directory = tmp_path / "run"
    arguments = [*TINY, "--optimizer.learning-rate", "1e38", "--optimizer.warmup-epochs", "0", "--out", str(directory)]
    monkeypatch.setattr("sys.argv", ["train", *arguments])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 3
    assert "the loss is nan at step" in (error := one_line_error(capsys))
    assert "checkpoint" in error
    assert not (directory / "summary.json").exists()


def test_the_default_directory_has_the_preset_s_name():
    directory, config, resumed, *_ = parse_arguments([])
    assert directory.path.parent == pathlib.Path("runs")
    assert directory.path.name.startswith("digits-")
    assert (config.preset, resumed) == ("digits", False)


def test_everything_of_the_registry_can_be_chosen():
    words = "--model.neuron lif --model.surrogate arctan --model.norm batch-norm --data.encoding poisson"
    config = parse_arguments([*words.split(), "--learning.rule", "stbp", "--learning.loss", "tet"])[1]
    assert (config.model.neuron, config.model.surrogate, config.model.norm) == ("lif", "arctan", "batch-norm")
    assert (config.learning.rule, config.learning.loss, config.data.encoding) == ("stbp", "tet", "poisson")


def test_runs_that_begin_in_one_second_have_directories_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "now")
    first, second, third = (parse_arguments([]).directory.claimed() for _ in range(3))
    assert [directory.path.name for directory in (first, second, third)] == [
        "digits-now",
        "digits-now-2",
        "digits-now-3",
    ]
    for directory in (first, second, third):
        directory.create(TrainConfig())
    named = parse_arguments(["--out", str(first.path)]).directory
    assert named.claimed().path == first.path


def test_what_goes_on_says_how_it_is_computed():
    execution = parse_arguments(["--devices", "2", "--tensorboard"]).execution
    assert execution.words() == ["--devices", "2", "--tensorboard"]
    again = parse_arguments([*execution.words()]).execution
    assert again == execution
    command = resume_command(RunDirectory(pathlib.Path("a run")), execution)
    assert command == "hdlif train --resume 'a run' --devices 2 --tensorboard"


def test_resume_without_a_directory():
    with pytest.raises(CommandError, match="--resume DIR comes first"):
        parse_arguments(["--resume"])
