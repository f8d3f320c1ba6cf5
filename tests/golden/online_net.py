"""What the files of the online systems have in common: a neuron from zeros, and a net of three layers of weights."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hdlif_jax import learning, losses, nn
from hdlif_jax.neurons.surrogates import sigmoid


def of_file(case, options, prefix=""):
    """The neuron with the constants that a file names."""
    decay, threshold = (float(case[f"{prefix}{name}"]) for name in ("decay", "threshold"))
    options = dataclasses.replace(options, decay=decay, threshold=threshold)
    if "surrogate_slope" in case:
        options = dataclasses.replace(options, surrogate=sigmoid(float(case["surrogate_slope"])))
    return options


def check_neuron(case, options, prefix="", *, cut="grad_current", full=None):
    """Spikes, membranes, potentials, and gradients: `cut` names that of each step alone, `full` that through time."""
    options = of_file(case, options, prefix)
    cell = options(len(case[f"{prefix}current"]), 1)
    currents, cotangents = (jnp.float32(case[f"{prefix}{name}"]) for name in ("current", "cotangent"))

    def run(currents, cuts):
        state, found = jnp.zeros_like(currents[0]), []
        for t, current in enumerate(currents):
            state = jax.lax.stop_gradient(state) if cuts else state
            membrane = cell.membrane(state, current, nn.Tick(t))
            state, spikes = cell(state, current, nn.Tick(t))
            found.append((membrane, spikes, state))
        return [jnp.stack(values) for values in zip(*found, strict=True)]

    membranes, spikes, potentials = run(currents, True)
    case.exact(f"{prefix}spikes", spikes)
    case.close(f"{prefix}membrane", membranes)
    case.close(f"{prefix}residual", potentials)
    for name, cuts in ((cut, True), (full, False)):
        if name is not None:
            case.close(
                f"{prefix}{name}", jax.grad(lambda x, cuts=cuts: jnp.sum(cotangents * run(x, cuts)[1]))(currents)
            )
    return cell, spikes, potentials


def traces_of(trace, cell, spikes, potentials):
    """â_t, and the memory after each step."""
    memory, found = trace.start(spikes[0]), []
    for t in range(len(spikes)):
        memory, value = trace.advance(cell, memory, potentials[t], spikes[t], nn.Tick(t))
        found.append((value, memory))
    return jnp.stack([value for value, _ in found]), [memory for _, memory in found]


def net(case, options, num_steps=None):
    """The net of a file in training form, with its variables and its batch; of so many steps if its input is static."""
    widths = [case["net_W1"].shape[1], *(len(case[f"net_b{layer}"]) for layer in (1, 2, 3))]
    rngs = nnx.Rngs(0)
    first, second, readout = (nn.Linear(*sizes, rngs=rngs) for sizes in itertools.pairwise(widths))
    for layer, linear in enumerate((first, second, readout), 1):
        linear.kernel[...] = jnp.float32(case[f"net_W{layer}"]).T
        linear.bias[...] = jnp.float32(case[f"net_b{layer}"])
    x = case.float32("net_x")
    num_steps = len(x) if num_steps is None else num_steps
    options = of_file(case, options)
    if "net_decay" in case:
        options = dataclasses.replace(options, decay=float(case["net_decay"]))
    model = nn.Sequential(first, options, second, options, readout, num_steps=num_steps, input_shape=(widths[0],))
    batch = learning.Batch(jnp.asarray(x), jnp.asarray(case["net_y"], jnp.int32))
    return nn.training_form(model), nn.variables_of(model), batch


def weights_of(grads):
    """Gradients as the files name them."""
    layers = [grads["layers"][index] for index in (0, 2, 4)]
    kernels = {f"W{number}": np.asarray(layer["kernel"]).T for number, layer in enumerate(layers, 1)}
    return kernels | {f"b{number}": np.asarray(layer["bias"]) for number, layer in enumerate(layers, 1)}


def step_loss(case, target, num_steps):
    """[(1 − a) CE + a MSE] / T."""
    alpha = float(case["net_alpha"])
    return losses.weighted(((1 - alpha) / num_steps, losses.cross_entropy()), (alpha / num_steps, target))


def check_steps(case, options, transform=lambda network: network, *, target=losses.mean_squared_error(), name="net_"):
    """Losses, logits and gradients of every step alone, and their sum."""
    network, variables, batch = net(case, options)
    loss, network = step_loss(case, target, network.num_steps), transform(network)

    @jax.jit
    def of_step(t):
        return learning.gradient_at_steps(network, loss, variables, batch, t[None])

    found = [of_step(jnp.int32(t)) for t in range(network.num_steps)]
    for field, values in (
        ("loss_per_step", [step.loss for step in found]),
        ("logits", [step.logits for step in found]),
    ):
        if f"{name}{field}" in case:
            case.close(f"{name}{field}", np.stack(values))
    by_step = [weights_of(step.grads) for step in found]
    for weights in by_step[0]:
        if f"{name}grad_{weights}_per_step" in case:
            case.close(f"{name}grad_{weights}_per_step", np.stack([step[weights] for step in by_step]))
    total = jax.jit(lambda: learning.accumulate().gradient(network, loss, variables, batch))()
    for weights, value in weights_of(total.grads).items():
        np.testing.assert_allclose(value, sum(step[weights] for step in by_step), rtol=1e-4, atol=1e-6)
