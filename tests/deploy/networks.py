"""Networks for the deployment tests: small, and with no parameter or statistic at its initial value."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hdlif_jax import nn, rollout
from hdlif_jax.deploy.export import make_artifact
from hdlif_jax.deploy.fold import fold

NUM_CLASSES = 5
GRADED = {"hd-lif": nn.hd_lif, "mem-bn": nn.mem_bn, "parallel": nn.parallel}


def spec_of(neuron="hd-lif", parallel=None, spike_bits=4, spike_scale=0.25, **options):
    """A network's parts by short names; unless it is said, the second neuron of a block is parallel, except for LIF."""
    if neuron == "lif":
        return nn.Spec(neuron=nn.lif(), **options)
    second = None if parallel is False else nn.parallel(spike_bits, spike_scale)
    return nn.Spec(neuron=GRADED[neuron](spike_bits, spike_scale), second_neuron=second, **options)


def unsettled(model, seed=0):
    """The model with noise on everything that folding reads; variances and LIF thresholds stay positive."""
    generator = np.random.default_rng(seed)
    for _, module in nnx.iter_modules(model):
        for name, variable in vars(module).items():
            if isinstance(variable, nnx.Variable) and name != "kernel":
                value = np.asarray(variable[...]) + 0.3 * generator.standard_normal(variable.shape)
                if name in ("var", "threshold"):
                    value = np.abs(value) + 0.2
                variable[...] = jnp.asarray(value, jnp.float32)
    return model


@functools.cache
def _build(constructor, input_shape, num_classes, seed, sizes, options):
    rngs = nnx.Rngs(seed)
    spec = spec_of(**dict(options))
    if constructor in (nn.vgg13, nn.vgg_snn):  # no blocks
        spec = dataclasses.replace(spec, second_neuron=None)
    return unsettled(constructor(input_shape, num_classes, spec=spec, rngs=rngs, **dict(sizes)), seed)


def conv_net(input_shape=(8, 8, 2), seed=0, **options):
    sizes = (("widths", (6, 8)),)
    return nnx.clone(_build(nn.conv_net, input_shape, NUM_CLASSES, seed, sizes, tuple(options.items())))


def named(constructor, input_shape, seed=0, num_classes=NUM_CLASSES, **options):
    sizes = (("width", 4),)
    return nnx.clone(_build(constructor, input_shape, num_classes, seed, sizes, tuple(options.items())))


def inputs_for(model, batch=3, seed=1, sequence=False):
    steps = (model.num_steps,) if sequence else ()
    return jax.random.normal(jax.random.key(seed), (*steps, batch, *model.input_shape))


def unfolded_logits(model, x):
    network, variables = nn.inference_form(model, integer=False), nn.variables_of(model)
    return np.asarray(jax.jit(lambda variables, x: rollout.rollout(network, variables, x))(variables, x))


def prepare_inputs(inputs):
    return (inputs.astype(jnp.float32) / 255 - 0.4) / 0.3


def small_artifact(model=None, input_kind="image"):
    model = conv_net() if model is None else model
    class_names = tuple(f"class {index}" for index in range(model.num_classes))
    return make_artifact(
        fold(model), prepare_inputs, input_kind=input_kind, class_names=class_names, config={"preset": "test"}
    )
