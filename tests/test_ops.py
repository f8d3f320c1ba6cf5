import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn, rollout, xla_cpu
from hdlif_jax.learning import Batch, gradient_at_steps
from hdlif_jax.ops import float_conv, integer_conv
from hdlif_jax.quantize import SpikeQuantizer, weight_quantizer
from hdlif_jax.rollout import rollout_spikes
from tests.conftest import cross_entropy, spec_of

UNIT = 0.25


def spikes_and_kernel(weights, kernel_size=3, channels=5, size=6):
    levels = jax.random.randint(jax.random.key(1), (2, size, size, channels), 0, 16)
    kernel = 0.3 * jax.random.normal(jax.random.key(2), (kernel_size, kernel_size, channels, 7))
    return levels, UNIT * levels.astype(jnp.float32), weight_quantizer(weights)(kernel)


@pytest.mark.parametrize("weights", ["binary", "ternary"])
@pytest.mark.parametrize(("kernel_size", "stride", "size"), [(3, 1, 6), (3, 2, 6), (3, 2, 5), (1, 2, 6)])
def test_integer_equals_float_convolution(weights, kernel_size, stride, size):
    _, spikes, kernel = spikes_and_kernel(weights, kernel_size, size=size)
    expected = float_conv(spikes, kernel, stride)
    np.testing.assert_allclose(integer_conv(spikes, kernel, UNIT, stride), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("weights", ["binary", "ternary"])
def test_sums_are_exact(weights):
    """Divided by both scales, the result is the integer that numpy counts."""
    levels, spikes, kernel = spikes_and_kernel(weights, channels=64, size=4)
    scale = np.abs(np.asarray(kernel)).max((0, 1, 2))
    got = np.asarray(integer_conv(spikes, kernel, UNIT, 1)) / (UNIT * scale)
    padded = np.pad(np.asarray(levels), ((0, 0), (1, 1), (1, 1), (0, 0)))
    signs = np.sign(np.asarray(kernel)).astype(np.int64)
    expected = sum(padded[:, i : i + 4, j : j + 4] @ signs[i, j] for i in range(3) for j in range(3))  # in int64
    np.testing.assert_array_equal(np.round(got), expected)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-4)


def test_a_kernel_of_zeros_gives_zeros():
    _, spikes, kernel = spikes_and_kernel("ternary")
    np.testing.assert_array_equal(integer_conv(spikes, jnp.zeros_like(kernel), UNIT, 1), 0)


@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_are_those_of_the_float_convolution(stride):
    _, spikes, kernel = spikes_and_kernel("ternary")
    outputs, expected = jax.vjp(lambda *inputs: float_conv(*inputs, stride), spikes, kernel)
    _, got = jax.vjp(lambda *inputs: integer_conv(*inputs, UNIT, stride), spikes, kernel)
    upstream = jax.random.normal(jax.random.key(3), outputs.shape)
    for ours, reference in zip(got(upstream), expected(upstream), strict=True):
        np.testing.assert_allclose(ours, reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("quantizer", "pooled", "unit"),
    [
        (SpikeQuantizer(0.25, 4), 1, 0.25),
        (SpikeQuantizer(0.25, 4), 4, 0.0625),
        (SpikeQuantizer(0.5, 7), 1, 0.5),
        (SpikeQuantizer(0.25, 8), 1, None),  # 255 is no int8
        (SpikeQuantizer(0.25, 6), 4, None),  # 4 · 63 neither
        (SpikeQuantizer(0.25, 4, softness=None), 1, None),
        (SpikeQuantizer(0.25, 4, softness=0.5), 1, None),
        (None, 1, None),  # LIF spikes are 0 or θ
    ],
)
def test_which_inputs_lie_on_a_grid(quantizer, pooled, unit):
    assert nn.SpikeInput(quantizer, pooled).unit == unit


