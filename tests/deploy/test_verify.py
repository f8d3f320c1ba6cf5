"""From a trained network to a proven artifact, with library calls alone."""

import numpy as np
import pytest

from hdlif_jax import deploy, nn
from hdlif_jax.data import Split, stratified
from hdlif_jax.deploy.verify import accuracies, compare, logits_function, verify
from tests.deploy.networks import conv_net, named, prepare_inputs, unfolded_logits

CLASSES = ("a", "b", "c", "d", "e")
PIXELS = {"mean": (0.4, 0.4), "std": (0.3, 0.3)}


def split(shape, seed=0):
    generator = np.random.default_rng(seed)
    return Split(
        generator.integers(0, 256, shape).astype(np.uint8), generator.integers(0, 5, shape[0]).astype(np.int32)
    )


def test_one_call_deploys_and_one_call_proves(tmp_path):
    model, trained = conv_net(), conv_net(seed=3)
    test = split((70, 8, 8, 2))
    variables = nn.variables_of(trained)
    folded = deploy.deploy(
        model, variables, tmp_path / "artifact", **PIXELS, input_kind="image", class_names=CLASSES, config={"seed": 3}
    )
    assert isinstance(folded, deploy.Folded)
    assert deploy.load(tmp_path / "artifact").manifest.config == {"seed": 3}
    found = verify(model, tmp_path / "artifact", test, **PIXELS, variables=variables)
    expected = unfolded_logits(trained, prepare_inputs(test.inputs))
    assert found.accuracy_per_step == accuracies(expected, test.labels)
    assert found.comparisons.keys() == {"integer", "float"}
    for comparison in found.comparisons.values():
        assert comparison.accuracy_per_step == pytest.approx(found.accuracy_per_step, abs=0.002)
        assert comparison.max_logit_difference < 1e-4 * comparison.largest_logit
        assert comparison.largest_logit == pytest.approx(np.abs(expected).max(), rel=1e-5)
        assert comparison.other_predictions == 0
        assert comparison.inputs_at_an_edge == 0
    np.testing.assert_allclose(found.logits, expected, atol=1e-4 * np.abs(expected).max(), rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # A network that was trained on floats of 0 to 255 would see its artifact's levels 255 times too small.
        ({"mean": (0.4, 127.5)}, r"mean=\(0.4, 127.5\) is that of other inputs than uint8 levels"),
        ({"mean": (0.4,)}, r"mean=\(0.4,\) and std=\(0.3, 0.3\) are not of 2 channels"),
        ({"input_kind": "images"}, "input_kind='images' is unknown; choose one of image, sequence"),
    ],
)
def test_what_an_artifact_cannot_be_made_with_is_refused(tmp_path, changes, message):
    arguments = {**PIXELS, "input_kind": "image", "class_names": CLASSES} | changes
    with pytest.raises(ValueError, match=message):
        deploy.deploy(conv_net(), None, tmp_path / "artifact", **arguments)
    assert not (tmp_path / "artifact").exists()


def test_sequences_are_proven_too(tmp_path):
    model = named(nn.vgg_snn, (16, 16, 2), num_steps=2, weights="float")
    test = split((3, 2, 16, 16, 2))
    deploy.deploy(model, None, tmp_path / "artifact", **PIXELS, input_kind="sequence", class_names=CLASSES)
    found = verify(model, tmp_path / "artifact", test, **PIXELS)
    assert found.comparisons.keys() == {"float"}
    assert found.arithmetic == "float"
    expected = unfolded_logits(model, prepare_inputs(np.moveaxis(test.inputs, 1, 0)))
    np.testing.assert_allclose(found.logits, expected, atol=1e-4 * np.abs(expected).max(), rtol=0)


def test_an_artifact_of_another_network_is_found_out(written):
    other = conv_net(seed=3)
    inputs = split((64, 8, 8, 2)).inputs
    labels = unfolded_logits(other, prepare_inputs(inputs)).sum(0).argmax(-1).astype(np.int32)
    network = logits_function(other, prepare_inputs)
    with pytest.raises(ValueError, match=r"in integer arithmetic its accuracies are .* those of the network") as found:
        compare(network, written, Split(inputs, labels))
    assert "\n" not in str(found.value)


