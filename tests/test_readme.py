"""The README's examples run and its commands exist."""

import pathlib
import re
import warnings

import numpy as np

from hdlif_jax.deploy import artifact, load
from tests.deploy.networks import small_artifact

README = (pathlib.Path(__file__).parent.parent / "README.md").read_text()
DEPLOYED, LIBRARY = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(example):
    names = {}
    with warnings.catch_warnings():
        exec(compile(example, "README.md", "exec"), names)
    return names


def test_the_library_in_fifteen_lines():
    assert len([line for line in LIBRARY.splitlines() if line.strip()]) <= 15
    names = run(LIBRARY)
    assert names["logits"].shape == (4, 32, 10)
    assert names["online"].learned.sum() == 1
    assert names["full"].learned.all()


def test_a_deployed_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    artifact.write(pathlib.Path("digits-artifact"), small_artifact())
    names = run(DEPLOYED)
    whole = np.asarray(load("digits-artifact")(names["images"]))
    np.testing.assert_allclose(names["step_logits"], whole[-1], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(names["predictions"], whole[: names["steps"][0]].sum(0).argmax(-1))


def test_every_path_that_it_names_exists():
    root = pathlib.Path(__file__).parent.parent
    for target in re.findall(r"\]\(((?!https?:)[^)]+)\)", README):
        assert (root / target).exists(), target
    for module in re.findall(r"python -m ([\w.]+)", README):
        if module.startswith("experiments"):
            assert (root / (module.replace(".", "/") + ".py")).exists(), module
