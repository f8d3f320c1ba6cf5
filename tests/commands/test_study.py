"""Studies: their numbers, traced to the runs and computed anew, their pictures, and what a kill does to them."""

import contextlib
import dataclasses
import json
import random
import subprocess
import sys
import types

import numpy as np
import pytest
from scipy import stats

from hdlif_jax.commands import compare, costs, evaluate, study
from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.studies import Study, Variant
from hdlif_jax.commands.support import runs as running
from hdlif_jax.commands.support import study_plots, whole_run
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.run_directory import RunDirectory, write_json
from hdlif_jax.commands.support.study_figures import FIGURES, by_data, difference, paper_of, rows_of, spread
from hdlif_jax.commands.support.study_tables import markdown, shown_steps
from hdlif_jax.commands.support.whole_run import complete, found, is_whole

TWO = Study("Which?", {"lif": Variant("digits", {"model.neuron": "lif"}), "hd-lif": Variant("digits")}, (0, 1, 2))


def finished(path, config, accuracies, sops):
    """A run directory with all that a study reads, as if it had been trained."""
    directory = RunDirectory(path)
    directory.create(config)
    for epoch in (1, 2):
        record = {
            "step": epoch,
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "train_accuracy": 0.4 * epoch,
            "validation_accuracy_per_step": [0.3 * epoch],
            "seconds": 1.0,
        }
        directory.append_metrics("epoch", record)
    summary = {
        "test_accuracy": accuracies[-1],
        "accuracy_per_step": accuracies,
        "train_seconds": 12.0 + config.seed,
        "images_per_second": 100.0,
        "peak_memory_mb": 500.0,
        "device": "cpu (of a test)",
    }
    costs = {"train_step": {"memory_mb": 3.0}, "param_mb_paper": 0.1, "sops_m": sops, "nops_m": 0.2}
    write_json(path / "costs.json", costs | {"power_mj_paper": 1e-4 * sops})
    write_json(path / "figures.json", {"best_accuracy": 0.5, "best_step": 1, "deployment_refused": "no rule"})
    write_json(path / "summary.json", summary)


@pytest.fixture
def runs(tmp_path):
    """Paths by variant and seed."""
    generator = np.random.default_rng(0)
    paths = {}
    for variant in TWO.variants:
        for seed in TWO.seeds:
            path = tmp_path / "runs" / variant / f"seed-{seed}"
            finished(
                path, TWO.config(variant, "full", seed), generator.uniform(0.5, 0.9, 4).tolist(), generator.uniform()
            )
            paths.setdefault(variant, {})[seed] = path
    return paths