def test_inputs_at_the_edge_of_a_level_are_counted(written):
    """Logits that differ by rounding are the same; those of an input whose spikes came out otherwise are not."""
    test = split((20, 8, 8, 2))
    artifact = deploy.load(written, "float")
    moved = np.zeros(20, np.float32)
    moved[[3, 11]] = 1e-2

    def network(inputs):
        index = [next((i for i in range(20) if np.array_equal(one, test.inputs[i])), 0) for one in inputs]
        logits = np.asarray(artifact(inputs))
        return logits * (1 + 1e-6) + moved[index][None, :, None] * np.abs(logits).max()

    found = compare(network, written, test, tolerance=1.0)
    assert {comparison.inputs_at_an_edge for comparison in found.comparisons.values()} == {2}


@pytest.mark.parametrize(("moved", "is_wrong"), [(2, False), (3, True)])
def test_in_a_small_test_set_two_inputs_may_come_out_otherwise(written, moved, is_wrong):
    """One of 150 is more than the 0.002 that a large test set is allowed."""
    inputs = split((150, 8, 8, 2)).inputs
    artifact = deploy.load(written, "float")
    labels = np.asarray(artifact(inputs)).sum(0).argmax(-1).astype(np.int32)
    place = {image.tobytes(): index for index, image in enumerate(inputs)}

    def network(batch):
        logits = np.array(artifact(batch))
        others = [place[image.tobytes()] < moved for image in batch]
        return np.where(np.array(others)[None, :, None], -logits, logits)

    if is_wrong:
        with pytest.raises(ValueError, match="is wrong"):
            compare(network, written, Split(inputs, labels))
    else:
        compare(network, written, Split(inputs, labels))


def test_accuracies_by_hand():
    logits = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 3.0], [0.0, 1.0]]])
    assert accuracies(logits, np.array([1, 1])) == [0.5, 1.0]


@pytest.mark.parametrize(("number", "batches", "told"), [(3, 1, [3]), (70, 2, [64, 70])])
def test_each_batch_is_read_once_for_all_passes_and_told_of(written, number, batches, told):
    """The last batch is filled up, and what fills it counts for nothing; a few inputs are one small batch."""
    test = split((number, 8, 8, 2))
    artifact, reads, done = deploy.load(written, "float"), [], []

    class Counted(Split):
        def read(self, indices, keys=None):
            reads.append(indices)
            return super().read(indices, keys)

    def network(inputs):
        assert len(inputs) == min(number, 64)
        return artifact(inputs)

    found = compare(network, written, Counted(*test), progress=done.append)
    assert (len(reads), done) == (batches, told)
    np.testing.assert_array_equal(np.concatenate(reads), np.arange(number))
    expected = np.asarray(artifact(test.inputs))
    np.testing.assert_allclose(found.logits, expected, atol=1e-4 * np.abs(expected).max(), rtol=0)
    assert found.accuracy_per_step == accuracies(expected, test.labels)
    assert found.labels is test.labels


def test_no_inputs_and_no_function_are_refused_in_a_line(written):
    with pytest.raises(ValueError, match="there are no inputs to compare on; give at least one"):
        compare(np.asarray, written, split((0, 8, 8, 2)))
    with pytest.raises(TypeError, match="progress=3"):
        compare(np.asarray, written, split((3, 8, 8, 2)), progress=3)


def test_a_quick_proof_is_that_of_a_few_inputs(written):
    """In the file inputs lie by class: the first would be of one alone."""
    test = split((80, 8, 8, 2))
    test = Split(test.inputs, np.sort(test.labels))
    artifact = deploy.load(written, "float")
    found = compare(artifact, written, stratified(test, 20), tolerance=1.0)
    assert found.logits.shape[1] == 20
    assert set(found.labels) == set(range(5))
    places = [np.flatnonzero((test.inputs == image).all((1, 2, 3)))[0] for image in stratified(test, 20).inputs]
    np.testing.assert_array_equal(found.labels, test.labels[places])
    assert found.accuracy_per_step == accuracies(np.asarray(artifact(test.inputs))[:, places], test.labels[places])
