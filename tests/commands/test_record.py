import json
import shutil
import sys

import pytest
from PIL import Image

from hdlif_jax.commands import record
from tests.commands.conftest import read_json


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["record", *map(str, arguments)])
    record.main()


def test_a_finished_run_is_kept_with_all_that_explains_it(finished_run, tmp_path, monkeypatch, capsys):
    directory, _ = finished_run
    (tmp_path / "._digits.json").write_bytes(b"\0\5\x16\7")  # as macOS leaves beside a file
    (tmp_path / "baselines-digits.json").write_text('{"systems": {}}')  # as a study leaves there
    for _ in range(2):  # again is no harm
        run(monkeypatch, directory, "--to", tmp_path)
    (file,) = tmp_path.glob("digits-cpu-*.json")
    kept, summary = read_json(file), read_json(directory / "summary.json")
    assert kept["summary"] == summary
    assert kept["versions"]["jax"]
    assert "--epochs" in kept["command"]
    assert [epoch["epoch"] for epoch in kept["curve"]] == [1, 2, 3, 4]
    # The name of a preset alone would say that it is one.
    assert kept["changed"] == {"epochs": 4, "batch_size": 256, "model.num_steps": 2, "model.widths": [4]}
    assert (kept["init_from"], kept["changes"]) == (None, [])
    with Image.open(file.with_suffix(".png")) as picture:
        assert picture.size[0] > 1000
    lines = (tmp_path / "README.md").read_text().splitlines()
    assert sum(line.startswith("| [digits]") for line in lines) == 1
    assert f"{100 * summary['test_accuracy']:.2f} %" in lines[-1]
    assert "epochs=4, batch_size=256, model.num_steps=2, model.widths=[4] |" in lines[-1]


def test_a_run_of_own_data_is_kept_under_its_name_and_not_beside_the_paper_s_figures(
    finished_run, tmp_path, monkeypatch
):
    directory = shutil.copytree(finished_run[0], tmp_path / "run")
    description = read_json(directory / "config.json")
    description["config"] |= {"preset": "cifar100-resnet18-lif"}
    description["config"]["data"] |= {"name": "folder", "dir": "pictures/flowers", "image_size": 224}
    (directory / "config.json").write_text(json.dumps(description))
    run(monkeypatch, directory, "--to", tmp_path / "results")
    (file,) = (tmp_path / "results").glob("flowers-cpu-*.json")
    kept = read_json(file)
    assert kept["paper"] is None
    assert kept["changed"]["data.name"] == "folder"
    assert "data.image_size" not in kept["changed"]  # earlier versions wrote the usual one
    assert "| [flowers](flowers-cpu-" in (tmp_path / "results" / "README.md").read_text()


def test_an_unfinished_run_is_refused(finished_run, tmp_path, monkeypatch, capsys):
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / "config.json").write_text((finished_run[0] / "config.json").read_text())
    with pytest.raises(SystemExit):
        run(monkeypatch, directory, "--to", tmp_path / "results")
    assert "is not finished; go on with it: --resume" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_results_go_to_a_clone_s_folder_or_where_they_are_told_to(finished_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        run(monkeypatch, finished_run[0])
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "there is no experiments/results in" in error
    assert "say where to collect results: --to DIR" in error
    (tmp_path / "experiments" / "results").mkdir(parents=True)
    run(monkeypatch, finished_run[0])
    assert len(list((tmp_path / "experiments" / "results").glob("digits-cpu-*.json"))) == 1
