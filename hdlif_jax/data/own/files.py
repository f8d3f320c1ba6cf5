"""Picture files as examples, read where they are."""

import dataclasses
import pathlib

import numpy as np

from hdlif_jax import show
from hdlif_jax.data.errors import DataError
from hdlif_jax.data.formats.images import decode_image, resize_image
from hdlif_jax.data.own.levels import count_levels
from hdlif_jax.data.source import Split

Size = tuple[int, int]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class PictureFiles:
    """Pictures on disk, read one by one in any order. It can be sent to other processes.

    Attributes:
      files: `[N]`.
      classes: `[N]` int32, their labels.
      example_shape: (H, W, C), of which C is 1 or 3.
      scaled: whether pictures of another size are scaled to it.
    """

    files: tuple[pathlib.Path, ...]
    classes: np.ndarray
    example_shape: tuple[int, int, int]
    scaled: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """`[N, H, W, C]` of all inputs."""
        return len(self.files), *self.example_shape

    @property
    def dtype(self) -> np.dtype:
        """Type of the inputs."""
        return np.dtype(np.uint8)

    @property
    def labels(self) -> np.ndarray:
        """`[N]` int32."""
        return self.classes

    def select(self, indices: np.ndarray) -> "PictureFiles":
        """The examples at these indices, as a source of their own."""
        files = tuple(self.files[int(index)] for index in indices)
        return dataclasses.replace(self, files=files, classes=self.classes[indices])

    def read(self, indices: np.ndarray, keys: np.ndarray | None = None) -> Split:
        """Reads and decodes examples; nothing of it is random.

        Raises:
          DataError: a file that is no picture, or of another size.
        """
        del keys
        inputs = np.empty((len(indices), *self.example_shape), np.uint8)
        for row, index in enumerate(indices):
            inputs[row] = self._picture(self.files[int(index)])
        return Split(inputs, self.classes[indices])

    def load(self) -> Split:
        """All examples in memory."""
        return self.read(np.arange(len(self.files)))

    def _picture(self, file: pathlib.Path) -> np.ndarray:
        height, width, channels = self.example_shape
        size = None if self.scaled else (height, width)
        return resize_image(decode_image(file.read_bytes(), str(file), size, channels), (height, width))

    def __repr__(self) -> str:
        return f"PictureFiles({len(self.files)} pictures of {show.image(self.example_shape)})"


def look_at(files: tuple[pathlib.Path, ...], counted: np.ndarray, size: Size | None) -> tuple[Size, int, np.ndarray]:
    """Looks at every picture once.

    Args:
      files: `[N]`.
      counted: `[N]` bool, of which the levels are counted.
      size: (H, W) to scale all of them to; None where they are of one size.

    Returns:
      Height and width, the number of channels, 1 where all pictures are grey, and the levels `[C, 256]` that were
      counted.

    Raises:
      DataError: a file that is no picture, or pictures of two sizes without `size`.
    """
    counts: np.ndarray | int = 0
    first: Size | None = None
    is_grey = True
    for file, counts_here in zip(files, counted, strict=True):
        pixels = decode_image(file.read_bytes(), str(file))
        is_grey = is_grey and bool((pixels == pixels[..., :1]).all())
        if size is not None:
            pixels = resize_image(pixels, size)
        height, width = pixels.shape[:2]
        first = (height, width) if first is None else first
        if (height, width) != first:
            raise DataError(
                f"{file} has {width}×{height} pixels, {files[0]} has {first[1]}×{first[0]}; "
                "bring all pictures to one size, or scale them to N×N pixels: --data.image-size N"
            )
        if counts_here:
            counts = counts + count_levels(pixels)
    assert first is not None
    assert isinstance(counts, np.ndarray)
    channels = 1 if is_grey else 3
    return first, channels, counts[:channels]
