"""The gallery shows or names all that draws, and each of its programs has a picture."""

import sys

from hdlif_jax import viz
from tests.docs.blocks import DOCS, PAGES, programs

sys.path.insert(0, str(DOCS / "_ext"))
import gallery


def test_every_program_has_its_picture():
    assert [program for program, _ in gallery.parts()] == programs("gallery")
    names = [name for _, name in gallery.parts()]
    assert len(set(names)) == len(names)


def test_no_drawing_was_forgotten():
    text = PAGES["gallery"].read_text()
    drawings = {name for name in viz.__all__ if name[0].islower()} - {"decimals_of_percent", "wilson"}
    assert {name for name in drawings if f"viz.{name}" not in text and f"`{name}`" not in text} == set()
