"""Thresholds from data, against numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn, training
from hdlif_jax.training.thresholds import nearest_rank

NEURON = nn.lif(decay=0.9, learn_decay=False, learn_threshold=False, found_threshold=True, height=1.0)
NUM_STEPS, BATCH = 5, 40


def make_model(neuron=NEURON):
    return nn.mlp(
        (4,), 3, widths=(7, 5), spec=nn.Spec(num_steps=NUM_STEPS, neuron=neuron, weights="float"), rngs=nnx.Rngs(0)
    )


def frames():
    return jax.random.normal(jax.random.key(1), (NUM_STEPS, BATCH, 4))


def percentile(values, share):
    """By nearest rank."""
    values = np.sort(np.ravel(values))
    return values[round(share / 100 * (len(values) - 1))]


def found_by_numpy(variables, inputs, share, digits):
    """The thresholds of both layers: each step whose largest current exceeds θ sets it anew."""
    layers, thresholds = variables.params["layers"], []
    spikes = np.asarray(inputs)
    for at in (0, 2):
        currents = spikes @ np.asarray(layers[at]["kernel"]) + np.asarray(layers[at]["bias"])
        threshold = 0.0
        for current in currents:
            if current.max() > threshold and percentile(current, share) > 0:
                threshold = percentile(current, share)
        thresholds.append(round(float(threshold), digits))
        potential, fired = np.zeros_like(currents[0]), []
        for current in currents:
            membrane = 0.9 * potential + current
            fired.append((membrane >= thresholds[-1]) * 1.0)
            potential = membrane - thresholds[-1] * fired[-1]
        spikes = np.stack(fired)
    return thresholds


def thresholds_of(variables):
    return [float(cell["threshold"]) for _, cell in sorted(variables.batch_stats["layers"].items())]


@pytest.mark.parametrize(("share", "digits"), [(99.9, 2), (90.0, 3)])
def test_thresholds_are_those_of_numpy(share, digits):
    model = make_model()
    start = nn.variables_of(model)
    assert thresholds_of(start) == [1, 1]
    variables = training.find_thresholds(model, start, frames(), percentile=share, digits=digits)
    expected = found_by_numpy(start, frames(), share, digits)
    np.testing.assert_allclose(thresholds_of(variables), expected, rtol=1e-6)
    assert expected[0] != expected[1]
    jax.tree.map(np.testing.assert_array_equal, variables.params, start.params)
    again = training.find_thresholds(model, variables, frames(), percentile=share, digits=digits)
    jax.tree.map(np.testing.assert_array_equal, again, variables)  # whatever they began with


def test_a_static_input_gives_what_its_repetition_gives():
    model, images = make_model(), frames()[0]
    start = nn.variables_of(model)
    static = training.find_thresholds(model, start, images)
    repeated = training.find_thresholds(model, start, jnp.broadcast_to(images, (NUM_STEPS, *images.shape)))
    jax.tree.map(np.testing.assert_array_equal, static, repeated)


class Backwards(nn.Stateful):
    """Its second layer of neurons is made before its first."""

    def __init__(self, rngs):
        self.num_steps, self.input_shape, self.num_classes = NUM_STEPS, (4,), 3
        self.a_last = NEURON(NUM_STEPS, 5)
        self.b_first = NEURON(NUM_STEPS, 7)
        self.stem = nn.Linear(4, 7, rngs=rngs)
        self.middle = nn.Linear(7, 5, spikes=nn.BINARY, rngs=rngs)
        self.head = nn.Linear(5, 3, spikes=nn.BINARY, rngs=rngs)

    def encode(self, x):
        return self.stem(x)

    def __call__(self, state, current, tick):
        carry = nn.Carry(state, tick)
        spikes = carry(self.a_last, self.middle(carry(self.b_first, current)))
        return carry.state, self.head(spikes)


def test_layers_come_in_the_order_of_their_calls():
    straight, backwards = make_model(), Backwards(nnx.Rngs(1))
    start, other = nn.variables_of(straight), nn.variables_of(backwards)
    layers = start.params["layers"]
    params = {"stem": layers[0], "middle": layers[2], "head": layers[4]}
    found = training.find_thresholds(backwards, other._replace(params=params), frames())
    first, last = thresholds_of(training.find_thresholds(straight, start, frames()))
    assert float(found.batch_stats["b_first"]["threshold"]) == pytest.approx(first)
    assert float(found.batch_stats["a_last"]["threshold"]) == pytest.approx(last)


def test_a_threshold_is_not_rounded_away():
    model = make_model()
    start = nn.variables_of(model)
    tiny = start._replace(params=jax.tree.map(lambda leaf: 1e-4 * leaf, start.params))
    assert min(thresholds_of(training.find_thresholds(model, tiny, frames()))) > 0


def test_a_percentile_is_one_of_the_values():
    values = jnp.asarray(np.random.default_rng(0).permutation(101).astype(np.float32)).reshape(1, 101)
    assert [float(nearest_rank(values, share)) for share in (0, 50, 99.4, 99.6, 100)] == [0, 50, 99, 100, 100]


def test_variables_of_another_network_are_refused():
    with pytest.raises(ValueError, match=r"^params have another structure than the network's[^\n]*$"):
        training.find_thresholds(make_model(), nn.variables_of(make_model(nn.lif())), frames())
    with pytest.raises(ValueError, match=r"^inputs have shape \(5, 40, 3\); expected[^\n]*$"):
        training.find_thresholds(make_model(), nn.variables_of(make_model()), frames()[..., :3])


def test_what_has_no_threshold_to_find_is_refused():
    model = make_model(nn.lif())
    with pytest.raises(ValueError, match=r"^no neuron of the model has a threshold to find; build it with nn.lif\("):
        training.find_thresholds(model, nn.variables_of(model), frames())
    model = make_model()
    with pytest.raises(ValueError, match=r"^path='layers.2' is no neuron with a threshold to find; there are layers.1"):
        training.find_threshold(model, nn.variables_of(model), frames(), "layers.2")


def test_a_layer_that_no_current_reaches_is_named():
    model = make_model()
    variables = nn.variables_of(model)
    variables.params["layers"][2]["kernel"] *= 0
    with pytest.raises(ValueError, match=r"^of the currents that reach layers.3, the 99.9th percentile is not"):
        training.find_thresholds(model, variables, frames())
