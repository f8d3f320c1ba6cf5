import sys

import pytest

from hdlif_jax.data import DataError
from hdlif_jax.data.extras import needed
from hdlif_jax.data.formats.images import decode_image


def test_a_module_that_is_there():
    assert needed("PIL.Image").__name__ == "PIL.Image"


def test_a_package_that_is_missing_is_said_in_one_line_with_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(DataError, match=r"^this needs the package PIL, .*pip install 'hdlif_jax\[data\]'$"):
        decode_image(b"", "picture.png")
