"""The commands, paths and names on the pages are there, and their Getting started and Own neuron run as scripts."""

import dataclasses
import importlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import typing

import pytest

from hdlif_jax.commands import main
from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.studies import read_study
from hdlif_jax.commands.train import parse_arguments
from tests.docs.blocks import DOCS, MADE, PAGES, ROOT, blocks, programs

COMMANDS = [
    (page, command.split("#")[0].strip().removeprefix("python -m "))
    for page in PAGES
    for block in blocks(page, "bash")
    for command in block.replace("\\\n", " ").splitlines()
    if command.startswith("python -m ") and "pip" not in command and "venv" not in command
]


def test_every_command_exists():
    assert len(COMMANDS) > 10
    for page, command in COMMANDS:
        assert importlib.util.find_spec(command.split()[0]), f"{page}: {command}"


def test_options_of_train_are_there():
    """Those of new runs, which are parsed without a run being there."""
    lines = [command.split()[1:] for _, command in COMMANDS if command.split()[0] == "experiments.train"]
    parsed = [line for line in lines if not {"--resume", "--init-from", "PICTURES", "FILE.npz"} & set(line)]
    assert len(parsed) >= 5
    for line in parsed:
        words = ["digits" if word == "PRESET" else word for word in line]
        _, config, *_ = parse_arguments(words if "--out" in words else [*words, "--out", "nowhere"])
        assert words[0].startswith("--") or words[0] in PRESETS
        assert config.epochs >= 1


def options_of(kind, prefix="--"):
    """The options of a command's dataclass; what lies in a field of its own may be called without that field's name."""
    for name, value in typing.get_type_hints(kind).items():
        if dataclasses.is_dataclass(value):
            yield from options_of(value, f"{prefix}{name.replace('_', '-')}.")
            yield from options_of(value)
        else:
            yield from (prefix + name.replace("_", "-"), f"{prefix}no-{name.replace('_', '-')}")


def test_every_option_is_one_of_a_command():
    """Also where a sentence names it."""
    known = {"--resume", "--config", "--help", "--from"}  # which no field is named after
    known |= {"--keep-going", "--logdir", "--no-deps"}  # of other programs
    for name in main.commands():
        module = importlib.import_module(f"hdlif_jax.commands.{name}")
        if hasattr(module, "Arguments"):
            known.update(options_of(module.Arguments))
        else:
            known.update(option for action in module.parser()._actions for option in action.option_strings)
    texts = {page: path.read_text() for page, path in PAGES.items()} | {"README": (ROOT / "README.md").read_text()}
    option_in = re.compile(r"(?<![\w-])--[a-z][\w.-]*\w")
    named = [(page, option) for page, text in texts.items() for option in option_in.findall(text)]
    assert len(named) > 40
    assert [(page, option) for page, option in named if option not in known and not option.startswith("--xla")] == []


def test_the_study_is_one(tmp_path):
    (text,) = blocks("howto/reproduce_a_table", "yaml")
    (tmp_path / "mine.yaml").write_text(text)
    study = read_study(tmp_path / "mine.yaml")
    configs = [study.config(variant, "short", 0) for variant in study.variants]
    assert [(config.model.spike_bits, config.epochs) for config in configs] == [(None, 5), (4, 5)]


@pytest.mark.parametrize("page", PAGES)
def test_paths_are_there(page):
    """As they are read in the repository; the site's own links and anchors are checked as it is built."""
    made = tuple(f"{DOCS / folder}{os.sep}" for folder in MADE)  # by the build, before it reads the pages
    for target in re.findall(r"\]\(((?!https?:|#)[^)\s]+)\)", PAGES[page].read_text()):
        path = (PAGES[page].parent / target.partition("#")[0]).resolve()
        assert path.exists() or str(path).startswith(made), target


@pytest.mark.slow
@pytest.mark.parametrize("page", ["getting_started", "howto/own_neuron"])
def test_nothing_is_typed_that_is_not_on_the_page(page, tmp_path):
    """Its blocks as a script, in a copy of the repository and, as the page says, an environment of its own."""
    clone = tmp_path / "clone"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(pathlib.Path(sys._base_executable).resolve())
    (clone / "own_neuron.py").write_text("\n".join(programs(page)))
    shell = "\n".join(["set -euo pipefail", *blocks(page, "bash")])
    if page == "getting_started":  # whose ten lines are for a notebook or for Python itself
        shell += "\npython own_neuron.py\n"
    quiet = {"MPLBACKEND": "Agg", "PIP_QUIET": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "XLA_", "JAX_", "VIRTUAL"))
    }
    kept |= quiet | {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}", "JAX_PLATFORMS": "cpu"}
    result = subprocess.run(["bash", "-c", shell], cwd=clone, env=kept, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    artifact = {"getting_started": "digits-artifact", "howto/own_neuron": "adaptive-artifact"}[page]
    assert (clone / artifact / "manifest.json").exists()
