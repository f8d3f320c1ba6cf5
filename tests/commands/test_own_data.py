"""Own data goes through every command."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from hdlif_jax import deploy
from hdlif_jax.commands import costs, evaluate, infer, train
from hdlif_jax.commands import deploy as deploy_command
from hdlif_jax.commands.support.runs import load_dataset, load_run
from hdlif_jax.data import prepare
from tests.commands.conftest import read_json
from tests.commands.survival import final_arrays
from tests.data.originals import write_mnist
from tests.data.own.make import CLASSES, frames, write_folder

TINY = ("--model.widths", "4", "--model.num-steps", "2", "--batch-size", "8", "--optimizer.warmup-epochs", "0")


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command in this process; gives what it printed."""

    def run(module, *words):
        monkeypatch.setattr("sys.argv", [module.__name__.rpartition(".")[2], *map(str, words)])
        module.main()
        return capsys.readouterr().out

    return run


def test_a_folder_of_grey_pictures(run, tmp_path):
    own, out, artifact = tmp_path / "own", tmp_path / "run", tmp_path / "artifact"
    pictures = write_folder(own)
    printed = run(train, "--data.name", "folder", "--data.dir", own, *TINY, "--epochs", 1, "--out", out)
    assert "3 classes, 28×40×1 uint8, 24 train and 6 test examples" in printed
    kept = read_json(out / "config.json")["dataset"]
    assert (kept["example_shape"], kept["class_names"]) == ([28, 40, 1], list(CLASSES))
    summary = read_json(out / "summary.json")
    assert "own, step 2: test accuracy" in run(evaluate, out)
    assert read_json(out / "evaluation.json")["accuracy_per_step"] == summary["accuracy_per_step"]
    run(deploy_command, out, artifact)
    manifest = deploy.load(artifact).manifest
    assert (manifest.input_shape, manifest.class_names, manifest.input_type) == ((28, 40, 1), CLASSES, "uint8")
    lines = run(infer, artifact, own / "rings").splitlines()[1:]
    assert len(lines) == 10
    assert {line.split("\t")[1] for line in lines} <= set(CLASSES)
    np.save(tmp_path / "pictures.npy", pictures[10:20])  # [N, H, W], the same as files
    as_arrays = run(infer, artifact, tmp_path / "pictures.npy").splitlines()[1:]
    assert [line.split("\t")[1:] for line in as_arrays] == [line.split("\t")[1:] for line in lines]
    Image.new("L", (80, 56)).save(tmp_path / "large.png")
    with pytest.raises(SystemExit):
        run(infer, artifact, tmp_path / "large.png")
    assert "large.png" in run(infer, artifact, tmp_path / "large.png", "--resize")
    own.rename(tmp_path / "moved")
    assert load_run(out).model.input_shape == (28, 40, 1)  # without its data
    assert "counting on random inputs" in run(costs, out, "--no-compile")
    run(evaluate, out, "--data-dir", tmp_path / "moved")
    assert read_json(out / "evaluation.json")["accuracy_per_step"] == summary["accuracy_per_step"]


def test_frames_and_floats_in_a_file(run, tmp_path, capsys):
    inputs, labels = frames(num_steps=2)
    own, out, artifact = tmp_path / "own.npz", tmp_path / "run", tmp_path / "artifact"
    floats = inputs * 0.5 - 7.0  # float64, in a unit of its own
    np.savez(own, inputs=floats, labels=labels, class_names=np.array(["left", "middle", "right"]))
    run(train, "--data.name", "npz", "--data.dir", own, *TINY, "--epochs", 1, "--out", out)
    kept = read_json(out / "config.json")["dataset"]
    assert (kept["dtype"], kept["example_shape"]) == ("float32", [2, 12, 10, 2])
    run(evaluate, out, "--folded")
    run(deploy_command, out, artifact)
    network = deploy.load(artifact)
    assert (network.manifest.input_kind, network.manifest.input_type) == ("sequence", "float32")
    np.testing.assert_allclose(kept["mean"], floats[:, :].mean((0, 1, 2, 3)), atol=0.1)
    lines = [line.split("\t") for line in run(infer, artifact, own).splitlines()[1:]]
    assert len(lines) == 30
    expected = np.asarray(network(floats.astype(np.float32))).sum(0).argmax(-1)
    assert [line[1] for line in lines] == [network.manifest.class_names[label] for label in expected]
    np.save(tmp_path / "one.npy", floats[3])
    assert run(infer, artifact, tmp_path / "one.npy").splitlines()[1].split("\t")[1] == lines[3][1]
    for wrong, message in (
        (inputs, "the network reads floats, as those that it was trained on, in the unit of the training data: inputs"),
        (np.where(inputs > 2, np.nan, floats), "holds what is not finite (NaN or infinity)"),
        (floats[:, :1], "expected float32 [2, 12, 10, 2], or a batch of those"),
    ):
        np.save(tmp_path / "wrong.npy", wrong)
        with pytest.raises(SystemExit):
            run(infer, artifact, tmp_path / "wrong.npy")
        assert message in capsys.readouterr().err
    assert "counting" not in run(costs, out, "--no-compile")


