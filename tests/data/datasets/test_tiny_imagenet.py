import tensorflow_datasets as tfds

from hdlif_jax.data import open_prepared, prepare
from tests.data import originals


def test_tiny_imagenet_keeps_the_files_as_they_are(tmp_path, generator):
    jpegs = [originals.jpeg(generator) for _ in range(3)]
    members = {
        "tiny-imagenet-200/wnids.txt": b"n02\nn01\n",
        "tiny-imagenet-200/val/val_annotations.txt": b"val_0.JPEG\tn02\t0\t0\t62\t62\n",
        "tiny-imagenet-200/train/n01/images/n01_0.JPEG": jpegs[0],
        "tiny-imagenet-200/train/n02/images/n02_0.JPEG": jpegs[1],
        "tiny-imagenet-200/val/images/val_0.JPEG": jpegs[2],
    }
    (tmp_path / "tiny-imagenet-200.zip").write_bytes(originals.zipped(members))
    (tmp_path / "notes.txt").write_text("a file that is no part of the dataset")
    path = prepare("tiny-imagenet", tmp_path, tmp_path / "out", partial=True)
    source = tfds.builder_from_directory(str(path)).as_data_source(
        "train", decoders={"image": tfds.decode.SkipDecoding()}
    )
    assert [record["image"] for record in source] == jpegs[:2]
    dataset = open_prepared("tiny-imagenet", tmp_path / "out", num_steps=4)
    assert dataset.class_names == ("n01", "n02")
    assert dataset.test.load().labels.tolist() == [1]
    assert dataset.input_shape == (64, 64, 3)
