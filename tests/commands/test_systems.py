"""Systems by name: trained, compared with STBP of their own network, and shown."""

import dataclasses
import json
import sys

import pytest

from hdlif_jax.commands import separability
from hdlif_jax.commands.config import LearningConfig, ModelConfig, OptimizerConfig
from hdlif_jax.commands.presets import PRESETS, Preset
from hdlif_jax.commands.support import planned
from hdlif_jax.commands.support.separability_plots import systems_figure
from hdlif_jax.commands.support.system_tables import short, systems_markdown, systems_table
from hdlif_jax.commands.support.systems import by_cosine, short_names, spread

TINY = dataclasses.replace(
    PRESETS["digits"].config,
    epochs=1,
    batch_size=256,
    model=ModelConfig(widths=(4,), num_steps=2, neuron="lif", weights="float"),
    optimizer=OptimizerConfig(learning_rate=0.1, warmup_epochs=0),
)


def system(rule, **learning):
    learning = LearningConfig(rule=rule, **learning)
    return Preset(rule, dataclasses.replace(TINY, preset=f"tiny-{rule}", learning=learning))


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny-stbp", system("stbp", loss="tet"))
    monkeypatch.setitem(PRESETS, "tiny-accumulate", system("accumulate"))


def measures(cosine, seeds=1):
    values = {"cosine": cosine, "bias": 0.5, "variance": 1234.5, "norm_ratio": 0.9, "draw_cosine": 0.6}
    return {name: spread([value] * seeds) for name, value in values.items()}


def figures(cosine, seeds=1, layers=("units.0.conv", "units.1.conv", "head")):
    return {
        "accuracy": spread([0.97] * seeds),
        "same_loss": True,
        "network": {stage: measures(cosine, seeds) for stage in ("init", "trained")},
        "layers": {stage: {layer: measures(cosine, seeds) for layer in layers} for stage in ("init", "trained")},
        "epsilon": {stage: [{"separability_index": 0.4321}] * seeds for stage in ("init", "trained")},
        "temp_mb": {"4": 1.5, "32": 123456.0},
        "step_ms": {"median": 12.3, "least": 11.0},
    }


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_table_has_80_columns_and_the_best_first(seeds):
    systems = by_cosine({"ltl-online": figures(0.25, seeds), "ltl-offline": figures(0.5, seeds)})
    text = systems_table(systems)
    assert max(map(len, text.splitlines())) <= 80
    first, second = text.splitlines()[3:5]
    assert " ".join(first.split()) == "ltl-offline 0.500 0.500 0.500 0.500 1234 0.250 0.432 1.500 1e+05 12.3"
    assert second.startswith("ltl-online ")
    other = systems_table({"ltl-online": figures(0.25, seeds) | {"same_loss": False}}).splitlines()[3]
    assert other.split()[5:7] == ["1234", "-"]  # a bias to the gradient of another loss is none
    head, line, *rows = systems_markdown(systems).splitlines()
    assert {row.count("|") for row in (head, line, *rows)} == {13}
    assert ("0.500 ± 0.000" in rows[0]) == (seeds > 1)


def test_numbers_are_as_short_as_they_say():
    numbers = {0: "0", 0.0004: "0", 0.0006: "0.001", 9.99: "9.990", 10: "10.0", 999.94: "999.9", 99999: "99999"}
    assert {number: short(number) for number in numbers} == numbers
    assert short(3e7) == "3e+07"


def test_names_lose_what_all_begin_with():
    assert short_names(["digits-ltl-online", "digits-ltl-offline", "digits-tet"]) == [
        "ltl-online",
        "ltl-offline",
        "tet",
    ]
    assert short_names(["digits-ltl-online", "digits-ltl-offline"]) == ["online", "offline"]
    assert short_names(["digits-sltt", "digits-sltt-k"]) == ["sltt", "sltt-k"]
    assert short_names(["digits-ottt"]) == ["digits-ottt"]
    assert short_names(["digits", "digits-ottt"]) == ["digits", "digits-ottt"]


