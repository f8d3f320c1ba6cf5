"""Layouts and neurons of PyTorch networks, against numpy alone; what does not fit is refused in a line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

from hdlif_jax import nn, rollout
from hdlif_jax.interop import torch

T, H, W, C, K = 3, 6, 4, 2, 3
RNG = np.random.default_rng(0)
BUFFERS = {"threshold": 1.0, "graded_spikes_factor": 1.0, "reset_mechanism_val": 0, "beta": 0.75}


def weights():
    """A convolution, a norm, and two linear layers on a flattened image, with names of any kind."""
    state = {
        "body.conv.weight": RNG.normal(0, 0.5, (5, C, 3, 3)),
        "body.conv.bias": RNG.normal(0, 0.2, 5),
        "body.bn.weight": RNG.uniform(0.5, 2, 5),
        "body.bn.bias": RNG.uniform(0, 1, 5),
        "body.bn.running_mean": RNG.normal(0, 0.2, 5),
        "body.bn.running_var": RNG.uniform(0.5, 2, 5),
        "body.fc1.weight": RNG.normal(0, 0.4, (7, 5 * 3 * 2)),
        "body.fc1.bias": RNG.normal(0, 0.2, 7),
        "body.fc2.weight": RNG.normal(0, 0.4, (K, 7)),
        "body.fc2.bias": RNG.normal(0, 0.2, K),
    }
    counted = {"body.bn.num_batches_tracked": np.full((), 7)}
    return {name: array.astype(np.float32) for name, array in state.items()} | counted


def network(neuron, **options):
    bias = {"bias": True} | options
    return nn.Sequential(
        nn.Conv(C, 5, stride=2, **bias, rngs=nnx.Rngs(0)),
        nn.batch_norm(),
        neuron,
        nn.Flatten(),
        nn.Linear(30, 7, rngs=nnx.Rngs(1)),
        neuron,
        nn.Linear(7, K, rngs=nnx.Rngs(2)),
        num_steps=T,
        input_shape=(H, W, C),
    )


def logits_of(model, x):
    """`[T, B, K]` for inputs channels first."""
    inputs = jnp.asarray(np.moveaxis(x, 1, -1), jnp.float32)
    return np.asarray(rollout.rollout(nn.inference_form(model), nn.variables_of(model), inputs))


def by_numpy(state, x, fire):
    """The same network in PyTorch's layouts; `fire(v, current) -> (v, spikes)` are its neurons."""
    get = {name.removeprefix("body."): np.float64(array) for name, array in state.items()}
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2]
    image = np.einsum("bcijhw,ochw->boij", windows, get["conv.weight"]) + get["conv.bias"][:, None, None]
    channel = {name: get[f"bn.{name}"][:, None, None] for name in ("weight", "bias", "running_mean", "running_var")}
    image = (image - channel["running_mean"]) / np.sqrt(channel["running_var"] + 1e-5)
    image = image * channel["weight"] + channel["bias"]
    first, second, outputs = 0.0, 0.0, []
    for _ in range(T):
        first, spikes = fire(first, image)
        flat = spikes.reshape(len(x), -1)
        second, spikes = fire(second, flat @ get["fc1.weight"].T + get["fc1.bias"])
        outputs.append(spikes @ get["fc2.weight"].T + get["fc2.bias"])
    return np.stack(outputs)


def lif_node(tau, decay_input, threshold, v_reset):
    """SpikingJelly's LIFNode; its membrane starts at v_reset."""

    def fire(v, current):
        rest = v_reset or 0.0
        v = rest if isinstance(v, float) else v
        charged = v + (current - (v - rest)) / tau if decay_input else v - (v - rest) / tau + current
        spikes = (charged >= threshold).astype(float)
        return (charged - threshold * spikes if v_reset is None else np.where(spikes, v_reset, charged)), spikes

    return fire


def leaky(beta, threshold, mechanism):
    """snnTorch's Leaky, which resets by the spikes of the step before."""

    def fire(v, current):
        fired = v > threshold
        if mechanism == "subtract":
            v = beta * v + current - threshold * fired
        else:
            v = beta * v * (1 - fired if mechanism == "zero" else 1) + current
        return v, (v > threshold).astype(float)

    return fire