def test_the_table_is_that_of_the_runs(runs, tmp_path):
    """By plain numpy, from the files that study.json names."""
    study.write_results(tmp_path, "two", ["Which?"], runs)
    written = json.loads((tmp_path / "study.json").read_text())["rows"]
    accuracies = {}
    for name, row in written.items():
        summaries = [json.loads((tmp_path / path / "summary.json").read_text()) for path in row["runs"].values()]
        sops = [json.loads((tmp_path / path / "costs.json").read_text())["sops_m"] for path in row["runs"].values()]
        per_step = 100 * np.array([summary["accuracy_per_step"] for summary in summaries])
        accuracies[name] = per_step[:, -1]
        for values, spread_ in [
            (per_step[:, -1], row["figures"]["accuracy"]),
            (sops, row["figures"]["sops_m"]),
            *zip(per_step.T, row["accuracy_per_step"], strict=True),
        ]:
            np.testing.assert_allclose(spread_["mean"], np.mean(values), rtol=1e-12)
            np.testing.assert_allclose(spread_["deviation"], np.std(values, ddof=1), rtol=1e-9)
            np.testing.assert_allclose(spread_["values"], values)
        assert row["figures"]["deployed_mb"]["mean"] is None
        assert row["deployment_refused"] == "no rule"
    differences = accuracies["hd-lif"] - accuracies["lif"]
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    versus = written["hd-lif"]["accuracy_versus_first"]
    np.testing.assert_allclose([versus["low"], versus["high"]], interval, rtol=1e-9)
    assert written["lif"]["accuracy_versus_first"] is None
    text = (tmp_path / "study.md").read_text()
    assert f"{np.mean(accuracies['lif']):.2f} ± {np.std(accuracies['lif'], ddof=1):.2f}" in text
    assert "hd-lif is not deployed: no rule." in text
    places = [path.relative_to(tmp_path) for seeds in runs.values() for path in seeds.values()]
    assert all(f"`{place}`" in text for place in places)
    for name in ("radar", "steps", "pareto", "curves"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_rows_of_several_datasets_are_compared_within_each(tmp_path):
    presets = {"ours": "digits-hd-lif", "theirs": "digits-tet", "events": "nmnist", "dct": "imagenet200-vgg13-dct-snn"}
    runs = {}
    for number, (name, preset) in enumerate(presets.items()):
        finished(tmp_path / name, PRESETS[preset].config, [0.1 * number], 1.0)
        runs[name] = {0: found(tmp_path / name)}
    rows = rows_of(runs)
    assert [row.reference for row in rows] == [None, "ours", None, None]
    assert [row.versus_first and round(row.versus_first.mean, 9) for row in rows] == [None, 10.0, None, None]
    assert {data: [row.name for row in group] for data, group in by_data(rows).items()} == {
        "digits": ["ours", "theirs"],
        "nmnist": ["events"],
        "tiny-imagenet": ["dct"],
    }
    text = markdown("mixed", [], rows, tmp_path)
    assert "accuracy against ours" in text
    assert "accuracy against events" not in text
    assert "dct: Table 1 quotes the accuracy of the network without spikes" in text
    assert "held out to choose by" not in text
    nothing = {name: {0: dataclasses.replace(of[0], figures={"best_accuracy": None})} for name, of in runs.items()}
    assert "Nothing was held out to choose by" in markdown("", [], rows_of(nothing), tmp_path)


def test_the_paper_s_figures_stand_beside_the_same_system_alone():
    config = PRESETS["cifar100-resnet18-ternary-4bit-parallel"].config
    small = dataclasses.replace(config, epochs=8, model=dataclasses.replace(config.model, width=16, init="uniform"))
    assert paper_of(small) == PRESETS[config.preset].paper is not None
    others = {
        "neuron": dataclasses.replace(config, model=dataclasses.replace(config.model, neuron="lif", parallel=None)),
        "rule": dataclasses.replace(config, learning=dataclasses.replace(config.learning, rule="stbp")),
        "data": dataclasses.replace(config, data=dataclasses.replace(config.data, name="cifar10")),
        "preset": dataclasses.replace(config, preset="custom"),
    }
    assert {name: paper_of(other) for name, other in others.items()} == dict.fromkeys(others)


def test_of_many_steps_a_table_shows_some():
    assert shown_steps(4) == [1, 2, 3, 4]
    assert shown_steps(20) == [1, 2, 3, 4, 6, 8, 12, 16, 20]


def test_rows_of_other_seeds_are_compared_over_those_in_common(runs, tmp_path):
    rows = {name: {seed: found(path) for seed, path in seeds.items()} for name, seeds in runs.items()}
    assert "deviation over seeds 0, 1, 2;" in markdown("", [], rows_of(rows), tmp_path)
    del rows["hd-lif"][1]
    of_fewer = rows_of(rows)
    assert "deviation over the seeds that a row has" in markdown("", [], of_fewer, tmp_path)
    accuracy = {name: [of[seed].summary["test_accuracy"] for seed in (0, 2)] for name, of in rows.items()}
    in_common = 100 * np.subtract(accuracy["hd-lif"], accuracy["lif"])
    assert of_fewer[1].versus_first.mean == pytest.approx(in_common.mean())


def test_one_seed_has_no_spread_and_no_interval():
    assert spread([3.0]).deviation is None
    assert spread([None]).mean is None
    assert difference({0: 2.0}, {0: 1.5}) == (0.5, None, None)
    assert difference({0: 2.0}, {1: 1.5}) is None
    assert spread([1.0, 3.0]).deviation == pytest.approx(2**0.5)  # of two there are
    low_and_high = difference({0: 2.0, 1: 4.0}, {0: 1.0, 1: 1.0})[1:]
    assert low_and_high == pytest.approx((2 - 12.7062, 2 + 12.7062), abs=1e-3)  # Student's t of one degree


def test_a_study_writes_the_same_but_for_times(runs, tmp_path):
    texts = []
    for name, seconds in (("one", 10), ("other", 99)):
        for seeds in runs.values():
            for path in seeds.values():
                summary = json.loads((path / "summary.json").read_text())
                write_json(path / "summary.json", summary | {"train_seconds": seconds, "images_per_second": seconds})
        (tmp_path / name).mkdir()
        study.write_results(tmp_path / name, "two", [], runs)
        rows = json.loads((tmp_path / name / "study.json").read_text())["rows"]
        for row in rows.values():
            for figure in [figure for figure, known in FIGURES.items() if known.is_time]:
                row["figures"].pop(figure)
        texts.append(rows)
    assert texts[0] == texts[1]


def test_figures_have_the_numbers_of_the_rows(runs):
    rows = rows_of({name: {seed: found(path) for seed, path in seeds.items()} for name, seeds in runs.items()})
    accuracies = {row.name: np.array([step.values for step in row.accuracy_per_step]) for row in rows}
    over_steps = study_plots.accuracy_over_steps(rows).axes[0]
    for line, of_row in zip(over_steps.lines, accuracies.values(), strict=True):
        np.testing.assert_allclose(line.get_ydata(), of_row.mean(1))
    energy, memory = study_plots.pareto(rows).axes
    assert energy.get_xlabel() == "energy (mJ)"
    best = max(of_row[-1].mean() for of_row in accuracies.values())
    assert energy.lines[-1].get_ydata()[-1] == pytest.approx(best)
    loss, _ = study_plots.learning_curves(rows).axes
    assert [line.get_ydata().tolist() for line in loss.lines] == [[1.0, 0.5]] * 2
    outline = study_plots.radar(rows).axes[0].lines[0].get_ydata()
    assert len(outline) == len(study_plots.RADAR) + 1
    assert max(outline) <= 1


def test_runs_of_any_origin_are_compared(runs, monkeypatch, tmp_path, capsys):
    paths = [path for seeds in runs.values() for path in seeds.values()]
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, paths), "--out", str(tmp_path / "out")])
    compare.main()
    rows = json.loads((tmp_path / "out" / "study.json").read_text())["rows"]
    assert {name: len(row["runs"]) for name, row in rows.items()} == {
        "digits, model.neuron=lif": 3,
        "digits, model.neuron=hd-lif": 3,
    }
    assert "accuracy against digits, model.neuron=lif" in capsys.readouterr().out


