"""Networks of SpikingJelly and snnTorch, trained by them, are the same networks here, and go back."""

import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn, rollout
from hdlif_jax.interop import torch as interop
from tests.docs.blocks import blocks

pytestmark = pytest.mark.filterwarnings("ignore")
T, SIDE, K = 4, 8, 3


@pytest.fixture
def libraries():
    """The libraries, from one seed for each test, in whatever order they run."""
    torch = pytest.importorskip("torch")
    snntorch, jelly = pytest.importorskip("snntorch"), pytest.importorskip("spikingjelly.activation_based.neuron")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return types.SimpleNamespace(torch=torch, snn=snntorch, neuron=jelly)


@pytest.fixture
def networks(libraries, monkeypatch):
    """SpikingJelly's networks, which want a function of torchvision to download weights with; it is not called."""
    for name in ("torchvision", "torchvision.models", "torchvision.models.utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["torchvision.models.utils"].load_state_dict_from_url = None
    from spikingjelly.activation_based.model import sew_resnet, spiking_resnet, spiking_vgg

    return types.SimpleNamespace(resnet=spiking_resnet, sew=sew_resnet, vgg=spiking_vgg)


def images(count):
    """Bars, of which each class has its own direction, channels first, and their labels."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, K, count)
    x = generator.normal(0, 0.8, (count, 2, SIDE, SIDE))
    x[labels == 0, 0, 2:4] += 1
    x[labels == 1, 0, :, 2:4] += 1
    x[labels == 2, 1] += 1
    return x.astype(np.float32), labels


def steps_of(net, x, torch):
    """Outputs `[T, B, K]` of a network of either library, from its start."""
    for module in net.modules():
        if hasattr(module, "v_threshold"):
            module.reset()
        elif hasattr(module, "reset_mem"):
            module.reset_mem()
    outputs = [net(x) for _ in range(T)]
    return torch.stack([output[0] if isinstance(output, tuple) else output for output in outputs])


def train(net, torch, steps=30):
    """A few steps on all of the images; the accuracy, and the outputs in evaluation."""
    x, labels = images(96)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(net.parameters(), 2e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(steps_of(net, inputs, torch).mean(0) * 4, targets).backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        return steps_of(net, inputs, torch).numpy()


def logits_of(model, x):
    inputs = jnp.asarray(np.moveaxis(x, 1, -1))
    return np.asarray(rollout.rollout(nn.inference_form(model), nn.variables_of(model), inputs))


def agree(model, outputs):
    """The same outputs at every step, and so the same accuracy, which is one of a trained network."""
    x, labels = images(96)
    ours = logits_of(model, x)
    np.testing.assert_allclose(ours, outputs, atol=1e-5)
    accuracies = [np.mean(each.sum(0).argmax(-1) == labels) for each in (ours, outputs)]
    assert accuracies[0] == accuracies[1] > 0.6


def parts(torch, neuron, last=None):
    layers = torch.nn
    made = [
        layers.Conv2d(2, 6, 3, padding=1),
        layers.BatchNorm2d(6),
        neuron(),
        layers.MaxPool2d(2),
        layers.Conv2d(6, 5, 3, stride=1, bias=False),
        neuron(),
        layers.Flatten(),
        layers.Dropout(0.1),
        layers.Linear(5 * 4, K),
    ]
    return layers.Sequential(*made, *([] if last is None else [last]))


NODES = {
    "LIF": lambda neuron: neuron.LIFNode(tau=2.0, detach_reset=True),
    "LIF, subtracting, of its own input": lambda neuron: neuron.LIFNode(1.5, decay_input=False, v_reset=None),
    "LIF above a floor": lambda neuron: neuron.LIFNode(3.0, v_threshold=0.4, v_reset=-0.2),
    "IF": lambda neuron: neuron.IFNode(v_threshold=0.8),
    "learned τ": lambda neuron: neuron.ParametricLIFNode(init_tau=2.5),
}


@pytest.mark.parametrize("node", NODES)
def test_spikingjelly_s_networks_come_and_go(libraries, node):
    torch = libraries.torch
    net = parts(torch, lambda: NODES[node](libraries.neuron))
    outputs = train(net, torch)
    imported = interop.from_layers(net, input_shape=(SIDE, SIDE, 2), num_steps=T)
    agree(imported.model, outputs)
    assert not imported.report.refused
    other = parts(torch, lambda: NODES[node](libraries.neuron)).eval()
    if node == "learned τ":
        other.load_state_dict(net.state_dict())
    state = interop.to_state_dict(imported.model, like=other)
    other.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in state.items()})
    with torch.no_grad():
        np.testing.assert_allclose(steps_of(other, torch.from_numpy(images(96)[0]), torch), outputs, atol=1e-5)


def test_neurons_fire_at_and_learn_as_theirs_do(libraries):
    """Spikes for currents on a grid that meets thresholds exactly, and what a loss of spikes says of the currents."""
    torch, node, leaky = libraries.torch, libraries.neuron, libraries.snn.Leaky
    from spikingjelly.activation_based import surrogate

    hidden = {"init_hidden": True}
    theirs = {
        "LIF": node.LIFNode(2.0),
        "LIF, detached, subtracting": node.LIFNode(4.0, v_reset=None, detach_reset=True),
        "LIF, arctan": node.LIFNode(2.0, decay_input=False, surrogate_function=surrogate.ATan()),
        "IF": node.IFNode(surrogate_function=surrogate.ATan()),
        "learned τ": node.ParametricLIFNode(2.0, surrogate_function=surrogate.ATan()),
        "subtract": leaky(0.5, **hidden),
        "zero": leaky(0.5, reset_mechanism="zero", **hidden),
        "none": leaky(0.5, reset_mechanism="none", **hidden),
    }
    generator = np.random.default_rng(0)
    x = generator.integers(-4, 9, (6, 40)).astype(np.float32) / 4
    weights = generator.normal(size=x.shape).astype(np.float32)
    for name, module in theirs.items():
        inputs = torch.from_numpy(x).clone().requires_grad_()
        spikes = torch.stack([module(each) for each in inputs])
        (spikes * torch.from_numpy(weights)).sum().backward()
        cell = interop.neuron_of(module)(len(x), x.shape[1])

        def loss(x, cell=cell):
            state, spikes = jnp.zeros(x.shape[1]), []
            for t, current in enumerate(x):
                state, fired = cell.advance(state, current, nn.Tick(t))
                spikes.append(fired)
            return jnp.sum(jnp.stack(spikes) * weights), jnp.stack(spikes)

        gradient, ours = jax.grad(loss, has_aux=True)(jnp.asarray(x))
        np.testing.assert_array_equal(ours, spikes.detach().numpy(), err_msg=name)
        np.testing.assert_allclose(gradient, inputs.grad.numpy(), atol=1e-5, err_msg=name)


LEAKIES = {
    "subtract": {"reset_mechanism": "subtract"},
    "zero": {"reset_mechanism": "zero"},
    "zero at once": {"reset_mechanism": "zero", "reset_delay": False},
    "none": {"reset_mechanism": "none", "threshold": 0.7},
    "learned": {"learn_beta": True, "learn_threshold": True},
    "graded": {"graded_spikes_factor": 0.5, "threshold": 0.5},
}


@pytest.mark.parametrize("leaky", LEAKIES)
def test_snntorch_s_networks_come_and_go(libraries, leaky):
    """Their last layer is one of neurons, whose spikes are counted."""
    torch, snn = libraries.torch, libraries.snn

    def neuron(**more):
        return snn.Leaky(beta=0.8, init_hidden=True, **LEAKIES[leaky], **more)

    net = parts(torch, neuron, neuron(output=True))
    outputs = train(net, torch)
    imported = interop.from_layers(net, input_shape=(SIDE, SIDE, 2), num_steps=T)
    agree(imported.model, outputs)
    by_arrays = interop.from_state_dict(imported.model, net.state_dict())  # which has the numbers of the neurons
    agree(by_arrays.model, outputs)
    other = parts(torch, neuron, neuron(output=True)).eval()
    state = interop.to_state_dict(imported.model, like=other)
    other.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in state.items()})
    with torch.no_grad():
        np.testing.assert_allclose(steps_of(other, torch.from_numpy(images(96)[0]), torch), outputs, atol=1e-5)


def shaken(net, torch):
    """Random weights and statistics that let about half of the neurons fire."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for name, low, high in (("weight", 0.5, 2), ("bias", -0.5, 1), ("running_mean", -0.2, 0.2)):
                torch.nn.init.uniform_(getattr(module, name), low, high)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
        if hasattr(module, "w"):
            torch.nn.init.uniform_(module.w, -1, 1)
    return net.eval()


def jelly_resnet(neuron, stem=nn.StemShape(7, 2, pools=True, pools_spikes=True)):
    return nn.PostActivationResNet(
        (32, 32, 3),
        5,
        stage_sizes=(2, 2, 2, 2),
        widths=(64, 128, 256, 512),
        strides=(1, 2, 2, 2),
        stem=stem,
        spec=nn.Spec(num_steps=T, neuron=neuron, weights="float"),
        rngs=nnx.Rngs(0),
    )


@pytest.mark.slow
def test_spikingjelly_s_resnet18_gives_the_same_logits(libraries, networks, tmp_path):
    """As a living network, and from a file of its weights with neurons that are said."""
    torch = libraries.torch
    x = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    for kind, neuron in (
        (libraries.neuron.ParametricLIFNode, interop.spikingjelly_lif(learn_tau=True)),
        (libraries.neuron.LIFNode, interop.spikingjelly_lif()),
    ):
        net = shaken(networks.resnet.spiking_resnet18(num_classes=5, spiking_neuron=kind), torch)
        with torch.no_grad():
            expected = steps_of(net, torch.from_numpy(x), torch).numpy()
        torch.save({"net": net.state_dict(), "epoch": 3}, tmp_path / "net.pt")
        source = net if kind is libraries.neuron.ParametricLIFNode else tmp_path / "net.pt"
        imported = interop.from_state_dict(jelly_resnet(neuron), source)
        assert imported.report.naming == "by its usual names"
        np.testing.assert_allclose(logits_of(imported.model, x), expected, atol=1e-5)
        assert expected.std() > 0.01
        back, own = interop.to_state_dict(imported.model, like=net), net.state_dict()
        assert list(back) == list(own)
        for name, array in back.items():
            np.testing.assert_allclose(array, own[name].numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_networks_that_only_look_alike_are_refused(libraries, networks):
    """SEW and max-pooled networks have the names of others, and do something else."""
    node, lif = {"spiking_neuron": libraries.neuron.LIFNode, "num_classes": 5}, interop.spikingjelly_lif()
    resnet18, resnet = networks.resnet.spiking_resnet18, jelly_resnet(lif)
    unpooled = jelly_resnet(lif, nn.StemShape(7, 2, pools=True))
    strided = resnet18(**node)
    strided.conv1.stride = (1, 1)
    other_norm = resnet18(**node)
    other_norm.bn1.eps = 1e-3
    window = "over 3×3 with stride 2 and padding 1, average of spikes"
    pooling = f"maximum of spikes {window}, and the network's is maximum of currents {window}"
    bad = {
        "what SEWResNet does with its parts is nothing": (resnet, networks.sew.sew_resnet18(**node, cnf="ADD")),
        f"pooling is refused: its pooling is {pooling}": (unpooled, resnet18(**node)),
        "its stride is (1, 1), and that of stem (2, 2)": (resnet, strided),
        "its eps is 0.001, and that of stem_norm 1e-05": (resnet, other_norm),
        "its reset is 'soft', and that of neuron 'hard'": (resnet, resnet18(**node, v_reset=None)),
        "the dynamics of SpikingJelly's QIFNode": (
            resnet,
            resnet18(**node | {"spiking_neuron": libraries.neuron.QIFNode}),
        ),
    }
    for message, (model, net) in bad.items():
        with pytest.raises(ValueError, match="refused") as caught:
            interop.from_state_dict(model, net)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_layers_that_none_of_ours_does_are_refused_by_name(libraries):
    torch, snn, neuron = libraries.torch.nn, libraries.snn, libraries.neuron

    class Own(torch.Linear):
        pass

    bad = {
        "0 is refused: Synaptic: the dynamics of snnTorch's Synaptic are no LIF": snn.Synaptic(alpha=0.9, beta=0.8),
        "0 is refused: Leaky: reset_delay=False with reset_mechanism='subtract'": snn.Leaky(0.9, reset_delay=False),
        "0 is refused: Leaky: its inhibition": snn.Leaky(0.9, inhibition=True),
        "0 is refused: Leaky: its beta is one of each neuron": snn.Leaky(libraries.torch.tensor([0.5, 0.6])),
        "0 is refused: EIFNode: the dynamics of SpikingJelly's EIFNode": neuron.EIFNode(),
        "0 is refused: LIFNode: v_threshold=0.0 must be above": neuron.LIFNode(v_threshold=0.0),
        "0 is refused: Conv2d: groups": torch.Conv2d(2, 2, 3, groups=2),
        "0 is refused: Conv2d: its kernel_size is (3, 5)": torch.Conv2d(2, 2, (3, 5)),
        "0 is refused: MaxPool2d: a maximum over 3×3 with stride 3": torch.MaxPool2d(3),
        "0 is refused: BatchNorm2d: it has no running": torch.BatchNorm2d(2, track_running_stats=False),
        "0 is refused: ReLU: none of our layers": torch.ReLU(),
        "0 is refused: Own: none of our layers": Own(2, 2),
        "0.1 is refused: Flatten: ours flattens": torch.Sequential(torch.Identity(), torch.Flatten(2)),
    }
    for message, layer in bad.items():
        with pytest.raises(ValueError, match="refused") as caught:
            interop.from_layers([layer], input_shape=(8, 8, 2), num_steps=2)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_what_looks_alike_and_does_something_else_is_refused(libraries):
    """A network with an array of its own, maxima over other windows, a membrane of two layers, and code unseen."""
    torch, snn, lif = libraries.torch.nn, libraries.snn, interop.snntorch_leaky(0.5)

    class Scaled(torch.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.lif, self.fc = torch.Conv2d(1, 2, 3, padding=1), snn.Leaky(0.5), torch.Linear(2 * 16, K)
            self.gain = torch.Parameter(libraries.torch.ones(2 * 16))

    class Residual(torch.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    def model():
        layers = nn.Conv(1, 2, bias=True, rngs=nnx.Rngs(0)), lif, nn.MaxPool2x2(), nn.Flatten()
        return nn.Sequential(*layers, nn.Linear(32, K, rngs=nnx.Rngs(0)), num_steps=T, input_shape=(8, 8, 1))

    conv, neuron = torch.Conv2d(1, 2, 3, padding=1), snn.Leaky(0.5, init_hidden=True)
    wider = torch.Sequential(conv, neuron, torch.MaxPool2d(3, 2, 1), torch.Flatten(), torch.Linear(32, K))
    with pytest.raises(ValueError, match="no layer with the fields gain of the network is left for it"):
        interop.from_state_dict(model(), Scaled())
    with pytest.raises(
        ValueError, match=r"its pooling is maximum of spikes over 3×3 .* network's is maximum .* over 2×2"
    ):
        interop.from_state_dict(model(), wider)
    with pytest.raises(ValueError, match="over 2×2"):
        interop.to_state_dict(model(), like=wider)
    turned = torch.Sequential(torch.ConvTranspose2d(2, 2, 3, padding=1), neuron, torch.Flatten(), torch.Linear(32, K))
    own = nn.Conv(2, 2, bias=True, rngs=nnx.Rngs(0)), lif, nn.Flatten(), nn.Linear(32, K, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="0 is refused: ConvTranspose2d is none of the layers of ours"):
        interop.from_state_dict(nn.Sequential(*own, num_steps=T, input_shape=(4, 4, 2)), turned)
    shape = {"input_shape": (4,), "num_steps": T}
    with pytest.raises(
        ValueError, match="layer 3 is refused: Leaky: it stands at two places, which share its membrane"
    ):
        interop.from_layers([torch.Linear(4, 4), neuron, torch.Linear(4, 4), neuron], **shape)
    with pytest.raises(TypeError, match="what Residual does with its layers cannot be seen; give them as a list"):
        interop.from_layers(Residual(torch.Linear(4, 4), neuron), **shape)


def test_a_layer_that_stands_twice_is_there_twice(libraries):
    """`named_children` would name it once."""
    torch = libraries.torch.nn
    pool, fires = torch.MaxPool2d(2), libraries.neuron.IFNode(0.3)
    first, second = torch.Conv2d(2, 3, 3, padding=1), torch.Conv2d(3, 3, 3, padding=1)
    end = torch.AdaptiveAvgPool2d(1), torch.Flatten(), torch.Linear(3, K)
    net = torch.Sequential(first, pool, fires, second, pool, *end).eval()
    x = images(3)[0]
    with libraries.torch.no_grad():
        expected = steps_of(net, libraries.torch.from_numpy(x), libraries.torch).numpy()
    imported = interop.from_layers(net, input_shape=(SIDE, SIDE, 2), num_steps=T)
    np.testing.assert_allclose(logits_of(imported.model, x), expected, atol=1e-5)
    assert not interop.from_state_dict(imported.model, net).report.refused


def test_the_page_s_program_of_living_networks_runs(libraries, tmp_path, monkeypatch):
    """The page's other tests leave out what needs PyTorch."""
    monkeypatch.chdir(tmp_path)
    names = {}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        exec("\n".join(blocks("howto/weights_from_torch", "python")), names)
    for name, array in names["net"].state_dict().items():
        np.testing.assert_allclose(array.numpy(), names["state"].get(name, array.numpy()), rtol=1e-6)
    assert {"0.weight", "0.bias", "4.weight", "4.bias"} <= set(names["state"])


@pytest.mark.parametrize("adaptive", [1, 3])
def test_every_layer_that_has_one_of_ours_does_the_same(libraries, adaptive):
    """Pools, paddings, nested networks, and a norm of flattened features."""
    torch = libraries.torch.nn
    features = 6 * adaptive**2
    net = torch.Sequential(
        torch.Sequential(torch.Conv2d(2, 4, 5, padding="same", bias=False), torch.BatchNorm2d(4, eps=1e-3)),
        torch.AvgPool2d(3, 2, 1),
        libraries.neuron.LIFNode(),
        torch.Conv2d(4, 6, 2, padding=1),
        torch.MaxPool2d(3, 2, 1),
        libraries.neuron.IFNode(0.5),
        torch.AvgPool2d(2, 2),
        torch.AdaptiveAvgPool2d(adaptive),
        torch.Identity(),
        torch.Flatten(),
        torch.BatchNorm1d(features, affine=False),
        torch.Linear(features, K, bias=False),
    )
    shaken(net, libraries.torch)
    for name, low, high in (("running_mean", -0.5, 0.5), ("running_var", 0.5, 1.5)):
        torch.init.uniform_(getattr(net[10], name), low, high)
    x = np.random.default_rng(0).normal(size=(3, 2, 18, 16)).astype(np.float32)
    with libraries.torch.no_grad():
        expected = steps_of(net, libraries.torch.from_numpy(x), libraries.torch).numpy()
    imported = interop.from_layers(net, input_shape=(18, 16, 2), num_steps=T)
    assert np.ptp(expected[-1], 0).min() > 1e-3
    np.testing.assert_allclose(logits_of(imported.model, x), expected, atol=1e-5)
