"""A block of arrays of a neuron: a current [T, B, n] from zero state, and the gradient of Σ cotangent · spikes."""

import jax
import jax.numpy as jnp


def run(step, current, start=None):
    """States and spikes `[T, ...]` of a step `(t, state, current) -> (state, spikes)`."""
    state, states, spikes = jnp.zeros_like(current[0]) if start is None else start, [], []
    for t, current_t in enumerate(current):
        state, spikes_t = step(t, state, current_t)
        states.append(state)
        spikes.append(spikes_t)
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), jnp.stack(spikes)


def check_neuron(case, step, charge):
    """Compares spikes, membranes and residuals of a neuron whose state is its residual, `(state, current) -> ...`.

    Returns:
      The gradient with respect to the current.
    """
    current, cotangent = jnp.asarray(case.float32("current")), case.float32("cotangent")

    def total(current):
        residual, spikes = run(lambda t, state, current_t: step(state, current_t), current)
        return jnp.sum(cotangent * spikes), (residual, spikes)

    gradient, (residual, spikes) = jax.jit(jax.grad(total, has_aux=True))(current)
    case.exact("spikes", spikes)
    case.close("residual", residual)
    before = jnp.concatenate([jnp.zeros_like(residual[:1]), residual[:-1]])
    case.close("membrane", charge(before, current))
    return gradient
