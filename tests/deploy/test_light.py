"""Running an artifact needs jax and numpy alone."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
BLOCKED = ("flax", "optax", "orbax", "chex", "flatbuffers", "safetensors", "tyro", "rich", "matplotlib", "sklearn",
           "tensorflow_datasets", "grain", "PIL", "nir", "h5py")  # fmt: skip
BLOCKER = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED}:
            raise ImportError(f"{{name}} is blocked")

sys.meta_path.insert(0, Blocker())
"""
INFER = f"""{BLOCKER}
import runpy
sys.argv = ["infer", *sys.argv[1:]]
runpy.run_module("experiments.infer", run_name="__main__")
"""
RUN = f"""{BLOCKER}
import numpy as np
from hdlif_jax import deploy
network = deploy.load(sys.argv[1])
inputs = np.load(sys.argv[2])
network(inputs)
network.step(network.init_state(len(inputs)), inputs)
print(*sorted(name for name in sys.modules if name.startswith("hdlif_jax.")), sep="\\n")
"""


@pytest.fixture
def inputs(tmp_path):
    np.save(tmp_path / "inputs.npy", np.random.default_rng(0).integers(0, 256, (2, 8, 8, 2)).astype(np.uint8))
    return tmp_path / "inputs.npy"


def test_infer_imports_jax_and_numpy_only(written, inputs):
    command = [sys.executable, "-c", INFER, str(written), str(inputs)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["input", f"{inputs}[0]", f"{inputs}[1]"]


def test_running_an_artifact_imports_none_of_the_networks_code(written, inputs):
    command = [sys.executable, "-c", RUN, str(written), str(inputs)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    parts = ("accounting", "checks", "deploy", "deploy.anytime", "deploy.batching", "deploy.runtime", "show")
    allowed = [f"hdlif_jax.{part}" for part in parts]
    others = [name for name in result.stdout.split() if not name.startswith("hdlif_jax.deploy.format")]
    assert sorted(others) == sorted(allowed)


def test_every_public_name_is_there():
    from hdlif_jax import deploy

    for name in deploy.__all__:
        assert getattr(deploy, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'unfold'"):
        _ = deploy.unfold


@pytest.mark.slow
def test_infer_in_a_fresh_environment_with_jax_and_numpy(written, inputs, tmp_path):
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "jax", "numpy"], check=True)
    command = [python, "-m", "pip", "list", "--format=freeze"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    installed = {line.partition("==")[0] for line in listed.splitlines()}
    assert not installed & {"flax", "flatbuffers", "safetensors"}
    result = subprocess.run(
        [python, "-m", "experiments.infer", str(written), str(inputs)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 3
