"""Graphs of other frameworks and of ours, read: against what those compute, and against NIR's own equation in numpy."""

import itertools
import pathlib

import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn, rollout
from hdlif_jax.deploy.fold import fold
from tests.deploy.networks import inputs_for, unfolded_logits, unsettled

nir = pytest.importorskip("nir", reason="nir is not installed; it is in the nir extra")

from hdlif_jax.interop.nir import from_nir, to_nir  # noqa: E402 - needs nir
from tests.interop.nir.fixtures import ours  # noqa: E402
from tests.interop.nir.simulation import simulate  # noqa: E402

FIXTURES = pathlib.Path(ours.__file__).parent
DT = 1e-3
LATE = nn.lif(order="charge-reset-fire", learn_decay=False, learn_threshold=False)  # what snnTorch does by default


@pytest.fixture(scope="module")
def others():
    """What snnTorch and SpikingJelly computed; see `fixtures/others.py`."""
    with np.load(FIXTURES / "others.npz") as arrays:
        return dict(arrays)


def logits_of(model, inputs):
    """`[T, B, K]` of sequences `[T, B, ...]`, channels first."""
    inputs = np.moveaxis(inputs, 2, -1) if inputs.ndim == 5 else inputs
    return np.asarray(rollout.rollout(nn.inference_form(model), nn.variables_of(model), inputs))


def assert_same_graph(first, second):
    """Nodes in order, types and every array and number; names and edges of a chain follow the order."""
    assert [type(node) for node in first.nodes.values()] == [type(node) for node in second.nodes.values()]
    for one, other in zip(first.nodes.values(), second.nodes.values(), strict=True):
        one, other = one.to_dict(), other.to_dict()
        assert one.keys() == other.keys()
        for field in one:
            np.testing.assert_array_equal(np.asarray(one[field]), np.asarray(other[field]))
    assert first.metadata == second.metadata


@pytest.mark.parametrize(
    ("name", "dt", "options"),
    [
        ("snntorch-zero", 1e-4, {}),
        ("snntorch-subtract", 1e-4, {"reset": "soft", "neuron": LATE}),
        ("spikingjelly", 1e-3, {"tie": ">="}),
    ],
)
def test_networks_of_other_frameworks_compute_here_what_they_compute_there(name, dt, options, others):
    model, _ = from_nir(FIXTURES / f"{name}.nir", dt=dt, num_steps=6, **options)
    np.testing.assert_allclose(logits_of(model, others["inputs"]), others[name], atol=1e-5)
    if "neuron" in options:
        with pytest.raises(ValueError, match=r"the lif neuron layers\.2: it resets a step after it fires"):
            to_nir(fold(model), dt)
        return
    graph = to_nir(fold(model), dt)  # which says dt, steps, reset and tie by itself
    assert_same_graph(to_nir(fold(from_nir(graph).model), dt), graph)
    with pytest.raises(ValueError, match="resets as it fires, and order='charge-reset-fire' is asked for"):
        from_nir(graph, neuron=LATE)


@pytest.mark.parametrize(
    ("name", "readers"), [("ours-lif", ["spikingjelly", "snntorch"]), ("ours-if", ["spikingjelly"])]
)
def test_networks_of_ours_compute_in_other_frameworks_what_they_compute_here(name, readers, others):
    model = ours.network(ours.DECAYS[name])
    assert_same_graph(nir.read(FIXTURES / f"{name}.nir"), to_nir(fold(model), dt=1e-4))  # the one that they have read
    logits = logits_of(model, others["inputs-of-ours"])
    for reader in readers:
        np.testing.assert_allclose(logits, others[f"{reader} of {name}"], atol=1e-5)


def convolutional(neuron):
    rngs = nnx.Rngs(0)
    layers = [
        nn.Conv(2, 3, rngs=rngs),
        nn.batch_norm(),
        neuron,
        nn.AvgPool2x2(),
        nn.Conv(3, 4, 2, padding=1, rngs=rngs),
    ]
    layers += [neuron, nn.AvgPool3x3(), nn.Conv(4, 4, 1, weights="ternary", bias=True, rngs=rngs), neuron]
    layers += [nn.AdaptiveAverage(1), nn.Flatten(), nn.Linear(4, 3, rngs=rngs)]
    model = unsettled(nn.Sequential(*layers, num_steps=3, input_shape=(8, 8, 2)), seed=4)
    for layer in model.layers:
        if isinstance(layer, nn.Synapse):
            layer.kernel[...] = 3 * layer.kernel[...]  # so that neurons fire
    return model


