"""GLIF (Yao et al., NeurIPS 2022): the cell with its learned parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import nn
from hdlif_jax.neurons import glif
from tests.golden.cases import cases
from tests.golden.neurons import run

PATHS = {  # of our parameters, by the authors' names
    "alpha": ("gates", "leak"),
    "beta": ("gates", "current"),
    "gamma": ("gates", "reset"),
    "tau": ("raw_decay",),
    "Vth": ("raw_threshold",),
    "leak": ("raw_leak",),
    "reVth": ("raw_reset",),
    "conduct": ("raw_conductance",),
}


def at(tree, path):
    for name in path:
        tree = tree[name]
    return tree


@pytest.mark.parametrize("case", cases("glif"))
def test_cell(case):
    current, cotangent = jnp.asarray(case.float32("current")), case.float32("cotangent")
    num_steps, _, channels = current.shape
    network = nn.Sequential(nn.glif(gates=(0.6, 0.8, 0.6)), num_steps=num_steps, input_shape=(channels,))
    form, variables = nn.training_form(network), nn.variables_of(network)
    start = variables.params["layers"][0]
    params = {"gates": {}}
    for name, path in PATHS.items():
        case.close(f"init_raw_{name}", at(start, path))
        at(params, path[:-1])[path[-1]] = jnp.asarray(case.float32(f"raw_{name}"))

    def total(params, current):
        def step(t, state, current_t):
            output = form.step({"layers": {0: params}}, {}, state, current_t, nn.Tick(t))
            return output.state, output.logits

        state = nn.init_state(form, variables, current.shape[1])
        (states,), spikes = run(step, current, state)
        return jnp.sum(cotangent * spikes), (states, spikes)

    (grads, grad_current), (states, spikes) = jax.jit(jax.grad(total, (0, 1), has_aux=True))(params, current)
    case.exact("spikes", spikes)
    case.close("membrane", states.membrane)
    case.close("grad_current", grad_current)
    for name, path in PATHS.items():
        case.close(f"grad_raw_{name}", at(grads, path))
    case.done()


def test_a_neuron_at_its_threshold_is_silent():
    params = glif.GLIFParams(1.0, 0.0, 1.0, decay=0.25, threshold=0.5, leak=0.1, reset=0.5, conductance=0.5)
    start = glif.GLIFState(jnp.zeros(2), jnp.zeros(2))
    _, spikes = glif.step(params, start, jnp.float32([0.5, np.nextafter(np.float32(0.5), np.float32(1))]))
    assert spikes.tolist() == [0, 1]
