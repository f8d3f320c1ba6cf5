"""Every public function that takes a model, a network, a key, generators or a loss: what to call it with."""

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

from hdlif_jax import analysis, deploy, learning, losses, nn, rollout, training
from hdlif_jax.checks import HOW
from hdlif_jax.interop import torch
from hdlif_jax.learning import Batch, Learner
from hdlif_jax.neurons import surrogates

B, F, K, T = 4, 5, 2, 3
SPEC = nn.Spec(num_steps=T)
MODEL = nn.mlp((F,), K, widths=(4,), spec=SPEC, rngs=nnx.Rngs(0))
TRAINS, RUNS = nn.training_form(MODEL, record=True), nn.inference_form(MODEL, record=True)
SILENT = nn.training_form(MODEL)
VARIABLES, KEY, LOSS = nn.variables_of(MODEL), jax.random.key(0), losses.cross_entropy()
BATCH = Batch(jnp.ones((B, F)), jnp.arange(B) % K)
X = BATCH.inputs
STATE, SEPARABILITY = training.initial_state(MODEL, optax.sgd(0.1)), analysis.separability


def update(grads, opt_state, params, learned):
    return params, opt_state


def coherence_observer(model, key=None):
    return SEPARABILITY.coherence_observer(model, LOSS, BATCH, print, every=1, steps_per_epoch=1, key=key)


def every_step(network=TRAINS, loss=LOSS, key=KEY):
    return learning.every_step()(network, loss, update, Learner(VARIABLES, ()), BATCH, key)


ANALOG = nn.mlp((F,), K, widths=(4,), spec=nn.Spec(1, nn.relu()), rngs=nnx.Rngs(0))
TEACHER = learning.Teacher(ANALOG, nn.variables_of(ANALOG))


def layer_local(network=TRAINS, loss=LOSS, key=None):
    return learning.layer_local(TEACHER).gradient(network, loss, VARIABLES, BATCH, key)


# Every public function that takes it, by what it takes.
OF_A_MODEL = {
    "Teacher": lambda model: learning.Teacher(model, VARIABLES),
    "training_form": nn.training_form,
    "inference_form": nn.inference_form,
    "variables_of": nn.variables_of,
    "with_variables": lambda model: nn.with_variables(model, VARIABLES),
    "from_state_dict": lambda model: torch.from_state_dict(model, torch.to_state_dict(MODEL), latent=True),
    "to_state_dict": torch.to_state_dict,
    "start": lambda model: training.start(model, learning.random_step(), LOSS, optax.sgd(0.1)),
    "initial_state": lambda model: training.initial_state(model, optax.sgd(0.1)),
    "explain_non_finite": lambda model: training.explain_non_finite(model, VARIABLES, BATCH),
    "with_num_steps": lambda model: nn.with_num_steps(model, 2),
    "fold": lambda model: deploy.fold.fold(model),
    "measure": lambda model: analysis.measure(model, [X]),
    "cell_at": lambda model: SEPARABILITY.cell_at(model, "layers.1"),
    "first_layer": SEPARABILITY.first_layer,
    "coherence_observer": lambda model: coherence_observer(model),
    "with_reset_gradient": SEPARABILITY.with_reset_gradient,
    "find_thresholds": lambda model: training.find_thresholds(model, VARIABLES, X),
    "find_threshold": lambda model: training.find_threshold(model, VARIABLES, X, "layers.1"),
}
OF_A_NETWORK = {
    "init_state": lambda network: nn.init_state(network, VARIABLES, B),
    "rollout": lambda network: rollout.rollout(network, VARIABLES, X),
    "rollout_spikes": lambda network: rollout.rollout_spikes(network, VARIABLES, X),
    "firing_rates": lambda network: rollout.firing_rates(network, VARIABLES, X),
    "record": lambda network: rollout.record(network, VARIABLES, X),
    "hoist": lambda network: rollout.hoist(network, *VARIABLES, X),
    "random_step": lambda network: learning.random_step().gradient(network, LOSS, VARIABLES, BATCH, KEY),
    "random_k": lambda network: learning.random_k(2).gradient(network, LOSS, VARIABLES, BATCH, KEY),
    "accumulate": lambda network: learning.accumulate().gradient(network, LOSS, VARIABLES, BATCH),
    "stbp": lambda network: learning.stbp().gradient(network, LOSS, VARIABLES, BATCH),
    "layerwise": lambda network: learning.stbp(layerwise=True).gradient(network, LOSS, VARIABLES, BATCH),
    "every_step": lambda network: every_step(network),
    "traced": lambda network: learning.traced().gradient(network, LOSS, VARIABLES, BATCH),
    "layer_local": lambda network: layer_local(network),
    "with_traces": lambda network: learning.with_traces(network, learning.decay_trace()),
    "gradient_at_steps": lambda network: learning.gradient_at_steps(network, LOSS, VARIABLES, BATCH, jnp.array([0])),
    "make_train_step": lambda network: training.make_train_step(network, learning.accumulate(), LOSS, optax.sgd(0.1)),
    "make_eval_step": lambda network: training.make_eval_step(network, lambda x: x)(VARIABLES, X, BATCH.labels),
    "make_comparison": lambda network: SEPARABILITY.make_comparison(network, LOSS),
    "stbp_gradients": lambda network: SEPARABILITY.stbp_gradients(network, LOSS, VARIABLES, BATCH),
    "online_gradients": lambda network: SEPARABILITY.online_gradients(network, LOSS, VARIABLES, BATCH),
    "neuron_params": training.neuron_params,
    "params_named": lambda network: training.params_named(network, "gates"),
    "make_rule_comparison": lambda network: SEPARABILITY.make_rule_comparison(network, learning.stbp(), LOSS),
    "own_gradient": lambda network: SEPARABILITY.own_gradient(learning.stbp(), network, LOSS, VARIABLES, BATCH),
}
DSPIKE = nn.mlp((F,), K, widths=(4,), spec=nn.Spec(T, nn.lif(surrogates.dspike())), rngs=nnx.Rngs(0))
WARM = nn.variables_of(DSPIKE)


