"""Drawings have the numbers that they were given, change nothing else, and refuse what is none of them."""

import io
import re
import subprocess
import sys

import jax.numpy as jnp
import matplotlib
import matplotlib.colors
import numpy as np
import pytest
from matplotlib.figure import Figure

from hdlif_jax import viz
from tests.viz.drawings import EPSILON, GOOD, MEMBRANE, REFUSED, SPIKES, TWO, X

VALUES = {"Look", "decimals_of_percent", "looks", "wilson"}


def test_no_drawing_was_forgotten():
    assert set(viz.__all__) - VALUES == GOOD.keys() == {name for name, _, _ in REFUSED}


@pytest.mark.parametrize("name", GOOD)
def test_a_drawing_is_a_figure_of_its_own(name):
    settings = dict(matplotlib.rcParams)
    figure, file = GOOD[name](), io.BytesIO()
    assert isinstance(figure, Figure)
    assert figure is not GOOD[name]()
    figure.savefig(file, format="raw", dpi=40)  # warnings, such as of a missing letter or no room, are errors
    assert len(set(file.getvalue())) > 2
    assert dict(matplotlib.rcParams) == settings


@pytest.mark.parametrize(
    "draw",
    [
        lambda: viz.coherence([1, 2], {"silent": [np.nan, np.nan], "network": [0.9, 1.0]}),
        lambda: viz.rates({"silent": [np.nan, np.nan]}),
        lambda: viz.epsilon_distribution({"silent": np.zeros((3, 3, 2))}),
    ],
    ids=["coherence", "rates", "epsilon_distribution"],
)
def test_layers_of_which_nothing_is_known_are_drawn_empty(draw):
    draw().savefig(io.BytesIO(), format="raw", dpi=40)


