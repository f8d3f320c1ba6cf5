"""What is known of a dataset without its data."""

import dataclasses
from collections.abc import Callable
from typing import Literal, NamedTuple

from hdlif_jax.data.dataset import Dataset

IMAGE_SIZE = 224  #: that images of varying size are cut to, as is usual for ImageNet


class InputSpec(NamedTuple):
    """What a network reads.

    Attributes:
      shape: (H, W, C) of one image or one frame of events.
      num_classes: K.
      is_sequence: whether an input is a frame for each time-step, instead of one image for all of them.
    """

    shape: tuple[int, int, int]
    num_classes: int
    is_sequence: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A dataset of the catalogue.

    Attributes:
      name: the dataset's name on the command line.
      title: its name in a text.
      kind: images, or recordings of an event camera.
      shape: (H, W, C) of an image, of which None varies from image to image; (H, W, 2) of a recording's sensor.
      num_classes: K.
      frame_size: height and width that event frames usually have; None is the sensor's.
    """

    name: str
    title: str
    kind: Literal["images", "events"]
    shape: tuple[int | None, int | None, int]
    num_classes: int
    frame_size: int | None = None

    @property
    def is_sequence(self) -> bool:
        """Whether an input is a sequence of frames."""
        return self.kind == "events"

    def input_spec(self, frame_size: int | None = None, image_size: int = IMAGE_SIZE) -> InputSpec:
        """What a network reads of this dataset.

        Args:
          frame_size: height and width of event frames; None is the usual one. Images have none.
          image_size: height and width that images of varying size are cut to. Other inputs ignore it.

        Raises:
          ValueError: frames larger than the sensor, or a size below 1.
        """
        if image_size < 1:
            raise ValueError(f"image_size={image_size} must be at least 1")
        height, width = (image_size if side is None else side for side in self.shape[:2])
        side = self.frame_size if frame_size is None else frame_size
        if self.is_sequence and side is not None:
            if not 1 <= side <= min(height, width):
                raise ValueError(
                    f"frame_size={side} must be between 1 and {min(height, width)}: the sensor of {self.name} has "
                    f"{height}×{width} pixels"
                )
            height = width = side
        return InputSpec((height, width, self.shape[2]), self.num_classes, self.is_sequence)


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstalledEntry(Entry):
    """A dataset that comes with a package and fits in memory: nothing has to be prepared.

    Attributes:
      load: gives the dataset; raises DataError where the package is missing.
    """

    load: Callable[[], Dataset]
