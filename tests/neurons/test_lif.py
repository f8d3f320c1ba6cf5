import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import nn
from hdlif_jax.neurons import NeuronParams, lif, surrogates

PARAMS = NeuronParams(jnp.float32(0.5), jnp.float32(0.8))
RESETS = ["soft", "hard", "none"]


def test_step_follows_equation_1():
    current = jnp.float32([0.7, 0.8, 2.0, -1.0])
    state, spikes = lif.step(PARAMS, jnp.zeros(4), current)
    np.testing.assert_allclose(spikes, [0, 0.8, 0.8, 0])  # fires at the tie m = θ
    np.testing.assert_allclose(state, [0.7, 0, 1.2, -1.0], atol=1e-6)
    state, spikes = lif.step(PARAMS, state, current)
    np.testing.assert_allclose(spikes, [0.8, 0.8, 0.8, 0])  # 0.5 · 0.7 + 0.7 = 1.05 ≥ 0.8


def test_surrogate_gradient_and_its_way_through_the_reset():
    membrane = 0.5
    surrogate = 0.8 * (1 - abs(membrane - 0.8))  # θ · triangle with γ = 1

    def step(current):
        state, spikes = lif.step(PARAMS, jnp.zeros(()), current)
        return spikes, state

    spike_slope, potential_slope = jax.jacobian(step)(jnp.float32(membrane))
    np.testing.assert_allclose(spike_slope, surrogate, rtol=1e-6)
    np.testing.assert_allclose(potential_slope, 1 - surrogate, rtol=1e-6)  # Eq. 3


def test_gradient_of_the_threshold_has_amplitude_and_timing():
    def spikes(threshold):
        return lif.step(NeuronParams(jnp.float32(0.5), threshold), jnp.zeros(()), jnp.float32(1.1))[1]

    np.testing.assert_allclose(jax.grad(spikes)(jnp.float32(0.8)), 1 - 0.8 * (1 - 0.3), rtol=1e-5)


def scalar_step(potential, current, decay, threshold, *, reset, tie, height):
    """One neuron in plain Python."""
    membrane = decay * potential + current
    fires = membrane >= threshold if tie == ">=" else membrane > threshold
    if not fires:
        return membrane, 0.0
    after = {"soft": membrane - threshold, "hard": 0.0, "none": membrane}[reset]
    return after, threshold if height is None else height


@pytest.mark.parametrize("height", [None, 1.0, 0.25])
@pytest.mark.parametrize("tie", [">=", ">"])
@pytest.mark.parametrize("reset", RESETS)
def test_every_option_follows_its_formula_also_at_the_tie(reset, tie, height):
    """On multiples of 1/16 nothing rounds, so that results are equal and m = θ is met often."""
    generator = np.random.default_rng(0)
    potential, current = generator.integers(-16, 16, (2, 400)) / 8
    params = NeuronParams(jnp.float32(0.5), jnp.float32(0.75))
    assert np.any(0.5 * potential + current == 0.75)
    state, spikes = lif.step(params, jnp.float32(potential), jnp.float32(current), reset=reset, tie=tie, height=height)
    options = {"reset": reset, "tie": tie, "height": height}
    expected = np.array([scalar_step(v, i, 0.5, 0.75, **options) for v, i in zip(potential, current, strict=True)])
    np.testing.assert_array_equal(state, expected[:, 0])
    np.testing.assert_array_equal(spikes, expected[:, 1])


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("height", [None, 0.3])
@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("membrane", [0.5, 1.1])
def test_the_gradient_has_the_term_of_the_reset_unless_it_is_detached(membrane, reset, height, detach):
    """Against the derivatives by hand, with respect to the membrane and to the threshold."""
    threshold = 0.8
    fires, slope = float(membrane >= threshold), 1 - abs(membrane - threshold)  # the triangle
    through = 0.0 if detach else slope  # what the reset's own dependence on m adds
    expected = {
        "soft": (1 - threshold * through, -fires + threshold * through),
        "hard": ((1 - fires) - membrane * through, membrane * through),
        "none": (1.0, 0.0),
    }[reset]

    def step(membrane, threshold):
        params = NeuronParams(jnp.float32(0.5), threshold)
        return lif.step(params, jnp.zeros(()), membrane, reset=reset, height=height, detach=detach)

    slopes, spike_slopes = jax.jacobian(step, argnums=(0, 1))(jnp.float32(membrane), jnp.float32(threshold))
    np.testing.assert_allclose(slopes, expected, rtol=1e-5, atol=1e-6)
    if height is None:
        np.testing.assert_allclose(spike_slopes, (threshold * slope, fires - threshold * slope), rtol=1e-5)
    else:
        np.testing.assert_allclose(spike_slopes, (height * slope, -height * slope), rtol=1e-5)


