"""Pictures for a deployed network are read as those that it was trained on."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from hdlif_jax.commands.infer import parser, read_inputs, run
from hdlif_jax.data.formats.images import decode_image

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def network(*shape):
    """What reading asks of a deployed network."""
    manifest = SimpleNamespace(input_shape=shape, input_kind="image", input_type="uint8")
    return SimpleNamespace(manifest=manifest, input_shape=shape)


def read(path, *shape, resize=False):
    return dict(read_inputs(path, network(*shape), resize))


@pytest.mark.parametrize("channels", [1, 3])
def test_orientation_and_transparency_count(channels, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a telephone held upright
    alpha = np.where(np.arange(6) < 3, 0, 255).astype(np.uint8)[None, :, None].repeat(4, 0)
    path = tmp_path / "a.png"
    Image.fromarray(np.concatenate([PIXELS, alpha], -1)).save(path, exif=exif)
    (pixels,) = read(path, 6, 4, channels).values()
    np.testing.assert_array_equal(pixels, decode_image(path.read_bytes(), "a", channels=channels))
    assert np.all(pixels[:3] == 255)
    if channels == 3:
        np.testing.assert_array_equal(pixels, np.rot90(np.where(alpha == 0, 255, PIXELS), -1))
    with pytest.raises(ValueError, match="has 4×6 pixels; the network reads 6×4: crop it"):
        read(path, 4, 6, channels)


def test_resizing_is_of_what_is_shown(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path)
    (pixels,) = read(path, 3, 5, 3, resize=True).values()
    np.testing.assert_array_equal(pixels, np.asarray(Image.fromarray(PIXELS).resize((5, 3))))


def test_what_a_system_left_in_a_folder_is_no_input(tmp_path):
    for name in ("a.png", "._a.png", ".hidden.npy"):
        Image.fromarray(PIXELS).save(tmp_path / name, "PNG")
    assert list(read(tmp_path, 4, 6, 3)) == [str(tmp_path / "a.png")]


def test_a_threshold_out_of_range_is_refused_before_anything_is_printed(capsys):
    with pytest.raises(ValueError, match=r"threshold=2\.0 must be in \[0, 1\]"):
        run(parser().parse_args(["artifact", "input", "--threshold", "2"]))
    assert capsys.readouterr().out == ""
