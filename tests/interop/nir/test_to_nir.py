"""The exported graph, simulated by numpy from NIR's own definitions, gives the network's logits."""

import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.deploy import register
from hdlif_jax.deploy.fold import fold, rule
from tests.deploy.networks import conv_net, inputs_for, named, unfolded_logits, unsettled

nir = pytest.importorskip("nir", reason="nir is not installed; it is in the nir extra")

from hdlif_jax.interop.nir import read, to_nir, write  # noqa: E402 - needs nir
from tests.interop.nir.simulation import simulate  # noqa: E402


def perceptron(neuron):
    return unsettled(nn.mlp((6,), 3, widths=(8, 8), spec=nn.Spec(num_steps=3, neuron=neuron), rngs=nnx.Rngs(0)))


def neurons_behind_sums():
    """Spikes of height 0.7 are added to currents, as they are and through a norm."""
    spec = nn.Spec(3, nn.lif(height=0.7), nn.lif(), weights="float", identity_norm=True)
    sizes = {"stage_sizes": (2,), "widths": (4,), "strides": (1,)}
    model = unsettled(nn.PostActivationResNet((4, 4, 2), 3, **sizes, spec=spec, rngs=nnx.Rngs(0)))
    model.blocks[1].shortcut = None
    return model


def flattened(neuron=nn.lif(height=0.7)):
    """Spikes and a norm between what flattens an image and the layer that reads it; pooling that cuts; no leak."""
    rngs = nnx.Rngs(0)
    free = nn.lif(decay=1.0, learn_decay=False, height=1.0, reset="hard")
    layers = [nn.Conv(2, 3, 4, stride=2, padding=0, rngs=rngs), neuron, nn.AvgPool2x2(), nn.Flatten(), nn.batch_norm()]
    layers += [free, nn.Linear(12, 3, rngs=rngs)]
    return unsettled(nn.Sequential(*layers, num_steps=3, input_shape=(12, 13, 2)))


@pytest.mark.parametrize(
    ("build", "dt"),
    [
        (lambda: conv_net(neuron="lif", num_steps=3), 1e-3),
        (lambda: named(nn.vgg_snn, (16, 16, 2), neuron="lif", num_steps=3), 0.5),
        (lambda: perceptron(nn.lif(reset="hard", height=1.0, tie=">")), 1e-3),
        (neurons_behind_sums, 1e-3),
        (flattened, 1e-3),
    ],
    ids=["residual", "vgg", "hard reset", "sums of spikes", "flattened"],
)
def test_round_trip_through_a_file_and_an_independent_simulation(build, dt, tmp_path):
    model = build()
    write(tmp_path / "network.nir", to_nir(fold(model), dt))
    graph = nir.read(tmp_path / "network.nir")  # with the package's own check of shapes
    assert [*graph.nodes] == [*read(tmp_path / "network.nir").nodes]
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
    with pytest.raises(ValueError, match=message):
        to_nir(fold(conv_net(**options)))


def test_time_step_must_be_positive():
    with pytest.raises(ValueError, match="must be positive"):
        to_nir(fold(conv_net(neuron="lif")), dt=0.0)


@pytest.mark.parametrize(
    ("neuron", "message"),
    [
        (nn.lif(reset="none"), r"the lif neuron layers\.1: it does not reset"),
        (nn.lif(order="fire-charge"), r"the lif neuron layers\.1: it fires before it charges"),
        (nn.lif(order="charge-reset-fire"), r"the lif neuron layers\.1: it resets a step after it fires"),
        (nn.glif(), r"the glif neuron layers\.1: its gates mix leaks and resets"),
        (nn.relu(), r"the relu neuron layers\.1: it hands on real numbers"),
    ],
)
def test_a_neuron_that_nir_has_not_is_refused_by_name(neuron, message):
    with pytest.raises(ValueError, match=f"cannot express {message}"):
        to_nir(fold(perceptron(neuron)))


def test_a_neuron_of_an_unknown_kind_is_refused_by_name(monkeypatch):
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
    with pytest.raises(
        TypeError, match=r"folded=SpikingResNet.* must be of type Folded; give a folded model, deploy\.fold\."
    ):
        to_nir(conv_net(neuron="lif"))
