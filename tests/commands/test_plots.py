"""Pictures of runs: an axis of accuracies shows no less than what images are worth."""

import pytest

from hdlif_jax.commands.support.intervals import Z, decimals_of_percent, wilson

plots = pytest.importorskip("hdlif_jax.commands.support.plots")
EPOCHS = [
    {
        "epoch": epoch, "train_loss": 1.0 / epoch, "train_accuracy": 0.5, "validation_accuracy_per_step": [0.5, 0.6],
        "firing_rates": {f"blocks.{index}.neuron1": 0.1 * (index + 1) for index in range(3)},
    }
    for epoch in (1, 2)
]  # fmt: skip


@pytest.fixture
def axes():
    figure, axes = plots.plt.subplots()
    yield axes
    plots.plt.close(figure)


@pytest.mark.parametrize("count", [1, 20, 359, 10_000])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 1.0])
def test_the_bounds_are_where_the_share_would_be_surprising(share, count):
    """They solve (share − p)² = z² p (1 − p) / count."""
    low, high = wilson(share, count)
    assert 0 <= low <= share <= high <= 1
    assert high > low
    for bound in (low, high):
        if 0 < bound < 1:
            assert (share - bound) ** 2 == pytest.approx(Z**2 * bound * (1 - bound) / count, abs=1e-12)
    others = wilson(1 - share, count)
    assert (1 - others[1], 1 - others[0]) == pytest.approx((low, high))


def test_digits_are_those_that_an_image_is_worth():
    assert {count: decimals_of_percent(count) for count in (1, 50, 100, 359, 1000, 10_000, 50_000)} == {
        1: 0, 50: 0, 100: 0, 359: 1, 1000: 1, 10_000: 2, 50_000: 2
    }  # fmt: skip


@pytest.mark.parametrize("accuracies", [[0.997, 1.0, 0.997, 0.997], [0.0, 0.0], [0.5, 0.5], [1.0]])
@pytest.mark.parametrize("count", [3, 359, 10_000_000])
def test_the_axis_of_accuracies_does_not_zoom_into_single_images(accuracies, count, axes):
    plots.plot_steps(axes, accuracies, count)
    bottom, top = axes.get_ylim()
    assert top - bottom >= min(100.0, 10 * 100 / count)
    for accuracy in accuracies:
        low, high = wilson(accuracy, count)
        assert bottom <= 100 * low < 100 * high <= top
    assert [text.get_text() for text in axes.texts][: len(accuracies)] == [
        f"{100 * accuracy:.{decimals_of_percent(count)}f}" for accuracy in accuracies
    ]


def test_the_interval_of_the_test_accuracy_is_shown(axes):
    plots.plot_accuracy(axes, EPOCHS, 0.9, 359)
    band = next(patch for patch in axes.patches)
    low, high = wilson(0.9, 359)
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((100 * low, 100 * high))


def test_firing_rates_of_every_layer_by_epoch(axes):
    plots.plot_rates(axes, EPOCHS)
    assert [line.get_label() for line in axes.lines] == [f"blocks.{index}.neuron1" for index in range(3)]
    assert [list(line.get_ydata()) for line in axes.lines] == [
        pytest.approx([10 * (index + 1)] * 2) for index in range(3)
    ]


def test_a_deep_network_names_the_first_and_the_last_layer(axes):
    rates = {f"blocks.{index}.neuron1": 0.1 for index in range(20)}
    plots.plot_rates(axes, [EPOCHS[0] | {"firing_rates": rates}])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["blocks.0.neuron1", "blocks.19.neuron1"]
