import dataclasses
import json
import sys

import jax
import numpy as np
import pytest

from hdlif_jax import data
from hdlif_jax.commands import separability
from hdlif_jax.commands.config import ModelConfig, OptimizerConfig
from hdlif_jax.commands.presets import PRESETS, Preset
from hdlif_jax.commands.support.other_data import OtherData
from hdlif_jax.commands.support.separability_plots import estimator_variance
from hdlif_jax.training import Trainer
from tests.data.own.make import write_folder

FIGURES = {"epsilon.png", "epsilon_distribution.png", "cosine_per_layer.png", "estimator_variance.png"}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    config = dataclasses.replace(
        PRESETS["digits"].config,
        preset="tiny",
        batch_size=16,
        model=ModelConfig(widths=(4,), num_steps=2),
        optimizer=OptimizerConfig(learning_rate=0.1, warmup_epochs=0),
    )
    monkeypatch.setitem(PRESETS, "tiny", Preset("A tiny network.", config))
    with jax.numpy_dtype_promotion("standard"):  # optax' schedules mix types
        yield


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["separability", *map(str, arguments)])
    separability.main()


@pytest.mark.slow
def test_results_reproduce_and_models_are_loaded(tmp_path, monkeypatch, capsys):
    options = ("--preset", "tiny", "--seeds", "0", "--updates", "3")
    call(monkeypatch, *options, "--models", "lif", "mem-bn", "--out", tmp_path / "first")
    results = json.loads((tmp_path / "first" / "separability.json").read_text())
    assert set(results["models"]) == {"lif", "mem-bn"}
    for figures in results["models"].values():
        assert {"cosine_per_layer", "separability_index", "distinct_epsilon_values"} < figures.keys()
        assert -1 <= figures["first_layer_cosine_init"] <= 1
        assert figures["first_layer_cosine_trained"] != figures["first_layer_cosine_init"]
        assert list(figures["cosine_per_layer"]["init"]) == ["stem", "blocks.0.conv1", "blocks.0.conv2", "head"]
        for stage in ("init", "trained"):
            agreement, membrane = figures["agreement"][stage], figures["membrane_agreement"][stage]
            assert {"stem", "blocks.0.neuron1", "head"} <= agreement["layers"].keys()
            assert {"stem.kernel", "head.bias"} <= agreement["parameters"].keys()
            measures = {"cosine", "relative_error", "sign_agreement", "norm_ratio"}
            for place in (agreement["network"], agreement["layers"]["stem"], agreement["parameters"]["head.bias"]):
                assert {rule: part.keys() for rule, part in place.items()} == dict.fromkeys(
                    ("accumulate", "random_step"), measures
                )
            assert all(len(membrane["blocks.0.neuron1"][measure]) == 2 for measure in measures)
    assert results["models"]["mem-bn"]["theorem_worst_deviation"] < 1e-5
    assert results["models"]["lif"]["theorem_worst_deviation"] > 0.1
    assert {path.name for path in (tmp_path / "first").glob("*.png")} == FIGURES
    printed = capsys.readouterr().out
    assert printed.startswith("2 trainings of 3 updates on digits, and comparisons.\n20 trainings of 300 updates")
    assert "lif: done after" in printed
    assert "±" not in printed  # of one seed
    assert f"{results['models']['lif']['first_layer_cosine_init']:.4f}" in printed
    assert max(map(len, printed.split("results in")[0].splitlines())) <= 80

    call(monkeypatch, *options, "--models", "lif", "--out", tmp_path / "second")
    again = json.loads((tmp_path / "second" / "separability.json").read_text())
    assert_near(again["models"]["lif"], results["models"]["lif"])

    def no_training(self, step):
        raise AssertionError("the models should have been loaded")

    monkeypatch.setattr(Trainer, "batch", no_training)
    call(monkeypatch, *options, "--models", "lif", "--out", tmp_path / "first")
    loaded = json.loads((tmp_path / "first" / "separability.json").read_text())
    assert_near(loaded["models"]["lif"], results["models"]["lif"])


