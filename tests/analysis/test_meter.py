from flax import nnx

from hdlif_jax.analysis.meter import layout
from tests.conftest import small_network


def test_layout_finds_every_layer_in_the_order_of_the_network():
    found = layout(small_network())
    assert list(found.synapses) == [
        "stem",
        "blocks.0.conv1",
        "blocks.0.conv2",
        "blocks.1.conv1",
        "blocks.1.conv2",
        "blocks.1.downsample.conv",
        "head",
    ]
    assert [shape.encodes for shape in found.synapses.values()] == [True] + [False] * 6
    assert (found.synapses["stem"].inputs, found.synapses["stem"].outputs) == (72, 144)
    assert found.synapses["blocks.1.downsample.conv"].outputs == 3 * 3 * 6
    assert found.neurons == {
        "blocks.0.neuron1": 144,
        "blocks.0.neuron2": 144,
        "blocks.1.neuron1": 144,
        "blocks.1.neuron2": 54,
    }


def test_layout_needs_shapes_only():
    model = nnx.eval_shape(small_network)
    assert layout(model).neurons == layout(small_network()).neurons
