"""What any terminal gets: commands end in one line, print in every encoding, and survive closed and full outputs."""

import codecs
import os
import pathlib
import subprocess
import sys

import jax
import pytest

from hdlif_jax.commands.support.execution import use_compilation_cache
from hdlif_jax.commands.support.terminal import SPELLED, spell
from tests.commands.test_cli import COMMANDS

ROOT = pathlib.Path(__file__).parents[2]
TEXT = "1…T steps: ε[i,t] ≠ 0, 8×8, ± 0.1, naïve, \udcff"
ASCII = r"1...T steps: eps[i,t] != 0, 8x8, +- 0.1, na\xefve, \udcff"


def run(action, *, redirect="", **environment):
    """A command whose main does `action`, in a shell's redirection."""
    code = f"""
import sys
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.errors import CommandError, Stopped

@command
def main():
    {action}

main()
"""
    line = f'"$0" -c "$1" {redirect}'
    return subprocess.run(
        ["bash", "-c", line, sys.executable, code], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | environment, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("encoding", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0",
                                                                     "PYTHONCOERCECLOCALE": "0"}])  # fmt: skip
def test_what_cannot_be_encoded_is_spelled(encoding):
    both = run(f"print({TEXT!a}); raise ValueError({TEXT!a})", **encoding)
    assert (both.stdout, both.stderr) == (f"{ASCII}\n", f"error: {ASCII}\n")


def test_signs_are_spelled_in_ascii():
    codecs.register_error(SPELLED, spell)
    assert TEXT.encode("ascii", SPELLED) == ASCII.encode()
    assert "±\udcff".encode("utf-8", SPELLED) == "±\\udcff".encode()
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", SPELLED)


ENDS = {
    "CommandError('a\\nb')": (2, "error: a b"),
    "ValueError('a')": (2, "error: a"),
    "TypeError('a')": (2, "error: a"),
    "ZeroDivisionError('a')": (2, "error: a"),
    "ImportError('a')": (2, "error: a"),
    "MemoryError('a')": (2, "error: out of memory (a); choose a smaller batch or network"),
    "FileNotFoundError(2, 'gone', 'x.npy')": (2, "error: x.npy: gone"),
    "OSError('a')": (2, "error: input or output: a"),
    "KeyboardInterrupt()": (130, "interrupted"),
    "Stopped('a', 143)": (143, "a"),
}


@pytest.mark.parametrize("error", ENDS)
def test_errors_end_in_one_line_and_a_status_of_their_kind(error):
    result = run(f"raise {error}")
    assert (result.returncode, result.stderr, result.stdout) == (ENDS[error][0], f"{ENDS[error][1]}\n", "")


def test_a_mistake_of_the_program_has_a_traceback():
    result = run("{}['x']")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_a_device_that_runs_out_of_memory_is_one_line():
    result = run("import jax; raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: 5 GB\\nat line 7')")
    assert (result.returncode, result.stderr) == (2, "error: the device says: RESOURCE_EXHAUSTED: 5 GB\n")


def test_a_closed_output_is_a_sink(tmp_path):
    file = tmp_path / "result"
    result = run(f"print('x'); open({str(file)!r}, 'w').write('kept')", redirect=">&-")
    assert (result.returncode, result.stderr) == (0, "")
    assert file.read_text() == "kept"
    assert run("print('x'); raise ValueError('a')", redirect="2>&-").returncode == 2


def test_a_full_output_is_one_line():
    result = run("print('x')", redirect=">/dev/full")
    assert (result.returncode, result.stderr) == (2, "error: input or output: No space left on device\n")


def test_a_reader_that_has_had_enough_is_no_error():
    result = run("[print('x' * 100) for _ in range(10000)]", redirect="| head -1; echo ${PIPESTATUS[0]} >&2")
    assert (result.stdout, result.stderr) == (f"{'x' * 100}\n", "141\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_for_every_terminal(name):
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "40", "TERM": "dumb", "NO_COLOR": "1"}
    words = [sys.executable, "-m", f"hdlif_jax.commands.{name}", "--help"]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, env=environment, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.isascii()
    assert b"\x1b" not in result.stdout


@pytest.mark.parametrize("home", ["unknown", "a file"])
def test_without_a_home_nothing_is_cached(home, monkeypatch, tmp_path):
    for name in ("HOME", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)

    def unknown():
        raise RuntimeError("Could not determine home directory.")

    (tmp_path / "file").touch()
    monkeypatch.setattr(pathlib.Path, "home", unknown if home == "unknown" else lambda: tmp_path / "file")
    before = jax.config.jax_compilation_cache_dir
    use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == before