def integer_convolutions(model, integer):
    """Number of int8 convolutions that a step of the network runs."""
    network, variables = nn.inference_form(model, integer=integer), nn.variables_of(model)

    def step(x):
        current, batch_stats = network.encode(*variables, x)
        return network.step(variables.params, batch_stats, None, current, nn.Tick(0)).logits

    program = str(jax.make_jaxpr(step)(jnp.zeros((1, *model.input_shape))))
    return program.count("preferred_element_type=int32")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 4),  # two blocks of two; neither the stem nor the downsample convolution, which read currents
        ({"weights": "binary", "neuron": "mem-bn"}, 4),
        ({"weights": "float"}, 0),
        ({"spike_bits": None}, 0),
        ({"spike_bits": 8}, 0),
        ({"neuron": "lif"}, 0),
    ],
)
def test_only_quantised_spikes_on_quantised_kernels_run_in_integers(options, expected, monkeypatch):
    model = nn.conv_net((6, 6, 2), 3, widths=(4, 6), spec=spec_of(num_steps=2, **options), rngs=nnx.Rngs(0))
    assert integer_convolutions(model, True) == expected
    assert integer_convolutions(model, False) == 0
    assert integer_convolutions(model, None) == 0  # such narrow layers are faster in float
    monkeypatch.setattr(xla_cpu, "has_fast_integers", lambda kernel_shape: kernel_shape[-1] >= 5)
    assert integer_convolutions(model, None) == (expected // 2 if xla_cpu.on_cpu() else 0)


def test_each_layer_is_computed_in_what_is_faster_for_its_width():
    model = nn.conv_net((6, 6, 2), 3, widths=(4, 24), spec=spec_of(num_steps=2), rngs=nnx.Rngs(0))
    assert integer_convolutions(model, None) == (1 if xla_cpu.on_cpu() else 0)  # 24 → 24; 4 → 24 is narrow on one side
    assert integer_convolutions(model, True) == 4


def test_pooled_spikes_run_in_integers_too():
    model = nn.vgg_snn((16, 16, 2), 3, width=2, rngs=nnx.Rngs(0))
    assert integer_convolutions(model, True) == 7  # all but the first, which reads the events


@pytest.mark.parametrize("weights", ["binary", "ternary"])
@pytest.mark.parametrize("build", [nn.conv_net, nn.vgg_snn])
def test_networks_give_the_same_spikes_and_logits(build, weights):
    size = {"widths": (4, 6)} if build is nn.conv_net else {"width": 2}
    spec = spec_of(num_steps=3, weights=weights, parallel=build is nn.conv_net)  # a VGG has no second neurons
    model = build((16, 16, 2), 3, spec=spec, rngs=nnx.Rngs(0), **size)
    variables, x = nn.variables_of(model), jax.random.normal(jax.random.key(4), (4, 16, 16, 2))
    (logits, spikes), (float_logits, float_spikes) = (
        jax.jit(lambda variables, network=network: rollout_spikes(network, variables, x))(variables)
        for network in (nn.inference_form(model, record=True, integer=integer) for integer in (True, False))
    )
    assert max(float(jnp.mean(layer != 0)) for layer in spikes.values()) > 0.1
    for path, layer in spikes.items():
        np.testing.assert_array_equal(layer, float_spikes[path], err_msg=path)
    np.testing.assert_allclose(logits, float_logits, rtol=1e-5, atol=1e-5)


def test_training_gives_the_same_gradients():
    model = nn.conv_net((6, 6, 2), 3, widths=(4, 6), spec=spec_of(), rngs=nnx.Rngs(0))
    variables, x = nn.variables_of(model), jax.random.normal(jax.random.key(4), (4, 6, 6, 2))
    ours, reference = (
        jax.jit(
            lambda variables, network=nn.training_form(model, integer=integer): gradient_at_steps(
                network, cross_entropy, variables, Batch(x, jnp.arange(4) % 3), jnp.array([1])
            )
        )(variables)
        for integer in (True, False)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours.grads, reference.grads)
    np.testing.assert_allclose(ours.loss, reference.loss, rtol=1e-5)


class UnitSpikes(nn.LIFCell):
    """A binary neuron that is not the library's; its spikes are on no grid of levels."""


def test_binary_spikes_are_not_taken_for_quantised_ones():
    """θ = 0.93 is not a multiple of 1/4: rounded to one, spikes would be 7.5 % too large."""
    cell = UnitSpikes()
    cell.threshold[...] = jnp.float32(0.93)
    conv = nn.Conv(2, 3, weights="ternary", spikes=cell.emits, rngs=nnx.Rngs(0))
    expected = conv.effective_kernel()
    conv.kernel[...] = expected  # in a form the kernel is Ŵ
    conv.form = nn.Form(train=False, integer=True)
    spikes = 0.93 * jax.random.bernoulli(jax.random.key(0), 0.5, (1, 4, 4, 2)).astype(jnp.float32)
    np.testing.assert_array_equal(conv(spikes), float_conv(spikes, expected, 1))


@pytest.mark.parametrize(
    ("shape", "fast"),
    [
        ((3, 3, 16, 16), True),  # two columns at once
        ((3, 3, 24, 8), False),
        ((3, 3, 16, 8), False),
        ((1, 1, 16, 16), False),
        ((16, 16), False),
        ((3, 3, 16, 17), True),
        ((3, 3, 17, 16), True),
        ((3, 3, 8, 64), False),
        ((3, 3, 12, 24), True),
    ],
)
def test_which_shapes_the_fast_kernel_takes(shape, fast):
    assert xla_cpu.has_fast_integers(shape) == fast


@pytest.mark.parametrize("neuron", ["lif", "hd-lif", "parallel", "mem-bn"])
def test_layers_read_what_the_neuron_before_them_emits(neuron):
    spec = spec_of(num_steps=2, neuron=neuron)
    block = nn.ResidualBlock(3, 3, spec=spec, rngs=nnx.Rngs(0))
    assert block.conv1.spikes == block.neuron1.emits
    assert block.conv2.spikes == block.neuron2.emits
    assert (block.neuron1.emits.unit is None) == (neuron == "lif")


def test_the_integer_convolution_has_a_forward_mode():
    _, spikes, kernel = spikes_and_kernel("ternary")
    tangents = tuple(jax.random.normal(jax.random.key(seed), leaf.shape) for seed, leaf in enumerate((spikes, kernel)))

    def modes(convolve):
        _, forward = jax.jvp(convolve, (spikes, kernel), tangents)
        _, linear = jax.linearize(convolve, spikes, kernel)
        along = jax.jacfwd(lambda factor: convolve(factor * spikes, kernel))(jnp.float32(1))
        many = jax.vmap(lambda tangent: jax.jvp(lambda x: convolve(x, kernel), (spikes,), (tangent,))[1])
        return forward, linear(*tangents), along, many(jnp.stack([tangents[0], spikes]))

    expected = modes(lambda spikes, kernel: float_conv(spikes, kernel, 1))
    for got, want in zip(modes(lambda spikes, kernel: integer_conv(spikes, kernel, UNIT, 1)), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_forward_mode_through_a_rollout_is_that_of_float_convolutions():
    model = nn.conv_net((4, 4, 2), 3, widths=(3,), spec=nn.Spec(num_steps=2), rngs=nnx.Rngs(0))
    variables, x = nn.variables_of(model), jax.random.normal(jax.random.key(0), (2, 4, 4, 2))
    tangents = jax.tree.map(lambda leaf: jax.random.normal(jax.random.key(1), leaf.shape), (variables.params, x))

    def forward(integer):
        network = nn.inference_form(model, integer=integer)

        def logits(params, x):
            return rollout.rollout(network, variables._replace(params=params), x)

        return jax.jit(lambda params, x: jax.jvp(logits, (params, x), tangents)[1])(variables.params, x)

    expected = forward(integer=False)
    assert jnp.any(expected != 0)
    np.testing.assert_allclose(forward(integer=True), expected, rtol=1e-5, atol=1e-5)
