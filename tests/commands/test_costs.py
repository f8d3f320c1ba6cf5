import dataclasses
import io
import json
import sys

import jax
import numpy as np
import pytest
import rich
import rich.console

from hdlif_jax import nn
from hdlif_jax.analysis import CompiledCost, measure
from hdlif_jax.commands import costs
from hdlif_jax.commands.make import make_model, make_trainer
from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.support import tables
from hdlif_jax.commands.support.cost_tables import OF_STEP, QUANTITIES, total_table
from hdlif_jax.commands.support.inputs import random_batches
from hdlif_jax.commands.support.run_directory import RunDirectory
from hdlif_jax.commands.support.runs import load_dataset
from hdlif_jax.training import Checkpoints


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["costs", *map(str, arguments)])
    costs.main()


def test_a_preset(monkeypatch, capsys, tmp_path):
    with jax.numpy_dtype_promotion("standard"):  # optax' schedules mix integers and floats
        run(monkeypatch, "digits", "--images", 20, "--out", tmp_path)
    report = json.loads((tmp_path / "costs.json").read_text())
    assert (tmp_path / "costs.png").read_bytes().startswith(b"\x89PNG")
    totals = {
        name: report[name]
        for name in ("param_mb_paper", "param_mb_packed", "nops_m", "sops_m", "macs_m", "power_mj_paper", "firing_rate")
    }
    assert all(value > 0 for value in totals.values())
    assert report["power_mj_strict"] > report["power_mj_paper"]
    assert report["inputs"] == "20 test inputs of digits"
    assert report["weights"].startswith("untrained")
    assert sum(row["sops"] for row in report["layers"]) == pytest.approx(1e6 * report["sops_m"])
    assert report["train_step"]["memory_mb"] > report["train_step"]["temporaries_mb"] > 0
    assert report["train_step"]["gflops"] > 0
    printed = capsys.readouterr().out
    assert "blocks.2.downsample.conv" in printed
    assert "param_mb_paper" not in printed
    totals = printed[printed.index("per image") :]
    assert "paper:" not in totals  # which has no figure of the digits
    assert f"{report['param_mb_paper']:.4g} MB" in totals
    assert f"{report['train_step']['memory_mb']:.4g} MB" in totals
    assert f"{100 * report['firing_rate']:.4g} %" in totals
    assert all(quantity.meaning in totals for quantity in (*QUANTITIES.values(), *OF_STEP.values()))
    assert max(map(len, totals.partition("costs.json")[0].splitlines())) <= 80


def test_the_paper_s_figures_stand_beside_ours(capsys):
    preset = PRESETS["cifar100-resnet18-ternary-4bit-parallel"]
    report = dict.fromkeys(QUANTITIES, 1.23456) | {"train_step": None, "paper": preset.paper._asdict()}
    rich.print(total_table(report))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "paper: Table 2, HD-LIF †‡"
    (sops,) = (line for line in lines if "SOPs " in line and "additions" in line)
    assert "1.235 M" in sops
    assert "190.1 M" in sops
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_narrow_terminal_cuts_no_figure(width, monkeypatch):
    figures = dict.fromkeys(QUANTITIES, 1234.5) | {"train_step": None, "paper": None}
    console = rich.console.Console(file=io.StringIO(), width=width, soft_wrap=True)
    monkeypatch.setattr(tables, "console", console)
    tables.print_table(total_table(figures))
    printed = console.file.getvalue()
    assert "…" not in printed
    assert all(quantity.meaning in printed for quantity in QUANTITIES.values())
    assert printed.count("1234 MB") == 3  # 1234.5, to four digits


def test_every_total_has_a_row():
    model = make_model(PRESETS["digits"].config.model, (8, 8, 1), 10, 0)
    costs_ = measure(model, [np.zeros((1, 8, 8, 1), np.float32)])
    assert list(costs_.summary()) == list(QUANTITIES)
    assert [field.name for field in dataclasses.fields(CompiledCost)] == list(OF_STEP)


def test_a_run_is_counted_with_its_own_weights(monkeypatch, tmp_path):
    config = PRESETS["digits"].config
    trainer = make_trainer(config, load_dataset(config))
    state = trainer.initial_state
    directory = RunDirectory(tmp_path / "run")
    directory.create(config)
    checkpoints = Checkpoints(directory.checkpoints)
    checkpoints.save(state)
    checkpoints.close()
    subject = costs.load_subject(str(directory.path))
    assert subject.trained == "checkpoint of step 0"
    assert subject.out == directory.path
    jax.tree.map(np.testing.assert_array_equal, nn.variables_of(subject.model), state.variables)


def test_a_dataset_that_is_not_there_is_replaced_and_said_so(capsys):
    config = PRESETS["cifar100-resnet18-lif"].config
    monkey = costs.Arguments("cifar100-resnet18-lif", images=20)
    described, batches = costs.choose_inputs(monkey, config, costs.input_spec(config))
    assert described == "20 random inputs (synthetic)"
    assert "counting on random inputs, not on real ones" in capsys.readouterr().out
    assert [batch.shape for batch in batches] == [(16, 32, 32, 3), (4, 32, 32, 3)]


def test_random_events_are_sequences():
    config = PRESETS["dvs-cifar10-vgg-snn-lif"].config
    (batch,) = random_batches(config, costs.input_spec(config), 3)
    assert batch.shape == (10, 3, 48, 48, 2)
    assert set(np.unique(batch)) >= {0.0, 1.0}


def test_frames_of_another_size_are_counted_at_that_size():
    config = PRESETS["dvs-cifar10-vgg-snn-lif"].config
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, frame_size=32))
    (batch,) = random_batches(config, costs.input_spec(config), 2)
    assert batch.shape == (10, 2, 32, 32, 2)
    assert costs.input_spec(config).shape == (32, 32, 2)  # of which the network is built


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digitz"], "'digitz' is neither a preset nor a run directory; did you mean digits"),
        (["digits", "--images", "0"], "--images 0 must be at least 1"),
        (["cifar100-resnet18-lif", "--data", "real"], "cifar100"),
        (["cifar100-resnet18-lif", "--data", "real", "--data-dir", "elsewhere"], "elsewhere"),
    ],
)
def test_bad_input_is_one_line(monkeypatch, capsys, arguments, message):
    built = nn.conv_net
    monkeypatch.setattr(costs, "make_model", lambda *_: built)
    with pytest.raises(SystemExit) as exit_:
        run(monkeypatch, *arguments)
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("encoding", ["poisson", "dct"])
def test_random_codes_are_those_of_what_the_encoding_reads(encoding):
    """Intensities, or for the code of normalised images, which has both signs, standard normal pixels."""
    config = PRESETS["digits"].config
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, encoding=encoding))
    (batch,) = random_batches(config, costs.input_spec(config), 3)
    assert batch.shape == (4, 3, 8, 8, 1)
    assert set(np.unique(batch)) == ({-1.0, 0.0, 1.0} if encoding == "dct" else {0.0, 1.0})
