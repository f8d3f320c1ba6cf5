"""The state of a cell is any pytree: whatever holds its arrays, every part of the library gives the same."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import analysis, learning, losses, nn, rollout, training
from hdlif_jax.neurons.surrogates import triangle
from tests.nn.own import features

X, LABELS = 2 * jax.random.normal(jax.random.key(0), (4, 5)), jnp.arange(4) % 3
SEQUENCE = 2 * jax.random.normal(jax.random.key(1), (3, 4, 5))


class Named(NamedTuple):
    potential: Any
    trace: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Record:
    potential: Any
    trace: Any


KINDS = {
    "tuple": (lambda potential, trace: (potential, trace), tuple),
    "list": (lambda potential, trace: [potential, trace], tuple),
    "dict": (lambda potential, trace: {"v": potential, "a": trace}, lambda state: (state["v"], state["a"])),
    "NamedTuple": (Named, tuple),
    "dataclass": (Record, lambda state: (state.potential, state.trace)),
    "nested": (lambda potential, trace: {"v": (potential, None), "a": [trace]}, lambda s: (s["v"][0], s["a"][0])),
}


def cell_of(kind):
    pack, unpack = KINDS[kind]

    class Traced(nn.NeuronCell):
        emits, operations = nn.BINARY, 4

        def __init__(self, num_steps, num_channels):
            self.raw_strength = nnx.Param(jnp.float32(0.3))

        def start(self, x):
            return pack(jnp.zeros_like(x), jnp.full_like(x, 0.1))

        def advance(self, state, x, tick):
            potential, trace = unpack(state)
            membrane = 0.5 * potential + x
            spikes = triangle()(membrane - 0.5 - self.raw_strength[...] * trace)
            return pack(membrane - spikes, 0.9 * trace + spikes), spikes

    return Traced


def everything(kind):
    """What the public functions make of such a cell."""
    model = features(nn.Linear(5, 6, rngs=nnx.Rngs(0)), cell_of(kind), num_steps=3)
    runs, trains, variables = nn.inference_form(model, record=True), nn.training_form(model), nn.variables_of(model)
    loss, key = losses.cross_entropy(), jax.random.key(0)
    rules = (
        learning.random_step(),
        learning.accumulate(unroll=False),
        learning.stbp(unroll=False),
        learning.stbp(segment=1, unroll=False),
        learning.stbp(layerwise=True),
    )

    @jax.jit
    def run(variables):
        batch = learning.Batch(X, LABELS)
        every = learning.every_step(unroll=False)
        learner = learning.Learner(variables, ())
        return {
            "rollout": rollout.rollout(runs, variables, SEQUENCE),
            "layer by layer": runs.sequence(runs.quantize(variables.params), variables.batch_stats, SEQUENCE).logits,
            "spikes": rollout.rollout_spikes(runs, variables, X)[1],
            "state": jax.tree.leaves(rollout.record(runs, variables, X, what="state")["layers.1"]["state"]),
            "rules": [rule.gradient(trains, loss, variables, batch, key).grads for rule in rules],
            "every step": every(trains, loss, lambda g, s, p, t: (g, s), learner, batch, key)[0].variables,
        }

    return run(variables), model, variables


REFERENCE = {}


@pytest.mark.parametrize("kind", KINDS)
def test_all_give_the_same(kind):
    if not REFERENCE:
        REFERENCE["tuple"] = everything("tuple")[0]
    found, model, variables = everything(kind)
    state = found.pop("state")
    assert [leaf.shape for leaf in state] == [(3, 4, 6)] * 2
    expected = {name: value for name, value in REFERENCE["tuple"].items() if name != "state"}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), found, expected)
    assert np.any(found["spikes"]["layers.1"] != 0)
    assert "finite" in training.explain_non_finite(model, variables, learning.Batch(X, LABELS))
    costs = analysis.measure(model, [X])
    assert [(row.path, row.neurons, row.nops) for row in costs.neurons] == [("layers.1", 6, 6 * 4 * 3)]
