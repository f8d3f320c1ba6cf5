"""What of SpikingJelly, snnTorch and PyTorch is none of ours is refused by name, in a line."""

import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.interop import torch as interop
from tests.interop.torch.conftest import STEPS as T
from tests.interop.torch.conftest import jelly_resnet

pytestmark = pytest.mark.filterwarnings("ignore")
K = 3


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
