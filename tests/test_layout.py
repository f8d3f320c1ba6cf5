"""The floors: imports only point down, and importing the core stays light."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FLOORS = {
    "checks": 0,
    "deprecation": 0,
    "xla_cpu": 0,
    "conv_forms": 0,
    "neurons": 1,
    "quantize": 1,
    "ops": 1,
    "losses": 1,
    "encodings": 1,
    "accounting": 1,
    "show": 1,
    "viz": 1,
    "nn": 2,
    "rollout": 3,
    "data": 3,
    "learning": 4,
    "analysis": 5,
    "deploy": 4,
    "interop": 5,
    "training": 5,
    "commands": 6,
    "__main__": 7,
}
FILES = sorted((ROOT / "hdlif_jax").rglob("*.py"))
EVERY_FILE = [
    file for folder in ("hdlif_jax", "experiments", "tests") for file in sorted((ROOT / folder).rglob("*.py"))
]


def name_of(file):
    return str(file.relative_to(ROOT))


def package_of_file(file):
    """The package or the module on whose floor a file stands; None for the package's own face."""
    name = file.relative_to(ROOT / "hdlif_jax").with_suffix("").parts[0]
    return None if name == "__init__" else name


def imported_modules(file):
    """Modules that a file imports, at any depth of its code."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def package_of(module):
    parts = module.split(".")
    return parts[1] if parts[0] == "hdlif_jax" and len(parts) > 1 and parts[1] in FLOORS else None


def test_everything_stands_on_a_floor():
    assert {package_of_file(file) for file in FILES} - {None} <= FLOORS.keys()


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_imports_only_point_down(file):
    own = package_of_file(file)
    if own is None:
        return
    for module in imported_modules(file):
        other = package_of(module)
        if other and other != own:
            assert FLOORS[other] < FLOORS[own], (
                f"{file} on floor {FLOORS[own]} imports {module} on floor {FLOORS[other]}"
            )


def test_what_a_clone_runs_is_imported_by_nothing_below():
    """The wheel has hdlif_jax alone."""
    for file in FILES:
        for module in imported_modules(file):
            assert module.split(".")[0] not in ("experiments", "tests"), f"{name_of(file)} imports {module}"


def test_data_touches_no_device():
    for file in FILES:
        if package_of_file(file) == "data":
            assert not any(module.split(".")[0] in ("jax", "flax") for module in imported_modules(file)), file


def test_calls_of_modules_are_redirected_in_one_place():
    """Forms, meters and folding watch networks through `nn.intercept`; nobody else gives a module another class."""

    def changes_a_class(node):
        targets = node.targets if isinstance(node, ast.Assign) else []
        return any(isinstance(target, ast.Attribute) and target.attr == "__class__" for target in targets)

    found = [name_of(file) for file in FILES if any(map(changes_a_class, ast.walk(ast.parse(file.read_text()))))]
    assert found == ["hdlif_jax/nn/intercept.py"]


@pytest.mark.parametrize(
    "module",
    [
        "hdlif_jax",
        "hdlif_jax.neurons",
        "hdlif_jax.losses",
        "hdlif_jax.nn",
        "hdlif_jax.rollout",
        "hdlif_jax.learning",
        "hdlif_jax.data",
        "hdlif_jax.training",
        "hdlif_jax.analysis",
        "hdlif_jax.analysis.separability",
    ],
)
def test_the_core_imports_light(module):
    heavy = ("tensorflow", "tensorflow_datasets", "grain", "orbax", "matplotlib", "tyro", "sklearn", "scipy", "PIL")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "module",
    [
        "hdlif_jax.training",
        "hdlif_jax.commands.presets",
        "hdlif_jax.commands.support.runs",
        "experiments.benchmarks.epoch",
        "experiments.benchmarks.next_steps",
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
    lengths = {name_of(file): len(file.read_text().splitlines()) for file in EVERY_FILE}
    assert {name: length for name, length in lengths.items() if length > 350} == {}
