"""What is damaged gives the right answer or is refused: `python -m tests.damage` does it thousands of times."""

import os

from tests.damage import damaged_artifacts, damaged_checkpoints, unexpected


def test_artifacts():
    counted = damaged_artifacts(int(os.environ.get("HDLIF_DAMAGES", "200")))
    assert not unexpected(counted)
    assert {what for _, what in counted} == {"right", "refused"}


def test_checkpoints():
    counted = damaged_checkpoints(int(os.environ.get("HDLIF_DAMAGES", "200")) // 10)
    assert not unexpected(counted)
    assert {what for _, what in counted} >= {"refused"}