def test_a_row_is_named_by_what_is_unusual_in_it():
    """Of three runs of a preset what two share goes without saying; of two, what differs is told of both."""
    usual = PRESETS["digits"].config
    hot = dataclasses.replace(usual, batch_size=32, optimizer=dataclasses.replace(usual.optimizer, learning_rate=0.5))
    wide = dataclasses.replace(usual, model=dataclasses.replace(usual.model, num_steps=3))
    other = PRESETS["digits-hd-lif"].config
    assert compare.row_names([usual, hot, wide, other]) == [
        "digits",
        "digits, batch_size=32, optimizer.learning_rate=0.5",
        "digits, model.num_steps=3",
        "digits-hd-lif",
    ]
    assert compare.row_names([usual, wide]) == ["digits, model.num_steps=4", "digits, model.num_steps=3"]


def test_a_run_is_not_compared_with_itself(runs, tmp_path):
    path = runs["lif"][0]
    with pytest.raises(CommandError, match="are the same run with the same seed"):
        compare.grouped((path, path))
    unfinished = tmp_path / "unfinished"
    RunDirectory(unfinished).create(PRESETS["digits"].config)
    with pytest.raises(CommandError, match="is not finished"):
        compare.grouped((unfinished,))
    with pytest.raises(CommandError, match="at least one"):
        compare.grouped(())
    assert not is_whole(unfinished)


