"""Artifacts of networks that were trained on floats in a unit of their own."""

import json

import numpy as np
import pytest

from hdlif_jax.data import Split
from hdlif_jax.deploy import deploy, load
from hdlif_jax.deploy.verify import verify
from tests.deploy.networks import NUM_CLASSES, conv_net, unfolded_logits

MEAN, STD = (-40.0, 300.0), (3.0, 0.02)
NAMES = tuple(f"class {index}" for index in range(NUM_CLASSES))
INPUTS = (np.random.default_rng(0).standard_normal((9, 8, 8, 2)) * STD + MEAN).astype(np.float32)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("floats") / "artifact"
    options = {"mean": MEAN, "std": STD, "input_kind": "image", "class_names": NAMES, "input_type": "float32"}
    deploy(conv_net(), None, folder, **options)
    return folder


def test_floats_go_in_as_they_are(directory):
    network = load(directory)
    assert "image float32 (8, 8, 2)" in repr(network)
    expected = unfolded_logits(conv_net(), ((INPUTS - MEAN) / STD).astype(np.float32))
    close = {"atol": 2e-3 * np.abs(expected).max(), "rtol": 0}  # (x − 300)/0.02 in float32 loses three digits
    np.testing.assert_allclose(network(INPUTS), expected, **close)
    state, logits = network.init_state(9), []
    for _ in range(network.manifest.num_steps):
        state, step_logits = network.step(state, INPUTS)
        logits.append(step_logits)
    np.testing.assert_allclose(logits, expected, **close)


def test_an_artifact_of_floats_is_proved(directory):
    found = verify(conv_net(), directory, Split(INPUTS, np.arange(9) % NUM_CLASSES), mean=MEAN, std=STD)
    assert all(comparison.other_predictions == 0 for comparison in found.comparisons.values())


def test_levels_are_refused(directory):
    network = load(directory)
    for wrong in (INPUTS.astype(np.uint8), INPUTS.astype(np.float64)):
        with pytest.raises(ValueError, match=r"expected float32 \[B, 8, 8, 2\], in the unit of the training data"):
            network(wrong)
        with pytest.raises(ValueError, match="expected float32"):
            network.step(network.init_state(9), wrong)


def test_the_manifest_says_it_of_floats_alone(directory, tmp_path):
    """So that an artifact of levels is what it was, byte for byte, and earlier readers read it."""
    assert json.loads((directory / "manifest.json").read_text())["input_type"] == "float32"
    deploy(conv_net(), None, tmp_path / "levels", mean=(0.4, 0.4), std=STD, input_kind="image", class_names=NAMES)
    assert "input_type" not in json.loads((tmp_path / "levels" / "manifest.json").read_text())
    assert load(tmp_path / "levels").manifest.input_type == "uint8"