def choose_temperature(network=nn.training_form(DSPIKE), loss=LOSS, key=KEY):
    return training.choose_temperature(network, loss, WARM, BATCH, num_weights=1, key=key)


OF_A_NETWORK["choose_temperature"] = lambda network: choose_temperature(network)
LEARNS = ["random_step", "random_k", "accumulate", "stbp", "layerwise", "every_step", "gradient_at_steps", "traced"]
LEARNS += ["layer_local"]
LEARNS += [
    "choose_temperature",
    "make_train_step",
    "stbp_gradients",
    "online_gradients",
    "make_rule_comparison",
    "own_gradient",
]
OF_A_KEY = {
    "random_step": lambda key: learning.random_step().gradient(TRAINS, LOSS, VARIABLES, BATCH, key),
    "random_k": lambda key: learning.random_k(2).gradient(TRAINS, LOSS, VARIABLES, BATCH, key),
    "accumulate": lambda key: learning.accumulate().gradient(TRAINS, LOSS, VARIABLES, BATCH, key),
    "stbp": lambda key: learning.stbp().gradient(TRAINS, LOSS, VARIABLES, BATCH, key),
    "layerwise": lambda key: learning.stbp(layerwise=True).gradient(TRAINS, LOSS, VARIABLES, BATCH, key),
    "every_step": lambda key: every_step(key=key),
    "layer_local": lambda key: layer_local(key=key),
    "gradient_at_steps": lambda key: learning.gradient_at_steps(TRAINS, LOSS, VARIABLES, BATCH, [0], key=key),
    "coherence_observer": lambda key: coherence_observer(MODEL, key),
    "firing_rates": lambda key: rollout.firing_rates(TRAINS, VARIABLES, X, key=key),
    "record": lambda key: rollout.record(TRAINS, VARIABLES, X, key=key),
    "step": lambda key: RUNS.step(*VARIABLES, None, RUNS.encode(*VARIABLES, X)[0], nn.Tick(0, key)),
    "sequence": lambda key: RUNS.sequence(*VARIABLES, X, key),
    "comparison": lambda key: SEPARABILITY.make_comparison(TRAINS, LOSS)(VARIABLES, BATCH, key),
    "choose_temperature": lambda key: choose_temperature(key=key),
    "recalibrate": lambda key: training.recalibrate(MODEL, VARIABLES, [X], key=key),
}
OF_RNGS = {
    "Linear": lambda rngs: nn.Linear(2, 3, rngs=rngs),
    "Conv": lambda rngs: nn.Conv(2, 3, rngs=rngs),
    "batch_norm": lambda rngs: nn.batch_norm()(3, rngs),
    "mlp": lambda rngs: nn.mlp((F,), K, rngs=rngs),
    "conv_net": lambda rngs: nn.conv_net((8, 8, 1), K, rngs=rngs),
    "resnet18": lambda rngs: nn.resnet18((8, 8, 1), K, width=1, rngs=rngs),
    "vgg_snn": lambda rngs: nn.vgg_snn((16, 16, 2), K, width=1, rngs=rngs),
    "vgg": lambda rngs: nn.vgg((8, 8, 1), K, widths=(1,), rngs=rngs),
    "no_norm": lambda rngs: nn.no_norm()(3, rngs),
    "post_resnet18": lambda rngs: nn.post_resnet18((8, 8, 1), K, width=1, rngs=rngs),
    "spike_resnet18": lambda rngs: nn.spike_resnet18((8, 8, 1), K, width=1, rngs=rngs),
    "nf_resnet34": lambda rngs: nn.nf_resnet34((8, 8, 1), K, width=1, rngs=rngs),
}
OF_A_LOSS = {
    "random_step": lambda loss: learning.random_step().gradient(TRAINS, loss, VARIABLES, BATCH, KEY),
    "accumulate": lambda loss: learning.accumulate().gradient(TRAINS, loss, VARIABLES, BATCH),
    "stbp": lambda loss: learning.stbp().gradient(TRAINS, loss, VARIABLES, BATCH),
    "every_step": lambda loss: every_step(loss=loss),
    "layer_local": lambda loss: layer_local(loss=loss),
    "choose_temperature": lambda loss: choose_temperature(loss=loss),
    "start": lambda loss: training.start(MODEL, learning.random_step(), loss, optax.sgd(0.1)),
    "make_comparison": lambda loss: SEPARABILITY.make_comparison(TRAINS, loss),
    "make_rule_comparison": lambda loss: SEPARABILITY.make_rule_comparison(TRAINS, learning.stbp(), loss),
    "own_gradient": lambda loss: SEPARABILITY.own_gradient(learning.stbp(), TRAINS, loss, VARIABLES, BATCH),
}


def refuses(message, call, name=None):
    """By the message, or by what the check of annotated arguments says of the name."""
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    found = str(caught.value)
    assert message in found or (name and f"{name}=" in found and (HOW[name] in found or "not called yet" in found))
    assert "\n" not in str(caught.value)
