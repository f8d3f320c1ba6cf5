"""The floors: imports only point down, and importing the core stays light."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FLOORS = {
    "neurons": 1,
    "quantize": 1,
    "ops": 1,
    "nn": 2,
    "rollout": 3,
    "data": 3,
    "analysis": 4,
    "deploy": 4,
    "training": 4,
}
FILES = sorted((ROOT / "hdlif_jax").rglob("*.py"))


def imported_modules(file):
    """Modules of the package that a file imports, at any depth of its code."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def package_of(module):
    parts = module.split(".")
    return parts[1] if parts[0] == "hdlif_jax" and len(parts) > 1 and parts[1] in FLOORS else None


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_only_point_down(file):
    own = file.relative_to(ROOT).with_suffix("").parts[1]
    if own == "__init__":
        return
    for module in imported_modules(file):
        assert module.split(".")[0] != "experiments", f"{file} imports {module}"
        other = package_of(module)
        if other and other != own:
            assert FLOORS[other] < FLOORS[own], (
                f"{file} on floor {FLOORS[own]} imports {module} on floor {FLOORS[other]}"
            )


def test_data_touches_no_device():
    for file in FILES:
        if "data" in file.relative_to(ROOT / "hdlif_jax").parts:
            assert not any(module.split(".")[0] in ("jax", "flax") for module in imported_modules(file)), file


@pytest.mark.parametrize(
    "module", ["hdlif_jax", "hdlif_jax.neurons", "hdlif_jax.nn", "hdlif_jax.rollout", "hdlif_jax.data"]
)
def test_the_core_imports_light(module):
    heavy = ("tensorflow", "tensorflow_datasets", "grain", "orbax", "matplotlib", "tyro", "sklearn")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "module",
    [
        "hdlif_jax.training",
        "hdlif_jax.commands.presets",
        "hdlif_jax.commands.support.runs",
        "experiments.benchmarks.stbp",
        "experiments.benchmarks.memory",
        "experiments.benchmarks.integer_layers",
    ],
)
def test_training_on_arrays_needs_no_reader(module):
    """Machines to measure on have jax, flax, optax and orbax; what reads datasets and command lines may be missing."""
    missing = ("grain", "tensorflow_datasets", "array_record", "importlib_resources", "tyro", "filelock", "torch")
    code = f"import sys; sys.modules.update(dict.fromkeys({missing})); import {module}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_no_file_is_two_ideas():
    long = [file for file in FILES if len(file.read_text().splitlines()) > 350]
    assert not long
