import pytest

from hdlif_jax.commands.evaluate import main
from hdlif_jax.commands.support.run_directory import RunDirectory
from tests.commands.conftest import read_json


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["evaluate", *map(str, arguments)])
    main()


def test_gives_the_accuracies_of_the_run(finished_run, monkeypatch, capsys):
    directory, _ = finished_run
    run(monkeypatch, directory)
    evaluation, summary = (read_json(directory / name) for name in ("evaluation.json", "summary.json"))
    for name in ("dataset", "test_accuracy", "accuracy_per_step"):
        assert evaluation[name] == summary[name]
    assert f"test accuracy {summary['test_accuracy']:.4f}" in capsys.readouterr().out


def test_the_folded_network_is_evaluated_without_an_artifact(finished_run, monkeypatch, capsys):
    directory, _ = finished_run
    before = {file.name for file in directory.iterdir()} | {"evaluation.json"}
    run(monkeypatch, directory, "--folded")
    evaluation, summary = (read_json(directory / name) for name in ("evaluation.json", "summary.json"))
    assert evaluation["folded"]
    assert "step 20, folded: test accuracy" in capsys.readouterr().out
    assert evaluation["accuracy_per_step"] == pytest.approx(summary["accuracy_per_step"], abs=0.02)
    assert {file.name for file in directory.iterdir()} == before


@pytest.mark.parametrize("folded", [(), ("--folded",)])
def test_another_number_of_steps(folded, finished_run, monkeypatch, capsys):
    directory, _ = finished_run
    run(monkeypatch, directory, "--steps", 1, *folded)
    evaluation, summary = (read_json(directory / name) for name in ("evaluation.json", "summary.json"))
    assert evaluation["num_steps"] == len(evaluation["accuracy_per_step"]) == 1
    assert evaluation["test_accuracy"] == pytest.approx(summary["accuracy_per_step"][0], abs=0.02 if folded else 1e-9)
    with pytest.raises(SystemExit):
        run(monkeypatch, directory, "--steps", 3, *folded)
    error = capsys.readouterr().err
    assert "has an entry for each of 2 time-steps and none for more; run at most 2" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "missing from"),
        (("nowhere",), "is not a run directory"),
        (("nowhere", "--step", "x"), "invalid literal"),
    ],
)
def test_bad_arguments(arguments, message, monkeypatch, capsys):
    with pytest.raises(SystemExit) as exit_:
        run(monkeypatch, *arguments)
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message.lower() in error.lower()


def test_a_step_without_checkpoint(finished_run, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, finished_run[0], "--step", "7")
    assert "the run has checkpoints of steps" in capsys.readouterr().err


def test_the_best_checkpoint_is_that_of_the_best_epoch(finished_run, monkeypatch):
    directory, _ = finished_run
    run(monkeypatch, directory, "--step", "best")
    epochs = RunDirectory(directory).read_metrics("epoch")
    best = max(epochs, key=lambda epoch: (epoch["validation_accuracy_per_step"][-1], epoch["step"]))
    evaluation = read_json(directory / "evaluation.json")
    assert (evaluation["step"], evaluation["selection"]) == (best["step"], "best")