@pytest.mark.slow
@pytest.mark.parametrize("feed", ["resident", "streaming"])
def test_a_killed_run_of_own_data_ends_as_if_it_had_not_been(feed, run, tmp_path):
    """The checkpoint of the first of two epochs is all that is left."""
    own, whole, cut = tmp_path / "own", tmp_path / "whole", tmp_path / "cut"
    write_folder(own)
    words = ("--data.name", "folder", "--data.dir", own, "--data.feed", feed, *TINY)
    run(train, *words, "--epochs", 2, "--data.workers", 0, "--out", whole)
    shutil.copytree(whole, cut)
    (cut / "summary.json").unlink()
    steps = sorted(int(path.name) for path in (cut / "checkpoints").iterdir() if path.name.isdigit())
    assert steps == [2, 4]
    shutil.rmtree(cut / "checkpoints" / "4")
    moved = own.rename(tmp_path / "moved")
    assert "at step 2 of 4" in run(train, "--resume", cut, "--data.dir", moved)
    shutil.copytree(moved, own)
    for one, other in zip(final_arrays(whole), final_arrays(cut), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_goes_on_with_its_own_data_alone(run, tmp_path, capsys):
    own, out = tmp_path / "own.npz", tmp_path / "run"
    inputs, labels = frames(num_steps=2)
    np.savez(own, inputs=inputs, labels=labels)
    words = ["--data.name", "npz", "--data.dir", str(own), *TINY, "--out", str(out)]
    directory, config, *_ = train.parse_arguments(words)
    directory.create(config, load_dataset(config))
    np.savez(own, inputs=inputs[:27], labels=labels[:27])
    with pytest.raises(SystemExit):
        run(train, "--resume", out)
    error = capsys.readouterr().err
    assert "own.npz has 21 train and 6 test examples and had 24 and 6 when the run began" in error
    assert error.count("\n") == 1
    description = read_json(out / "config.json")
    for wrong in ({}, description["dataset"] | {"std": [1.0]}, 3):
        (out / "config.json").write_text(json.dumps(description | {"dataset": wrong}))
        with pytest.raises(SystemExit):
            run(evaluate, out)
        assert capsys.readouterr().err.startswith(f"error: {out / 'config.json'}: the dataset's entry is ")


def test_a_run_directory_is_named_after_the_data(tmp_path):
    for name, own, expected in (
        ("folder", "flowers", "flowers-"),
        ("npz", "small.flowers.npz", "small.flowers-"),
        ("tfds", "flowers/3.0.1", "flowers-3.0.1-"),
    ):
        request = train.parse_arguments(["--data.name", name, "--data.dir", str(tmp_path / own)])
        assert request.directory.path.name.startswith(expected)
    assert train.parse_arguments([]).directory.path.name.startswith("digits-")


@pytest.mark.slow
def test_what_tensorflow_datasets_prepared(run, tmp_path):
    write_mnist(tmp_path, np.random.default_rng(0), sizes=(60, 20))
    own = prepare("mnist", tmp_path, tmp_path / "data", partial=True)
    out, artifact = tmp_path / "run", tmp_path / "artifact"
    printed = run(train, "--data.name", "tfds", "--data.dir", own, *TINY, "--epochs", 1, "--out", out)
    assert "10 classes, 28×28×1 uint8, 60 train and 20 test examples" in printed
    assert "mnist-3.0.1, step 7: test accuracy" in run(evaluate, out)
    run(deploy_command, out, artifact)
    Image.new("L", (28, 28)).save(tmp_path / "black.png")
    assert "black.png" in run(infer, artifact, tmp_path / "black.png")


@pytest.mark.slow
def test_three_hundred_pictures_and_frames_by_commands_alone(command, tmp_path):
    folder, file = tmp_path / "pictures", tmp_path / "frames.npz"
    write_folder(folder, 100)
    inputs, labels = frames(120, num_steps=4)
    np.savez(file, inputs=inputs, labels=labels)
    widths = ("--model.widths", "8", "--optimizer.warmup-epochs", "0", "--batch-size", "16", "--epochs", "2")
    for name, own, asked in (("folder", folder, folder / "bars"), ("npz", file, file)):
        out, artifact = tmp_path / f"run-{name}", tmp_path / f"artifact-{name}"
        for words in (
            ("train", "--data.name", name, "--data.dir", own, *widths, "--out", out),
            ("evaluate", out),
            ("deploy", out, artifact),
            ("infer", artifact, asked),
        ):
            status, output, errors = command.run(*words)
            assert status == 0, errors
        assert read_json(out / "summary.json")["test_accuracy"] > 0.7
        assert len(output.splitlines()) == 1 + (100 if name == "folder" else 120)