@pytest.mark.parametrize(
    ("tau", "decay_input", "threshold", "v_reset"),
    [(2.0, True, 1.0, 0.0), (1.25, True, 0.5, None), (4.0, False, 0.75, -0.5), (3.0, True, 0.5, 0.25)],
)
def test_spikingjelly_s_layouts_and_neurons_are_those_of_numpy(tau, decay_input, threshold, v_reset, tmp_path):
    """From a safetensors file, without PyTorch."""
    state, x = weights(), RNG.normal(size=(4, C, H, W))
    save_file(state, tmp_path / "net.safetensors")
    options = {"decay_input": decay_input, "v_threshold": threshold, "v_reset": v_reset}
    model = network(torch.spikingjelly_lif(tau, **options))
    imported = torch.from_state_dict(model, tmp_path / "net.safetensors")
    expected = by_numpy(state, x, lif_node(tau, decay_input, threshold, v_reset))
    assert np.std(expected) > 0.02
    np.testing.assert_allclose(logits_of(imported.model, x), expected, atol=1e-5)
    report = str(imported.report)
    assert report.startswith("4 layers matched, told by shapes, as the file has its names sorted")
    assert "layers.4 ← body.fc1; renamed; transposed from [out, in] to [in, out]; features from (C, H, W)" in report
    assert "layers.2 is kept: nothing is said of it" in report


@pytest.mark.parametrize("mechanism", ["subtract", "zero", "none"])
@pytest.mark.parametrize("learned", [True, False])
def test_snntorch_s_neurons_are_those_of_numpy(mechanism, learned):
    """Numbers of neurons come from the file where they are learned, and are compared where they are not."""
    state, x = weights(), RNG.normal(size=(4, C, H, W))
    numbers = BUFFERS | {"threshold": 0.5, "reset_mechanism_val": ["subtract", "zero", "none"].index(mechanism)}
    for name in ("body.lif1", "body.lif2"):
        state |= {f"{name}.{field}": np.asarray(value, np.float32) for field, value in numbers.items()}
    start = (0.3, {"threshold": 2.0}) if learned else (0.75, {"threshold": 0.5})
    options = start[1] | {"learn_beta": learned, "learn_threshold": learned, "reset_mechanism": mechanism}
    imported = torch.from_state_dict(network(torch.snntorch_leaky(start[0], **options)), state)
    assert imported.report.kept == {}
    assert ("decay 0.75" in str(imported.report)) == learned
    expected = by_numpy(state, x, leaky(0.75, 0.5, mechanism))
    np.testing.assert_allclose(logits_of(imported.model, x), expected, atol=1e-5)


LEAKY = torch.snntorch_leaky(0.75)


def without(*names):
    return lambda state: {name: array for name, array in state.items() if not name.startswith(names)}


def with_(**changes):
    return lambda state: state | {name.replace("__", "."): value for name, value in changes.items()}


def neuron(**changes):
    fields = {key: value for key, value in (BUFFERS | changes).items() if value is not None}
    return lambda state: (
        state | {f"body.{lif}.{key}": np.float32(value) for lif in ("lif1", "lif2") for key, value in fields.items()}
    )


