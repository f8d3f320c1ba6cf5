"""What a shell completes behind `hdlif`, asked of the shells themselves."""

import pathlib
import shutil
import subprocess

import pytest

from hdlif_jax.commands.completion import script
from hdlif_jax.commands.main import commands

ROOT = pathlib.Path(__file__).parents[2]
ASKS = {  # how a shell is asked with $1 … the words, the last of which is not complete; prints one a line
    "bash": 'COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _tyro_hdlif; printf "%s\\n" "${COMPREPLY[@]}"',
    "zsh": (
        "_files() { print -l -- $words[CURRENT]*(N) }; _describe() { print -l -- ${completion_array%%:*} }; "
        'words=("$@") CURRENT=$#; source FILE'
    ),
    "fish": 'complete -C "$argv" | string split -f1 \\t; true',
}
SHELLS = [pytest.param(name, marks=() if shutil.which(name) else pytest.mark.skip(f"no {name} here")) for name in ASKS]


@pytest.fixture(scope="module")
def scripts():
    return {shell: script(shell) for shell in ASKS}


def completed(shell, file, *words):
    before = "" if shell == "zsh" else f"source {file}; "
    code = before + ASKS[shell].replace("FILE", str(file))
    name = [] if shell == "fish" else [shell]  # $0 of the others
    result = subprocess.run([shell, "-c", code, *name, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return result.stdout.split()


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_presets_options_choices_and_files(shell, scripts, tmp_path):
    file = tmp_path / "completion"
    file.write_text(scripts[shell])
    assert {name.replace("_", "-") for name in commands()} <= {*completed(shell, file, "hdlif", "")}
    assert completed(shell, file, "hdlif", "prep") == ["prepare-data"]
    assert completed(shell, file, "hdlif", "train", "digits-ot") == ["digits-ottt"]
    assert completed(shell, file, "hdlif", "train", "digits-ottt", "--model.neur") == ["--model.neuron"]
    assert completed(shell, file, "hdlif", "train", "--model.neuron", "glif") == ["glif"]
    assert completed(shell, file, "hdlif", "study", "qui") == ["quick"]
    assert {"--arithmetic", "--threshold"} <= {*completed(shell, file, "hdlif", "infer", "--")}
    assert completed(shell, file, "hdlif", "infer", "--arithmetic", "int") == ["integer"]
    files = completed(shell, file, "hdlif", "evaluate", "pyproj")
    assert files == ([] if shell == "bash" else ["pyproject.toml"])  # bash then completes by its default, files
    if shell == "bash":
        assert "complete -o default -F _tyro_hdlif hdlif" in scripts[shell]
