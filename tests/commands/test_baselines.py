"""experiments.baselines: runs of presets over seeds, and their table."""

import dataclasses
import json
import sys

import pytest

from experiments import baselines
from hdlif_jax.commands.config import ModelConfig, OptimizerConfig
from hdlif_jax.commands.presets import PRESETS, Preset
from hdlif_jax.commands.support import trained
from hdlif_jax.commands.support.systems import spread


def row(accuracy, seeds=3):
    return {
        "accuracy": spread([accuracy] * seeds),
        "accuracy_per_step": [spread([accuracy - 0.1]), spread([accuracy])],
        "train_seconds": spread([40.0] * seeds),
        "step_ms": spread([12.5] * seeds),
        "peak_mb": spread([700.0] * seeds),
        "temp_mb": {"4": 1.5, "32": 12.0},
        "costs": {"param_mb_paper": 0.25, "sops_m": 3.0, "nops_m": 0.5, "power_mj_paper": 0.002},
    }


def test_the_table_is_in_units_that_people_read():
    table = baselines.columns({"ottt": row(0.97), "tet": row(0.5, seeds=1)})
    assert table["accuracy %"] == ["97.00 ± 0.00", "50.00"]
    assert table["after 1 2 steps %"] == ["87.0 97.0", "40.0 50.0"]
    assert (table["MB T=4"][0], table["MB T=32"][0], table["energy µJ"][0]) == ("1.500", "12.0", "2.000")
    assert {len(column) for column in table.values()} == {2}


def test_of_many_steps_some_are_shown():
    long = row(0.97) | {"accuracy_per_step": [spread([t / 100]) for t in range(1, 21)]}
    systems = {"dct-snn": long, "tet": row(0.5)}
    assert baselines.shown_steps(systems) == [1, 2, 3, 4, 8, 16, 20]
    column = baselines.columns(systems)["after 1 2 3 4 8 16 20 steps %"]
    assert column == ["1.0 2.0 3.0 4.0 8.0 16.0 20.0", "40.0 50.0"]


def test_the_figure_has_each_number_where_it_belongs():
    plt = pytest.importorskip("matplotlib.pyplot")
    figure = baselines.figure_of({"ottt": row(0.97), "tet": row(0.5)}, "title")
    accuracy, steps, memory, time, energy = figure.axes
    assert [label.get_text() for label in accuracy.get_yticklabels()] == ["ottt", "tet"]
    assert [text.get_text() for text in steps.texts] == ["87.0", "97.0", "40.0", "50.0"]
    assert [line.get_xdata().tolist() for line in memory.lines] == [[1.5, 12.0]] * 2
    assert [bar.get_width() for bar in time.patches] == [12.5] * 2
    assert [bar.get_width() for bar in energy.patches] == [2.0] * 2
    plt.close(figure)


def test_what_comes_first_is_no_system(monkeypatch):
    digits = PRESETS["digits"].config
    started = dataclasses.replace(digits, first=dataclasses.replace(digits.first, preset="digits-teacher"))
    monkeypatch.setitem(PRESETS, "digits-teacher", Preset("", digits))
    monkeypatch.setitem(PRESETS, "digits-student", Preset("", started))
    names = baselines.systems_on("digits")
    assert "digits-student" in names
    assert not {"digits", "digits-teacher"} & set(names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"presets": ("digit",)}, "unknown preset 'digit'; did you mean digits"),
        ({"presets": ("digits", "nmnist")}, "--presets are of different datasets"),
        ({"presets": ("digits", "digits")}, "--presets digits digits must name at least one, each once"),
        ({"presets": ("digits",), "seeds": ()}, "--seeds  must name at least one"),
        ({"presets": ("digits",), "seeds": (-1,)}, "--seeds -1 must not be negative"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        baselines.Arguments(**options)


@pytest.mark.slow
def test_two_runs_are_trained_tabled_and_found(monkeypatch, tmp_path, capsys):
    config = dataclasses.replace(
        PRESETS["digits"].config,
        preset="tiny",
        batch_size=256,
        model=ModelConfig(widths=(4,), num_steps=2),
        optimizer=OptimizerConfig(learning_rate=0.1, warmup_epochs=0),
    )
    monkeypatch.setitem(PRESETS, "tiny", Preset("A tiny network.", config))
    options = ["--presets", "tiny", "--seeds", "0", "1", "--epochs", "2", "--images", "16"]
    options += ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["baselines", *options])
    baselines.main()
    assert "tiny: test accuracy" in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "baselines-digits.json").read_text())["systems"]["tiny"]
    summaries = [
        json.loads((tmp_path / "runs" / "tiny" / f"seed-{seed}" / "summary.json").read_text()) for seed in (0, 1)
    ]
    assert found["accuracy"]["per_seed"] == [summary["test_accuracy"] for summary in summaries]
    assert [step["per_seed"] for step in found["accuracy_per_step"]] == [
        list(accuracies) for accuracies in zip(*(summary["accuracy_per_step"] for summary in summaries), strict=True)
    ]
    assert found["temp_mb"]["32"] <= 1.05 * found["temp_mb"]["4"]
    assert {path.suffix for path in (tmp_path / "out").glob("baselines-digits.*")} == {".json", ".md", ".png"}

    def no_training(words):
        raise AssertionError("the runs should have been found")

    monkeypatch.setattr(trained, "train", no_training)
    baselines.main()
    again = json.loads((tmp_path / "out" / "baselines-digits.json").read_text())["systems"]["tiny"]
    assert again == found
