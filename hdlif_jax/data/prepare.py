"""Prepares datasets for reading at full speed: array_record files in the layout of tensorflow-datasets.

TensorFlow is not needed: images are stored as PNG, which tensorflow-datasets passes on as it is.
"""

import contextlib
import functools
import hashlib
import io
import os
import pathlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

import numpy as np

from hdlif_jax.data import catalog
from hdlif_jax.data.errors import DamagedError, DataError
from hdlif_jax.data.extras import needed
from hdlif_jax.data.formats.archives import is_archive
from hdlif_jax.data.originals import Examples, PreparedEntry
from hdlif_jax.data.recordings import LATE, Recording, load_events, load_in_order

FILE_FORMAT = "array_record"
PARTIAL = ".partial-"  # begins the name of a folder that is being written
PROBLEMS = "damaged.txt"  # beside the records
Progress = Callable[[Iterable[Any], str, int | None], Iterable[Any]]  # (items, description, expected number)


def prepare(
    name: str,
    source: pathlib.Path | str,
    directory: pathlib.Path | str,
    *,
    partial: bool = False,
    skip_damaged: bool = False,
    progress: Progress = lambda items, description, total: items,
) -> pathlib.Path:
    """Prepares a dataset from the files that its authors distribute.

    It is complete or not there at all: files are written beside their place and moved at the end. A dataset that is
    already there is left alone.

    Args:
      name: of the catalogue.
      source: folder or archive with the authors' files; nothing is unpacked to disk.
      directory: the data directory; the dataset goes to `directory/<name>/<version>`.
      partial: accept other numbers of examples and classes and other digests than the official ones: part of a
        dataset, or another one in the same layout.
      skip_damaged: leave out what cannot be used, such as a broken picture or a recording without events, and put
        events in order that are late by at most `recordings.LATE`; `problems` says what was done to which file.
      progress: shows progress while its items are taken.

    Returns:
      The folder of the prepared dataset.

    Raises:
      DataError: missing or damaged files, or not the official ones.
    """
    entry = catalog.prepared_entry(name)
    target = prepared_path(entry, directory)
    if target.exists():
        return target
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    _remove_stale(directory)
    source = pathlib.Path(source)
    if not partial:
        _check_archives(entry, source, progress)

    def check(base_name: str, content: bytes, where: str) -> None:
        known = entry.known.get(base_name)
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if not partial and known is not None and digest != known:
            raise DataError(
                f"{where} has the MD5 {digest}, the official file {known}; get it again, "
                "or pass --partial if it is meant to differ"
            )

    examples = entry.open_originals(source, check)
    found = len(examples.class_names["label"])
    if not partial and found != entry.num_classes:
        raise DataError(
            f"{source} has {found} classes, {name} has {entry.num_classes}; remove the folders that are none of its "
            "classes and get those that are missing, or pass --partial to prepare a part of the dataset"
        )
    work = directory / f"{PARTIAL}{os.getpid()}"
    met: list[str] | None = [] if skip_damaged else None
    try:
        _write(entry, examples, work, None if partial else entry.counts, met, progress)
        if met:
            (work / entry.prepared_name / entry.version / PROBLEMS).write_text("\n".join(met) + "\n", encoding="utf-8")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(work / entry.prepared_name / entry.version, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def problems(prepared: pathlib.Path | str) -> list[str]:
    """What `skip_damaged` left out of a prepared dataset or put in order in it: a line for each file, with its reason.

    Args:
      prepared: the folder that `prepare` returned.
    """
    path = pathlib.Path(prepared) / PROBLEMS
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def download(name: str, directory: pathlib.Path | str) -> pathlib.Path:
    """Lets tensorflow-datasets fetch the authors' files over the network; returns the folder that they are in.

    Args:
      name: of the catalogue.
      directory: the data directory; the files go to `directory/downloads/<name>`.

    Raises:
      DataError: the files cannot be fetched without logging in, or the network failed.
    """
    tfds = needed("tensorflow_datasets")
    entry = catalog.prepared_entry(name)
    originals = [original for original in entry.originals if original.url is not None]
    if not originals:
        raise DataError(f"{name} cannot be fetched without an account; get {entry.what_to_get()}, then use --from")
    if entry.one_is_enough:
        originals = originals[:1]
    folder = pathlib.Path(directory) / "downloads" / name
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [original for original in originals if not (folder / original.name).exists()]
    try:
        manager = tfds.download.DownloadManager(download_dir=str(folder / "tfds"))
        fetched = manager.download({original.name: original.url for original in wanted})
    except Exception as error:  # of requests, of tfds, of the operating system
        raise DataError(f"{name} could not be fetched ({error}); get {entry.what_to_get()}, then use --from") from error
    for file_name, path in fetched.items():
        os.replace(path, folder / file_name)
    shutil.rmtree(folder / "tfds", ignore_errors=True)
    return folder


def prepared_path(entry: PreparedEntry, directory: pathlib.Path | str) -> pathlib.Path:
    """Where the prepared form of a dataset lies."""
    return pathlib.Path(directory) / entry.prepared_name / entry.version


def _remove_stale(directory: pathlib.Path) -> None:
    # Left by a run that was killed. A run that is alive keeps its folder.
    for folder in directory.glob(PARTIAL + "*"):
        try:
            os.kill(int(folder.name.removeprefix(PARTIAL)), 0)
        except (ProcessLookupError, ValueError):
            shutil.rmtree(folder, ignore_errors=True)
        except PermissionError:
            continue


def _check_archives(entry: PreparedEntry, source: pathlib.Path, progress: Progress) -> None:
    known = {original.name.lower(): original.md5 for original in entry.originals if original.md5}
    candidates = [source] if source.is_file() else sorted(source.glob("*"))
    for path in candidates:
        expected = known.get(path.name.lower())
        if expected is None or not is_archive(path.name):
            continue
        digest = hashlib.md5(usedforsecurity=False)
        with path.open("rb") as file:
            blocks = iter(functools.partial(file.read, 1 << 22), b"")
            for block in progress(blocks, f"checking {path.name}", path.stat().st_size >> 22):
                digest.update(block)
        if digest.hexdigest() != expected:
            raise DataError(
                f"{path} has the MD5 {digest.hexdigest()}, the official file {expected}; get it again, "
                "or pass --partial if it is meant to differ"
            )


def _write(
    entry: PreparedEntry,
    examples: Examples,
    work: pathlib.Path,
    counts: dict[str, int] | None,
    met: list[str] | None,
    progress: Progress,
) -> None:
    """Writes all splits; `met` collects what was done to damaged files, which without it are not accepted."""
    needed("tensorflow_datasets")
    import tensorflow_datasets as tfds

    def features() -> Any:
        labels = {key: tfds.features.ClassLabel(names=names) for key, names in examples.class_names.items()}
        if entry.kind == "images":
            content = {"image": tfds.features.Image(shape=entry.shape)}
        else:

            def column(dtype: type[np.generic]) -> Any:
                return tfds.features.Tensor(shape=(None,), dtype=dtype, encoding="zlib")

            content = {"t": column(np.int64), "x": column(np.int16), "y": column(np.int16), "p": column(np.bool_)}
        return tfds.features.FeaturesDict({"id": tfds.features.Text(), **content, **labels})

    def stored(split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        written = left_out = 0
        total = entry.counts[split] if counts is not None else None
        for unread in progress(examples.splits[split](), f"{entry.name}, {split}", total):
            try:
                example, problem = _storable(unread.read(), mends=met is not None)
            except DamagedError as error:
                if met is None:
                    raise DamagedError(f"{error}; --skip-damaged goes on without it") from error
                met.append(f"left out of {split}: {error}")
                left_out += 1
                continue
            if problem and met is not None:
                met.append(f"put in order, in {split}: {problem}")
            yield written, example
            written += 1
        if written == 0 or (counts is not None and written + left_out != counts[split]):
            number = f"{written} examples" + (f" and {left_out} damaged ones" if left_out else "")
            expected = f"expected {counts[split]}" if counts else "expected at least one"
            hint = "; pass --partial to prepare a part of the dataset" if counts and written else ""
            raise DataError(f"the {split} split of {entry.name} has {number}, {expected}{hint}")

    with tfds.core.registered.skip_registration():

        class Builder(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]
            """Writes what `stored` yields, in that order."""

            name = entry.prepared_name
            VERSION = tfds.core.Version(entry.version)

            def _info(self) -> Any:
                return tfds.core.DatasetInfo(builder=self, features=features(), disable_shuffling=True)

            def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
                del dl_manager
                return {split: stored(split) for split in examples.splits}

            def _generate_examples(self) -> NoReturn:
                raise AssertionError("the splits come with their generators")

    tfds.disable_progress_bar()  # of its own; `progress` shows ours
    with contextlib.redirect_stdout(io.StringIO()):
        Builder(data_dir=str(work), file_format=FILE_FORMAT).download_and_prepare()


def _storable(example: dict[str, Any], mends: bool) -> tuple[dict[str, Any], str]:
    """An example as tensorflow-datasets stores it, and what had to be mended; nothing without `mends`."""
    example, problem = dict(example), ""
    if "encoded" in example:
        example["image"] = example.pop("encoded")
    elif "image" in example:
        example["image"] = _png(example["image"])
    else:
        recording: Recording = example.pop("events")
        if recording.num_events == 0:
            raise DamagedError(f"{recording.where} holds no event")
        events, late = load_in_order(recording) if mends else (load_events(recording), 0)
        time, x, y, polarity = events
        columns = {"t": time.astype(np.int64), "x": x.astype(np.int16), "y": y.astype(np.int16), "p": polarity}
        example |= columns
        problem = f"{recording.where}: {late} of {len(time)} events were late by at most {LATE} µs" if late else ""
    return example, problem


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    picture = needed("PIL.Image").fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
