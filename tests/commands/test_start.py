"""Commands explain themselves and refuse before they import what computes; no time is asserted, but what is there."""

import os
import pathlib
import shlex
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
import importlib, shlex, sys

name, *lines = sys.argv[1:]
for line in lines:
    sys.argv = ["hdlif " + name.replace("_", "-"), *shlex.split(line)]
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
    "deploy": [["nowhere", "out"], ["nowhere", "out", "--images", "0"], ["nowhere", "out", "--counted-images", "0"]],
    "infer": [["artifact"]],
    "costs": [["digit"], ["digits", "--images", "0"]],
    "separability": [["--preset", "digit"], ["--updates", "0"]],
    "prepare_data": [["digits"], ["mnist"]],
    "record": [["nowhere"]],
    "report": [["nowhere"], ["nowhere", "--images", "0"], ["nowhere", "--step", "first"], ["nowhere", "--out", "no/a"]],
    "completion": [["sh"], []],
    "doctor": [["--data"], ["digits"]],
    "study": [["quikc"], ["nowhere.yaml"], ["quick", "--only", "3/2"], ["quick", "--scale", "no"]],
    "compare": [["nowhere"], []],
}


def start(name, *lines):
    """What a process prints that runs a command with each of some lines of words, and what it has imported."""
    environment = os.environ | {"COLUMNS": "80"}
    words = [sys.executable, "-c", START, name, *lines]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, env=environment)
    *output, heavy = result.stdout.splitlines()
    assert heavy == "heavy"
    return output, result.stderr.splitlines()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_unknown_options_import_nothing_that_computes(name):
    (usage, *lines), errors = start(name, "--help", "--no-such-option")
    assert usage.startswith(f"usage: hdlif {name.replace('_', '-')} ")
    assert [line for line in lines if len(line) > 80] == []
    assert [line for line in lines if line.startswith("status")] == ["status 0", "status 2"]
    assert len(errors) == 1
    assert errors[0].startswith("error: ")


@pytest.mark.parametrize("name", REFUSED)
def test_errors_import_nothing_that_computes(name):
    output, errors = start(name, *map(shlex.join, REFUSED[name]))
    assert output == ["status 2"] * len(REFUSED[name])
    assert len(errors) == len(REFUSED[name])
    assert all(error.startswith("error: ") for error in errors)


def test_every_command_is_tried():
    assert sorted(REFUSED) == COMMANDS
