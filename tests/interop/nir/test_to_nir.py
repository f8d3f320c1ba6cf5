"""The exported graph, simulated by numpy from NIR's own definitions, gives the network's logits."""

import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.deploy import register
from hdlif_jax.deploy.fold import fold, rule
from tests.deploy.networks import conv_net, inputs_for, named, unfolded_logits, unsettled

nir = pytest.importorskip("nir", reason="nir is not installed; it is in the nir extra")


def convolve(node, x):
    weight, (stride, _), (pad, _) = node.weight, node.stride, node.padding
    size = weight.shape[2]
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    rows = (padded.shape[1] - size) // stride + 1
    columns = (padded.shape[2] - size) // stride + 1
    out = np.zeros((weight.shape[0], rows, columns))
    for row in range(size):
        for column in range(size):
            patch = padded[:, row : row + stride * rows : stride, column : column + stride * columns : stride]
            out += np.tensordot(weight[:, :, row, column], patch[:, :rows, :columns], 1)
    return out + node.bias[:, None, None]


def pool(node, x):
    height, width = node.kernel_size
    blocks = x.reshape(len(x), x.shape[1] // height, height, x.shape[2] // width, width)
    return blocks.sum((2, 4)) if isinstance(node, nir.SumPool2d) else blocks.mean((2, 4))


def simulate(graph, image, dt):
    """Logits of all steps for one image (C, H, W): forward Euler with reset by subtraction, as the metadata says."""
    order, remaining = ["input"], set(graph.nodes) - {"input"}
    while remaining:
        ready = {name for name in remaining if all(source in order for source, reader in graph.edges if reader == name)}
        order += sorted(ready)
        remaining -= ready
    voltages, logits = {}, []
    for _ in range(int(graph.metadata["num_steps"])):
        values = {"input": image}
        for name in order[1:]:
            node = graph.nodes[name]
            x = sum(values[source] for source, reader in graph.edges if reader == name)
            if isinstance(node, nir.Conv2d):
                values[name] = convolve(node, x)
            elif isinstance(node, nir.Affine):
                values[name] = node.weight @ x + node.bias
            elif isinstance(node, nir.SumPool2d | nir.AvgPool2d):
                values[name] = pool(node, x)
            elif isinstance(node, nir.Flatten):
                values[name] = x.reshape(-1)
            elif isinstance(node, nir.LIF):
                before = voltages.get(name, np.zeros(node.tau.shape))
                voltage = before + dt / node.tau * (node.v_leak - before + node.r * x)
                fires = node.metadata["fires"]
                fired = {"v >= v_threshold": np.greater_equal, "v > v_threshold": np.greater}[fires](
                    voltage, node.v_threshold
                )
                values[name] = fired.astype(float)
                soft = node.metadata["reset"] == "subtract v_threshold"
                voltages[name] = voltage - node.v_threshold * fired if soft else np.where(fired, node.v_reset, voltage)
            else:
                values[name] = x
        logits.append(values["output"])
    return np.stack(logits)


def perceptron(neuron):
    return unsettled(nn.mlp((6,), 3, widths=(8, 8), spec=nn.Spec(num_steps=3, neuron=neuron), rngs=nnx.Rngs(0)))


def neurons_behind_sums():
    """Spikes of height 0.7 are added to currents, as they are and through a norm."""
    spec = nn.Spec(3, nn.lif(height=0.7), nn.lif(), weights="float", identity_norm=True)
    sizes = {"stage_sizes": (2,), "widths": (4,), "strides": (1,)}
    model = unsettled(nn.PostActivationResNet((4, 4, 2), 3, **sizes, spec=spec, rngs=nnx.Rngs(0)))
    model.blocks[1].shortcut = None
    return model


@pytest.mark.parametrize(
    ("build", "dt"),
    [
        (lambda: conv_net(neuron="lif", num_steps=3), 1e-3),
        (lambda: named(nn.vgg_snn, (16, 16, 2), neuron="lif", num_steps=3), 0.5),
        (lambda: perceptron(nn.lif(reset="hard", height=1.0, tie=">")), 1e-3),
        (neurons_behind_sums, 1e-3),
    ],
    ids=["residual", "vgg", "hard reset", "sums of spikes"],
)
def test_round_trip_through_a_file_and_an_independent_simulation(build, dt, tmp_path):
    from hdlif_jax.deploy.nir import to_nir

    model = build()
    nir.write(tmp_path / "network.nir", to_nir(fold(model), dt))
    graph = nir.read(tmp_path / "network.nir")
    assert any(isinstance(node, nir.LIF) for node in graph.nodes.values())
    assert float(graph.metadata["dt"]) == dt
    x = inputs_for(model, batch=2)
    expected = unfolded_logits(model, x)
    for index in range(2):
        image = np.asarray(x[index], np.float64)
        logits = simulate(graph, image.transpose(2, 0, 1) if image.ndim == 3 else image, dt)
        np.testing.assert_allclose(logits, expected[:, index], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "cannot express the hd-lif neuron blocks.0.neuron1: its spikes carry the strength"),
        ({"neuron": "parallel"}, "cannot express the parallel neuron blocks.0.neuron1: it has no membrane"),
        ({"neuron": "mem-bn"}, "cannot express the hd-lif neuron"),
        ({"neuron": "lif", "attention": "seca-1"}, "cannot express blocks.0.attention1: SECA"),
    ],
)
def test_what_nir_cannot_express_is_said(options, message):
    from hdlif_jax.deploy.nir import to_nir

    with pytest.raises(ValueError, match=message):
        to_nir(fold(conv_net(**options)))


def test_time_step_must_be_positive():
    from hdlif_jax.deploy.nir import to_nir

    with pytest.raises(ValueError, match="must be positive"):
        to_nir(fold(conv_net(neuron="lif")), dt=0.0)


@pytest.mark.parametrize(
    ("neuron", "message"),
    [
        (nn.lif(reset="none"), r"the lif neuron layers\.1: it does not reset"),
        (nn.lif(order="fire-charge"), r"the lif neuron layers\.1: it fires before it charges"),
        (nn.glif(), r"the glif neuron layers\.1: its gates mix leaks and resets"),
        (nn.relu(), r"the relu neuron layers\.1: it hands on real numbers"),
    ],
)
def test_a_neuron_that_nir_has_not_is_refused_by_name(neuron, message):
    from hdlif_jax.deploy.nir import to_nir

    with pytest.raises(ValueError, match=f"cannot express {message}"):
        to_nir(fold(perceptron(neuron)))


def test_a_neuron_of_an_unknown_kind_is_refused_by_name(monkeypatch):
    from hdlif_jax.deploy.nir import to_nir

    class OwnCell(nn.LIFCell):
        pass

    monkeypatch.setattr(register, "RULES", dict(register.RULES))

    @rule(OwnCell)
    def fold_own(folding, cell, name, source):
        folding.neuron(name, source, cell, lambda params, state, current: (state, current), {}, height=1.0)

    model = perceptron(nn.lif())
    model.layers[3] = OwnCell()
    with pytest.raises(ValueError, match=r"cannot express the OwnCell neuron layers\.3: NIR has no such neuron"):
        to_nir(fold(model))


def test_what_is_not_folded_is_refused():
    from hdlif_jax.deploy.nir import to_nir

    with pytest.raises(TypeError, match=r"folded is a SpikingResNet; give deploy\.fold\.fold\(model\)"):
        to_nir(conv_net(neuron="lif"))
