"""How commands are started, and what they say where their packages are missing."""

import pathlib
import subprocess
import sys

import pytest

from hdlif_jax.commands.support.cli import EXTRA, did_you_mean
from hdlif_jax.commands.support.program import program

ROOT = pathlib.Path(__file__).parents[2]
COMMANDS = sorted(file.stem for file in (ROOT / "hdlif_jax" / "commands").glob("*.py")
                  if "def main(" in file.read_text())  # fmt: skip


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
    assert program("train") == "python -m hdlif_jax.commands.train"


@pytest.mark.parametrize("package", EXTRA)
def test_a_missing_package_is_said_in_one_line_with_the_extra(package):
    code = f"import sys, runpy; sys.modules['{package}'] = None; runpy.run_module('hdlif_jax.commands.evaluate')"
    result = python("-c", code)
    assert result.returncode == 2
    assert result.stderr == f"error: the commands need {package}: python -m pip install 'hdlif_jax[commands]'\n"


def test_near_words():
    assert did_you_mean("digit", ["digits", "nmnist"]) == "did you mean digits? "
    assert did_you_mean("something", ["digits", "nmnist"]) == ""
