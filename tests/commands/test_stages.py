"""Runs that begin with the result of another, on tiny networks."""

import dataclasses
import json
import shutil
import signal

import jax
import numpy as np
import pytest

from hdlif_jax import learning, nn, training
from hdlif_jax.commands import costs
from hdlif_jax.commands.config import (
    DataConfig,
    FirstConfig,
    LearningConfig,
    LIFConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)
from hdlif_jax.commands.presets import PRESETS, Preset
from hdlif_jax.commands.support import run as running
from hdlif_jax.commands.support import stages
from hdlif_jax.commands.support.errors import CommandError, Stopped
from hdlif_jax.commands.support.run_directory import RunDirectory
from hdlif_jax.commands.support.runs import load_run
from hdlif_jax.commands.train import main, parse_arguments
from tests.commands.conftest import read_json, wait_for
from tests.commands.survival import final_arrays, log

SHORT = TrainConfig(
    preset="short",
    epochs=2,
    batch_size=512,
    model=ModelConfig(widths=(2,), num_steps=1, parallel=False),
    data=DataConfig(crop_padding=1),
    optimizer=OptimizerConfig(learning_rate=0.1, warmup_epochs=0),
)
LONGER = dataclasses.replace(
    SHORT,
    preset="longer",
    seed=3,
    model=dataclasses.replace(SHORT.model, num_steps=2),
    data=DataConfig(validation_fraction=0.2),
    first=FirstConfig("short", epochs=1),
)
TRAINING = "--model.widths 2 --model.parallel False --epochs 4 --batch-size 512 --checkpoint-every-steps 1"
WORDS = f"{TRAINING} --first.preset digits --first.epochs 3 --first.num-steps 1".split()


@pytest.fixture(autouse=True)
def presets(monkeypatch):
    for config in (SHORT, LONGER):
        monkeypatch.setitem(PRESETS, config.preset, Preset("A tiny network.", config))


def test_what_comes_first_is_of_the_same_data_seed_and_width():
    first = stages.first_config(dataclasses.replace(LONGER, model=ModelConfig(widths=(3, 5), num_steps=2)))
    data = DataConfig(validation_fraction=0.2, crop_padding=1)  # its own augmentation, the whole run's split
    model = dataclasses.replace(SHORT.model, widths=(3, 5))
    assert first == dataclasses.replace(SHORT, epochs=1, seed=3, data=data, model=model)
    other_steps = dataclasses.replace(LONGER, first=FirstConfig("short", num_steps=3))
    assert stages.first_config(other_steps).model.num_steps == 3
    other_family = dataclasses.replace(LONGER, model=ModelConfig(architecture="vgg13", width=2))
    assert stages.first_config(other_family).model == SHORT.model


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for config in (SHORT, LONGER):
            patch.setitem(PRESETS, config.preset, Preset("A tiny network.", config))
        directory = RunDirectory(tmp_path_factory.mktemp("runs") / "longer")
        running.run(directory, LONGER, resumed=False)
    return directory


def test_a_run_starts_with_the_weights_of_the_one_that_comes_first(finished):
    first = RunDirectory(finished.path / "first")
    assert first.config() == stages.first_config(LONGER)
    assert (first.is_finished, finished.is_finished) == (True, True)
    start = training.read_weights(finished.start).arrays
    learned = training.by_name(load_run(first.path).variables)
    assert start.keys() == learned.keys()
    for name in ("params.stem.kernel", "params.head.kernel", "batch_stats.stem_norm.mean"):
        np.testing.assert_array_equal(start[name], learned[name])
    per_step = [name for name, array in start.items() if array.shape != learned[name].shape]
    assert per_step, "parameters of each step start anew where T is another"
    summaries = [read_json(directory.path / "summary.json") for directory in (finished, first)]
    assert summaries[0]["first"] == {name: summaries[1][name] for name in summaries[0]["first"]}
    assert [summary["epochs"] for summary in summaries] == [2, 1]