@pytest.mark.parametrize("detach", [False, True])
def test_through_time_the_detached_gradient_is_the_leak_alone(detach):
    """∂v_2/∂I_1 = ∂v_2/∂m_2 · λ · ∂v_1/∂m_1, where ∂v/∂m is 1 if the reset is detached (Eq. 3)."""

    def two_steps(first):
        state, _ = lif.step(PARAMS, jnp.zeros(()), first, detach=detach)
        return lif.step(PARAMS, state, jnp.float32(0.6), detach=detach)[0]

    first = 0.9
    second = 0.5 * (first - 0.8) + 0.6
    slopes = [1 - (0 if detach else 0.8 * (1 - abs(membrane - 0.8))) for membrane in (first, second)]
    np.testing.assert_allclose(jax.grad(two_steps)(jnp.float32(first)), slopes[0] * 0.5 * slopes[1], rtol=1e-5)


def test_the_spike_function_is_yours():
    def slope(spike_function):
        def spikes(current):
            return lif.step(PARAMS, jnp.zeros(()), current, spike_function=spike_function, height=1.0)[1]

        return jax.grad(spikes)(jnp.float32(0.9))

    np.testing.assert_allclose(slope(surrogates.rectangle(0.5)), 2)
    np.testing.assert_allclose(slope(surrogates.rectangle(0.1)), 0)


def test_an_unknown_reset_or_tie_is_refused():
    with pytest.raises(ValueError, match="reset='zero' is unknown; choose one of soft, hard, none"):
        lif.step(PARAMS, jnp.zeros(1), jnp.zeros(1), reset="zero")
    with pytest.raises(ValueError, match="tie='<' is unknown"):
        lif.step(PARAMS, jnp.zeros(1), jnp.zeros(1), tie="<")


def delayed(current, decay, threshold, reset):
    """Neurons that fire on what the step before left, in plain numpy; spikes and potentials `[T, ...]`."""
    potential, spikes, potentials = np.zeros_like(current[0]), [], []
    for current_t in current:
        fires = potential / threshold - 1 > 0
        charged = decay * potential + current_t
        potential = charged - threshold * fires if reset == "soft" else charged * (1 - fires)
        spikes.append(fires * threshold)
        potentials.append(potential)
    return np.stack(spikes), np.stack(potentials)


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_fire_before_charge_answers_a_step_later(reset):
    """On multiples of 1/16 nothing rounds, and the threshold is met exactly."""
    current = np.random.default_rng(0).integers(-8, 24, (6, 200)) / 16
    params, state, spikes, states = NeuronParams(jnp.float32(0.5), jnp.float32(0.5)), jnp.zeros(200), [], []
    for current_t in current:
        state, spikes_t = lif.step(
            params, state, jnp.float32(current_t), order="fire-charge", relative=True, reset=reset, tie=">"
        )
        spikes.append(spikes_t)
        states.append(state)
    expected, potentials = delayed(current, 0.5, 0.5, reset)
    assert np.any(potentials[:-1] == 0.5)
    np.testing.assert_array_equal(np.stack(spikes), expected)
    np.testing.assert_array_equal(np.stack(states), potentials)
    assert not np.any(spikes[0])