class Counted:
    """In the place of what counts, evaluates and proves: says how often each was asked."""

    def __init__(self, monkeypatch):
        self.calls = []
        subject = types.SimpleNamespace(trained="checkpoint of step 7")
        self.costs = {"weights": subject.trained, "inputs": "64 test inputs of digits", "train_step": {"memory_mb": 1}}
        monkeypatch.setattr(costs, "load_subject", lambda path: subject)
        monkeypatch.setattr(costs, "collect", lambda subject, arguments: (self.calls.append("costs"), self.costs)[::-1])
        best = {"test_accuracy": 0.9, "step": 7}
        monkeypatch.setattr(evaluate, "evaluate", lambda path, step: (self.calls.append("best"), best)[1])
        proven = {"deployed_bytes": 5, "deployed_accuracy": 0.9}
        monkeypatch.setattr(whole_run, "proof", lambda path: (self.calls.append("proof"), proven)[1])


def test_figures_are_of_the_run_as_it_is_now(runs, monkeypatch):
    """One that was trained longer since has others, and costs that others counted otherwise do not compare."""
    path = runs["lif"][0]
    directory, counted = RunDirectory(path), Counted(monkeypatch)
    assert is_whole(path)  # of an earlier version, which did not say of how many epochs
    (path / "figures.json").unlink()
    (path / "costs.json").unlink()
    for asked in (["costs", "best", "proof"], ["best", "proof"]):
        complete(directory.config(), path)
        assert counted.calls == asked
        assert is_whole(path, needs_proof=True)
        counted.calls.clear()
    for other in ({"weights": "untrained"}, {"inputs": "64 random inputs (synthetic)"}, {"train_step": None}):
        write_json(path / "costs.json", counted.costs | other)
        complete(directory.config(), path, needs_proof=False)
        assert counted.calls.pop(0) == "costs"
        assert json.loads((path / "costs.json").read_text()) == counted.costs
        counted.calls.clear()
    directory.change(dataclasses.replace(directory.config(), epochs=99), 7)
    write_json(path / "summary.json", {})
    assert not is_whole(path)


def test_data_that_is_gone_is_no_refusal_of_the_network(runs, monkeypatch):
    """It would stay in the table for good; and what else lies where the artifact goes is left alone."""

    def gone(config, info):
        raise CommandError("digits are gone")

    monkeypatch.setattr(running, "load_run", lambda path: types.SimpleNamespace(config=None, info=None))
    monkeypatch.setattr(running, "load_dataset", gone)
    path = runs["lif"][0]
    (path / "artifact").mkdir()
    (path / "artifact" / "manifest.json").touch()  # of a kill
    with pytest.raises(CommandError, match="digits are gone"):
        whole_run.proof(path)
    assert not (path / "artifact").exists()
    (path / "artifact").mkdir()
    (path / "artifact" / "notes").touch()
    with pytest.raises(CommandError, match="is no artifact; move it"):
        whole_run.proof(path)
    assert (path / "artifact" / "notes").exists()


TINY_STUDY = """\
description: A test.
variants:
  hd-lif: {preset: digits}
  lif: {preset: digits, fields: {model.neuron: lif}}
seeds: [0]
scales: {tiny: {epochs: 4, batch_size: 256, model.widths: [4], model.num_steps: 2}}
"""


def without_times(file):
    written = json.loads(file.read_text())
    for row in written["rows"].values():
        row.pop("runs")  # folders
        for name in [name for name, figure in FIGURES.items() if figure.is_time]:
            row["figures"].pop(name)
    return written["rows"]


@pytest.mark.slow
def test_a_study_that_is_killed_three_times_ends_as_one_that_is_not(command, tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY_STUDY)
    status, output, errors = command.run("study", file, "--out", tmp_path / "whole")
    assert status == 0, errors
    assert "accuracy against hd-lif" in output
    waits = random.Random(0)
    for _ in range(3):
        process = command.start("study", file, "--out", tmp_path / "killed")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=waits.uniform(4, 12))
        process.kill()
        process.communicate()
    status, _, errors = command.run("study", file, "--out", tmp_path / "killed")
    assert status == 0, errors
    assert without_times(tmp_path / "killed" / "study.json") == without_times(tmp_path / "whole" / "study.json")