@pytest.mark.parametrize(
    "killed", ["in the first", *(pytest.param(when, marks=pytest.mark.slow) for when in ("before", "between", "main"))]
)
def test_a_run_goes_on_from_wherever_it_was_killed(killed, finished, tmp_path, monkeypatch):
    """What a kill leaves is made by hand: parts of the finished run's files."""
    directory = RunDirectory(tmp_path / "run")
    directory.create(LONGER)
    first = RunDirectory(directory.path / "first")
    if killed == "before":
        first.path.mkdir()
        (first.path / "config.json.partial").write_text("{")
    if killed == "in the first":
        first.create(stages.first_config(LONGER))
    if killed == "between":
        running.run(first, stages.first_config(LONGER), resumed=False)
    if killed == "main":
        monkeypatch.setattr(running, "train", die_after(running.train, seed=LONGER.seed, epochs=LONGER.epochs))
        with pytest.raises(KeyboardInterrupt):
            running.run(directory, directory.config(), resumed=True)
        monkeypatch.undo()
        for config in (SHORT, LONGER):
            monkeypatch.setitem(PRESETS, config.preset, Preset("A tiny network.", config))
        assert directory.start.exists()
    running.run(directory, directory.config(), resumed=True)
    for path in (directory.path, first.path):
        expected = finished.path / path.relative_to(directory.path)
        jax.tree.map(np.testing.assert_array_equal, final_arrays(path), final_arrays(expected))
        assert log(path) == log(expected)


def die_after(train, **main):
    """`train` that ends the process where the main run begins."""

    def dying(config, *arguments, **options):
        if all(getattr(config, name) == value for name, value in main.items()):
            raise KeyboardInterrupt
        train(config, *arguments, **options)

    return dying


def test_a_request_in_the_last_batch_of_the_first_stops_before_the_main(tmp_path, monkeypatch):
    """It comes too late to stop the first run, which is whole; what to type goes on with the whole run."""
    directory = RunDirectory(tmp_path / "run")
    fit = training.Trainer.fit

    def signalled(self, *arguments):
        trained = fit(self, *arguments)
        signal.raise_signal(signal.SIGINT)
        return trained

    monkeypatch.setattr(training.Trainer, "fit", signalled)
    with pytest.raises(
        Stopped, match=f"stopped before what comes next; go on with .* --resume {directory.path}$"
    ) as stop:
        running.run(directory, LONGER, resumed=False)
    assert stop.value.status == 130
    assert not directory.start.exists()


def test_a_finished_run_comes_first(finished, tmp_path):
    source = RunDirectory(finished.path / "first")
    config = dataclasses.replace(LONGER, epochs=1, first=FirstConfig(str(source.path)))
    directory = RunDirectory(tmp_path / "run")
    running.run(directory, config, resumed=False)
    copied = directory.path / "first"
    assert RunDirectory(copied).config() == source.config()
    assert not (directory.path / "first.partial").exists()
    jax.tree.map(np.testing.assert_array_equal, final_arrays(copied), final_arrays(source.path))
    for name, array in training.read_weights(directory.start).arrays.items():
        np.testing.assert_array_equal(array, training.read_weights(finished.start).arrays[name])


