"""Commands explain themselves and refuse before they import what computes; no time is asserted, but what is there."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.commands.test_cli import COMMANDS

ROOT = pathlib.Path(__file__).parents[2]
HEAVY = (
    "jax",
    "flax",
    "optax",
    "orbax",
    "chex",
    "sklearn",
    "scipy",
    "matplotlib",
    "PIL",
    "tensorflow_datasets",
    "grain",
)
START = f"""
import importlib, sys

name, *words = sys.argv[1:]
sys.argv = ["hdlif " + name.replace("_", "-"), *words]
try:
    importlib.import_module("hdlif_jax.commands." + name).main()
except SystemExit as end:
    print("status", end.code or 0)
print("heavy", *(name for name in {HEAVY} if name in sys.modules))
"""
REFUSED = {
    "train": [
        ["digit"],
        ["--epochs", "0"],
        ["--model.weights", "int4"],
        ["--learning.rule", "stbp", "--learning.loss", "tet", "--epochs", "0"],
        ["--resume", "nowhere"],
        ["--config", "no"],
        ["--init-from", "no"],
    ],
    "evaluate": [["nowhere"], ["--no"]],
    "deploy": [["nowhere", "out"], ["nowhere", "out", "--images", "0"]],
    "infer": [["artifact"]],
    "costs": [["digit"], ["digits", "--images", "0"]],
    "separability": [["--preset", "digit"], ["--updates", "0"]],
    "prepare_data": [["digits"], ["mnist"]],
    "record": [["nowhere"]],
    "report": [["nowhere"], ["nowhere", "--images", "0"], ["nowhere", "--step", "first"]],
    "completion": [["sh"], []],
    "doctor": [["--data"], ["digits"]],
    "study": [["quikc"], ["nowhere.yaml"], ["quick", "--only", "3/2"], ["quick", "--scale", "no"]],
    "compare": [["nowhere"], []],
}


def start(*words):
    environment = os.environ | {"COLUMNS": "80"}
    result = subprocess.run(
        [sys.executable, "-c", START, *words], cwd=ROOT, capture_output=True, text=True, check=True, env=environment
    )
    *_, status, heavy = result.stdout.splitlines()
    return status, heavy, result


@pytest.mark.parametrize("name", COMMANDS)
def test_help_imports_nothing_that_computes_and_fits_80_columns(name):
    status, heavy, result = start(name, "--help")
    assert (status, heavy) == ("status 0", "heavy")
    assert result.stdout.startswith(f"usage: hdlif {name.replace('_', '-')} ")
    assert [line for line in result.stdout.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_that_does_not_exist_is_one_line(name):
    status, heavy, result = start(name, "--no-such-option")
    assert (status, heavy) == ("status 2", "heavy")
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: ")


@pytest.mark.parametrize("words", [(name, *words) for name in REFUSED for words in REFUSED[name]], ids=" ".join)
def test_errors_import_nothing_that_computes(words):
    status, heavy, result = start(*words)
    assert (status, heavy) == ("status 2", "heavy")
    assert "error: " in result.stderr.splitlines()[-1]


def test_every_command_is_tried():
    assert sorted(REFUSED) == COMMANDS