def figures_of(seeds):
    """What a study says of a model, for the table."""
    estimator = {"trained": {"network": {"variance": 2.0, "bias_stbp": 0.5}}}
    return {
        "first_layer_cosine_init": 0.9, "first_layer_cosine_init_std": 0.01,
        "first_layer_cosine_init_per_seed": [0.9] * seeds,
        "first_layer_cosine_trained": 0.8, "first_layer_cosine_trained_std": 0.02,
        "network_cosine": {"trained": 0.7}, "separability_index": 0.6, "distinct_epsilon_values": 5,
        "theorem_worst_deviation": None, "estimator": estimator,
    }  # fmt: skip


def test_one_name_is_one_quantity_in_table_and_figure():
    text = separability.table({"hd-lif": figures_of(2), "adaptive-lif": figures_of(2)})
    assert text.splitlines()[1].split()[-2:] == ["var.", "bias²"]
    assert text.splitlines()[3].split()[-2:] == ["2.000", "0.250"]  # the squared 0.5
    places = {place: {"variance": 2.0, "bias_stbp": 0.5} for place in ("network", "head")}
    figure = estimator_variance({"hd-lif": {"estimator": {"trained": places}}})
    variance, bias = figure.axes
    assert variance.get_title().startswith("Variance")
    assert bias.get_title().startswith("Bias²")
    assert [bar.get_height() for bar in bias.patches] == [0.25, 0.25]


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_spread_is_that_of_several_seeds(seeds):
    text = separability.table({"hd-lif": figures_of(seeds)})
    assert ("0.9000±0.0100" in text) == ("±" in text) == (seeds > 1)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.slow
def test_own_data_in_place_of_the_preset_s(tmp_path, monkeypatch, capsys):
    write_folder(tmp_path / "own", 12)
    words = ("--preset", "tiny", "--models", "hd-lif", "--seeds", "0", "--updates", "2", "--out", tmp_path / "out")
    own = ("--data.name", "folder", "--data.dir", tmp_path / "own", "--data.image-size", 8)
    call(monkeypatch, *words, *own)
    assert set(json.loads((tmp_path / "out" / "separability.json").read_text())["models"]) == {"hd-lif"}
    kept = json.loads(next((tmp_path / "out" / "models").rglob("config.json")).read_text())["dataset"]
    assert (kept["example_shape"], kept["num_train"]) == ([8, 8, 1], 30)
    with pytest.raises(SystemExit):
        call(monkeypatch, *words)
    assert "holds a comparison of" in capsys.readouterr().err


