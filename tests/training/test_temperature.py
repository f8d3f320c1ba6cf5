"""Dspike's temperature; the arrays of `tests/golden/test_dspike.py` have the finite differences in float64."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning, losses, nn, training
from hdlif_jax.neurons import surrogates
from hdlif_jax.training.temperature import agreement, temperatures_in

LOSS = losses.of_mean_output(losses.cross_entropy())


def model_of(temperature=3.0, **options):
    neuron = nn.lif(surrogates.dspike(temperature), threshold=0.5, learn_threshold=False, height=1.0, reset="hard")
    options = {"neuron": neuron, "num_steps": 3, "weights": "float"} | options
    return nn.conv_net((4, 4, 1), 3, widths=(3,), spec=nn.Spec(**options), rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def batch():
    return learning.Batch(jax.random.normal(jax.random.key(0), (32, 4, 4, 1)), jnp.arange(32) % 3)


def temperatures(variables):
    return [float(variables.batch_stats["blocks"][0][name]["surrogate_value"]) for name in ("neuron1", "neuron2")]


def by_hand(model, batch, candidates, epsilon):
    """Cosines with all weights of the stem moved one after the other, by plain loops."""
    network, variables = nn.training_form(model), nn.variables_of(model)
    paths = temperatures_in(network)
    assert paths == [("blocks", 0, "neuron1", "surrogate_value"), ("blocks", 0, "neuron2", "surrogate_value")]

    @jax.jit
    def value(kernel, temperature):
        params = variables.params | {"stem": {"kernel": kernel}}
        block = dict(variables.batch_stats["blocks"][0])
        for name in ("neuron1", "neuron2"):
            block[name] = {"surrogate_value": temperature}
        stats = variables.batch_stats | {"blocks": {0: block}}
        return LOSS(network.sequence(params, stats, batch.inputs).logits, batch.labels)

    kernel, differences = np.asarray(variables.params["stem"]["kernel"]), []
    for index in range(kernel.size):
        moved = np.zeros(kernel.size, np.float32)
        moved[index] = epsilon
        moved = moved.reshape(kernel.shape)
        differences.append((value(kernel + moved, 1.0) - value(kernel - moved, 1.0)) / (2 * epsilon))
    differences = np.array(differences)
    gradients = [np.ravel(jax.jit(jax.grad(value))(kernel, candidate)) for candidate in candidates]
    return [g @ differences / np.linalg.norm(g) / np.linalg.norm(differences) for g in gradients]


def test_it_is_that_of_the_largest_cosine_with_the_finite_differences(batch):
    model = model_of()
    network, variables = nn.training_form(model), nn.variables_of(model)
    candidates = np.float32([3.0, 3.5, 2.5])
    cosines = by_hand(model, batch, candidates, 0.2)
    assert np.ptp(cosines) > 1e-3
    choose = jax.jit(
        lambda variables: training.choose_temperature(
            network, LOSS, variables, batch, step=0.5, epsilon=0.2, num_weights=None
        )
    )
    chosen = choose(variables)
    assert temperatures(chosen) == [candidates[np.argmax(cosines)]] * 2
    for name in ("params", "batch_stats"):  # nothing else has moved
        changed = jax.tree.map(
            lambda new, old: bool(np.any(new != old)), getattr(chosen, name), getattr(variables, name)
        )
        assert sum(jax.tree.leaves(changed)) == (2 if name == "batch_stats" and temperatures(chosen)[0] != 3 else 0)


def test_weights_are_drawn_and_another_epoch_does_not_recompile(batch):
    network, variables = nn.training_form(model_of()), nn.variables_of(model_of())

    @jax.jit
    @chex.assert_max_traces(1)
    def choose(variables, key):
        return training.choose_temperature(network, LOSS, variables, batch, num_weights=5, key=key)

    for seed in range(3):
        before, variables = temperatures(variables)[0], choose(variables, jax.random.key(seed))
        assert min(abs(temperatures(variables)[0] - before - move) for move in (0, 0.2, -0.2)) < 1e-5


def test_norms_over_the_sequence_are_at_home_here(batch):
    model = model_of(norm=nn.batch_norm(statistics="sequence"))
    network, variables = nn.training_form(model), nn.variables_of(model)
    key = jax.random.key(0)
    chosen = training.choose_temperature(network, LOSS, variables, batch, num_weights=4, key=key)
    assert temperatures(chosen)[0] in np.float32([2.8, 3, 3.2])
    named = training.choose_temperature(network, LOSS, variables, batch, num_weights=4, key=key, layer="stem")
    assert temperatures(named) == temperatures(chosen)  # the first layer


def test_where_spikes_do_not_change_the_temperature_stays(batch):
    model = model_of(0.15)
    network, variables = nn.training_form(model), nn.variables_of(model)
    silent = jax.tree.map(jnp.zeros_like, variables.params)
    kept = training.choose_temperature(network, LOSS, variables._replace(params=silent), batch, num_weights=None)
    assert temperatures(kept) == [np.float32(0.15)] * 2


def test_no_temperature_falls_below_a_tenth(batch):
    """Whether the choice is to go higher, lower or stay, a step down of 5 would leave a negative one."""
    model = model_of(0.2)
    network, variables = nn.training_form(model), nn.variables_of(model)
    found = training.choose_temperature(network, LOSS, variables, batch, step=5.0, num_weights=None)
    assert temperatures(found)[0] in (np.float32(0.1), np.float32(0.2), np.float32(5.2))


def test_differences_and_cosines_of_a_smooth_function_are_those_of_its_gradient():
    def value(kernel, temperature):
        turned = jnp.stack([jnp.cos(temperature) * kernel[0] - jnp.sin(temperature) * kernel[1], kernel[2]])
        exact = jnp.stack([kernel[0], kernel[2]])  # forward it is the same whatever the temperature
        return jnp.sum(turned + jax.lax.stop_gradient(exact - turned))

    angles = jnp.float32([0.3, 0.0, 1.2])
    found = agreement(value, jnp.float32([1, 2, 3]), angles, jnp.array([0, 1]), 0.1)
    np.testing.assert_allclose(found.differences, [1, 0], atol=1e-5)
    np.testing.assert_allclose(found.cosines, np.cos(angles), rtol=1e-5)
    assert found.cosines.argmax() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "blocks.0.conv3"}, "layer='blocks.0.conv3' is no layer with a kernel; choose one of"),
        ({"num_weights": 5}, "num_weights=5 of 27 weights are drawn; give a key"),
        ({"network": nn.inference_form(model_of())}, "the network is in inference form"),
        (
            {"network": nn.training_form(model_of(neuron=nn.lif()))},
            "the network has no cell whose surrogate has a temperature; build it with nn.lif",
        ),
    ],
)
def test_what_has_no_temperature_to_choose_is_refused(options, message, batch):
    network = options.pop("network", nn.training_form(model_of()))
    with pytest.raises(ValueError, match=message):
        training.choose_temperature(network, LOSS, nn.variables_of(model_of()), batch, **options)