BAD = {
    "a wider layer": (
        with_(body__fc1__weight=np.ones((9, 30), np.float32)),
        "body.fc1 is refused: kernel of layers.4 would be [30, 9], and it is [30, 7]",
    ),
    "a missing layer": (
        without("body.fc2"),
        "its layers are 1 convolution, 1 norm, 1 linear, and the network's 1 convolution, 1 norm, 2 neuron, 2 linear",
    ),
    "a layer too much": (
        with_(body__fc3__weight=np.ones((3, 3), np.float32)),
        "its layers are 1 convolution, 1 norm, 3 linear, and the network's 1 convolution, 1 norm, 2 neuron",
    ),
    "a bias too much": ("bias", "body.conv is refused: it has a bias, and layers.0 has none"),
    "a convolution in groups": (
        with_(body__conv__weight=np.ones((5, 1, 3, 3), np.float32)),
        "body.conv is refused: it is a convolution in 2 groups, and ours have one",
    ),
    "a norm of no statistics": (without("body.bn.running"), "body.bn is refused: a norm without running statistics"),
    "a negative variance": (
        with_(body__bn__running_var=np.float32([1, 1, -1, 1, 1])),
        "body.bn is refused: its running_var is negative somewhere",
    ),
    "a quantised network": ("ternary", "layers.0 has ternary weights and would quantise it; make the network with"),
    "another leak": (neuron(beta=0.9), "its decay is 0.9, and that of layers.2 0.75; make the network's neurons with"),
    "another reset": (neuron(reset_mechanism_val=1), "its reset is 'hard', and that of layers.2 'soft'"),
    "no reset": (neuron(reset_mechanism_val=7), "its reset_mechanism_val is 7, and there are 0, 1 and 2"),
    "graded spikes": (neuron(graded_spikes_factor=2), "its height is 2, and that of layers.2 1.0"),
    "leaks of each neuron": (neuron(beta=[0.5, 0.75]), "its beta is one of each neuron, and a LIF of ours has one"),
    "two states": (neuron(alpha=0.5), "a neuron of two states, such as snnTorch's Synaptic or Alpha, with the fields"),
    "recurrent": (neuron(V=0.5), "a recurrent neuron, such as snnTorch's RLeaky"),
    "a learned τ": (with_(body__sn__w=np.float32(0.5)), "says neither the threshold of a ParametricLIFNode nor"),
    "one neuron layer": (
        lambda state: without("body.lif2")(neuron()(state)),
        "body.lif1 is refused: no neuron layer of the network is left for it",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_does_not_fit_is_refused_in_a_line(what):
    change, message = BAD[what]
    options = (
        {"bias": {"bias": False}, "ternary": {"weights": "ternary"}}.get(change, {})
        if change in ("bias", "ternary")
        else {}
    )
    state = weights() if isinstance(change, str) else change(weights())
    with pytest.raises(ValueError, match="refused") as caught:
        torch.from_state_dict(network(LEAKY, **options), state)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_fits_of_it_can_be_taken_and_the_rest_is_reported():
    state = weights()
    state["body.fc2.weight"] = np.ones((9, 7), np.float32)
    imported = torch.from_state_dict(network(LEAKY, weights="ternary"), state, partial=True, latent=True)
    assert set(imported.report.refused) == {"body.fc2"}
    np.testing.assert_array_equal(
        imported.variables.params["layers"][0]["kernel"], state["body.conv.weight"].transpose(2, 3, 1, 0)
    )
    assert "body.fc2 is refused: kernel of layers.6 would be [7, 9]" in str(imported.report)
    with pytest.raises(ValueError, match="its layers are none, and the network's 1 convolution"):
        torch.from_state_dict(network(LEAKY), {"x.running": np.ones(2)}, partial=True)


SPEC = {"neuron": nn.lif(height=1.0), "weights": "float"}
FAMILIES = {
    "post-activation": lambda: nn.post_resnet18((8, 8, 3), 3, width=2, spec=nn.Spec(2, **SPEC), rngs=nnx.Rngs(0)),
    "the paper's": lambda: nn.resnet19(
        (8, 8, 2),
        3,
        width=2,
        spec=nn.Spec(2, nn.mem_bn(), nn.parallel(), weights="ternary", attention="seca-2"),
        rngs=nnx.Rngs(0),
    ),
    "VGG": lambda: nn.vgg13_linear((32, 32, 1), 3, width=1, spec=nn.Spec(2, dropout=0.1, **SPEC), rngs=nnx.Rngs(0)),
    "standardised": lambda: nn.vgg(
        (8, 8, 3), 3, widths=(2, 4), spec=nn.Spec(2, weights="standardized", norm=nn.no_norm()), rngs=nnx.Rngs(0)
    ),
    "tdBN": lambda: network(nn.adaptive_lif()),
}


@pytest.mark.parametrize("usual", [False, True], ids=["own names", "usual names"])
@pytest.mark.parametrize("family", FAMILIES)
def test_out_and_in_again_changes_nothing(family, usual):
    """Whatever a network is made of, also where its neurons have no counterpart in PyTorch."""
    model = FAMILIES[family]()
    variables = nn.variables_of(model)
    shaken = [RNG.uniform(0.1, 1, array.shape).astype(np.float32) for array in jax.tree.leaves(variables)]
    variables = jax.tree.unflatten(jax.tree.structure(variables), shaken)
    naming = torch.names_of(model) if usual else None
    state = torch.to_state_dict(model, variables, naming=naming, latent=True)
    if usual and family == "post-activation":
        assert {"conv1.weight", "bn1.running_var", "layer2.0.downsample.0.weight", "layer4.1.conv2.weight"} <= set(
            state
        )
    again = torch.from_state_dict(
        model, state, latent=True, naming=(lambda path: naming.get(path, path)) if usual else None
    )
    assert not again.report.refused
    jax.tree.map(np.testing.assert_array_equal, again.variables, variables)


def deep(*names):
    """Two layers of one shape, whose names are all that tells them apart."""
    state = {"in.weight": np.ones((4, 8)), names[0] + ".weight": np.full((4, 4), 1.0)}
    return state | {names[1] + ".weight": np.full((4, 4), 2.0), "out.weight": np.ones((3, 4))}


@pytest.mark.parametrize(
    ("names", "is_sorted", "first"),
    [(("a", "b"), False, 1), (("fc2", "fc10"), True, 1), (("fc10", "fc2"), False, None), (("x", "a"), True, None)],
    ids=["in order", "by numbers", "numbers against order", "nothing tells"],
)
def test_layers_of_one_shape_are_told_apart_or_refused(names, is_sorted, first):
    options = {"spec": nn.Spec(2, LEAKY, weights="float"), "rngs": nnx.Rngs(0)}
    model = nn.mlp((8,), 3, widths=(4, 4, 4), **options)
    state = {name: array.astype(np.float32) for name, array in deep(*names).items()}
    state = {name.removesuffix("weight") + "bias": np.zeros(len(array)) for name, array in state.items()} | state
    order = sorted(state) if is_sorted else sorted(state, key=lambda name: name.endswith("bias"))
    state = {name: state[name] for name in order}
    if first is None:
        with pytest.raises(ValueError, match=r"no name tells which is which|there is no linear layer|is left for it"):
            torch.from_state_dict(model, state)
    else:
        kernel = torch.from_state_dict(model, state).variables.params["layers"][2]["kernel"]
        np.testing.assert_array_equal(kernel, np.full((4, 4), first))


def test_names_can_be_given_and_arrays_renamed():
    state = weights()
    names = {"layers.0": "a", "layers.1": "b", "layers.4": "c", "layers.6": "d"}
    theirs = dict(zip(("body.conv", "body.bn", "body.fc1", "body.fc2"), "abcd", strict=True))

    def rename(name):
        layer, _, field = name.rpartition(".")
        return f"{theirs[layer]}.{field}"

    report = torch.from_state_dict(network(LEAKY), state, naming=names, rename=rename).report
    assert [match.source for match in report.matched] == list("abcd")
    with pytest.raises(ValueError, match=r"rename gives 11 tensors 1 names; give each a name of its own"):
        torch.from_state_dict(network(LEAKY), state, rename=lambda name: "x")
    with pytest.raises(ValueError, match=r"naming calls two arrays x\.weight"):
        torch.to_state_dict(network(LEAKY), naming=lambda path: "x")


def test_quantised_kernels_leave_as_what_they_multiply_by():
    model = network(nn.hd_lif(), weights="ternary")
    state = torch.to_state_dict(model)
    expected = np.asarray(model.layers[0].quantized_kernel()).transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(state["layers.0.weight"], expected)
    assert len(np.unique(expected)) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torch.spikingjelly_lif(1.0), "tau=1.0 must be above 1"),
        (lambda: torch.spikingjelly_lif(v_threshold=0.5, v_reset=0.5), "v_threshold=0.5 must be above v_reset=0.5"),
        (lambda: torch.snntorch_leaky(0.5, reset_delay=False), "reset_delay=False with reset_mechanism='subtract'"),
        (lambda: torch.snntorch_leaky(0.5, reset_mechanism="soft"), "reset_mechanism='soft' is unknown; choose one of"),
        (lambda: torch.from_state_dict(nn.mlp, {}), "model=mlp is not called yet"),
        (lambda: torch.from_state_dict(network(LEAKY), 3), "a state_dict is a mapping or a file, and this is 3"),
        (lambda: torch.from_layers(3, input_shape=(4,), num_steps=2), "layers=3 must be of type Iterable"),
        (lambda: torch.from_layers([3], input_shape=(4,), num_steps=2), "layer 0 is a int; give layers of torch.nn"),
    ],
)
def test_arguments_are_looked_at(make, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