def test_the_figure_has_each_number_where_it_belongs():
    systems = {"tet": figures(1.0), "sltt": figures(0.25, layers=("stem", "head"))}
    figure = systems_figure(systems, "title")
    init, _, error, memory, time = figure.axes[:5]
    assert [label.get_text() for label in init.get_yticklabels()] == ["tet", "sltt"]
    assert [label.get_text() for label in init.get_xticklabels()] == ["1", "2", "3", "all"]  # other layers each
    assert [text.get_text() for text in init.texts] == ["1.000"] * 4 + [".250"] * 3
    assert [bar.get_width() for bar in error.patches] == [0.25, 0.25, 1234.5, 1234.5]  # bias², variance
    assert [line.get_xdata().tolist() for line in memory.lines] == [[1.5, 123456.0]] * 2
    assert [bar.get_width() for bar in time.patches] == [12.3, 12.3]


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (("digit",), "--models 'digit' is no neuron model and no preset; did you mean digits"),
        (("elif", "lif"), "--models 'elif' is no neuron model and no preset; did you mean lif"),
        (("digits", "nmnist"), "--models digits and nmnist are of different datasets; compare systems of one"),
        (("digits-ltl-teacher",), "--models digits-ltl-teacher has one time-step, so that its gradient is the full"),
    ],
)
def test_models_are_neurons_or_systems_of_one_dataset(models, message):
    with pytest.raises(ValueError, match=message):
        separability.Arguments(models=models)
    mixed = separability.Arguments(models=("lif", "tiny-stbp", "hd-lif", "digits"))
    assert (mixed.neurons, mixed.systems) == (("lif", "hd-lif"), ("tiny-stbp", "digits"))


def test_systems_are_trained_by_either_recipe(monkeypatch):
    own = PRESETS["tiny-stbp"]
    common = dataclasses.replace(own.config, recipe="common", epochs=7)
    monkeypatch.setitem(PRESETS, "tiny-stbp", own._replace(common=common))
    assert separability.Arguments(models=("tiny-stbp",)).config_of("tiny-stbp") == own.config
    chosen = separability.Arguments(models=("tiny-stbp",), recipe="common")
    assert chosen.config_of("tiny-stbp") == common
    assert dataclasses.replace(chosen, epochs=3).config_of("tiny-stbp").epochs == 3
    with pytest.raises(ValueError, match="preset tiny-accumulate has no recipe 'common'"):
        separability.Arguments(models=("tiny-stbp", "tiny-accumulate"), recipe="common")


@pytest.mark.slow
def test_systems_are_trained_and_compared(monkeypatch, tmp_path, capsys):
    arguments = ["--models", "tiny-accumulate", "tiny-stbp", "--seeds", "0", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["separability", *arguments])
    separability.main()
    printed = capsys.readouterr().out
    assert max(map(len, printed.split("results in")[0].splitlines())) <= 80
    systems = json.loads((tmp_path / "out" / "separability.json").read_text())["systems"]
    for stage in ("init", "trained"):
        exact, online = (systems[f"tiny-{rule}"]["network"][stage] for rule in ("stbp", "accumulate"))
        assert exact["cosine"]["mean"] > 1 - 1e-6
        assert exact["bias"]["mean"] < 1e-3
        assert (
            online["cosine"]["mean"] < 1 - 1e-4 < systems["tiny-accumulate"]["layers"][stage]["head"]["cosine"]["mean"]
        )
    few, many = systems["tiny-accumulate"]["temp_mb"].values()
    assert many <= 1.05 * few
    few, many = systems["tiny-stbp"]["temp_mb"].values()
    assert many > 3 * few
    assert {path.name for path in (tmp_path / "out").glob("systems*")} == {"systems", "systems.md", "systems.png"}

    def no_training(*arguments):
        raise AssertionError("the runs should have been found")

    monkeypatch.setattr(planned, "in_own_process", no_training)
    runs = ["--runs", str(tmp_path / "out" / "systems"), "--out", str(tmp_path / "other")]
    monkeypatch.setattr(sys, "argv", ["separability", *arguments[:2], *arguments[3:5], *runs])
    separability.main()
    again = json.loads((tmp_path / "other" / "separability.json").read_text())["systems"]["tiny-accumulate"]
    assert again["network"] == systems["tiny-accumulate"]["network"]
