import pytest

from hdlif_jax import deploy, xla_cpu
from tests.deploy.networks import small_artifact


@pytest.fixture(scope="package", autouse=True)
def narrow_layers_compute_in_integers():
    """The layers of small networks are narrower than those for which integers pay."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xla_cpu, "has_fast_integers", lambda kernel_shape: True)
        yield


@pytest.fixture(scope="package")
def written(narrow_layers_compute_in_integers, tmp_path_factory):
    """A small artifact on disk, for reading only."""
    directory = tmp_path_factory.mktemp("deploy") / "artifact"
    deploy.write(directory, small_artifact())
    return directory
