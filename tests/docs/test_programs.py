"""The Python on every page of the documentation runs as it stands, one block after the other."""

import shutil
import warnings

import jax
import numpy as np
import pytest
from PIL import Image

import hdlif_jax as hd
from hdlif_jax.commands import train
from hdlif_jax.deploy import register, rules
from tests.docs.blocks import PAGES, programs

LONG = ("gallery", "getting_started", "howto/own_neuron", "howto/separability", "howto/many_devices")  # tens of seconds
WITH_PROGRAMS = [pytest.param(page, marks=pytest.mark.slow if page in LONG else ()) for page in PAGES if programs(page)]


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    """What `python -m experiments.train --out runs/digits` leaves, of a smaller network."""
    folder = tmp_path_factory.mktemp("run") / "digits"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["train", "--epochs", "1", "--model.widths", "4", "--out", str(folder)])
        train.main()
    return folder


def make_pictures(folder):
    generator = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (folder / name).mkdir(parents=True)
        for number in range(24):
            pixels = generator.integers(0, 256, (20, 20, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


@pytest.mark.parametrize("page", WITH_PROGRAMS)
def test_programs(page, tmp_path, monkeypatch, request):
    text = "\n".join(programs(page))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(register, "RULES", dict(register.RULES))
    assert rules.layers  # which are registered as they are imported
    if '"pictures"' in text:
        make_pictures(tmp_path / "pictures")
    if "runs/digits" in text:
        shutil.copytree(request.getfixturevalue("digits_run"), tmp_path / "runs" / "digits")
    names = {}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"), warnings.catch_warnings():
        warnings.simplefilter("error", hd.training.UnreachedParameters)
        exec(compile(text, page, "exec"), names)
    if page in CHECKS:
        CHECKS[page](names)


def first_steps(names):
    assert all(len([line for line in text.splitlines() if line.strip()]) <= 10 for text in programs("first_steps"))
    assert names["state"].step == 2 * names["plan"].steps_per_epoch
    assert len(names["history"]) == 2
    assert names["learner"].step == 1
    assert {"current", "membrane", "spikes", "rate"} == set(names["seen"]["blocks.0.neuron1"])
    expected = np.asarray(names["logits"]).sum(0).argmax(-1)
    assert np.mean(np.asarray(names["predictions"]) == expected) >= 0.95  # all but what rounds at a level's edge


def getting_started(names):
    (text,) = programs("getting_started")
    assert len([line for line in text.splitlines() if line.strip() and not line.startswith(("import", "from"))]) <= 10
    assert names["logits"].shape == (4, 359, 10)
    assert np.mean(np.asarray(names["logits"]).sum(0).argmax(-1) == names["digits"].test.labels) > 0.8


def own_neuron(names):
    assert names["membranes"].shape == names["adaptation"].shape == (4, 64, 8, 8, 8)
    assert np.max(names["adaptation"]) > 0
    assert 0 < names["cosine"] <= 1
    assert names["network"].manifest.num_steps == 4
    assert float((names["predictions"] == names["digits"].test.labels).mean()) > 0.8


def own_network(names):
    assert names["logits"].shape == (4, 32, 3)
    assert [row.path for row in names["costs"].neurons] == ["fast", "slow"]
    assert len(names["folded"].graph.neurons) == 2
    assert names["longer"].num_steps == 8


def own_loss_and_rule(names):
    assert np.any(names["gradient"].grads["blocks"][0]["norm1"]["gain"] != 0)
    assert names["gradient"].learned.tolist() == [False, False, False, True]
    assert np.isfinite(names["metrics"].loss)


def own_data(names):
    assert names["recordings"].train.shape == (9, 4, 34, 34, 2)
    assert (names["plan"].train.shape, names["floats"].train.dtype) == ((9, 8, 8, 3), np.float32)
    frames, _ = names["preprocess"](jax.random.key(0), np.zeros((4, 6, 6, 1), np.uint8), np.arange(4))
    assert frames.shape == (4, 4, 6, 6, 1)


def own_optimizer(names):
    assert names["metrics"].accuracy > 1 / 3
    before, after = names["trained"], hd.nn.variables_of(names["trained"])
    assert before.num_steps == 4
    assert np.all(np.isfinite(jax.tree.leaves(after.params)[0]))


def weights_from_torch(names):
    """There and back again nothing changes but the names."""
    matched = {match.source: match.layer for match in names["imported"].report.matched}
    assert matched == {"conv1": "layers.0", "fc1": "layers.4"}
    for theirs, ours in (("conv1.weight", "0.weight"), ("fc1.weight", "4.weight"), ("fc1.bias", "4.bias")):
        np.testing.assert_array_equal(names["state"][ours], np.float32(names["theirs"][theirs]))


def resume(names):
    assert names["damaged"] == []
    assert names["state"].step == 2 * names["plan"].steps_per_epoch
    jax.tree.map(np.testing.assert_array_equal, names["again"], names["state"].variables)


def many_devices(names):
    assert names["mesh"].size == 4  # the tests have four
    assert names["state"].step == names["plan"].steps_per_epoch


def deploy(names):
    whole = np.asarray(names["network"](names["images"]))
    np.testing.assert_allclose(names["step_logits"], whole[-1], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(names["predictions"], whole[: names["steps"][0]].sum(0).argmax(-1))


def cost_table(names):
    assert {row.reads for row in names["costs"].synapses} == {"spikes", "currents"}


def separability(names):
    cosines = {name: row.network.accumulate.cosine for name, row in names["found"].items()}
    assert cosines["HD-LIF"] > cosines["LIF"]
    assert len(hd.analysis.separability.distinct_values(names["found_of_neurons"].weights)) < 20


def online_and_stbp(names):
    assert names["gradient"].learned.all()  # the last is STBP's


def nir(names):
    assert names["again"].to_dict()["nodes"].keys() == names["graph"].to_dict()["nodes"].keys()
    assert names["logits"].shape == (10, 5, 3)
    assert np.std(names["logits"]) > 0
    assert "λ = 0.95, θ = 1, hard reset" in str(names["report"])


def gallery(names):
    assert names["right"]["HD-LIF"][-1] > 0.8
    cosines = names["cosines"]
    assert cosines["HD-LIF"]["stem"] > cosines["LIF"]["stem"]
    assert len(names["seen_at"]) == 11
    assert min(names["coherence"]["network"]) > 0.9
    assert names["figure"].axes


def coming_from(names):
    assert names["logits"].shape == (4, 96, 3)
    assert names["accuracy"] > 0.8


CHECKS = {
    "coming_from/snntorch": coming_from,
    "coming_from/spikingjelly": coming_from,
    "coming_from/spyx": coming_from,
    "first_steps": first_steps,
    "gallery": gallery,
    "getting_started": getting_started,
    "concepts/online_and_stbp": online_and_stbp,
    "howto/own_neuron": own_neuron,
    "howto/own_network": own_network,
    "howto/own_loss_and_rule": own_loss_and_rule,
    "howto/own_data": own_data,
    "howto/own_optimizer": own_optimizer,
    "howto/weights_from_torch": weights_from_torch,
    "howto/resume": resume,
    "howto/many_devices": many_devices,
    "howto/deploy": deploy,
    "howto/nir": nir,
    "howto/cost_table": cost_table,
    "howto/separability": separability,
}
