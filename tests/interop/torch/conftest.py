"""The real libraries, where they are installed, and networks of theirs."""

import sys
import types

import pytest
from flax import nnx

from hdlif_jax import nn

STEPS = 4


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


def jelly_resnet(neuron, stem=nn.StemShape(7, 2, pools=True, pools_spikes=True)):
    return nn.PostActivationResNet(
        (32, 32, 3),
        5,
        stage_sizes=(2, 2, 2, 2),
        widths=(64, 128, 256, 512),
        strides=(1, 2, 2, 2),
        stem=stem,
        spec=nn.Spec(num_steps=STEPS, neuron=neuron, weights="float"),
        rngs=nnx.Rngs(0),
    )
