"""Every system's preset of the digits, on a narrow network: it trains, and goes on bit for bit after an epoch."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest

from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.support import run as running
from hdlif_jax.commands.support.run_directory import RunDirectory
from hdlif_jax.commands.support.runs import load_run
from tests.commands.conftest import read_json
from tests.commands.survival import log

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def promotion():
    """As in the command: optax mixes types."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def narrow(config):
    """Two epochs of a few batches; steps that taught are as many as before."""
    model = dataclasses.replace(config.model, widths=(3, 4))
    first = dataclasses.replace(config.first, epochs=1) if config.first.preset else config.first
    return dataclasses.replace(config, epochs=2, batch_size=512, model=model, first=first)


@pytest.mark.parametrize("recipe", ["own", "common"])
@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("digits-")])
def test_a_system_trains_and_goes_on(name, recipe, tmp_path):
    directory, config = RunDirectory(tmp_path / "run"), narrow(PRESETS[name].recipe(recipe))
    running.run(directory, config, resumed=False)
    whole, records = load_run(directory.path), log(directory.path)
    assert len(read_json(directory.path / "summary.json")["accuracy_per_step"]) == config.model.num_steps
    last = directory.checkpoints / str(whole.step)
    shutil.rmtree(last)  # as if killed in the second epoch
    (directory.path / "summary.json").unlink()
    running.run(directory, directory.config(), resumed=True)
    jax.tree.map(np.testing.assert_array_equal, load_run(directory.path).variables, whole.variables)
    assert log(directory.path) == records
    assert last.exists()