@pytest.mark.parametrize(("name", "call", "message"), REFUSED, ids=[f"{name} {text[:24]}" for name, _, text in REFUSED])
def test_what_is_none_of_it_is_refused_in_one_line(name, call, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_pyplot_is_not_even_imported():
    code = "from tests.viz.drawings import GOOD; [draw() for draw in GOOD.values()]; import sys; " \
           "print('matplotlib.pyplot' in sys.modules)"  # fmt: skip
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_without_matplotlib_the_rest_is_there():
    code = "import sys; sys.modules['matplotlib'] = None; import hdlif_jax as hd; hd.nn\n" \
           "try:\n    hd.viz\nexcept ImportError as error: print(error)"  # fmt: skip
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "drawing needs matplotlib: python -m pip install 'hdlif_jax[viz]'\n"


def test_series_differ_in_brightness_marker_and_line():
    looks = viz.looks([f"row {index}" for index in range(4)])
    grey = [np.dot(matplotlib.colors.to_rgb(look.color), (0.299, 0.587, 0.114)) for look in looks.values()]
    assert np.all(np.diff(grey) > 0.12)  # the darkest first
    assert grey[-1] < 0.8  # and none too bright on white
    assert len({look.marker for look in looks.values()}) == len({look.linestyle for look in looks.values()}) == 4


def test_arrays_of_jax_and_of_half_the_bytes_are_arrays():
    figure = viz.curves(jnp.arange(3), {"a": jnp.ones(3, jnp.bfloat16)})
    assert figure.axes[0].lines[0].get_ydata().tolist() == [1.0] * 3


def test_panels_of_one_figure():
    figure = Figure(layout="constrained")
    left, right = figure.subplots(1, 2)
    assert viz.curves(X, {"a": X}, axes=left) is figure
    assert viz.steps([0.5, 0.6], axes=right) is figure
    assert figure.legends == []
    assert len(left.lines) == len(right.lines) == 1


def test_a_raster_has_a_mark_for_each_spike():
    figure = viz.raster({"a": SPIKES, "b": 0 * SPIKES})
    marks, none = (axes.collections[0] for axes in figure.axes[:2])
    places = {tuple(np.round(path.vertices.mean(0)).astype(int)) for path in marks.get_paths()}
    assert places == {(t + 1, neuron) for t, neuron in zip(*np.nonzero(SPIKES), strict=True)}
    assert sorted(marks.get_array()) == sorted(SPIKES[SPIKES != 0])
    assert len(none.get_paths()) == 0
    assert [axes.get_title() for axes in figure.axes[:2]] == [
        f"5 neurons, {100 * np.mean(SPIKES != 0):.3g} % fire at a step",
        "5 neurons, 0 % fire at a step",
    ]


def test_membranes_of_each_neuron():
    figure = viz.membranes(MEMBRANE, spikes=MEMBRANE > 0, threshold=0.5, names=["first", "second"])
    for axes, membrane, name in zip(figure.axes, MEMBRANE.T, ("first", "second"), strict=True):
        trace, threshold = axes.lines
        np.testing.assert_array_equal(trace.get_ydata(), membrane)
        np.testing.assert_array_equal(threshold.get_ydata(), [0.5] * 4)
        assert [bar.get_height() for bar in axes.patches] == (membrane > 0).tolist()
        assert axes.get_title() == name


def test_maps_have_the_values_written_in():
    rates = viz.rates({"blocks.0.neuron1": [0.015, 1.0], "head": [0.0, 0.506]}).axes[0]
    assert [text.get_text() for text in rates.texts] == ["1.5", "100", "0", "51"]
    assert [label.get_text() for label in rates.get_yticklabels()] == ["0.neuron1", "head"]
    epsilon = viz.epsilon_map({"lif": EPSILON}).axes[0]
    written = np.array([float(text.get_text()) for text in epsilon.texts])
    np.testing.assert_allclose(written, EPSILON[:, :, 0][np.tril_indices(4)], atol=0.005)
    confusion = viz.confusion([[3, 1], [0, 2]])
    np.testing.assert_allclose(confusion.axes[0].images[0].get_array(), [[75, 25], [0, 100]])


def test_a_band_is_a_standard_deviation():
    figure = viz.curves(X, {"a": np.stack([X, X + 2])})
    (band,) = figure.axes[0].collections
    vertices = band.get_paths()[0].vertices
    assert (vertices[:, 1].min(), vertices[:, 1].max()) == pytest.approx((2 - np.sqrt(2), 7 + np.sqrt(2)))


def test_the_front_is_what_nothing_surpasses():
    generator = np.random.default_rng(1)
    costs, accuracies = generator.random(20), generator.random(20)
    names = [str(index) for index in range(20)]
    figure = viz.pareto(dict(zip(names, costs, strict=True)), dict(zip(names, accuracies, strict=True)))
    front = {tuple(point) for point in figure.axes[0].lines[-1].get_xydata()}
    best = set()
    for cost, accuracy in sorted(zip(costs, accuracies, strict=True)):
        if not best or accuracy > max(other for _, other in best):
            best.add((cost, accuracy))
    assert front == best


def test_a_radar_is_in_shares_of_the_largest():
    axes = viz.radar({"a": [2, 0, 4], "b": [1, 0, 8]}, ["x", "y", "z"]).axes[0]
    assert [line.get_ydata().tolist() for line in axes.lines] == [[1, 0, 0.5, 1], [0.5, 0, 1, 0.5]]


def test_labels_of_a_radar_stand_where_no_outline_is_near():
    """Against the crossings of outlines and rays, solved as lines."""
    values = np.random.default_rng(2).uniform(0.1, 1, (3, 5))
    values /= values.max(0)
    axes = viz.radar({str(row): shares for row, shares in enumerate(values)}, list("vwxyz")).axes[0]
    corners = np.linspace(0, 2 * np.pi, 5, endpoint=False)
    rays = corners + np.pi / 5
    room = {}
    for index, ray in enumerate(rays):
        crossings = []
        for shares in values:
            points = shares[:, None] * np.stack([np.cos(corners), np.sin(corners)], 1)
            one, other = points[index], points[(index + 1) % 5]
            direction = np.array([np.cos(ray), np.sin(ray)])
            crossings.append(np.linalg.solve(np.stack([direction, one - other], 1), one)[0])
        room[round(np.degrees(ray), 6)] = np.abs(np.subtract.outer(crossings, [0.25, 0.5, 0.75, 1])).min()
    assert round(axes.get_rlabel_position(), 6) == max(room, key=room.get)


def test_series_are_seen_in_grey_and_in_the_legend():
    names = [str(index) for index in range(9)]
    brightness = [np.dot(look.color[:3], [0.299, 0.587, 0.114]) for look in viz.looks(names).values()]
    assert brightness[-1] < 0.67  # of 1, which is white; grids are at 0.9
    figure = viz.pareto({name: [1.0, 2.0] for name in names}, {name: [50.0, 60.0] for name in names})
    assert [handle.get_marker() for handle in figure.legends[0].legend_handles] == [
        look.marker for look in viz.looks(names).values()
    ]
    low, high = figure.axes[0].get_xlim()
    assert low == 0
    assert high > 1.5 + np.std([1, 2], ddof=1)  # the ends of the bars
    assert 20 in viz.curves(range(1, 21), {"a": range(20)}).axes[0].get_xticks()


@pytest.mark.parametrize("accuracies", [[0.997, 1.0, 0.997, 0.997], [0.0, 0.0], [0.5, 0.5], [1.0]])
@pytest.mark.parametrize("count", [3, 359, 10_000_000])
def test_the_axis_of_accuracies_does_not_zoom_into_single_images(accuracies, count):
    axes = viz.steps(accuracies, num_test=count).axes[0]
    bottom, top = axes.get_ylim()
    assert top - bottom >= min(100.0, 10 * 100 / count)
    for accuracy in accuracies:
        low, high = viz.wilson(accuracy, count)
        assert bottom <= 100 * low < 100 * high <= top
    assert [text.get_text() for text in axes.texts][: len(accuracies)] == [
        f"{100 * accuracy:.{viz.decimals_of_percent(count)}f}" for accuracy in accuracies
    ]


def test_the_interval_of_the_test_accuracy_is_shown():
    (band,) = viz.accuracy(X, {"training": X / 10}, test=0.9, num_test=359).axes[0].patches
    low, high = viz.wilson(0.9, 359)
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((100 * low, 100 * high))


def test_a_deep_network_names_the_first_and_the_last_layer():
    figure = viz.rate_curves([1], {f"blocks.{index}.neuron1": [0.1] for index in range(20)})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["blocks.0.neuron1", "blocks.19.neuron1"]


def test_systems_without_a_bias_say_so():
    bars = viz.errors({"lif": 0.1, "hd-lif": None}, TWO).axes[0]
    assert [bar.get_width() for bar in bars.patches] == [0.1, 0, 1.0, 0.5]
    assert [text.get_text().strip() for text in bars.texts] == ["other losses"]


def test_layers_are_named_where_all_models_have_the_same():
    same = viz.bars_by_layer({"a": {"stem": 1, "blocks.0.conv1": 2}, "b": {"stem": 3, "blocks.0.conv1": 4}}).axes[0]
    other = viz.cosines_by_layer({"a": {"stem": 1, "head": 1}, "b": {"units.0.conv": 1, "head": 1}}).axes[0]
    labels = [[label.get_text() for label in axes.get_xticklabels()] for axes in (same, other)]
    assert labels == [["stem", "0.conv1"], ["1", "2"]]
    assert [bar.get_height() for bar in same.patches] == [1, 2, 3, 4]
    assert other.get_xlabel() == "layer, by its place"
