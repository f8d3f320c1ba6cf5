"""Networks of SpikingJelly and snnTorch, trained by them, are the same networks here, and go back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import nn, rollout
from hdlif_jax.interop import torch as interop
from tests.docs.blocks import blocks
from tests.interop.torch.conftest import STEPS as T
from tests.interop.torch.conftest import jelly_resnet

pytestmark = pytest.mark.filterwarnings("ignore")
SIDE, K = 8, 3


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
def test_spikingjelly_s_vgg11_gives_the_same_outputs(libraries, networks):
    """By its layers in the order of their calls: a grid of averages, Flatten and three linear layers included."""
    torch = libraries.torch
    torch.manual_seed(0)
    net = shaken(networks.vgg.spiking_vgg11_bn(num_classes=5, spiking_neuron=libraries.neuron.LIFNode), torch)
    for layer in net.classifier:
        if isinstance(layer, torch.nn.Linear):
            layer.weight.data.mul_(40)  # else the last neurons are silent
    x = np.random.default_rng(0).uniform(size=(2, 3, 32, 32)).astype(np.float32)
    with torch.no_grad():
        expected = steps_of(net, torch.from_numpy(x), torch).numpy()
    layers = [*net.features, net.avgpool, torch.nn.Flatten(), *net.classifier]
    imported = interop.from_layers(layers, input_shape=(32, 32, 3), num_steps=T)
    np.testing.assert_allclose(logits_of(imported.model, x), expected, atol=1e-5 * np.abs(expected).max())
    assert expected.std() > 0.01


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
