import pytest

from hdlif_jax.deploy import artifact
from tests.deploy.networks import small_artifact


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """A small artifact on disk, for reading only."""
    directory = tmp_path_factory.mktemp("deploy") / "artifact"
    artifact.write(directory, small_artifact())
    return directory
