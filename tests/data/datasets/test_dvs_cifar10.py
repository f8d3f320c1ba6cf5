from hdlif_jax.data import open_dataset, open_prepared, prepare
from tests.data import originals


def test_dvs_cifar10_is_split_by_number_and_made_smaller(tmp_path, generator):
    for number in (99, 100):
        events = originals.random_events(generator, 60)
        path = originals.folder(tmp_path / "in" / "bird") / f"cifar10_bird_{number}.aedat"
        path.write_bytes(originals.aedat(*events))
    prepare("dvs-cifar10", tmp_path / "in", tmp_path, partial=True)
    dataset = open_prepared("dvs-cifar10", tmp_path, num_steps=10, frame_size=48)
    assert dataset.train.shape == dataset.test.shape == (1, 10, 48, 48, 2)
    inputs, labels = dataset.test.load()
    assert inputs.sum() == 60
    assert labels.tolist() == [2]
    assert open_dataset("dvs-cifar10", tmp_path, num_steps=10).train.shape == dataset.train.shape  # the usual size
    assert open_dataset("dvs-cifar10", tmp_path, num_steps=3, frame_size=128).train.shape == (1, 3, 128, 128, 2)
