"""From a run directory to its network, also of a run that an earlier version made.

`earlier_run/` is a run of version 0.1.0 before cells, norms and losses became values: `train --epochs 5 --batch-size 32
--optimizer.warmup-epochs 0.5 --model.widths 8 8 --keep-checkpoints 1`; `earlier_run.npz` has the variables that that
version read from it.
"""

import pathlib
import shutil
import subprocess

import jax
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import data, nn, training
from hdlif_jax.commands.config import DataConfig, ModelConfig, TrainConfig
from hdlif_jax.commands.evaluate import evaluate
from hdlif_jax.commands.make import make_trainer
from hdlif_jax.commands.support import run_directory
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.run_directory import RunDirectory
from hdlif_jax.commands.support.runs import load_dataset, load_run
from hdlif_jax.training import Checkpoints
from tests.commands.conftest import read_json

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def earlier_run(tmp_path):
    return shutil.copytree(HERE / "earlier_run", tmp_path / "run")


def test_a_run_keeps_the_commit_of_a_checkout_and_of_nothing_around_an_installation(monkeypatch, tmp_path):
    repository, installed = tmp_path / "own", tmp_path / "own" / "venv" / "site-packages"
    installed.mkdir(parents=True)
    git = ["git", "-C", repository, "-c", "user.name=a", "-c", "user.email=a"]
    subprocess.run([*git[:3], "init", "-q"], check=True)
    commits = []
    for root in (repository, installed):  # the first has no commit yet
        monkeypatch.setattr(run_directory, "ROOT", root)
        commits.append(run_directory._git_commit())
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    monkeypatch.setattr(run_directory, "ROOT", repository)
    commits.append(run_directory._git_commit())
    monkeypatch.setenv("PATH", str(tmp_path))  # without git, as in a small container
    commits.append(run_directory._git_commit())
    assert commits[:2] == [None, None]
    assert len(commits[2]) == 40
    assert commits[3] is None


def by_path(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def test_an_earlier_version_s_run_has_the_same_variables_and_accuracies(earlier_run):
    run = load_run(earlier_run)
    assert run.step == 200
    found = by_path(run.variables)
    with np.load(HERE / "earlier_run.npz") as expected:
        assert found.keys() == set(expected.files)
        for name, leaf in found.items():
            np.testing.assert_array_equal(leaf, expected[name], err_msg=name)
    # To three of the 359 images: another compiler may round a current to the other side of a level.
    expected = read_json(earlier_run / "summary.json")["accuracy_per_step"]
    np.testing.assert_allclose(evaluate(earlier_run)["accuracy_per_step"], expected, atol=3 / 359)


def test_a_run_on_a_part_of_the_classes_is_loaded(tmp_path, monkeypatch):
    """Such as ImageNet-100: prepared with --partial, its number of classes is not the catalogue's."""
    images = np.zeros((8, 64, 64, 3), np.uint8)
    part = data.Dataset.from_arrays(images, np.arange(8) % 2, name="tiny-imagenet", test_fraction=0.25)
    config = TrainConfig(
        data=DataConfig(name="tiny-imagenet"), model=ModelConfig(widths=(4,), num_steps=1), epochs=1, batch_size=4
    )
    trainer = make_trainer(config, part)
    directory = RunDirectory(tmp_path / "run")
    directory.create(config, part)
    checkpoints = Checkpoints(directory.checkpoints)
    checkpoints.save(trainer.initial_state)
    checkpoints.close()
    assert load_run(directory.path).model.num_classes == 2
    whole = data.Dataset.from_arrays(images, np.arange(8) % 4, name="tiny-imagenet", test_fraction=0.5)
    monkeypatch.setattr("hdlif_jax.commands.evaluate.load_dataset", lambda config, info: whole)
    with pytest.raises(ValueError, match="tiny-imagenet has 4 classes and the network 2 outputs"):
        evaluate(directory.path)


def test_an_earlier_version_s_configuration_means_what_it_did(earlier_run):
    config = load_run(earlier_run).config
    assert (config.epochs, config.batch_size, config.model) == (5, 32, ModelConfig(widths=(8, 8)))
    assert config.learning == TrainConfig().learning
    assert config.data.encoding == "direct"


def test_an_earlier_version_s_run_can_go_on(earlier_run):
    """The checkpoint has what the optimiser of the same configuration remembers."""
    config = load_run(earlier_run).config
    trainer = make_trainer(config, load_dataset(config))
    checkpoints = Checkpoints(earlier_run / "checkpoints")
    state = checkpoints.load(trainer.initial_state)
    checkpoints.close()
    assert int(state.step) == 200 == trainer.plan.total_steps
    momentum = by_path(state.opt_state)
    assert any(np.any(leaf != 0) for name, leaf in momentum.items() if name.endswith("stem.kernel"))


def test_a_run_is_loaded_without_its_dataset(earlier_run, monkeypatch):
    monkeypatch.setattr("hdlif_jax.data.open_dataset", None)
    run = load_run(earlier_run, data_dir="elsewhere")
    assert run.config.data.dir == "elsewhere"
    assert (run.model.input_shape, run.model.num_classes) == ((8, 8, 1), 10)
    jax.tree.map(np.testing.assert_array_equal, nn.variables_of(run.model), run.variables)


def test_a_run_is_loaded_without_drawing_kernels(earlier_run, monkeypatch):
    """The checkpoint has them; drawing compiles for seconds. What is only traced draws nothing."""
    keys = []
    draw = nn.inits.he_normal.__call__
    monkeypatch.setattr(
        nn.inits.he_normal, "__call__", lambda self, key, *rest: keys.append(key) or draw(self, key, *rest)
    )
    run = load_run(earlier_run)
    assert keys
    assert all(isinstance(key, jax.core.Tracer) for key in keys)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(nnx.state(run.model)))


def test_the_library_hands_it_on(earlier_run):
    assert training.load_run(earlier_run, step=200).step == 200


def test_what_is_no_run_or_no_checkpoint_is_refused(earlier_run, tmp_path):
    with pytest.raises(CommandError, match="is not a run directory: it has no config"):
        load_run(tmp_path)
    with pytest.raises(ValueError, match=r"the run has checkpoints of steps \[200\]"):
        load_run(earlier_run, step=7)
    with pytest.raises(ValueError, match="step='newest' is unknown; choose 'last', 'best' or the number of a step"):
        load_run(earlier_run, step="newest")
