"""Every file of golden arrays has a test of its own."""

import pathlib

import pytest

from tests.golden.cases import DIRECTORY, files


@pytest.mark.skipif(not files(), reason=f"no golden arrays in {DIRECTORY}; set HDLIF_GOLDEN_DIR")
@pytest.mark.parametrize("system", files() or ["none"])
def test_every_file_has_a_test(system):
    assert (pathlib.Path(__file__).parent / f"test_{system}.py").is_file()
