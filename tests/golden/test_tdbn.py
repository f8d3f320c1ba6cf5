"""STBP-tdBN (Zheng et al., AAAI 2021): the neuron, and the normaliser in training and inference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import neurons, nn
from hdlif_jax.neurons import surrogates
from hdlif_jax.nn import Form
from hdlif_jax.nn.forms import in_form
from tests.golden.cases import cases

ALPHAS = ("alpha1", "alphasqrt")


def last(array):
    """`[T, B, C, H, W]` with the channels last."""
    return jnp.asarray(np.moveaxis(array, 2, -1))


def first(array):
    return np.moveaxis(np.asarray(array), -1, 2)


def check_neuron(case):
    """The rectangle of width 1; the reset is in the gradient."""
    threshold = jnp.float32(case["threshold"])

    def run(current, decay):
        residual, steps = jnp.zeros(current.shape[1:], jnp.float32), []
        params = neurons.NeuronParams(decay, threshold)
        for current_t in current:
            membrane = neurons.charge(decay, residual, current_t)
            residual, spikes = neurons.lif.step(
                params,
                residual,
                current_t,
                spike_function=surrogates.rectangle(1.0),
                height=1.0,
                reset="hard",
                tie=">",
                detach=False,
            )
            steps.append((membrane, spikes, residual))
        return [jnp.stack(values) for values in zip(*steps, strict=True)]

    current, decay = jnp.asarray(case.float32("current")), jnp.float32(case["decay"])
    (membrane, spikes, residual), transpose = jax.vjp(run, current, decay)
    case.close("membrane", membrane)
    case.exact("spikes", spikes)
    case.close("residual", residual)
    zeros = jnp.zeros_like(spikes)
    grad_current, grad_decay = transpose([zeros, jnp.asarray(case.float32("cotangent")), zeros])
    case.close("grad_current", grad_current)
    case.close("grad_decay", grad_decay)


def check_norm(case, alpha):
    """Over (T, B) with a gain of α·θ, as one training step and then in inference."""
    prefix, x = f"norm_{alpha}", last(case.float32("norm_x"))
    options = nn.batch_norm(
        momentum=1 - float(case["norm_momentum"]),
        epsilon=float(case["norm_eps"]),
        statistics="sequence",
        gain=float(case[f"{prefix}_alpha"]) * float(case["norm_threshold"]),
        unbiased=True,
    )
    plain = options(x.shape[-1], nnx.Rngs(0))

    def run(x, scale, bias):
        norm = in_form(plain, Form(train=True))
        norm.scale[...], norm.bias[...] = scale, bias
        return norm.over_time(x)

    y, transpose = jax.vjp(run, x, jnp.asarray(case.float32("norm_scale")), jnp.asarray(case.float32("norm_bias")))
    case.close(f"{prefix}_y", first(y))
    grad_x, grad_scale, grad_bias = transpose(last(case.float32("norm_cotangent")))
    case.close(f"{prefix}_grad_x", first(grad_x))
    case.close(f"{prefix}_grad_scale", grad_scale)
    case.close(f"{prefix}_grad_bias", grad_bias)

    moved = in_form(plain, Form(train=True))
    moved.scale[...], moved.bias[...] = case.float32("norm_scale"), case.float32("norm_bias")
    moved.over_time(x)
    case.close(f"{prefix}_running_mean", moved.mean[...])
    case.close(f"{prefix}_running_var", moved.var[...])
    case.close(f"{prefix}_y_eval", first(in_form(moved, Form(train=False)).over_time(x)))


@pytest.mark.parametrize("case", cases("tdbn"))
def test_every_array(case):
    check_neuron(case)
    for alpha in ALPHAS:
        check_norm(case, alpha)
    case.done()


def test_a_neuron_at_its_threshold_is_silent():
    params = neurons.NeuronParams(jnp.float32(0.25), jnp.float32(0.5))
    _, spikes = neurons.lif.step(params, jnp.zeros(2), jnp.float32([0.5, 0.75]), reset="hard", tie=">")
    assert spikes.tolist() == [0, 0.5]