def pooled_at_the_end(neuron):
    layers = [nn.Conv(1, 3, bias=True, rngs=nnx.Rngs(0)), neuron, nn.GlobalAverage(), nn.Linear(3, 2, rngs=nnx.Rngs(1))]
    return unsettled(nn.Sequential(*layers, neuron, num_steps=3, input_shape=(4, 4, 1)))


FREE = {"decay": 1.0, "learn_decay": False}


@pytest.mark.parametrize(
    ("build", "neuron"),
    [
        (ours.network, 0.9),
        (pooled_at_the_end, nn.lif(height=1.0)),
        (pooled_at_the_end, nn.lif(height=1.0, reset="hard", tie=">", **FREE)),
        (convolutional, nn.lif(threshold=0.1)),
    ],
    ids=["flattened", "average at the end", "IF", "norms, levels and spikes of height θ"],
)
def test_what_to_nir_writes_comes_back_exactly(build, neuron, tmp_path):
    model = build(neuron)
    graph = to_nir(fold(model), DT)
    nir.write(tmp_path / "network.nir", graph)
    read = from_nir(tmp_path / "network.nir")
    assert_same_graph(to_nir(fold(read.model, read.variables), DT), graph)
    x = inputs_for(model, batch=4)
    expected, found = unfolded_logits(model, x), unfolded_logits(read.model, x)
    assert expected.std(1).max() > 0.01  # it does something
    if build is convolutional:  # whose norms and heights the weights take in, with a rounding
        np.testing.assert_allclose(found, expected, atol=1e-5)
    else:
        np.testing.assert_array_equal(found, expected)


def with_ends(nodes, inputs, outputs):
    """A graph of nodes in order."""
    nodes = {"input": nir.Input(np.array(inputs)), **nodes, "output": nir.Output(np.array(outputs))}
    names = list(nodes)
    return nir.NIRGraph(nodes, list(itertools.pairwise(names)), type_check=False)


def neurons(shape, kind=nir.LIF, **fields):
    """Neurons as Norse and Sinabs write them: R = 1, whatever τ is."""
    ones = np.ones(shape)
    usual = {"tau": 4 * DT, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.3, "v_reset": 0.0}
    names = ("r", "v_threshold", "v_reset") if kind is nir.IF else tuple(usual)
    metadata = fields.pop("metadata", {})
    return kind(**{name: np.asarray((usual | fields)[name]) * ones for name in names}, metadata=metadata)


def affine(outputs, inputs, seed=0, bias=0.1):
    weight = np.random.default_rng(seed).normal(0.1, 1.5 / inputs**0.5, (outputs, inputs))
    return nir.Affine(weight, np.full(outputs, bias)) if bias else nir.Linear(weight)


def conventions():
    """Gains, rests, one entry for all, sums and scales that nothing but thresholds and weights can take in."""
    kernel = np.random.default_rng(1).normal(0.1, 0.5, (3, 2, 3, 3))
    nodes = {
        "conv": nir.Conv2d((12, 12), kernel, (1, 1), "same", 1, 1, np.zeros(3)),
        "rest": neurons((3, 12, 12), v_leak=-0.2, v_reset=-0.2, v_threshold=0.1, tau=2 * DT),
        "louder": nir.Scale(np.array(1.25)),
        "sum": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "one": neurons((), v_threshold=0.9),
        "wide": nir.AvgPool2d(3, 3, 0),
        "flat": nir.Flatten(None),
        "scale": nir.Scale(np.full(12, 2.5)),
        "affine": affine(5, 12),
        "if": neurons(5, nir.IF, r=0.7 / DT, v_threshold=0.5, metadata={"reset": "subtract v_threshold"}),
        "linear": affine(4, 5, bias=None),
        "end": nir.Scale(np.array(0.5)),
    }
    return with_ends(nodes, [2, 12, 12], [4])


def test_an_independent_simulation_of_nir_s_equation_gives_the_same():
    graph = conventions()
    model, report = read = from_nir(graph, dt=DT, num_steps=5)
    assert repr(read) == "Imported(model: Sequential, report: Report(dt: 0.001, nodes: 12))"
    x = inputs_for(model, batch=3)
    images = np.asarray(x, np.float64).transpose(0, 3, 1, 2)
    graph.nodes["conv"].padding = (1, 1)  # what "same" means
    graph.nodes["wide"].kernel_size = np.array([3, 3])
    expected = np.stack([simulate(graph, image, DT, num_steps=5) for image in images], 1)
    assert expected.std(0).max() > 0.01
    np.testing.assert_allclose(logits_of(model, np.broadcast_to(images, (5, *images.shape))), expected, atol=1e-5)
    assert [line.node for line in report.lines] == list(graph.nodes)[1:-1]
    for text in ("θ = 0.6", "hard reset", "soft reset", "× 4 behind it", "counted with the batch", "1 ms"):
        assert text in str(report)
    assert "<td>SumPool2d</td>" in report._repr_html_()


