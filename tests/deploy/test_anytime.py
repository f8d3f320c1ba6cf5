import jax
import numpy as np
import pytest

from hdlif_jax.deploy import anytime, load
from hdlif_jax.deploy.verify import accuracies

# Two inputs, two steps: the first is sure at once; the second is not sure until it has changed its mind.
LOGITS = np.array([[[9.0, 0.0], [0.1, 0.0]], [[9.0, 0.0], [0.0, 9.0]]])


def test_margins_by_hand():
    sure = 1 / (1 + np.exp(-9)) - 1 / (1 + np.exp(9))
    expected = [[sure, np.tanh(0.05)], [sure, np.tanh((4.5 - 0.05) / 2)]]
    np.testing.assert_allclose(anytime.margins(LOGITS), expected, rtol=1e-9)


def test_exits():
    predictions, steps = anytime.exits(LOGITS, 0.5)
    np.testing.assert_array_equal(predictions, [0, 1])
    np.testing.assert_array_equal(steps, [1, 2])
    np.testing.assert_array_equal(anytime.exits(LOGITS, 0.0).steps, [1, 1])
    np.testing.assert_array_equal(anytime.exits(LOGITS, 1.0).steps, [2, 2])


def test_trade_off():
    rows = anytime.trade_off(LOGITS, np.array([0, 1]), (0.0, 0.5, 1.0))
    assert [row.mean_steps for row in rows] == [1.0, 1.5, 2.0]
    assert [row.accuracy for row in rows] == [0.5, 1.0, 1.0]


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_thresholds_out_of_range(threshold):
    with pytest.raises(ValueError, match=r"must be (in \[0, 1\]|finite)"):
        anytime.exits(LOGITS, threshold)


def test_a_threshold_is_a_number():
    with pytest.raises(TypeError, match=r"threshold='0\.5' must be a number"):
        anytime.exits(LOGITS, "0.5")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([[0], [1]]), r"labels have shape \(2, 1\); expected \[2\]"),
        (np.eye(2), r"labels have shape \(2, 2\); expected \[2\]"),
        (np.array([0.0, 1.0]), r"labels are float64; give integers 0…1"),
        (np.array([0, 2]), r"label 2 at place 1 is no class of 2"),
        (np.array([0, -1]), r"label -1 at place 1 is no class of 2"),
    ],
    ids=["column", "one-hot", "floats", "above", "below"],
)
def test_labels_that_would_be_compared_all_the_same(labels, message):
    """A column of labels broadcasts against the predictions, and a mean of that looks like an accuracy."""
    for accuracy in (lambda: anytime.trade_off(LOGITS, labels, (0.5,)), lambda: accuracies(LOGITS, labels)):
        with pytest.raises((ValueError, TypeError), match=message):
            accuracy()


def test_logits_of_one_step_are_refused():
    with pytest.raises(ValueError, match=r"logits have shape \(2, 2\); expected \[T, B, K\]"):
        anytime.exits(LOGITS[0], 0.5)


def test_within_jit_it_is_refused_by_name(written):
    network = load(written)
    inputs = np.zeros((2, *network.input_shape), np.uint8)
    with pytest.raises(TypeError, match="how many steps run depends on the inputs, and those are traced"):
        jax.jit(lambda inputs: anytime.run(network, inputs, 0.5))(inputs)


def test_the_network_really_stops(written):
    network = load(written)
    inputs = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 2)).astype(np.uint8)
    all_logits = np.asarray(network(inputs))
    steps_run = []
    step = network.step
    network.step = lambda *arguments: (steps_run.append(1), step(*arguments))[1]
    for threshold in (0.0, 1.0):
        steps_run.clear()
        logits = anytime.run(network, inputs, threshold)
        assert len(logits) == len(steps_run) == (1 if threshold == 0 else 4)
        np.testing.assert_allclose(logits, all_logits[: len(logits)], rtol=1e-4, atol=1e-4)
        expected = anytime.exits(all_logits, threshold)
        np.testing.assert_array_equal(anytime.exits(logits, threshold).predictions, expected.predictions)
