"""How commands are started, and what they say where their packages are missing."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import pytest

from hdlif_jax.commands import costs, train
from hdlif_jax.commands.main import commands
from hdlif_jax.commands.support.cli import EXTRA, conf, parse
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.near import did_you_mean
from hdlif_jax.commands.support.program import program

ROOT = pathlib.Path(__file__).parents[2]
COMMANDS = sorted(commands())


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_command_can_be_run_from_a_clone():
    modules = {file.stem: file.read_text() for file in (ROOT / "experiments").glob("*.py") if file.stem != "__init__"}
    assert sorted(modules) == COMMANDS
    for name, text in modules.items():
        assert f"from hdlif_jax.commands.{name} import main" in text
        assert len(text.splitlines()) < 10


@pytest.mark.parametrize("package", ["experiments", "hdlif_jax.commands"])
def test_usage_names_what_was_typed(package):
    result = python("-m", f"{package}.infer", "--help")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"usage: python -m {package}.infer ")


def test_usage_elsewhere_names_what_is_installed():
    assert program("train") == "hdlif train"


@pytest.mark.parametrize("package", EXTRA)
def test_a_missing_package_is_said_in_one_line_with_the_extra(package):
    code = f"import sys, runpy; sys.modules['{package}'] = None; runpy.run_module('hdlif_jax.commands.evaluate')"
    result = python("-c", code)
    assert result.returncode == 2
    assert result.stderr == f"error: the commands need {package}: python -m pip install 'hdlif_jax[commands]'\n"


@dataclasses.dataclass(frozen=True)
class Fewer:
    """Some words of a command."""

    number: int = 3
    """How many of them there are, which is a text of two lines in the source, so that it
    is wrapped where the terminal ends and nowhere else (default apart)."""


@dataclasses.dataclass(frozen=True)
class More(Fewer):
    """The words of a command, and
    how they are explained, in a description that is longer than a line of eighty columns.

    A second paragraph.
    """

    name: conf.Positional[str] = "none"
    """What it is called."""
    many: tuple[int, ...] = dataclasses.field(default_factory=tuple)
    """Of
    them."""


def test_help_is_wrapped_where_the_terminal_ends(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert parse(More, "train", ["a", "--number", "4", "--many", "1", "2"]) == More(4, "a", (1, 2))
    assert parse(More, "train", [], default=More(number=7)) == More(7)
    with pytest.raises(SystemExit):
        parse(More, "train", ["--help"], default=More(number=7))
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) <= 80
    words = " ".join(output.replace("│", " ").split())
    assert " ".join((More.__doc__ or "").split()) in words
    assert "which is a text of two lines in the source, so that it is wrapped" in words
    assert "(default: 7)" in words
    assert "Of them. (default: )" in output
    assert f"  {' '.join((More.__doc__ or '').split()[:14])}"[:60] in output  # filled, not as in the source


def test_near_words():
    assert did_you_mean("digit", ["digits", "nmnist"]) == "did you mean digits? "
    assert did_you_mean("something", ["digits", "nmnist"]) == ""
    assert did_you_mean("", ["digits", "nmnist"]) == ""
    assert did_you_mean("nm", ["digits", "nmnist"]) == "did you mean nmnist? "
    many = [f"cifar100-{letter}" for letter in "abcdef"]
    assert did_you_mean("cifar100-g", many).count("cifar100-") == 3


def test_a_message_about_an_unknown_preset_is_short():
    for read in (train.parse_arguments, lambda words: costs.load_subject(*words)):
        with pytest.raises(CommandError, match=r"did you mean cifar100-.*--help` lists the presets$") as refusal:
            read(["cifar100-resnet18"])
        assert str(refusal.value).count("cifar100-") == 4
        assert len(str(refusal.value)) < 250


def test_a_process_knows_what_was_typed(tmp_path):
    script = tmp_path / "own.py"
    script.write_text("from hdlif_jax.commands.support.program import typed; print(typed())")
    assert python(script, "--a", "b c").stdout == f"{['python', str(script), '--a', 'b c']}\n"
    code = "import runpy, sys; from hdlif_jax.commands.support.program import typed; print(typed())"
    module = tmp_path / "own_package" / "__main__.py"
    module.parent.mkdir()
    module.write_text(code)
    result = subprocess.run(
        [sys.executable, "-m", "own_package", "x"], cwd=tmp_path, capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.stdout == f"{['python', '-m', 'own_package', 'x']}\n"
