import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import analysis, nn
from hdlif_jax.accounting import layer_bytes
from hdlif_jax.analysis.kernels import kernel_of
from tests.conftest import small_network, spec_of


def parameter_bytes(layer):
    kernel = kernel_of("layer", layer)
    return layer_bytes(kernel.shape, kernel.weights, kernel.num_biases)


@pytest.mark.parametrize(
    ("weights", "paper", "packed"),
    [
        ("float", 4 * 135, 4 * 135),
        ("ternary", 0.375 * 135, 27 + 4),  # five trits a byte, one scale
        ("binary", 0.25 * 135, 17 + 4 * 5),  # eight bits a byte, rounded up, a scale per output channel
    ],
)
def test_bytes_of_a_kernel(weights, paper, packed):
    conv = nn.Conv(3, 5, weights=weights, rngs=nnx.Rngs(0))  # 135 weights
    assert parameter_bytes(conv) == (paper, packed)


def test_bytes_of_a_bias():
    assert parameter_bytes(nn.Linear(7, 2, rngs=nnx.Rngs(0))) == (4 * 16, 4 * 16)


@pytest.mark.parametrize(
    ("options", "operations"),
    [({}, (3, 1)), ({"parallel": False}, (3, 3)), ({"neuron": "lif"}, (3, 3)), ({"neuron": "parallel"}, (1, 1))],
)
def test_neural_operations(options, operations):
    """Leak, charge and reset, or one addition, per neuron and step."""
    counted = analysis.neural_operations(small_network(num_steps=5, **options))
    assert counted == {
        "blocks.0.neuron1": 144 * operations[0] * 5,
        "blocks.0.neuron2": 144 * operations[1] * 5,
        "blocks.1.neuron1": 144 * operations[0] * 5,
        "blocks.1.neuron2": 54 * operations[1] * 5,
    }


@pytest.fixture(scope="module")
def measured():
    model = small_network(num_steps=2)
    images = jax.random.normal(jax.random.key(10), (8, 6, 6, 2))
    return model, images, analysis.measure(model, [images[:5], images[5:]])


def test_batches_add_up_to_the_mean_of_an_image(measured):
    model, images, costs = measured
    assert costs.num_images == 8
    whole = analysis.measure(model, [images])
    assert whole == costs


def test_macs_of_analog_layers(measured):
    """Stem once for a static image; downsample and head at each of two steps; kernel size times outputs."""
    _, _, costs = measured
    macs = {row.path: row.macs for row in costs.synapses if row.macs}
    assert macs == {"stem": 9 * 2 * 144, "blocks.1.downsample.conv": 2 * 4 * 54, "head": 2 * 6 * 3}
    assert {row.path for row in costs.synapses if row.reads == "currents"} == set(macs)
    assert all(row.sops == 0 and row.input_rate is None for row in costs.synapses if row.reads == "currents")


def test_a_sequence_runs_the_stem_at_every_step(images):
    costs = analysis.measure(small_network(num_steps=2), [jnp.stack([images, images])])
    assert next(row.macs for row in costs.synapses if row.path == "stem") == 2 * 9 * 2 * 144


def test_rates(measured):
    _, _, costs = measured
    rates = {row.path: row.firing_rate for row in costs.neurons}
    for row in costs.synapses:
        if row.reads == "spikes":
            assert row.input_rate == rates[row.path.replace("conv", "neuron")]
    neurons = sum(row.neurons for row in costs.neurons)
    expected = sum(row.neurons * row.firing_rate for row in costs.neurons) / neurons
    assert costs.summary()["firing_rate"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "discount", "strict_pj"),
    [
        ({}, 1 / 8, 0.9 / 8),  # 4-bit spikes
        ({"spike_bits": 2}, 1 / 16, 0.9 / 16),
        ({"spike_bits": None}, 1, 0.9),
        ({"neuron": "lif"}, 1, 0.9),
        ({"neuron": "lif", "weights": "float"}, 1, 0.9),  # a binary spike needs no multiplier
        ({"spike_bits": None, "weights": "float"}, 1, 4.6),  # a graded one on a float kernel does
    ],
)
def test_power_follows_from_operations(options, discount, strict_pj, images):
    costs = analysis.measure(small_network(num_steps=2, **options), [images])
    sops, macs = sum(row.sops for row in costs.synapses), sum(row.macs for row in costs.synapses)
    summary = costs.summary()
    assert sops > 0
    assert summary["power_mj_paper"] == pytest.approx(sops * 0.9 * discount * 1e-9)
    assert summary["power_mj_strict"] == pytest.approx((sops * strict_pj + macs * 4.6) * 1e-9)


def test_totals(measured):
    model, _, costs = measured
    summary = costs.summary()
    assert summary["param_mb_paper"] == pytest.approx(analysis.parameter_megabytes(model))
    assert summary["nops_m"] == pytest.approx(sum(analysis.neural_operations(model).values()) / 1e6)
    assert summary["sops_m"] == pytest.approx(sum(row.sops for row in costs.synapses) / 1e6)
    entries = sum(leaf.size for leaf in jax.tree.leaves(nn.variables_of(model)))
    assert costs.other_bytes == 4 * (entries - sum(row.parameters for row in costs.synapses))


def test_pooled_spikes_are_operations():
    spec = spec_of(num_steps=2, parallel=False)
    model = nn.vgg_snn((16, 16, 2), 3, width=2, spec=spec, rngs=nnx.Rngs(0))
    events = jax.random.normal(jax.random.key(0), (2, 2, 16, 16, 2))
    costs = analysis.measure(model, [events], batch_statistics=True)
    assert [row.reads for row in costs.synapses] == ["currents"] + ["spikes"] * 8
    assert all(row.sops > 0 for row in costs.synapses[1:])
    assert dataclasses.asdict(costs)["num_images"] == 2


@pytest.mark.parametrize(
    ("shapes", "found"), [([], "nothing"), ([(8, 6, 6, 2), (2, 8, 6, 6, 2)], "both static inputs and sequences")]
)
def test_bad_batches(shapes, found):
    with pytest.raises(ValueError, match=f"the batches hold {found}; give at least one, all static or all sequences"):
        analysis.measure(small_network(num_steps=2), [jnp.zeros(shape) for shape in shapes])


def test_a_batch_that_does_not_fit():
    with pytest.raises(ValueError, match=r"inputs have shape \(8, 5, 6, 2\); expected \[B, 6, 6, 2\]"):
        analysis.measure(small_network(num_steps=2), [jnp.zeros((8, 5, 6, 2))])


def test_compiled_cost_of_a_product():
    size = 64
    cost = analysis.compiled_cost(jnp.matmul, *[jax.ShapeDtypeStruct((size, size), jnp.float32)] * 2)
    assert cost.gflops == pytest.approx(2 * size**3 / 1e9, rel=0.01)
    assert cost.memory_mb >= 3 * 4 * size**2 / 1e6


def test_donated_arguments_are_counted_once():
    def increment(x):
        return x + 1

    x = jax.ShapeDtypeStruct((1000,), jnp.float32)
    plain = analysis.compiled_cost(increment, x)
    donated = analysis.compiled_cost(jax.jit(increment, donate_argnums=0), x)
    np.testing.assert_allclose(plain.memory_mb - donated.memory_mb, 4000 / 1e6)