def test_a_graph_within_a_graph_is_opened():
    inner = with_ends({"lif": neurons(3), "out": affine(2, 3)}, [3], [2])
    read = from_nir(with_ends({"in": affine(3, 4), "inner": inner}, [4], [2]), dt=DT, num_steps=2)
    assert [line.node for line in read.report.lines] == ["in", "inner.lif", "inner.out"]


def test_what_is_learned_is_the_reader_s_choice():
    graph = with_ends({"a": affine(3, 4), "lif": neurons(3), "if": neurons(3, nir.IF, r=1 / DT)}, [4], [3])
    learned = from_nir(graph, dt=DT, num_steps=2, neuron=nn.lif()).variables.params["layers"]
    assert {1: {"raw_decay", "threshold"}, 2: {"threshold"}} == {index: {*learned[index]} for index in (1, 2)}
    assert 1 / (1 + np.exp(-learned[1]["raw_decay"])) == pytest.approx(0.75)
    assert set(from_nir(graph, dt=DT, num_steps=2).variables.params["layers"]) == {0}


def chain(name="x", node=None, inputs=(4,), outputs=(4,)):
    """A layer of neurons behind an odd node."""
    return with_ends({name: node, "lif": neurons(outputs)}, inputs, outputs)


def joined(*edges):
    nodes = {"input": nir.Input(np.array([4])), "a": affine(4, 4), "b": affine(4, 4), "lif": neurons(4)}
    nodes["output"] = nir.Output(np.array([4]))
    return nir.NIRGraph(nodes, [*edges, ("lif", "output")], type_check=False)


def conv(weight=(3, 2, 3, 3), stride=1, padding=1, dilation=1, groups=1, shape=None):
    return nir.Conv2d(shape, np.ones(weight), stride, padding, dilation, groups, np.zeros(weight[0]))


