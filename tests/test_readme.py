"""The README's examples run and its commands exist."""

import pathlib
import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from PIL import Image

import hdlif_jax as hd
from hdlif_jax.commands import train
from hdlif_jax.commands.studies import read_study
from hdlif_jax.deploy import load, write
from tests.deploy.networks import small_artifact

FIRST_STEPS = (pathlib.Path(__file__).parent.parent / "FIRST_STEPS.md").read_text()
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
    assert names["membranes"].shape == names["adaptation"].shape == (4, 32, 32)
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


def test_first_steps(tmp_path, monkeypatch):
    """The programs of FIRST_STEPS.md, one after the other, on pictures and a run that are made here."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(24):
            pixels = generator.integers(0, 256, (20, 20, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    monkeypatch.setattr("sys.argv", ["train", "--epochs", "1", "--model.widths", "4", "--out", "runs/digits"])
    train.main()
    programs = re.findall(r"```python\n(.*?)```", FIRST_STEPS, re.DOTALL)
    assert all(len([line for line in program.splitlines() if line.strip()]) <= 10 for program in programs)
    with jax.numpy_dtype_promotion("standard"):  # optax' Adam mixes its counter with floats
        names = run("\n".join(programs))
    assert names["state"].step == 2 * names["plan"].steps_per_epoch
    assert len(names["history"]) == 2
    assert names["learner"].step == 1
    assert {"current", "membrane", "spikes", "rate"} == set(names["seen"]["blocks.0.neuron1"])
    expected = np.asarray(names["logits"]).sum(0).argmax(-1)
    assert np.mean(np.asarray(names["predictions"]) == expected) >= 0.95  # all but what rounds at a level's edge


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


def test_the_study_of_the_readme_is_one(tmp_path):
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "mine.yaml").write_text(text)
    study = read_study(tmp_path / "mine.yaml")
    configs = [study.config(variant, "short", 0) for variant in study.variants]
    assert [(config.model.spike_bits, config.epochs) for config in configs] == [(None, 5), (4, 5)]
