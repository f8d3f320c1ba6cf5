"""The README's examples run and its commands exist."""

import pathlib
import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import hdlif_jax as hd
from hdlif_jax.deploy import load, write
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
    assert names["learner"].step == 5
    assert np.isfinite(names["metrics"].loss)
    assert names["full"].learned.all()


def test_write_your_own(monkeypatch):
    """The programs of CONTRIBUTING.md, one after the other as one reads them."""
    page = (pathlib.Path(__file__).parent.parent / "CONTRIBUTING.md").read_text()
    monkeypatch.setattr(hd.deploy.register, "RULES", dict(hd.deploy.register.RULES))
    names = run("\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)))
    assert names["metrics"].accuracy > 1 / 3
    assert 0 < names["cosine"] <= 1
    assert [row.operations for row in names["folded"].graph.neurons] == [5]
    model = names["TwoBranches"](nnx.Rngs(0))
    logits = hd.rollout.rollout(hd.nn.inference_form(model), hd.nn.variables_of(model), names["inputs"])
    assert logits.shape == (4, 32, 3)
    custom = hd.nn.conv_net((6, 6, 2), 3, widths=(4,), spec=names["custom"], rngs=nnx.Rngs(0))
    images = jax.random.normal(jax.random.key(0), (4, 6, 6, 2))
    network, batch = hd.nn.training_form(custom), hd.learning.Batch(images, jnp.arange(4) % 3)
    found = hd.learning.accumulate().gradient(network, names["hinge"], hd.nn.variables_of(custom), batch)
    assert np.any(found.grads["blocks"][0]["norm1"]["gain"] != 0)
    frames, _ = names["preprocess"](jax.random.key(0), np.zeros((4, 6, 6, 1), np.uint8), np.arange(4))
    assert frames.shape == (4, 4, 6, 6, 1)
    assert names["resnet"].num_steps == 4
    assert names["recordings"].train.shape == (9, 4, 34, 34, 2)
    assert (names["plan"].train.shape, names["floats"].train.dtype) == ((9, 8, 8, 3), np.float32)


def test_a_deployed_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(pathlib.Path("digits-artifact"), small_artifact())
    names = run(DEPLOYED)
    whole = np.asarray(load("digits-artifact")(names["images"]))
    np.testing.assert_allclose(names["step_logits"], whole[-1], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(names["predictions"], whole[: names["steps"][0]].sum(0).argmax(-1))


def test_every_path_that_it_names_exists():
    root = pathlib.Path(__file__).parent.parent
    for target in re.findall(r"\]\(((?!https?:)[^)]+)\)", README):
        assert (root / target.partition("#")[0]).exists(), target
    for module in re.findall(r"python -m ([\w.]+)", README):
        if module.startswith("experiments"):
            path = root / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
