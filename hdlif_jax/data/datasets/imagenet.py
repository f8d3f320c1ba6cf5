"""ImageNet, ILSVRC 2012: photographs of 1,000 classes, of varying size, one JPEG file each."""

import functools
import io
import pathlib
from collections.abc import Iterator

import numpy as np

from hdlif_jax.data.datasets.reading import LabelledFile, examples_of_images, image_files
from hdlif_jax.data.errors import DataError, damaged
from hdlif_jax.data.extras import needed
from hdlif_jax.data.formats.archives import folders_in, walk
from hdlif_jax.data.originals import CheckFile, Examples, Original, PreparedEntry


def read(entry: PreparedEntry, source: pathlib.Path, check: CheckFile) -> Examples:
    """Reads one of the two layouts in use.

    - The official archives in one folder.
    - Folders train/<wnid> and val/<wnid>.

    Classes are in the order of the sorted wnids.

    Raises:
      DataError: parts are missing, or a file belongs to no class.
    """
    del check  # no digest of a file inside is known
    tars = [source / original.name for original in entry.originals]
    if any(path.exists() for path in tars):
        missing = [path.name for path in tars if not path.exists()]
        if missing:
            raise entry.missing(source, *missing)
        train, validation, devkit = tars
        wnids, truth = _devkit(devkit)
    else:
        train, validation, truth = source / "train", source / "val", None
        if not train.is_dir() or not validation.is_dir():
            raise DataError(
                f"{source} holds neither the folders train and val nor the official archives; "
                f"{entry.name} needs {entry.what_to_get()}"
            )
        wnids = tuple(path.name for path in folders_in(train))
    index = {wnid: label for label, wnid in enumerate(wnids)}

    def files(part: pathlib.Path) -> Iterator[LabelledFile]:
        for member in image_files(part):
            folder = member.folders[-1] if member.folders else None
            if part is validation and truth is not None:
                number = member.base_name.rsplit(".", 1)[0].rsplit("_", 1)[-1]
                if not number.isdigit() or not 1 <= int(number) <= len(truth):
                    raise damaged(member.where, 0, f"is none of the {len(truth)} validation images of the devkit")
                label = truth[int(number) - 1]
            elif folder in index:
                label = index[folder]
            else:
                raise damaged(
                    member.where, 0, f"lies in no folder of a class such as {wnids[0] if wnids else 'n01440764'}"
                )
            yield LabelledFile(member, label)

    splits = {"train": functools.partial(files, train), "validation": functools.partial(files, validation)}
    return examples_of_images(entry, wnids, splits)


def _devkit(path: pathlib.Path) -> tuple[tuple[str, ...], list[int]]:
    """Class names, and the label of each validation image, from the development kit."""
    matlab = needed("scipy.io")
    content = {}
    for member in walk(path):
        if member.base_name in ("meta.mat", "ILSVRC2012_validation_ground_truth.txt"):
            content[member.base_name] = member.read()
    try:
        synsets = matlab.loadmat(io.BytesIO(content["meta.mat"]), squeeze_me=True)["synsets"]
        # The kit numbers the 1,000 leaves from 1; inner nodes of the hierarchy follow.
        leaves = [entry for entry in np.atleast_1d(synsets) if int(entry["num_children"]) == 0]
        wnid_of = {int(entry["ILSVRC2012_ID"]): str(entry["WNID"]) for entry in leaves}
        truth = [int(line) for line in content["ILSVRC2012_validation_ground_truth.txt"].split()]
    except Exception as error:  # scipy raises whatever its parser stumbled over
        raise damaged(path, 0, f"is not the development kit of ILSVRC 2012 ({error!r})") from error
    wnids = tuple(sorted(wnid_of.values()))
    unknown = [number for number in truth if number not in wnid_of]
    if unknown:
        raise damaged(path, 0, f"ground truth {unknown[0]} is none of the {len(wnid_of)} classes of meta.mat")
    index = {wnid: label for label, wnid in enumerate(wnids)}
    return wnids, [index[wnid_of[number]] for number in truth]


ENTRY = PreparedEntry(
    name="imagenet",
    title="ImageNet-1k",
    kind="images",
    shape=(None, None, 3),
    num_classes=1000,
    prepared_name="imagenet2012",
    version="5.1.0",
    counts={"train": 1281167, "validation": 50000},
    test="validation",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    originals=(
        Original("ILSVRC2012_img_train.tar", "1d675b47d978889d74fa0da5fadfb00e"),
        Original("ILSVRC2012_img_val.tar", "29b22e2961454d5413ddabcf34fc5622"),
        Original("ILSVRC2012_devkit_t12.tar.gz", "fa75699e90414af021442c21a62c3abf"),
    ),
    note="from image-net.org after registering; or a folder with train/<wnid> and val/<wnid>",
    reader=read,
)
