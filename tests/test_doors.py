"""What the core says to arrays of the wrong rank or type, when it is traced."""

import re

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from hdlif_jax import losses, neurons, nn, ops, quantize, rollout

IMAGES, KERNEL = jnp.ones((2, 6, 6, 3)), jnp.ones((3, 3, 3, 4))
FLAT, COUNTS = jnp.ones((2, 4)), jnp.ones((2, 4), jnp.int32)
LEAK = neurons.NeuronParams(jnp.float32(0.5), jnp.float32(1.0))
ADAPTIVE = neurons.adaptive_lif.AdaptiveParams(*(jnp.float32(0.5),) * 4)
MEM_BN = neurons.mem_bn.MemBNParams(jnp.float32(0.5), jnp.float32(0.5), jnp.ones(4), jnp.zeros(4))
MOMENTS = neurons.mem_bn.Moments(jnp.zeros(4), jnp.ones(4))
LABELS = jnp.array([0, 1])
TICK = nn.Tick(0)


def refuses(match, call, *arrays):
    """The assertion is made while tracing, before anything runs."""
    with pytest.raises(AssertionError, match=re.escape(match)):
        jax.eval_shape(call, *arrays)


def test_a_convolution_takes_a_batch_of_images_and_a_kernel_of_one_type():
    message = "a convolution takes [B, H, W, C_in] and [k, k, C_in, C_out]"
    refuses(message, lambda x, kernel: ops.float_conv(x, kernel, 1), IMAGES[0], KERNEL)
    refuses(message, lambda x, kernel: ops.convolve(x, kernel, 1, 1), IMAGES, KERNEL[0])
    refuses(message, lambda x, kernel: ops.integer_conv(x, kernel, 1.0, 1), IMAGES[0], KERNEL)
    refuses("have one type", lambda x, kernel: ops.convolve(x, kernel, 1, 1), IMAGES, KERNEL.astype(jnp.int8))
    refuses("int32", lambda x, kernel: ops.integer_conv(x, kernel, 1.0, 1), *(a.astype(int) for a in (IMAGES, KERNEL)))


@pytest.mark.parametrize("pool", [ops.average_pool, ops.sum_pool, ops.max_pool, ops.max_pool_2x2, ops.global_average])
def test_pooling_takes_images(pool):
    refuses("images are [..., H, W, C]", pool, FLAT)


def test_channel_attention_has_one_filter_over_the_channels_of_images():
    kernel, bias = jnp.ones(3), jnp.float32(0)
    refuses("the filter of channel attention is [K]", ops.channel_attention, kernel[None], bias, IMAGES)
    refuses("images are [..., H, W, C]", ops.channel_attention, kernel, bias, FLAT)
    refuses("float", ops.channel_attention, kernel, bias, IMAGES.astype(jnp.int32))


@pytest.mark.parametrize("softness", [0.0, 0.5, None])
def test_raw_spikes_are_floating(softness):
    refuses("raw spikes s* are floating", quantize.SpikeQuantizer(softness=softness), COUNTS)
    refuses("what is rounded softly is floating", lambda x: quantize.soft_round(x, softness or 0.0), COUNTS)


@pytest.mark.parametrize("quantizer", [quantize.quantize_binary, quantize.quantize_ternary])
def test_kernels_to_quantise_are_floating_and_have_output_channels(quantizer):
    refuses("a kernel to quantise is floating", quantizer, COUNTS)
    refuses("a kernel is [..., C_out]", quantizer, jnp.float32(1))


@pytest.mark.parametrize(
    "loss",
    [
        losses.cross_entropy(),
        losses.mean_squared_error(),
        losses.distance_to(),
        losses.weighted((1.0, losses.cross_entropy())),
    ],
    ids=str,
)
def test_a_step_loss_takes_the_logits_of_one_step(loss):
    message = "a step loss takes [B, K], the logits of one time-step"
    refuses(message, loss, FLAT[None], LABELS)
    refuses(message, loss, FLAT[0], LABELS)
    refuses("logits are floating", loss, COUNTS, LABELS)


