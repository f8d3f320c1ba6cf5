import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.analysis.meter import layout, make_counter, synaptic_operations
from tests.conftest import small_network


def slow_count(spikes, kernel, stride):
    """SOPs per image of a convolution: every pair of a spike and a kernel entry that meet, one by one."""
    size, half = kernel.shape[0], kernel.shape[0] // 2
    batch, height, width, _ = spikes.shape
    counts = np.zeros(batch, np.int64)
    for row in range(0, height, stride):
        for column in range(0, width, stride):
            for i in range(size):
                for j in range(size):
                    y, x = row + i - half, column + j - half
                    if 0 <= y < height and 0 <= x < width:
                        pairs = (spikes[:, y, x, :, None] != 0) & (kernel[None, i, j] != 0)
                        counts += pairs.sum((1, 2))
    return counts


def some_spikes(shape):
    """A third of the neurons fire."""
    return jax.nn.relu(jax.random.normal(jax.random.key(3), shape) - 0.4)


@pytest.mark.parametrize("weights", ["float", "binary", "ternary"])
@pytest.mark.parametrize(("kernel_size", "stride", "size"), [(3, 1, 5), (3, 2, 6), (3, 2, 5), (1, 2, 6), (5, 1, 4)])
def test_operations_of_a_convolution(weights, kernel_size, stride, size):
    conv = nn.Conv(3, 4, kernel_size, stride=stride, weights=weights, rngs=nnx.Rngs(0))
    conv.kernel[...] = conv.kernel[...].at[0, 0].set(0)  # float kernels have zeros too
    spikes = some_spikes((2, size, size, 3))
    expected = slow_count(np.asarray(spikes), np.asarray(conv.effective_kernel()), stride)
    np.testing.assert_array_equal(synaptic_operations(conv, spikes), expected)


def test_operations_of_a_linear_layer():
    linear = nn.Linear(5, 3, weights="ternary", rngs=nnx.Rngs(0))
    spikes = some_spikes((4, 5))
    kernel = np.asarray(linear.effective_kernel()) != 0
    np.testing.assert_array_equal(synaptic_operations(linear, spikes), (np.asarray(spikes) != 0) @ kernel.sum(1))


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


@pytest.mark.parametrize(
    "options", [{}, {"weights": "binary", "neuron": "mem-bn"}, {"weights": "float", "neuron": "lif"}]
)
def test_a_network_is_counted_as_its_recorded_spikes_are(options, images):
    """Layer by layer, from the spikes of the modules themselves and the slow count."""
    model = small_network(num_steps=2, **options)
    counts = make_counter(model)(images)
    model.eval()
    model.set_attributes(record=True, raise_if_not_found=False)
    state, expected = None, {}
    for t in range(2):
        state, _ = model(state, model.encode(images), t)
        for index, block in enumerate(model.blocks):
            for position in (1, 2):
                spikes = np.asarray(state["blocks"][index][f"neuron{position}"].spikes)
                conv = getattr(block, f"conv{position}")
                path = f"blocks.{index}.conv{position}"
                new = slow_count(spikes, np.asarray(conv.effective_kernel()), conv.stride)
                expected[path] = expected.get(path, 0) + new
                fired = f"fired {index}.{position}"
                expected[fired] = expected.get(fired, 0) + (spikes != 0).sum((1, 2, 3))
    assert counts.operations.keys() == {path for path in expected if "conv" in path}
    for path, operations in counts.operations.items():
        np.testing.assert_array_equal(operations, expected[path], err_msg=path)
        index, position = path.split(".")[1], path[-1]
        np.testing.assert_array_equal(
            counts.fired[f"blocks.{index}.neuron{position}"], expected[f"fired {index}.{position}"]
        )
        np.testing.assert_array_equal(counts.active[path], expected[f"fired {index}.{position}"])


def test_counting_leaves_the_model_alone(images):
    model = small_network()
    before = nn.variables_of(model)
    make_counter(model, batch_statistics=True)(images)
    jax.tree.map(np.testing.assert_array_equal, before, nn.variables_of(model))
    assert isinstance(model.blocks[0].conv1, nn.Conv)
    assert not model.blocks[0].norm1.use_running_average


def test_sequences_are_counted_step_by_step(images):
    model = small_network(num_steps=2)
    count = make_counter(model)
    repeated = count(jnp.stack([images, images]))
    jax.tree.map(np.testing.assert_array_equal, count(images), repeated)
    different = count(jnp.stack([images, -images]))
    assert any(np.any(np.asarray(repeated.fired[path]) != np.asarray(different.fired[path])) for path in repeated.fired)
