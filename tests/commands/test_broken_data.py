"""Own data that cannot be trained on: one line says what is wrong, what was expected, and how to mend it."""

import numpy as np
import pytest
from PIL import Image

from hdlif_jax.commands.train import main
from tests.data.own.make import frames, write_folder

IMAGES, LABELS = np.random.default_rng(0).integers(0, 256, (12, 8, 6), dtype=np.uint8), np.arange(12) % 2
FRAMES, OF_FRAMES = frames()


def remove(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def resized(path, shape):
    Image.fromarray(np.zeros(shape, np.uint8)).save(path)


def split(folder, test=("bars", "rings", "spots")):
    remove(folder)
    write_folder(folder / "train", 4)
    write_folder(folder / "test", 2, classes=test)


# What is done to a folder of ten pictures in each of three classes, and what is then said.
FOLDERS = {
    "not there": (remove, "own is not there, or no folder; expected a folder of pictures for each class"),
    "without classes": (
        lambda folder: [remove(folder / name) for name in ("bars", "rings", "spots")],
        "own has no folders; expected a folder of pictures for each class",
    ),
    "loose pictures": (
        lambda folder: (
            [remove(folder / name) for name in ("bars", "rings", "spots")],
            resized(folder / "1.png", (4, 4)),
        ),
        "for each class: put its files into such",
    ),
    "an empty class": (
        lambda folder: (folder / "dots").mkdir(),
        "class 'dots' has no pictures; remove the class, or put its pictures there",
    ),
    "one class": (
        lambda folder: [remove(folder / name) for name in ("rings", "spots")],
        "own has one class alone, bars; expected a folder for each of at least two",
    ),
    "an unreadable picture": (
        lambda folder: (folder / "bars" / "003.png").write_bytes((folder / "bars" / "002.png").read_bytes()[:200]),
        "bars/003.png, byte 0: does not decode as an image",
    ),
    "no picture": (
        lambda folder: (folder / "bars" / "notes.txt").write_text("x"),
        "notes.txt is no picture that is read here; convert it to one of .png, ",
    ),
    "mixed sizes": (
        lambda folder: resized(folder / "rings" / "004.png", (30, 20)),
        "rings/004.png has 20×30 pixels, {own}/bars/000.png has 40×28; bring all pictures to one size, or scale them "
        "to N×N pixels: --data.image-size N",
    ),
    "16 bits": (
        lambda folder: Image.fromarray(np.zeros((28, 40), np.uint16)).save(folder / "bars" / "000.png"),
        "bars/000.png, byte 0: has more than 8 bits a channel; convert it to 8 first",
    ),
    "too few to hold out": (
        lambda folder: (remove(folder), write_folder(folder, 2)),
        "own: a fifth of each class is no picture; give more pictures, or the folders train and test",
    ),
    "a class in test alone": (
        lambda folder: split(folder, ("bars", "dots", "rings", "spots")),
        "own/test: folder 'dots' is none of the classes bars, rings, spots",
    ),
    "a class in train alone": (
        lambda folder: split(folder, ("bars", "rings")),
        "own/test: class 'spots' has no pictures",
    ),
    "train without test": (
        lambda folder: (split(folder), remove(folder / "test")),
        "own has a folder train and no folder test; expected train and test alone, each with a folder for each class",
    ),
    "a third part": (
        lambda folder: (split(folder), (folder / "val").mkdir()),
        "own has a folder train and val beside it; expected train and test alone",
    ),
}


def refusal(capsys, monkeypatch, *words):
    """The one line that the command train ends with."""
    monkeypatch.setattr("sys.argv", ["train", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1, captured.err
    assert captured.err.startswith("error: ")
    return captured.err


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_cannot_be_trained_on(name, tmp_path, capsys, monkeypatch):
    own, (spoil, message) = tmp_path / "own", FOLDERS[name]
    write_folder(own)
    spoil(own)
    out = tmp_path / "run"
    error = refusal(capsys, monkeypatch, "--data.name", "folder", "--data.dir", own, "--out", out)
    assert message.format(own=own) in error
    assert str(own) in error
    assert not out.exists()


def changed(**arrays):
    """The good arrays with others in their place; None leaves one out."""
    return {name: value for name, value in ({"inputs": IMAGES, "labels": LABELS} | arrays).items() if value is not None}


def parts(**arrays):
    return {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:4], "y_test": LABELS[:4]} | arrays


def at(array, index, value):
    array = array.copy()
    array[index] = value
    return array


# Arrays, and what is said of them with --model.num-steps 4.
ARRAYS = {
    "a missing key": (
        changed(labels=None),
        "has no array 'labels', only inputs; expected the arrays inputs, labels, or x_train, y_train, x_test, y_test",
    ),
    "a part missing": ({"x_train": IMAGES, "y_train": LABELS}, "has no array 'x_test', only x_train, y_train"),
    "nothing": ({}, "has no array 'inputs', only nothing"),
    "objects": (
        changed(inputs=np.array([IMAGES[0], None], object)),
        "array inputs holds Python objects, which are not read; make it one array of numbers",
    ),
    "vectors": (changed(inputs=IMAGES.reshape(12, 48)), "inputs: shape (12, 48); expected images [N, H, W]"),
    "six axes": (changed(inputs=FRAMES[None]), "expected images [N, H, W] or [N, H, W, C], or frames [N, T, H, W, C]"),
    "channels first": (
        changed(inputs=np.zeros((12, 3, 8, 6), np.uint8)),
        "shape (12, 3, 8, 6) has no channels in its last axis; put them there, np.moveaxis(inputs, -3, -1)",
    ),
    "frames without channels": (changed(inputs=FRAMES[..., 0]), "or of frames of one channel inputs[..., None]"),
    "other time-steps": (
        {"inputs": FRAMES, "labels": OF_FRAMES},
        "inputs: 3 frames an input, shape (30, 3, 12, 10, 2), for a network of 4 time-steps; a frame is a time-step: "
        "--model.num-steps 3",
    ),
    "no examples": (changed(inputs=IMAGES[:0], labels=LABELS[:0]), "shape (0, 8, 6) holds nothing; expected at least"),
    "other lengths": (changed(labels=LABELS[:7]), "7 labels for 12 inputs; expected integers (12,), one for each"),
    "negative labels": (changed(labels=at(LABELS, 3, -1)), "label -1 of example 3 is no class; they begin at 0"),
    "labels with a gap": (changed(labels=LABELS * 2), "labels go up to 2 and none is 1; classes are numbered from 0"),
    "float labels": (
        changed(labels=LABELS / 1),
        "labels are float64 of shape (12,); expected integers [N]: labels.ast",
    ),
    "one-hot labels": (changed(labels=np.eye(2)[LABELS]), "of a one-hot code, labels.argmax(-1)"),
    "labels that are names": (changed(labels=np.array(["a", "b"])[LABELS]), "np.unique(labels, return_inverse=True)"),
    "one class": (changed(labels=LABELS * 0), "has one class alone, 0; expected at least two to tell apart"),
    "more classes than names": (
        changed(labels=np.arange(12) % 3, class_names=np.array(["a", "b"])),
        "label 2 of example 2 is outside 0…1; correct the labels or name all classes",
    ),
    "names that are numbers": (changed(class_names=np.arange(2)), "class_names: int64 of shape (2,); expected a text"),
    "a name twice": (changed(class_names=np.array(["a", "a"])), "class_names name 'a' twice"),
    "not a number": (changed(inputs=at(IMAGES / 255, (5, 0, 0), np.nan)), "holds what is not finite (NaN or infinity)"),
    "infinite": (changed(inputs=at(IMAGES / 255, (5, 0, 0), np.inf)), "example 5 holds what is not finite"),
    "levels above 255": (
        changed(inputs=at(IMAGES.astype(np.int32), (5, 0, 0), 256)),
        "expected integers between 0 and 255, or floats in any unit: images.astype(np.float32)",
    ),
    "levels below 0": (changed(inputs=at(IMAGES.astype(np.int16), (5, 0, 0), -1)), "inputs are int16 from -1 to 255"),
    "complex": (changed(inputs=IMAGES * 1j), "inputs are complex128; expected integers between 0 and 255, or floats"),
    "another shape in test": (
        parts(x_test=IMAGES[:4, :7]),
        "an example is uint8 of shape (8, 6, 1) in the train split and uint8 of shape (7, 6, 1) in the test split",
    ),
    "another type in test": (parts(x_test=IMAGES[:4] / 255), "and float32 of shape (8, 6, 1) in the test split"),
    "a class in test alone": (
        parts(y_test=np.array([0, 1, 2, 0])),
        "class 2 has no training example; give it some, or leave its name and its test examples out",
    ),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_cannot_be_trained_on(name, tmp_path, capsys, monkeypatch):
    own, (arrays, message) = tmp_path / "own.npz", ARRAYS[name]
    np.savez(own, **arrays)
    out = tmp_path / "run"
    error = refusal(capsys, monkeypatch, "--data.name", "npz", "--data.dir", own, "--out", out)
    assert message in error
    assert "own.npz" in error
    assert not out.exists()


# What is done to a good file.
FILES = {
    "not there": (lambda path: path.unlink(), "own.npz is no file; expected one that numpy.savez wrote"),
    "a text": (lambda path: path.write_text("x" * 500), "own.npz, byte 0: is not a readable .npz file"),
    "empty": (lambda path: path.write_bytes(b""), "own.npz, byte 0: is not a readable .npz file"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:-200]), "own.npz, byte 0: is not a readable .npz"),
    "a .npy file": (
        lambda path: (np.save(path.with_suffix(".npy"), IMAGES), path.with_suffix(".npy").replace(path)),
        "expected one that numpy.savez wrote",
    ),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "own.npz is no file"),
    "bytes changed": (
        lambda path: path.write_bytes(path.read_bytes().replace(IMAGES.tobytes(), IMAGES[::-1].tobytes())),
        "own.npz, array inputs, byte 0: cannot be read (Bad CRC-32",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_npz(name, tmp_path, capsys, monkeypatch):
    own, (spoil, message) = tmp_path / "own.npz", FILES[name]
    np.savez(own, **changed())
    spoil(own)
    assert message in refusal(capsys, monkeypatch, "--data.name", "npz", "--data.dir", own, "--out", tmp_path / "run")


@pytest.mark.parametrize(
    ("words", "arrays", "message"),
    [
        (("--data.auto-augment",), {"inputs": FRAMES, "labels": OF_FRAMES}, "auto_augment is for images"),
        (
            ("--data.resized-crop",),
            {"inputs": FRAMES, "labels": OF_FRAMES},
            "resized_crop is for images, and npz is made",
        ),
        (
            ("--learning.rule", "layer-local", "--first.preset", "digits-ltl-teacher", "--first.use", "teacher"),
            {"inputs": FRAMES, "labels": OF_FRAMES},
            "compares rates with a teacher's activations of one image, and npz is made of sequences",
        ),
        (("--data.encoding", "poisson"), {"inputs": FRAMES, "labels": OF_FRAMES}, "made of sequences already"),
        (
            ("--data.encoding", "poisson", "--batch-size", 4),
            changed(inputs=IMAGES / 1),
            "an encoding reads intensities in [0, 1]",
        ),
        (("--batch-size", "100"), changed(), "batch_size=100 is more than the"),
    ],
)
def test_options_that_do_not_go_with_the_data(words, arrays, message, tmp_path, capsys, monkeypatch):
    own = tmp_path / "own.npz"
    np.savez(own, **arrays)
    steps = ("--model.num-steps", 3, "--model.widths", 2)
    assert message in refusal(capsys, monkeypatch, "--data.name", "npz", "--data.dir", own, *steps, *words)


def test_a_real_process_ends_in_one_line(command, tmp_path):
    own = tmp_path / "own"
    write_folder(own)
    (own / "dots").mkdir()
    status, _, errors = command.run("train", "--data.name", "folder", "--data.dir", own, "--out", tmp_path / "run")
    assert status == 2
    assert errors.count("\n") == 1
    assert errors.startswith(f"error: {own}: class 'dots' has no pictures")