def test_a_sequence_loss_takes_the_logits_of_all_steps():
    with pytest.raises(ValueError, match=r"expected \[T, B, K\], the logits of all time-steps"):
        losses.of_mean_output(losses.cross_entropy())(FLAT, LABELS)


STEPS = {
    "lif": lambda potential, current: neurons.lif.step(LEAK, potential, current),
    "hd-lif": lambda potential, current: neurons.hd_lif.step(LEAK, potential, current),
    "adaptive-lif": lambda potential, current: neurons.adaptive_lif.step(
        ADAPTIVE, neurons.adaptive_lif.AdaptiveState(potential, potential), current
    ),
    "mem-bn": lambda potential, current: neurons.mem_bn.inference_step(LEAK, MEM_BN, MOMENTS, potential, current),
    "mem-bn in training": lambda potential, current: neurons.mem_bn.training_step(LEAK, MEM_BN, potential, current),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_neuron_takes_a_floating_current_of_the_shape_and_type_of_its_state(name):
    refuses("the current of a neuron is floating", STEPS[name], FLAT, COUNTS)
    refuses("has the shape of its current", STEPS[name], FLAT[:, :1], FLAT)
    refuses("a potential has the type of its current", STEPS[name], FLAT.astype(jnp.bfloat16), FLAT)


def test_an_adaptation_has_the_shape_of_the_current():
    def step(adaptation):
        state = neurons.adaptive_lif.AdaptiveState(FLAT, adaptation)
        return neurons.adaptive_lif.step(ADAPTIVE, state, FLAT)

    refuses("an adaptation has the shape of its current", step, FLAT[0])


def test_a_parallel_neuron_takes_a_floating_current():
    refuses("the current of a neuron is floating", lambda x: neurons.parallel.step(LEAK.threshold, (), x), COUNTS)


@pytest.mark.parametrize("factory", [nn.lif(), nn.adaptive_lif(), nn.hd_lif(), nn.mem_bn(), nn.parallel()], ids=str)
def test_a_cell_takes_a_floating_current(factory):
    cell = factory(1, 4)
    refuses("the current of a neuron is floating", lambda current: nnx.clone(cell)(None, current, TICK)[1], COUNTS)


def test_accuracies_are_of_the_logits_of_all_steps_and_one_label_each():
    message = re.escape("accuracies are of logits [T, B, K] and labels [B], for distributions their argmax")
    for logits, labels in (
        (FLAT, LABELS),
        (FLAT[None], FLAT),  # distributions
        (FLAT[None], LABELS[:, None]),
        (FLAT[None], LABELS[:1]),  # would be compared with every example
    ):
        with pytest.raises(ValueError, match=message):
            rollout.accuracy_per_step(logits, labels)
    with pytest.raises(TypeError, match="labels are float32; give integers"):
        rollout.accuracy_per_step(FLAT[None], jnp.float32([0, 1]))
    with pytest.raises(ValueError, match="label 4 at place 1 of the batch is no class of 4"):
        rollout.accuracy_per_step(FLAT[None], jnp.array([-1, 4]))
    assert rollout.accuracy_per_step(FLAT[None], jnp.array([-1, -1])).tolist() == [0]


def test_layers_that_do_not_fit_are_named_with_the_shape_that_they_cannot_read():
    conv = nn.Conv(3, 4, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"layer 0 \(Conv\) cannot read an input of shape \(4,\): .*rank"):
        nn.Sequential(conv, nn.lif(), num_steps=1, input_shape=(4,))
    with pytest.raises(ValueError, match=r"layer 0 \(AvgPool2x2\) cannot read an input of shape \(4,\)"):
        nn.Sequential(nn.AvgPool2x2(), nn.lif(), num_steps=1, input_shape=(4,))