REFUSED = {
    "unknown": (["--first.preset", "digit"], "first.preset='digit' is neither a preset nor a run directory; did you"),
    "nothing": (["--first.epochs", "3"], "are of the run that comes first; name it with first.preset"),
    "two starts": (["--first.preset", "digits", "--init-from", "."], "both say what weights the run starts with"),
    "no recipe": (["--recipe", "common"], "preset digits has no recipe 'common'; leave out --recipe for its own"),
    "unknown recipe": (["--recipe=mine"], "preset digits has no recipe 'mine'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_come_first_is_refused_in_one_line(case, capsys, monkeypatch, tmp_path):
    words, message = REFUSED[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train", *words])
    with pytest.raises(SystemExit) as exit_:
        main()
    errors = capsys.readouterr().err
    assert (exit_.value.code, errors.count("\n")) == (2, 1)
    assert message in errors
    assert not list(tmp_path.iterdir())


def test_runs_that_do_not_fit_are_refused_before_anything_is_trained(finished, tmp_path):
    directory = RunDirectory(tmp_path / "run")
    other = dataclasses.replace(LONGER, model=ModelConfig(architecture="resnet18", width=3))
    with pytest.raises(ValueError, match=r"none of the network's \d+ layers fits"):
        running.run(directory, other, resumed=False)
    assert not directory.path.exists()
    taken = dataclasses.replace(LONGER, first=FirstConfig(str(finished.path), epochs=3))
    with pytest.raises(CommandError, match=r"is finished and is taken as it is; leave out first\.epochs"):
        stages.first_config(taken)
    unfinished = RunDirectory(tmp_path / "unfinished")
    unfinished.create(SHORT)
    with pytest.raises(CommandError, match="is not finished; go on with it: --resume"):
        stages.first_config(dataclasses.replace(LONGER, first=FirstConfig(str(unfinished.path))))


def test_a_recipe_is_that_of_the_preset(monkeypatch, tmp_path):
    common = dataclasses.replace(SHORT, recipe="common", epochs=7)
    monkeypatch.setitem(PRESETS, "short", Preset("A tiny network.", SHORT, common=common))
    assert parse_arguments(["short"]).config == SHORT
    assert parse_arguments(["short", "--recipe", "own"]).config == SHORT
    assert parse_arguments(["short", "--seed", "4", "--recipe=common"]).config == dataclasses.replace(common, seed=4)
    longer = parse_arguments(["longer"]).config
    assert stages.first_config(dataclasses.replace(longer, recipe="common", first=FirstConfig("short"))).epochs == 7
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"recipe": "common"}))
    assert parse_arguments(["--config", str(file)]).config.recipe == "common"
    with pytest.raises(CommandError, match="--recipe is of a preset, and --config"):
        parse_arguments(["--config", str(file), "--recipe", "own"])


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["first", "main"])
def test_a_killed_run_of_two_stages_goes_on_to_the_same_parameters(stage, command, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    status, _, errors = command.run("train", *WORDS, "--out", whole)
    assert status == 0, errors
    process = command.start("train", *WORDS, "--out", killed)
    steps = "20" if stage == "first" else "2"  # an epoch of the first, a batch of the main run
    wait_for((killed / "first" if stage == "first" else killed) / "checkpoints" / steps, process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=120)
    status, _, errors = command.run("train", "--resume", killed)
    assert status == 0, errors
    for part in ("first", "."):
        jax.tree.map(np.testing.assert_array_equal, final_arrays(killed / part), final_arrays(whole / part))
        assert log(killed / part) == log(whole / part)


def tandem(**changes):
    """A student on tiny layers, whose teacher is the preset "teacher"."""
    student = ModelConfig(
        architecture="vgg", widths=(2, 3), num_steps=2, neuron="lif", weights="float", norm="none", bias=True,
        lif=LIFConfig(height=1.0, learn_decay=False, learn_threshold=False),
    )  # fmt: skip
    return dataclasses.replace(
        SHORT,
        epochs=1,
        model=student,
        learning=LearningConfig(rule="layer-local-online", label_smoothing=0),
        first=FirstConfig("teacher", use="teacher"),
        **changes,
    )


@pytest.fixture
def teacher(monkeypatch):
    model = ModelConfig(architecture="vgg", num_steps=1, neuron="relu", weights="float", bias=True)
    config = dataclasses.replace(SHORT, preset="teacher", epochs=1, model=model)
    monkeypatch.setitem(PRESETS, "teacher", Preset("Without spikes.", config))


def test_a_teacher_is_trained_first_and_teaches(teacher, tmp_path, monkeypatch):
    taught = []

    class Spy(learning.Teacher):
        def activations(self, inputs):
            taught.append(self)
            return super().activations(inputs)

    monkeypatch.setattr(learning, "Teacher", Spy)
    directory = RunDirectory(tmp_path / "run")
    running.run(directory, tandem(), resumed=False)
    assert directory.is_finished
    assert not directory.start.exists()  # its weights are not the student's
    learned = training.by_name(load_run(directory.path / "first").variables)
    known = training.by_name(nn.Variables(*taught[-1]._variables))
    assert taught[0] is not taught[-1]  # what is checked before, with a teacher that knows nothing
    jax.tree.map(np.testing.assert_array_equal, known, learned)


@pytest.mark.slow
def test_a_teacher_that_was_copied_is_needed_no_more(teacher, tmp_path):
    """The run that first.preset names may go; DIR/first has its copy."""
    source, directory = RunDirectory(tmp_path / "source"), RunDirectory(tmp_path / "run")
    running.run(source, stages.first_config(tandem()), resumed=False)
    config = dataclasses.replace(tandem(), first=FirstConfig(str(source.path), use="teacher"))
    running.run(directory, config, resumed=False)
    shutil.rmtree(source.path)
    cost = costs.training_cost(costs.load_subject(str(directory.path)))
    assert cost.temporaries_mb > 0
    running.run(directory, dataclasses.replace(config, epochs=2), resumed=True)
    assert read_json(directory.path / "summary.json")["epochs"] == 2


def test_a_teacher_of_other_layers_is_refused_before_anything_is_trained(teacher, tmp_path):
    model = dataclasses.replace(tandem().model, architecture="conv-net")
    with pytest.raises(ValueError, match="build both alike"):
        running.run(RunDirectory(tmp_path / "run"), dataclasses.replace(tandem(), model=model), resumed=False)
    assert not (tmp_path / "run").exists()
