"""`hdlif`: its list of commands, its three ways in, and what it does with words that it does not know."""

import pathlib
import shlex
import subprocess
import sys

import pytest

from hdlif_jax import __version__
from hdlif_jax.commands import main
from hdlif_jax.commands.config import TrainConfig
from hdlif_jax.commands.support.run_directory import RunDirectory
from tests.commands.conftest import read_json

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = "import sys\nfrom hdlif_jax.commands.main import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
WAYS = {  # what is typed before the words of `train`, as words for Python
    "hdlif train": ["hdlif", "train"],
    "python -m hdlif_jax train": ["-m", "hdlif_jax", "train"],
    "python -m hdlif_jax.commands.train": ["-m", "hdlif_jax.commands.train"],
    "python -m experiments.train": ["-m", "experiments.train"],
}


@pytest.fixture
def hdlif(tmp_path, monkeypatch):
    """Runs Python in a folder with what an installation makes of [project.scripts]."""
    (tmp_path / "hdlif").write_text(SCRIPT)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(*words):
        return subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_what_stands_in_pyproject_is_what_is_tested():
    assert '\nhdlif = "hdlif_jax.commands.main:main"\n' in (ROOT / "pyproject.toml").read_text()


def test_alone_it_lists_every_command_with_a_line_each_and_imports_nothing(hdlif):
    result = hdlif("-X", "importtime", "hdlif")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "usage: hdlif COMMAND [WORDS ...]"
    listed = dict(line.split(maxsplit=1) for line in lines[3:] if line.startswith("  "))
    assert listed == {name.replace("_", "-"): what for name, what in main.commands().items()}
    assert {"train", "doctor", "prepare-data", "study"} <= listed.keys()
    assert max(map(len, lines)) <= 80
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert imported & {"jax", "flax", "numpy", "tyro", "rich", "matplotlib", "hdlif_jax.commands.train"} == set()


@pytest.mark.parametrize("way", WAYS)
def test_each_way_in_is_named_as_it_was_typed(way, hdlif):
    result = hdlif(*WAYS[way], "digit", "--epochs", "1")
    assert result.returncode == 2
    assert result.stderr.endswith(f"`{way} --help` lists the presets\n")


@pytest.mark.parametrize("way", ["hdlif train", "python -m hdlif_jax train"])
def test_a_run_keeps_the_words_that_start_it_again(way, monkeypatch, tmp_path):
    monkeypatch.setattr("hdlif_jax.commands.support.program._module", lambda: "hdlif_jax" if "-m" in way else None)
    monkeypatch.setattr(sys, "argv", ["/bin/hdlif", "train", "digits-tet", "--out", "a b"])
    monkeypatch.setattr("hdlif_jax.commands.train.main", lambda: None)
    main.main()
    RunDirectory(tmp_path / "run").create(TrainConfig())
    assert read_json(tmp_path / "run" / "config.json")["command"] == [*shlex.split(way), *sys.argv[1:]]
    assert sys.argv[1:] == ["digits-tet", "--out", "a b"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "unknown command 'trian'; did you mean train? `hdlif` lists the commands"),
        (["prepare_dat"], "unknown command 'prepare_dat'; did you mean prepare-data? `hdlif` lists the commands"),
        (["make"], "unknown command 'make'; `hdlif` lists the commands"),
        (["main"], "unknown command 'main'; "),
        (["--epochs", "3"], "unknown command '--epochs'; `hdlif` lists the commands"),
        (["../train"], "unknown command '../train'; did you mean train? "),
    ],
)
def test_a_word_that_is_no_command_is_one_line(words, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["hdlif", *words])
    with pytest.raises(SystemExit) as exit_:
        main.main()
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("word", ["prepare-data", "prepare_data"])
def test_a_command_of_two_words_may_have_either_sign(word, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["hdlif", word, "nix"])
    with pytest.raises(SystemExit):
        main.main()
    assert "error: unknown dataset 'nix'" in capsys.readouterr().err


def test_the_version(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["hdlif", "--version"])
    main.main()
    assert capsys.readouterr().out == f"hdlif_jax {__version__}\n"


def test_a_new_module_appears_by_itself(monkeypatch, tmp_path):
    text = '"""Weighs a network: `hdlif weigh RUN`."""\n\n\n@command\ndef main() -> None: ...\n'
    (tmp_path / "weigh.py").write_text(text)
    (tmp_path / "helper.py").write_text(text.replace("@command\n", ""))
    monkeypatch.setattr(main, "FOLDER", tmp_path)
    assert main.commands() == {"weigh": "Weighs a network"}
    assert "  weigh  Weighs a network" in main.overview()


def test_docstrings_of_commands_say_what_and_how():
    for name, what in main.commands().items():
        text = (main.FOLDER / f"{name}.py").read_text()
        assert text.startswith(f'"""{what}: `hdlif {name.replace("_", "-")} '), name
        assert len(what) < 60


WITHOUT = """
import importlib, sys
sys.modules.update(dict.fromkeys(("tyro", "filelock", "matplotlib")))
from hdlif_jax.commands import main
for words in (["hdlif"], *(["hdlif", name] for name in main.commands()), ["hdlif", "infer", "nowhere", "input"]):
    sys.argv = words
    if words[-1] == "doctor":
        continue  # which is tried where something is missing in a test of its own
    try:
        main.main()
    except SystemExit as end:
        print(*words, end.code, file=sys.stderr)
"""


def test_without_the_extra_it_lists_infers_and_says_what_is_missing(hdlif):
    result = hdlif("-c", WITHOUT)
    assert (result.returncode, result.stdout) == (0, main.overview() + "\n")
    *missing, error, end = result.stderr.splitlines()
    assert "nowhere" in error
    assert end == "hdlif infer nowhere input 2"
    for name in main.commands().keys() - {"infer", "doctor"}:
        said = missing[missing.index(f"hdlif {name} 2") - 1]
        assert said.startswith("error: the commands need filelock, matplotlib, tyro: python -m pip install")
