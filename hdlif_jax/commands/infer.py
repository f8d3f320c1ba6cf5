"""Predicts with an artifact: `hdlif infer ARTIFACT INPUT`.

Needs jax and numpy alone, and Pillow for pictures. A picture is read as viewers show it: turned as its EXIF orientation
says, with white behind what is transparent.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

import hdlif_jax as hd
from hdlif_jax.checks import Probability, check
from hdlif_jax.commands.config import DataConfig
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.plain import PlainParser
from hdlif_jax.commands.support.program import program
from hdlif_jax.data.formats.hidden import is_hidden
from hdlif_jax.data.formats.images import PICTURES, decode_image, resize_image
from hdlif_jax.data.formats.npz import names_in, read_npz

if TYPE_CHECKING:
    from hdlif_jax.deploy import Deployed

BATCH = 64
SHOWN_CLASSES = 10
INPUTS = (".npy", ".npz", *PICTURES)
ARRAYS = ("inputs", "x_test")  # of a .npz file: what is predicted of, the first that there is


def parser() -> PlainParser:
    """What the command line may be."""
    parser = PlainParser(prog=program("infer"), description=__doc__)
    parser.add_argument("artifact", type=pathlib.Path, help="folder that the command deploy wrote")
    parser.add_argument(
        "input", type=pathlib.Path, help="a .npy or .npz file (an input or a batch), a picture, or a folder"
    )
    parser.add_argument("--arithmetic", choices=("integer", "float"), help="the faster one for this machine by default")
    parser.add_argument("--threshold", type=float, help="stop as soon as the margin between two classes reaches this")
    parser.add_argument("--resize", action="store_true", help="scale pictures to the network's size")
    return parser


def read_inputs(path: pathlib.Path, network: Deployed, resize: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Names and inputs, one at a time.

    Args:
      path: a file or a folder.
      network: for the shape of its inputs.
      resize: whether pictures of another size are scaled.

    Raises:
      ValueError: something that is no input of this network.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in INPUTS and not is_hidden(file.name))
        if not files:
            raise ValueError(f"{path} holds no inputs; expected files that end in {', '.join(INPUTS)}")
    elif path.is_file():
        files = [path]
    else:
        raise ValueError(f"{path} does not exist; name a .npy or .npz file, a picture or a folder of them")
    for file in files:
        if file.suffix.lower() in (".npy", ".npz"):
            yield from read_array(file, network)
        elif file.suffix.lower() in PICTURES:
            yield str(file), read_picture(file, network, resize)
        else:
            raise ValueError(f"{file} is no input; expected a file that ends in {', '.join(INPUTS)}")


def read_array(path: pathlib.Path, network: Deployed) -> Iterator[tuple[str, np.ndarray]]:
    """The inputs in a .npy or .npz file: one, or a batch."""
    shape = network.input_shape
    if path.suffix.lower() == ".npz":
        names = names_in(path)
        name = next((name for name in ARRAYS if name in names), names[0] if len(names) == 1 else ARRAYS[0])
        array = read_npz(path, [name])[name]
    else:
        with _readable(path, ".npy file"):
            # Mapped: a false size in its header allocates nothing, and nothing is unpickled.
            array = np.lib.format.open_memmap(path, mode="r")
    if shape[-1] == 1 and array.shape[-len(shape) :] != shape and array.shape[1 - len(shape) :] == shape[:-1]:
        array = array[..., None]  # grey, as training takes it
    if array.shape[-len(shape) :] != shape or not 0 <= array.ndim - len(shape) <= 1:
        kind = network.manifest.input_type
        way = hd.deploy.runtime.way_to(kind, array.dtype)
        raise ValueError(
            f"{path} holds {array.dtype} of shape {list(array.shape)}; expected {kind} {list(shape)}, or a batch of "
            f"those{way}{of_code(network)}"
        )
    if not array.size:
        raise ValueError(f"{path} holds an empty batch, of shape {list(array.shape)}; nothing to predict")
    if array.ndim == len(shape):
        yield str(path), _as_type(array, network, str(path))
        return
    for index, one in enumerate(array):
        yield f"{path}[{index}]", _as_type(one, network, f"{path}[{index}]")


def _as_type(one: np.ndarray, network: Deployed, where: str) -> np.ndarray:
    """An input in the type of the training data: levels of any integer type, or floats in any precision."""
    kind = network.manifest.input_type
    if kind == "uint8" and one.dtype.kind in "iu" and one.min() >= 0 and one.max() <= 255:
        return np.array(one, np.uint8)
    if kind == "float32" and one.dtype.kind == "f":
        if not np.isfinite(one).all():
            raise ValueError(f"{where} holds what is not finite (NaN or infinity); correct it")
        return np.array(one, np.float32)
    found = f"{one.dtype} from {one.min()} to {one.max()}" if one.dtype.kind in "iuf" else str(one.dtype)
    expected = "levels 0…255, uint8" if kind == "uint8" else "floats, as those that it was trained on"
    raise ValueError(f"{where} holds {found}; the network reads {expected}{hd.deploy.runtime.way_to(kind, one.dtype)}")


def read_picture(path: pathlib.Path, network: Deployed, resize: bool) -> np.ndarray:
    """A picture as uint8 `[H, W, C]`, read as those that networks are trained on; see `decode_image`."""
    shape = network.manifest.input_shape
    reads_pictures = network.manifest.input_kind == "image" and network.manifest.input_type == "uint8"
    if not reads_pictures or len(shape) != 3 or shape[-1] not in (1, 3):
        raise ValueError(
            f"{path} is a picture, but the network reads {network.manifest.input_type} {list(network.input_shape)}; "
            f"give it a .npy or .npz file{of_code(network)}"
        )
    height, width, channels = shape
    pixels = decode_image(path.read_bytes(), str(path), channels=channels)
    if pixels.shape[:2] != (height, width) and not resize:
        raise ValueError(
            f"{path} has {pixels.shape[1]}×{pixels.shape[0]} pixels; the network reads {width}×{height}: "
            "crop it to what it was trained on, or let --resize scale it"
        )
    return resize_image(pixels, (height, width))


def of_code(network: Deployed) -> str:
    """For messages what a network reads whose inputs are encoded before it; empty for all others."""
    data = network.manifest.config.get("data")
    encoding = data.get("encoding", DataConfig.encoding) if isinstance(data, dict) else DataConfig.encoding
    if encoding == DataConfig.encoding:
        return ""
    return f"; it reads images in the code {encoding!r}, which hdlif_jax.encodings makes, plus 1"


@contextlib.contextmanager
def _readable(path: pathlib.Path, what: str) -> Iterator[None]:
    """Turns whatever a parser raises on a damaged file into one of our errors."""
    try:
        yield
    except Exception as error:
        problem = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"{path} is not a readable {what}: {problem}") from None


def classify(
    network: Deployed, inputs: np.ndarray, threshold: float | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted class, its probability and the steps used of a batch, each `[B]`."""
    if threshold is None:
        logits = np.asarray(network(inputs))
        predictions, steps = logits.sum(0).argmax(-1), np.full(len(inputs), len(logits))
    else:
        logits = hd.deploy.anytime.run(network, inputs, threshold)
        predictions, steps = hd.deploy.anytime.exits(logits, threshold)
    chosen = np.cumsum(logits, 0)[steps - 1, np.arange(len(inputs))] / steps[:, None]
    exponentials = np.exp(chosen - chosen.max(-1, keepdims=True))
    probabilities = (exponentials / exponentials.sum(-1, keepdims=True))[np.arange(len(inputs)), predictions]
    return predictions, probabilities, steps


