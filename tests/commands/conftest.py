import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
TINY = ("--model.widths", "4", "--model.num-steps", "2", "--epochs", "4", "--batch-size", "256")


class Command:
    """Runs `python -m experiments.NAME` as a user would, in a process of its own.

    Args:
      cache: folder of compiled programs that these processes share.
    """

    def __init__(self, cache):
        self.environment = {
            "PYTHONUNBUFFERED": "1",
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.02",
        }

    def start(self, name, *arguments, environment=None):
        return subprocess.Popen(
            [sys.executable, "-m", f"experiments.{name}", *map(str, arguments)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | self.environment | (environment or {}),
        )

    def run(self, name, *arguments):
        process = self.start(name, *arguments)
        output, errors = process.communicate(timeout=300)
        return process.returncode, output, errors


@pytest.fixture(scope="session")
def command(tmp_path_factory):
    return Command(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, command):
    """A finished run of the tiny configuration."""
    directory = tmp_path_factory.mktemp("runs") / "finished"
    status, output, errors = command.run("train", *TINY, "--out", directory)
    assert status == 0, errors
    return directory, output


def read_json(path):
    return json.loads(path.read_text())


def wait_for(path, process, seconds=240):
    """Waits until a path exists."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)