@pytest.mark.parametrize("reset", RESETS)
def test_reset_by_what_the_step_before_fired(reset):
    """m_t = λ m_{t−1} + I_t, less what m_{t−1} > θ takes off; on multiples of 1/32 nothing rounds."""
    current = np.random.default_rng(0).integers(-8, 24, (6, 200)) / 16
    params, state, membrane = NeuronParams(jnp.float32(0.5), jnp.float32(0.5)), jnp.zeros(200), np.zeros(200)
    for current_t in current:
        options = {"order": "charge-reset-fire", "reset": reset, "tie": ">", "height": 1.0}
        state, spikes = lif.step(params, state, jnp.float32(current_t), **options)
        fired, membrane = membrane > 0.5, 0.5 * membrane + current_t
        membrane = {"soft": membrane - 0.5 * fired, "hard": membrane * (1 - fired), "none": membrane}[reset]
        np.testing.assert_array_equal(state, np.float32(membrane))
        np.testing.assert_array_equal(spikes, np.float32(membrane) > 0.5)


def test_integrate_and_fire_keeps_all_of_its_membrane():
    cell = nn.lif(decay=1.0, learn_decay=False, reset="none")(4, 3)
    state, spikes = None, []
    for t in range(4):
        state, spikes_t = cell(state, jnp.full((1, 3), 0.25), nn.Tick(t))
        spikes.append(float(spikes_t[0, 0]))
    assert spikes == [0, 0, 0, 1]
    with pytest.raises(ValueError, match=r"decay=1\.0 must be in \(0, 1\) where it is learned"):
        nn.lif(decay=1.0)


def test_before_the_charge_the_gradient_is_that_of_what_was_left():
    """.3 · max(0, 1 − |v/θ − 1|) / θ to the potential, nothing to the current (DCT-SNN)."""
    spike, threshold = surrogates.triangle(height=0.3), 0.8

    def spikes(potential, current):
        params = NeuronParams(jnp.float32(0.99), jnp.float32(threshold))
        options = {"order": "fire-charge", "relative": True, "detach": True, "height": 1.0, "spike_function": spike}
        return lif.step(params, potential, current, **options)[1]

    for potential in (0.1, 0.7, 1.0, 1.7):
        slopes = jax.grad(spikes, (0, 1))(jnp.float32(potential), jnp.float32(0.4))
        expected = 0.3 * max(0, 1 - abs(potential / threshold - 1)) / threshold
        np.testing.assert_allclose(slopes, (expected, 0), rtol=1e-5)


def test_relative_to_the_threshold_a_surrogate_is_as_much_wider():
    """The triangle of m / θ − 1 is the one of m − θ with a base of θ, and spikes are the same."""
    membrane, params = jnp.linspace(-1, 3, 401), NeuronParams(jnp.float32(0.5), jnp.float32(0.8))

    def slopes(**options):
        def spikes(current):
            return lif.step(params, jnp.zeros(()), current, height=1.0, **options)[1]

        return jax.vmap(jax.value_and_grad(spikes))(membrane)

    relative = slopes(relative=True, spike_function=surrogates.triangle(1.0))
    plain = slopes(spike_function=surrogates.triangle(0.8))
    np.testing.assert_array_equal(relative[0], plain[0])
    np.testing.assert_allclose(relative[1], plain[1], atol=1e-5)


@pytest.mark.parametrize("order", ["charge-fire", "fire-charge"])
def test_relative_to_a_threshold_that_the_compiler_knows_ties_are_ties(order):
    """A compiler multiplies by the rounded inverse of a constant, which m / θ = 1 does not survive at half of all θ."""
    for threshold in np.random.default_rng(0).uniform(0.1, 4, 12).astype(np.float32):
        params = NeuronParams(jnp.float32(0.9), threshold)
        at = np.float32([threshold, np.nextafter(threshold, np.float32(9))])

        def spikes(state, current, params=params):
            return lif.step(params, state, current, height=1.0, order=order, relative=True, tie=">")[1]

        given = (at, np.zeros(2, np.float32)) if order == "fire-charge" else (np.zeros(2, np.float32), at)
        assert jax.jit(spikes)(*given).tolist() == [0, 1], threshold


def test_an_unknown_order_is_refused():
    with pytest.raises(ValueError, match="order='fire' is unknown; choose one of charge-fire, fire-charge, charge-re"):
        lif.step(PARAMS, jnp.zeros(1), jnp.zeros(1), order="fire")
