"""Every door through which arrays come to a network compares shapes, types and the number of steps."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hdlif_jax import analysis, deploy, learning, losses, nn, rollout, training
from hdlif_jax.nn.arrays import check_num_steps

B, F, K = 3, 5, 2
X, LABELS = jnp.ones((B, F)), jnp.arange(B) % K


def network_of(width=4, num_steps=3, neuron=nn.hd_lif()):
    return nn.mlp((F,), K, widths=(width,), spec=nn.Spec(num_steps, neuron), rngs=nnx.Rngs(0))


def refuses(message, call):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        call()
    assert "\n" not in str(caught.value)


def doors(model, variables):
    """Everything public that takes variables."""
    trains, runs, key = nn.training_form(model, record=True), nn.inference_form(model, record=True), jax.random.key(0)
    batch, loss = learning.Batch(X, LABELS), losses.cross_entropy()
    learner = learning.Learner(variables, ())

    def update(grads, opt_state, params, learned):
        return params, opt_state

    state, step = training.start(model, learning.accumulate(), loss, optax.sgd(0.1))
    wrong = training.TrainState(state.step, *variables, state.opt_state)
    return {
        "with_variables": lambda: nn.with_variables(model, variables),
        "init_state": lambda: nn.init_state(runs, variables, B),
        "quantize": lambda: runs.quantize(variables.params),
        "encode": lambda: runs.encode(*variables, X),
        "start": lambda: runs.start(*variables, X),
        "step": lambda: runs.step(*variables, None, jnp.ones((B, 4)), nn.Tick(0)),
        "sequence": lambda: runs.sequence(*variables, X),
        "rollout": lambda: rollout.rollout(runs, variables, X),
        "rollout_spikes": lambda: rollout.rollout_spikes(runs, variables, X),
        "firing_rates": lambda: rollout.firing_rates(runs, variables, X),
        "hoist": lambda: rollout.hoist(runs, *variables, X),
        "random_step": lambda: learning.random_step().gradient(trains, loss, variables, batch, key),
        "accumulate": lambda: learning.accumulate().gradient(trains, loss, variables, batch),
        "stbp": lambda: learning.stbp().gradient(trains, loss, variables, batch),
        "layerwise": lambda: learning.stbp(layerwise=True).gradient(trains, loss, variables, batch),
        "every_step": lambda: learning.every_step()(trains, loss, update, learner, batch, None),
        "at_steps": lambda: learning.gradient_at_steps(trains, loss, variables, batch, jnp.array([0])),
        "training": lambda: step(wrong, batch),
        "comparison": lambda: analysis.separability.make_comparison(trains, loss)(variables, batch),
        "stbp_gradients": lambda: analysis.separability.stbp_gradients(trains, loss, variables, batch),
        "recalibrate": lambda: training.recalibrate(model, variables, [X]),
        "online_gradients": lambda: analysis.separability.online_gradients(trains, loss, variables, batch),
    }


DOORS = list(doors(network_of(), nn.variables_of(network_of())))


@pytest.mark.parametrize("door", DOORS)
def test_variables_of_another_width_length_and_type_are_refused_with_both(door):
    model = network_of()
    refuses(
        "layers.0.bias is float32[6] and the network needs float32[4]",
        doors(model, nn.variables_of(network_of(width=6)))[door],
    )
    refuses(
        "layers.1.raw_decay is float32[8] and the network needs float32[3]",
        doors(model, nn.variables_of(network_of(num_steps=8)))[door],
    )
    halves = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), nn.variables_of(model))
    refuses("layers.0.bias is bfloat16[4] and the network needs float32[4]", doors(model, halves)[door])


def test_what_is_missing_or_too_much_is_named():
    model, variables = network_of(), nn.variables_of(network_of())
    refuses("layers.1.raw_decay is too much", lambda: nn.with_variables(network_of(neuron=nn.parallel()), variables))
    refuses(
        "layers.1.raw_decay is missing",
        lambda: nn.with_variables(model, nn.variables_of(network_of(neuron=nn.parallel()))),
    )
    with pytest.raises(TypeError, match=r"variables are a TrainState; give nn.Variables\(params, batch_stats\)"):
        nn.with_variables(model, training.initial_state(model, optax.sgd(0.1)))


def test_an_optimiser_s_state_of_another_network_is_refused():
    optimizer = optax.sgd(0.1, 0.9)
    learner, step = training.start(network_of(), learning.accumulate(), losses.cross_entropy(), optimizer)
    other = training.initial_state(network_of(width=6), optimizer)
    mixed = training.TrainState(learner.step, *learner.variables, other.opt_state)
    refuses("layers.0.bias is float32[6] and the network needs float32[4]", lambda: step(mixed, (X, LABELS)))
    adam = training.initial_state(network_of(), optax.adam(0.1))
    mixed = training.TrainState(learner.step, *learner.variables, adam.opt_state)
    refuses("opt_state have another structure", lambda: step(mixed, (X, LABELS)))


def test_a_cell_of_another_number_of_steps_than_its_network_is_refused():
    rngs = nnx.Rngs(0)
    layers = nn.Linear(F, 4, rngs=rngs), nn.mem_bn()(8, 4), nn.Linear(4, K, rngs=rngs)
    model = nn.Sequential(*layers, num_steps=3, input_shape=(F,))
    message = "layers.1.raw_decay of MemBNHDLIFCell is float32[8] and the network has 3 time-steps"
    for form in (nn.training_form, nn.inference_form):
        refuses(message, lambda form=form: form(model))
    refuses("raw_decay of HDLIFCell", lambda: analysis.separability.neuron_of(nn.hd_lif()(3, 4), 4))
    refuses(message, lambda: analysis.measure(model, [X]))
    refuses(message, lambda: analysis.separability.first_layer(model))
    refuses(message, lambda: deploy.fold.fold(model))
    check_num_steps(network_of(), 3)


def test_a_time_step_that_the_network_does_not_have_is_refused():
    """It would read the parameters of the last."""
    model = network_of()
    network, variables = nn.inference_form(model), nn.variables_of(model)
    current, _ = network.encode(*variables, X)
    for t in (3, -1, jnp.int32(3), np.int64(5)):
        refuses(
            f"time-step {int(t)} of a network of 3", lambda t=t: network.step(*variables, None, current, nn.Tick(t))
        )
    with pytest.raises(TypeError, match=r"the time-step is 1\.0; a tick's t is an integer"):
        network.step(*variables, None, current, nn.Tick(1.0))


class Broadcasts(nn.NeuronCell):
    """An own cell that checks nothing."""

    emits, operations = nn.BINARY, 2

    def advance(self, state, x, tick):
        potential = 0.5 * state + x
        return potential, (potential > 1).astype(x.dtype)


def test_a_state_of_another_batch_or_network_is_refused_by_path():
    layers = lambda num_steps, num_channels: Broadcasts(), nn.Linear(F, K, rngs=nnx.Rngs(0))
    model = nn.Sequential(*layers, num_steps=3, input_shape=(F,))
    network, variables = nn.inference_form(model), nn.variables_of(model)
    for shape, dtype in (((1, F), "float32"), ((B, F), "bfloat16")):
        state = (jnp.zeros(shape, dtype),)
        message = f"layers.0 was handed the state {dtype}{list(shape)} and leaves float32[{B}, {F}]"
        with jax.numpy_dtype_promotion("standard"):
            refuses(message, lambda state=state: network.step(*variables, state, X, nn.Tick(0)))
    refuses(
        "the offset of layers.0 has shape (1, 5) and its current (3, 5)",
        lambda: network.step(*variables, None, X, nn.Tick(0), {"layers.0": jnp.ones((1, F))}),
    )
