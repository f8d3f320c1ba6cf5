import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.analysis.counting import make_counter, synaptic_operations
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


@pytest.mark.parametrize(
    "options", [{}, {"weights": "binary", "neuron": "mem-bn"}, {"weights": "float", "neuron": "lif"}]
)
def test_a_network_is_counted_as_its_recorded_spikes_are(options, images):
    """Layer by layer, from the spikes of the modules themselves and the slow count."""
    model = small_network(num_steps=2, **options)
    counts = make_counter(model)(images)
    network, (params, batch_stats) = nn.inference_form(model, record=True, integer=False), nn.variables_of(model)
    params = network.quantize(params)
    state, expected = None, {}
    for t in range(2):
        current, _ = network.encode(params, batch_stats, images)
        state, _, _, records = network.step(params, batch_stats, state, current, nn.Tick(t))
        for index, block in enumerate(model.blocks):
            for position in (1, 2):
                spikes = np.asarray(records[f"blocks.{index}.neuron{position}"])
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
    assert model.blocks[0].norm1.form is None


def test_sequences_are_counted_step_by_step(images):
    model = small_network(num_steps=2)
    count = make_counter(model)
    repeated = count(jnp.stack([images, images]))
    jax.tree.map(np.testing.assert_array_equal, count(images), repeated)
    different = count(jnp.stack([images, -images]))
    assert any(np.any(np.asarray(repeated.fired[path]) != np.asarray(different.fired[path])) for path in repeated.fired)


class OwnOverTheSequence(nn.Module):
    """A norm of one's own over (T, B), without running statistics."""

    over_sequence = True

    def __init__(self, num_channels, rngs):
        self.mean = nnx.BatchStat(jnp.zeros(num_channels))

    def __call__(self, x):
        return x - self.mean[...].reshape((1,) * (x.ndim - 1) + (-1,))

    def over_time(self, x):
        if not self.trains:
            return self(x)
        mean = jnp.mean(x, tuple(range(x.ndim - 1)))
        self.mean[...] = 0.5 * (self.mean[...] + mean)
        return x - mean.reshape((1,) * (x.ndim - 1) + (-1,))


@pytest.mark.parametrize("norm", [nn.batch_norm(statistics="sequence"), OwnOverTheSequence])
def test_normalisers_over_the_sequence_are_counted_with_the_statistics_of_the_batch(norm, events):
    """As the layer-by-layer form has it, the only one that has these statistics."""
    spec = nn.Spec(4, nn.lif(), norm=norm)
    model = nn.conv_net((6, 6, 2), 3, widths=(4, 6), spec=spec, rngs=nnx.Rngs(0))
    counts = make_counter(model, batch_statistics=True)(events)
    network, (params, batch_stats) = nn.training_form(model, record=True), nn.variables_of(model)
    records = network.sequence(network.quantize(params), batch_stats, events).records
    for path, spikes in records.items():
        np.testing.assert_array_equal(counts.fired[path], np.sum(np.asarray(spikes) != 0, axis=(0, 2, 3, 4)))
    untrained = make_counter(model)(events)
    assert any(np.any(counts.fired[path] != untrained.fired[path]) for path in records)


def test_dropout_of_flax_is_refused_with_its_own_rate():
    model = small_network()
    model.dropout = nnx.Dropout(0.2)
    with pytest.raises(ValueError, match=r"dropout is Flax's Dropout.*; use hdlif_jax\.nn\.Dropout\(0\.2\)"):
        make_counter(model)
