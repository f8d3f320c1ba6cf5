"""DCT-SNN (Garg et al., ICCV 2021) against arrays made with the authors' code."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import encodings, learning, losses, neurons, nn, rollout, training
from hdlif_jax.neurons import surrogates
from tests.golden.cases import cases

NEURON = nn.lif(
    surrogates.triangle(height=0.3),
    decay=0.9901,
    learn_decay=False,
    learn_threshold=False,
    found_threshold=True,
    height=1.0,
    tie=">",
    detach=True,
    order="fire-charge",
    relative=True,
)


def nhwc(array):
    return np.moveaxis(array, -3, -1)


def nchw(array):
    return np.moveaxis(np.asarray(array), -1, -3)


@pytest.mark.parametrize("case", cases("dct_snn"))
def test_every_array(case):
    check_encoder(case)
    check_surrogate(case)
    check_network(case)
    case.done()


def check_encoder(case):
    images = nhwc(case.float32("image_nchw"))
    seen = encodings.to_ycbcr(images)
    case.close("ycbcr", nchw(seen))
    matrix, order = encodings.dct_matrix(4), encodings.zigzag(4)
    case.close("transform", matrix)
    case.close("bases", np.einsum("ui,vj->uvij", matrix, matrix))
    case.exact("order", order)
    slices = encodings.dct_slices(seen)
    case.close("slices", nchw(slices))
    case.close("coeff_block00", matrix @ np.asarray(seen)[0, :4, :4, 0] @ matrix.T)
    low, high = encodings.dct_thresholds(slices)
    case.close("enc_threshold_neg", low)
    case.close("enc_threshold_pos", high)
    code = encodings.dct(len(case["enc_spikes"]))
    case.exact("enc_spikes", nchw(code(jax.random.key(0), images)))


def check_surrogate(case):
    """Of z = m/θ − 1, in units of θ."""
    excess, threshold = case.float32("surr_z"), jnp.float32(1.7)
    case.close("surr_grad", NEURON.surrogate.derivative(excess))
    params = neurons.NeuronParams(jnp.float32(NEURON.decay), threshold)
    names = ("height", "tie", "order", "relative")
    options = {name: getattr(NEURON, name) for name in names}
    step = functools.partial(neurons.lif.step, spike_function=NEURON.surrogate, **options)
    slope = jax.grad(lambda v: step(params, v, jnp.zeros_like(v))[1].sum())((excess + 1) * threshold)
    np.testing.assert_allclose(slope, case["surr_grad"] / 1.7, atol=1e-5)


def check_network(case):
    """Thresholds found from the encoder's spikes, and with them the gradient of fine-tuning."""
    neuron = dataclasses.replace(NEURON, decay=float(case["net_leak"]))
    rngs = nnx.Rngs(0)
    layers = {
        "conv1": nn.Conv(3, 4, rngs=rngs),
        "neuron1": neuron,
        "pool": nn.AvgPool2x2(),
        "conv2": nn.Conv(4, 5, rngs=rngs),
        "neuron2": neuron,
        "flatten": nn.Flatten(),
        "dense1": nn.Linear(80, 6, rngs=rngs),
        "neuron3": neuron,
        "dense2": nn.Linear(6, 3, rngs=rngs),
    }
    place = {name: index for index, name in enumerate(layers)}
    inputs = jnp.asarray(nhwc(case.float32("enc_spikes")))
    model = nn.Sequential(*layers.values(), num_steps=int(case["net_T"]), input_shape=inputs.shape[2:])
    synapses = [place[name] for name in ("conv1", "conv2", "dense1", "dense2")]
    start = nn.variables_of(model)
    for index, at in enumerate(synapses, 1):
        start.params["layers"][at]["kernel"] = jnp.asarray(ours(case.float32(f"net_W{index}"), index))

    variables = training.find_thresholds(model, start, inputs)
    case.close("net_thresholds", thresholds_of(variables))
    paths = [f"layers.{place[name]}" for name in ("neuron1", "neuron2", "neuron3")]
    raw = [training.find_threshold(model, variables, inputs, path) for path in paths]  # each behind rounded ones
    case.close("net_thresholds_raw", raw)

    batch = learning.Batch(inputs, jnp.asarray(case["net_y"], jnp.int32))
    network = nn.training_form(model, record=True)
    found = jax.jit(
        lambda variables: learning.stbp().gradient(
            network, losses.of_mean_output(losses.cross_entropy()), variables, batch
        )
    )(variables)
    case.close("net_loss", found.loss)
    for index, at in enumerate(synapses, 1):
        case.close(f"net_grad_W{index}", authors(found.grads["layers"][at]["kernel"], index))
    logits, records = rollout.rollout_spikes(nn.inference_form(model, record=True), variables, inputs)
    case.close("net_out_sum", logits.sum(0))
    for index, path in enumerate(paths, 1):
        count = np.asarray(records[path]).sum(0)
        case.exact(f"net_count_{index}", nchw(count) if count.ndim == 4 else count)


def test_a_neuron_at_its_threshold_is_silent():
    """Of what the step before left."""
    cell = dataclasses.replace(NEURON, threshold=2.8)(1, 1)
    left = jnp.float32([2.8, np.nextafter(np.float32(2.8), np.float32(3))])
    assert cell(left, jnp.zeros(2), nn.Tick(0))[1].tolist() == [0, 1]


def thresholds_of(variables):
    leaves = jax.tree_util.tree_leaves_with_path(variables.batch_stats)
    return [float(leaf) for path, leaf in leaves if path[-1].key == "threshold"]


def ours(kernel, index):
    """A kernel of the authors: OIHW to HWIO, or [out, in] to [in, out], of features in the order HWC."""
    if kernel.ndim == 4:
        return kernel.transpose(2, 3, 1, 0)
    return (kernel.reshape(6, 5, 4, 4).transpose(0, 2, 3, 1).reshape(6, 80) if index == 3 else kernel).T


def authors(kernel, index):
    """The inverse of `ours`."""
    kernel = np.asarray(kernel)
    if kernel.ndim == 4:
        return kernel.transpose(3, 2, 0, 1)
    return kernel.T.reshape(6, 4, 4, 5).transpose(0, 3, 1, 2).reshape(6, 80) if index == 3 else kernel.T
