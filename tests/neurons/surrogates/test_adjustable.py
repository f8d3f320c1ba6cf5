import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax.neurons import surrogates

EXCESS = jnp.linspace(-1.2, 1.2, 2401)
KINDS = [surrogates.dspike(2.5), surrogates.smooth_step("sigmoid", 0.7), surrogates.smooth_step("ramp", 0.7)]
EACH = pytest.mark.parametrize("spike", KINDS, ids=repr)


def slopes(spike, excess=EXCESS):
    return jax.vmap(jax.grad(spike))(excess)


@EACH
def test_called_directly_it_is_that_of_its_start(spike):
    np.testing.assert_array_equal(spike(EXCESS), EXCESS >= 0)
    np.testing.assert_array_equal(spike(EXCESS, tie=">"), EXCESS > 0)
    np.testing.assert_array_equal(slopes(spike), slopes(spike.at(jnp.float32(spike.start))))
    np.testing.assert_allclose(slopes(spike), spike.derivative(EXCESS), rtol=1e-6)


@EACH
def test_the_gradient_is_the_curve_s_whatever_the_forward_value(spike):
    """Against differences of the curve itself, away from the ends of those that have some."""
    value, excess = spike.start * 1.1 + 0.1, np.float64([-0.31, -0.02, 0.17, 0.29])
    with jax.enable_x64(True):
        curve = lambda x, a: np.asarray(spike.curve(jnp.asarray(x), jnp.float64(a)))  # noqa: E731
        expected = (curve(excess + 1e-5, value) - curve(excess - 1e-5, value)) / 2e-5
        by_value = (curve(excess, value + 1e-5) - curve(excess, value - 1e-5)) / 2e-5
    found = jax.vmap(jax.grad(lambda x, a: spike.at(a)(x), (0, 1)), (0, None))(jnp.float32(excess), jnp.float32(value))
    np.testing.assert_allclose(found[0], expected, rtol=1e-4)
    np.testing.assert_allclose(found[1], by_value, rtol=1e-3, atol=1e-5)


@EACH
def test_another_value_does_not_recompile(spike):
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(1)
    def slope(value):
        return slopes(spike.at(value)).max()

    assert len({float(slope(jnp.float32(value))) for value in (0.5, 1.0, 2.0)}) == 3


@EACH
def test_an_unknown_tie_is_refused(spike):
    with pytest.raises(ValueError, match="tie='=' is unknown; choose '>='"):
        spike(EXCESS, tie="=")


@pytest.mark.parametrize("temperature", [0.0, 1e-30, 1e-4, 1e-3, 0.01])
def test_dspike_is_the_rectangle_as_the_temperature_goes_to_zero(temperature):
    slope = slopes(surrogates.dspike().at(temperature))
    inside = np.abs(np.abs(EXCESS) - 0.5) > 1e-4
    np.testing.assert_allclose(slope[inside], slopes(surrogates.rectangle(1.0))[inside], atol=1e-4)


def test_dspike_has_area_one_and_is_the_step_as_the_temperature_grows():
    for temperature in (0.5, 3.0, 30.0):
        np.testing.assert_allclose(np.trapezoid(slopes(surrogates.dspike(temperature)), EXCESS), 1, atol=2e-3)
    curve = surrogates.dspike().curve(EXCESS, jnp.float32(1e4))
    away = np.abs(EXCESS) > 1e-2
    np.testing.assert_allclose(curve[away], (EXCESS > 0)[away], atol=1e-6)


def test_the_width_sets_the_slope_at_the_threshold():
    for width in (0.5, 1.0, 2.0):
        np.testing.assert_allclose(jax.grad(surrogates.smooth_step("ramp", width))(0.0), 1 / width, rtol=1e-6)
        np.testing.assert_allclose(jax.grad(surrogates.smooth_step("sigmoid", width))(0.0), 0.25 / width, rtol=1e-6)


def test_noise_is_of_its_share_and_in_training_alone():
    spike = surrogates.smooth_step("sigmoid", noise=0.2)
    excess, key = jax.random.normal(jax.random.key(0), (20_000,)), jax.random.key(1)
    curve = spike.curve(excess, jnp.float32(spike.start))
    drawn, hard = spike.at(spike.start, key)(excess), spike.at(spike.start)(excess)
    noisy = drawn == curve
    np.testing.assert_array_equal(drawn[~noisy], hard[~noisy])
    assert abs(noisy.mean() - 0.2) < 4 * np.sqrt(0.2 * 0.8 / len(excess))
    np.testing.assert_array_equal(hard, excess >= 0)
    np.testing.assert_array_equal(slopes(spike.at(spike.start, key)), slopes(spike.at(spike.start)))
    assert np.any(drawn != spike.at(spike.start, jax.random.key(2))(excess))


def test_one_of_your_own_says_what_it_lacks():
    class Half(surrogates.Adjustable):
        pass

    with pytest.raises(TypeError, match="Half has no start; write the property"):
        Half()(EXCESS)
    with pytest.raises(TypeError, match=r"Half has no curve\(excess, value\); write it"):
        jax.grad(Half().at(1.0))(0.5)