def run(arguments: argparse.Namespace) -> None:
    """Prints a head and a line per input: name, class, probability, and the time-steps where they may vary."""
    if arguments.threshold is not None:
        check("threshold", arguments.threshold, Probability, 0.5)  # before anything is printed
    network = hd.deploy.load(arguments.artifact, arguments.arithmetic)
    classes = network.manifest.class_names
    shown = ", ".join(classes[:SHOWN_CLASSES]) + (", …" if len(classes) > SHOWN_CLASSES else "")
    about = f"{network.arithmetic} arithmetic, {network.manifest.num_steps} time-steps; {len(classes)} classes: {shown}"
    head = ["input", "class", "probability"] + (["steps"] if arguments.threshold is not None else [])
    names: list[str] = []
    inputs: list[np.ndarray] = []
    batches = 0

    def flush(batch_size: int) -> None:
        padded = np.stack(inputs + [inputs[-1]] * (batch_size - len(inputs)))  # one size, one compilation
        if batches == 0:  # the first, and no sooner: until then nothing could be read
            print(about, file=sys.stderr)
            print("\t".join(head))
        results = zip(names, *classify(network, padded, arguments.threshold), strict=False)
        for name, prediction, probability, steps in results:
            used = "" if arguments.threshold is None else f"\t{steps}"
            print(f"{name}\t{classes[prediction]}\t{probability:.3f}{used}", flush=True)
        names.clear()
        inputs.clear()

    for name, one in read_inputs(arguments.input, network, arguments.resize):
        names.append(name)
        inputs.append(one)
        if len(inputs) == BATCH:
            flush(BATCH)
            batches += 1
    if inputs:
        flush(BATCH if batches else len(inputs))


@command
def main() -> None:
    """Entry point."""
    run(parser().parse_args())


if __name__ == "__main__":
    main()