def test_own_data_without_its_place_is_refused():
    for options, message in (
        ({"name": "npz"}, "data.name='npz' is of own data; say where it is: data.dir"),
        ({"name": "zip", "dir": "x"}, "name='zip' is unknown; choose one of folder, npz, tfds"),
        ({"image_size": 0}, "image_size=0 must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            OtherData(**options)
    config = PRESETS["digits"].config
    assert OtherData().in_place_of(config) == config
    assert OtherData(dir="elsewhere").in_place_of(config).data == dataclasses.replace(config.data, dir="elsewhere")


@pytest.mark.slow
def test_vgg_on_events(tmp_path, monkeypatch):
    frames = np.random.default_rng(0).integers(0, 256, (48, 2, 16, 16, 2), np.uint8)
    split = data.Split(frames, np.arange(48, dtype=np.int32) % 3)
    events = data.Dataset("events", ("a", "b", "c"), split, split, (0.5, 0.5), (0.3, 0.3))
    monkeypatch.setattr(separability, "load_dataset", lambda config: events)
    model = ModelConfig(architecture="vgg-snn", width=2, num_steps=2, neuron="mem-bn")
    monkeypatch.setitem(
        PRESETS, "events", Preset("A VGG.", dataclasses.replace(PRESETS["tiny"].config, preset="events", model=model))
    )
    options = ("--preset", "events", "--models", "parallel", "mem-bn", "--seeds", "0", "--updates", "2")
    call(monkeypatch, *options, "--out", tmp_path / "out")
    models = json.loads((tmp_path / "out" / "separability.json").read_text())["models"]
    layers = [*(f"units.{index}.conv" for index in range(8)), "head"]
    for figures in models.values():
        assert list(figures["cosine_per_layer"]["init"]) == layers
        assert figures["theorem_worst_deviation"] < 1e-5
    # A VGG has one neuron a unit: all of them are parallel, and nothing goes through time.
    assert models["parallel"]["first_layer_cosine_init"] > 1 - 1e-6 > models["mem-bn"]["first_layer_cosine_init"]


@pytest.mark.slow
def test_hd_lif_is_coherent_where_lif_is_not(tmp_path, monkeypatch, command):
    monkeypatch.setenv("XLA_FLAGS", "")  # optimised, as for a user, and faster
    status, _, errors = command.run(
        "separability", "--models", "lif", "hd-lif", "--seeds", "0", "1", "--out", tmp_path / "out"
    )
    assert status == 0, errors
    models = json.loads((tmp_path / "out" / "separability.json").read_text())["models"]
    for stage in ("init", "trained"):
        lif, hd_lif = (models[name][f"first_layer_cosine_{stage}_per_seed"] for name in ("lif", "hd-lif"))
        assert min(hd_lif) >= 0.98
        assert max(lif) < min(hd_lif)
    # Not asserted after training, where single seeds of LIF lie on both sides of 0.96 and rounding decides which: with
    # the compiler's optimisations off the mean of these two is 0.97 instead of 0.95.
    assert models["lif"]["first_layer_cosine_init"] <= 0.96
    assert models["hd-lif"]["separability_index"] < models["lif"]["separability_index"]
    assert models["hd-lif"]["distinct_epsilon_values"] == 5  # 0, 1 and the first three powers of λ = 0.5


def assert_near(actual, expected):
    if isinstance(expected, dict):
        assert actual.keys() == expected.keys()
        for name, value in expected.items():
            assert_near(actual[name], value)
    elif isinstance(expected, list):
        for one, other in zip(actual, expected, strict=True):
            assert_near(one, other)
    else:
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "digit"}, "unknown preset 'digit'; did you mean digits.*lists the presets"),
        ({"models": ("lif", "lif")}, "--models lif lif must name at least one, each once"),
        ({"seeds": ()}, "--seeds .*at least one"),
        ({"updates": 0}, "--updates 0 must be at least 1"),
        ({"seeds": (0, -1)}, "--seeds 0 -1 must not be negative"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        separability.Arguments(**options)


@pytest.mark.parametrize("options", [("--models", "elif"), ("--preset", "digit")])
def test_bad_options_are_one_line(options, tmp_path, command):
    status, output, errors = command.run("separability", *options, "--out", tmp_path / "out")
    assert status == 2
    assert output == ""
    assert options[1] in errors
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_divergence_is_said(tmp_path, monkeypatch, capsys):
    tiny = PRESETS["tiny"].config
    wild = dataclasses.replace(tiny, optimizer=OptimizerConfig(learning_rate=1e30, warmup_epochs=0))
    monkeypatch.setitem(PRESETS, "wild", Preset("Too fast.", wild))
    with pytest.raises(SystemExit, match="3"):
        call(monkeypatch, "--preset", "wild", "--models", "lif", "--updates", "9", "--out", tmp_path / "out")
    assert "seed-0 is nan after 9 updates" in capsys.readouterr().err


def test_foreign_directories_are_left_alone(tmp_path, monkeypatch, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SystemExit):
        call(monkeypatch, "--preset", "tiny", "--out", tmp_path)
    assert "is not empty and holds no comparison" in capsys.readouterr().err
    (tmp_path / "notes.txt").unlink()
    (tmp_path / "study.json").write_text(json.dumps({"preset": "tiny", "updates": 7}))
    with pytest.raises(SystemExit):
        call(monkeypatch, "--preset", "tiny", "--out", tmp_path)
    assert "choose another --out" in capsys.readouterr().err
