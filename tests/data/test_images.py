"""One rule for what a picture shows."""

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from hdlif_jax.data.errors import DamagedError, DataError
from hdlif_jax.data.formats.images import decode_image


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


RED_OVER_BLUE = Image.fromarray(np.array([[[255, 0, 0]], [[0, 0, 255]]], np.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stands_as_its_orientation_says(orientation):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    # What viewers do with each orientation, in numpy (EXIF 2.3, tag 0x0112).
    upright = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(pixels),
    }[orientation]
    content = encoded(Image.fromarray(pixels), exif=exif)
    np.testing.assert_array_equal(decode_image(content, "turned.png"), upright)
    decode_image(content, "turned.png", upright.shape[:2])


def test_what_is_transparent_lies_on_white():
    pixels = np.array([[[9, 9, 9, 0], [9, 9, 9, 255], [0, 100, 200, 128]]], np.uint8)
    decoded = decode_image(encoded(Image.fromarray(pixels)), "alpha.png")
    assert decoded[0, :2].tolist() == [[255, 255, 255], [9, 9, 9]]
    share = 128 / 255
    np.testing.assert_allclose(decoded[0, 2], share * pixels[0, 2, :3] + (1 - share) * 255, atol=1)


def test_transparency_of_grey_and_palette_pictures_counts_too():
    grey = Image.fromarray(np.array([[[7, 0], [7, 255]]], np.uint8), "LA")
    assert decode_image(encoded(grey), "grey.png", channels=1).tolist() == [[[255], [7]]]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([1, 2, 3, 4, 5, 6])
    assert decode_image(encoded(palette, transparency=0), "p.png").tolist() == [[[255, 255, 255], [4, 5, 6]]]


def test_opaque_pictures_stay_level_for_level():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(pixels)), "rgb.png"), pixels)
    opaque = np.concatenate([pixels, np.full((4, 5, 1), 255, np.uint8)], -1)
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(opaque)), "rgba.png"), pixels)
    grey = pixels[..., :1]
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(grey[..., 0])), "l.png", channels=1), grey)
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(grey[..., 0])), "l.png"), grey.repeat(3, -1))
    luma = (pixels.astype(int) @ [19595, 38470, 7471] + (1 << 15)) >> 16
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(pixels)), "g.png", channels=1)[..., 0], luma)


def test_deep_pictures_are_refused():
    deep = Image.fromarray(np.array([[0, 65535]], np.uint16))
    with pytest.raises(DataError, match=r"deep\.png, byte 0: has more than 8 bits a channel; convert it to 8 first"):
        decode_image(encoded(deep), "deep.png")


def test_there_are_no_other_channels():
    with pytest.raises(ValueError, match=r"channels=2 must be 1 .* or 3"):
        decode_image(encoded(RED_OVER_BLUE), "a.png", channels=2)


def test_pillow_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.ImageOps", None)
    with pytest.raises(DataError, match=r"pip install 'hdlif_jax\[data\]'$"):
        decode_image(encoded(RED_OVER_BLUE), "a.png")


def test_what_is_no_picture_is_said_without_objects_in_memory():
    with pytest.raises(DamagedError, match=r"a file, byte 0: does not decode as an image \(of no format"):
        decode_image(b"junk", "a file")


def test_colours_of_16_bits_are_refused_as_grey_is():
    """Pillow leaves out their lower bits without a word."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header, pixels = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0), zlib.compress(bytes(7))
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    with pytest.raises(DamagedError, match="has more than 8 bits a channel; convert it to 8 first"):
        decode_image(file, "a file")