ONES, WIDE = np.ones(4), np.linspace(1, 2, 4)
IMAGES = {"inputs": (2, 6, 6), "outputs": (3, 6, 6)}
REFUSED = {
    "recurrent": (
        lambda: joined(("input", "a"), ("a", "lif"), ("lif", "b"), ("b", "a")),
        "is recurrent, .*'a' → 'lif'",
    ),
    "branches": (
        lambda: joined(("input", "a"), ("a", "b"), ("a", "lif"), ("b", "lif")),
        "node 'a' feeds 'b' and 'lif'",
    ),
    "joins": (lambda: joined(("input", "lif"), ("a", "lif")), "node 'lif' adds up 'input' and 'a'"),
    "is not reached": (lambda: joined(("input", "lif"), ("a", "b")), "node 'a' is not reached"),
    "has no such node": (lambda: joined(("input", "c")), "an edge of 'c', and no such node"),
    "has no input": (lambda: nir.NIRGraph({"l": neurons(4)}, [], type_check=False), "has 0 Input nodes"),
    "CubaLIF": (
        lambda: chain(node=nir.CubaLIF(*[ONES] * 5)),
        r"node 'x' \(CubaLIF\).* its synaptic current is a state",
    ),
    "LI": (lambda: chain(node=nir.LI(ONES, ONES, ONES)), r"node 'x' \(LI\).* hands on its membrane"),
    "Delay": (lambda: chain(node=nir.Delay(ONES)), r"node 'x' \(Delay\).* no layer of ours delays"),
    "slow steps": (lambda: chain(node=neurons(4, tau=DT)), r"'x' \(LIF\).* shortest τ is 0.001 s, no longer than"),
    "many decays": (
        lambda: chain(node=neurons(4, tau=4 * DT * WIDE)),
        r"'x' \(LIF\).* λ = 1 − dt/τ differs .* 0.75 to",
    ),
    "many thresholds": (lambda: chain(node=neurons(4, v_threshold=WIDE)), r"v_threshold.* differs between neurons"),
    "other reset": (lambda: chain(node=neurons(4, v_reset=0.1)), "its v_reset is not its v_leak"),
    "other rest": (
        lambda: chain(node=neurons(4, v_leak=0.1, metadata={"reset": "subtract v_threshold"})),
        "its v_leak is not 0",
    ),
    "no threshold": (lambda: chain(node=neurons(4, v_threshold=-1)), "its threshold is .* must be positive"),
    "negative R": (lambda: chain(node=neurons(4, r=-1)), "its R has the entry -1"),
    "unknown reset": (lambda: chain(node=neurons(4, metadata={"reset": "halve"})), "metadata say reset: 'halve'"),
    "other method": (lambda: chain(node=neurons(4, metadata={"method": "exact"})), "for the method 'exact'"),
    "other size": (lambda: chain(node=neurons(5)), r"its r has the shape \(5,\) and the layer \(4,\)"),
    "not finite": (lambda: chain(node=nir.Linear(np.full((4, 4), np.nan))), "its weight has entries that float32"),
    "no numbers": (lambda: chain(node=nir.Scale(np.array(["a"]))), "its scale, .* is no array of numbers"),
    "many scales": (lambda: chain(node=nir.Scale(WIDE)), "its entries are 1 to 2; one positive number"),
    "other inputs": (
        lambda: chain(node=affine(4, 5)),
        r"its weight \(4, 5\) is not \(outputs, inputs\) of inputs \(4,\)",
    ),
    "groups": (lambda: chain("c", conv((3, 2, 3, 3), groups=2), **IMAGES), r"'c' \(Conv2d\).* no groups"),
    "other image": (lambda: chain("c", conv(shape=(5, 5)), **IMAGES), r"its input_shape is \(5, 5\)"),
    "a large kernel": (lambda: chain("c", conv((3, 2, 9, 9)), **IMAGES), "its kernel of 9×9 is larger"),
    "other pools": (lambda: chain("p", nir.AvgPool2d(3, 1, 0), **IMAGES), r"'p' \(AvgPool2d\).* with window \(3, 3\)"),
    "half flat": (lambda: chain("f", nir.Flatten(None, 0, 1), **IMAGES), r"'f' \(Flatten\).* flattens the axes 0…1"),
    "ends in images": (lambda: chain("c", conv(), **IMAGES), r"the graph ends in \(3, 6, 6\); expected classes"),
    "another end": (lambda: with_ends({"l": neurons(4)}, [4], [3]), r"says that it ends in \(3,\), and its nodes give"),
    "a batch": (lambda: with_ends({"l": neurons(4)}, [1, 4], [4]), r"'input' has the shape \[1.0, 4.0\]; expected"),
    "no neurons": (lambda: with_ends({"a": affine(4, 4)}, [4], [4]), "has no LIF and no IF node"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_ours_cannot_say_is_refused_in_one_line_by_name(name):
    build, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as caught:
        from_nir(build(), dt=DT, num_steps=2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dt": DT}, ValueError, "the graph does not say its num_steps; give the number of time-steps"),
        ({"num_steps": 2}, ValueError, "the graph does not say its dt; give the seconds of a time-step"),
        ({"dt": DT, "num_steps": 2, "reset": "none"}, ValueError, "reset='none' is unknown"),
        (
            {"dt": DT, "num_steps": 2, "reset": "soft"},
            ValueError,
            "node 'x' .*'set to v_reset', and 'soft' is asked for",
        ),
        ({"dt": DT, "num_steps": 2, "neuron": nn.lif(order="fire-charge")}, ValueError, "NIR's neurons charge before"),
        ({"graph": 3}, TypeError, "graph=3 must be of type NIRGraph or a path"),
    ],
)
def test_what_the_graph_does_not_say_is_asked_for(options, error, message):
    graph = chain(node=neurons(4, metadata={"reset": "set to v_reset"}))
    with pytest.raises(error, match=message):
        from_nir(**({"graph": graph} | options))


@pytest.mark.parametrize(("tie", "fires"), [(None, False), (">", False), (">=", True)])
def test_at_its_threshold_a_neuron_fires_where_that_is_said(tie, fires):
    at = neurons(4, tau=2 * DT, r=2.0, v_threshold=1.0)
    graph = with_ends({"one": nir.Linear(np.eye(4)), "lif": at, "end": nir.Linear(np.eye(4))}, [4], [4])
    read = from_nir(graph, dt=DT, num_steps=1, tie=tie)
    assert (logits_of(read.model, np.ones((1, 1, 4), np.float32)) == float(fires)).all()


def test_a_step_of_another_length_is_the_reader_s_choice():
    graph = to_nir(fold(ours.network(0.75)), dt=1e-4)
    assert from_nir(graph, dt=0.5e-4).model.layers[1].options.decay == 0.875
    graph.metadata["dt"] = -1.0
    with pytest.raises(ValueError, match=r"the graph's dt=-1\.0 must be positive"):
        from_nir(graph)
