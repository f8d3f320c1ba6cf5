"""Artifacts that earlier releases wrote."""

import pathlib

import numpy as np
import pytest

from hdlif_jax.deploy import load, read, write
from tests.deploy.networks import small_artifact

FIXTURES = pathlib.Path(__file__).parent / "fixtures"


@pytest.mark.parametrize("arithmetic", ["integer", "float"])
def test_an_artifact_of_the_first_release_gives_the_logits_that_it_gave_then(arithmetic):
    with np.load(FIXTURES / "artifact-v1-logits.npz") as arrays:
        recorded = dict(arrays)
    network = load(FIXTURES / "artifact-v1", arithmetic)
    np.testing.assert_allclose(network(recorded["inputs"]), recorded["logits"], rtol=1e-5, atol=1e-5)
    state = network.init_state(4)
    for logits in recorded["logits"]:
        state, streamed = network.step(state, recorded["inputs"])
        np.testing.assert_allclose(streamed, logits, rtol=1e-5, atol=1e-5)


def test_the_file_format_has_not_changed(tmp_path):
    old = read(FIXTURES / "artifact-v1").manifest
    new = write(tmp_path / "artifact", small_artifact()).manifest
    assert new.files.keys() == old.files.keys()
    for name, spec in new.files.items():  # programs are those of another version of JAX and of XLA's forms
        assert spec.bytes <= (1 if name.endswith(".safetensors") else 1.3) * old.files[name].bytes, name
    assert (new.state, new.arrays, new.integer_layers) == (old.state, old.arrays, old.integer_layers)
