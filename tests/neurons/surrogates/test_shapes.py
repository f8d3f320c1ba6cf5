import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax.neurons import surrogates

EXCESS = np.linspace(-3, 3, 6001)


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
def test_triangle_is_a_step_forward_and_a_triangle_of_unit_area_backward(width):
    spike = surrogates.triangle(width)
    excess = jnp.linspace(-3, 3, 6001)
    np.testing.assert_array_equal(spike(excess), excess >= 0)
    slope = jax.vmap(jax.grad(spike))(excess)
    np.testing.assert_allclose(slope, np.maximum(width - np.abs(excess), 0) / width**2, atol=1e-6)
    np.testing.assert_allclose(np.trapezoid(slope, excess), 1, rtol=1e-4)


def triangle_integral(width):
    def integral(x):
        inside = np.clip(x, -width, width)
        return (width * inside - inside * np.abs(inside) / 2) / width**2

    return integral


@pytest.mark.parametrize(
    ("spike", "integral", "area"),
    [
        (surrogates.triangle(0.7), triangle_integral(0.7), 1),
        (surrogates.rectangle(1.5), lambda x: np.clip(x, -0.75, 0.75) / 1.5, 1),
        (surrogates.rectangle(1.5, height=1.0), lambda x: np.clip(x, -0.75, 0.75), 1.5),
        (surrogates.sigmoid(4.0), lambda x: (1 + np.tanh(2 * x)) / 2, 1),
        (surrogates.arctan(2.0), lambda x: np.arctan(np.pi * x) / np.pi, 1),
        (surrogates.fast_sigmoid(10.0), lambda x: x / (1 + 10 * np.abs(x)), 0.2),
    ],
    ids=lambda value: "" if callable(value) and not isinstance(value, surrogates.Surrogate) else repr(value),
)
def test_each_derivative_is_that_of_its_function_and_has_its_area(spike, integral, area):
    """The functions that the steps stand for, written out with their limits at ±∞."""
    slope = np.asarray(jax.vmap(jax.grad(spike))(jnp.float32(EXCESS)))
    total = np.trapezoid(slope, EXCESS)
    np.testing.assert_allclose(total, integral(3.0) - integral(-3.0), rtol=2e-3)
    np.testing.assert_allclose(integral(1e9) - integral(-1e9), area, rtol=1e-6)
    smooth = np.abs(np.diff(slope)) < 0.1 * slope.max()  # all but the two edges of a box
    assert np.sum(~smooth) <= 2
    between = np.diff(integral(EXCESS)) / np.diff(EXCESS)
    np.testing.assert_allclose(between[smooth], (slope[1:] + slope[:-1])[smooth] / 2, atol=2e-3)
    np.testing.assert_array_equal(spike(jnp.float32(EXCESS)), EXCESS >= 0)


def test_the_box_of_the_rectangle_is_open():
    slope = jax.vmap(jax.grad(surrogates.rectangle(1.0)))(jnp.float32([-0.5, -0.499, 0, 0.499, 0.5, 2]))
    np.testing.assert_array_equal(slope, [0, 1, 1, 1, 0, 0])
    taller = jax.grad(surrogates.rectangle(2.0, height=0.3))(jnp.float32(0.9))
    np.testing.assert_allclose(taller, 0.3)
    np.testing.assert_allclose(jax.grad(surrogates.rectangle(2.0))(jnp.float32(0.9)), 0.5)


@pytest.mark.parametrize(
    ("spike", "excess", "expected"),
    [
        (surrogates.sigmoid(3.0), 0.4, 3 * np.exp(-1.2) / (1 + np.exp(-1.2)) ** 2),
        (surrogates.arctan(3.0), 0.4, 1.5 / (1 + (0.6 * np.pi) ** 2)),
        (surrogates.arctan(3.0), 0.0, 1.5),
        (surrogates.fast_sigmoid(5.0), -0.4, 1 / 9),
    ],
)
def test_values_by_hand(spike, excess, expected):
    np.testing.assert_allclose(jax.grad(spike)(jnp.float32(excess)), expected, rtol=1e-5)


def test_the_tie_is_a_choice():
    excess = jnp.float32([-1e-6, 0, 1e-6])
    for spike in (surrogates.triangle(), surrogates.custom(jnp.exp)):
        np.testing.assert_array_equal(spike(excess), [0, 1, 1])
        np.testing.assert_array_equal(spike(excess, tie=">"), [0, 0, 1])
        assert jax.grad(lambda x, spike=spike: spike(x, tie=">"))(jnp.float32(0)) == 1  # the gradient is the same
    with pytest.raises(ValueError, match="tie='=' is unknown; choose '>='"):
        surrogates.triangle()(excess, tie="=")


def test_forward_and_reverse_mode_agree():
    spike = surrogates.custom(lambda excess: jnp.exp(-jnp.square(excess)))
    x = jnp.float32(0.3)
    np.testing.assert_allclose(jax.jacfwd(spike)(x), jax.jacrev(spike)(x))
    np.testing.assert_allclose(jax.grad(spike)(x), np.exp(-0.09), rtol=1e-6)


def test_equal_ones_are_equal_and_print_what_they_are():
    same = [surrogates.triangle(), surrogates.triangle(1.0), surrogates.triangle(width=1)]
    assert len(set(same)) == 1
    assert len({*same, surrogates.triangle(2.0), surrogates.rectangle(1.0), surrogates.sigmoid(1.0)}) == 4
    assert repr(surrogates.rectangle(0.5)) == "rectangle(width=0.5, height=None)"
    assert surrogates.custom(jnp.tanh) == surrogates.custom(jnp.tanh)
    assert surrogates.custom(jnp.tanh) != surrogates.custom(jnp.exp)
    with pytest.raises(dataclasses.FrozenInstanceError):
        surrogates.triangle().width = 2.0


def test_equal_ones_do_not_recompile():
    @jax.jit(static_argnames="spike")
    @chex.assert_max_traces(1)
    def slope(x, spike):
        return jax.grad(spike)(x)

    for _ in range(2):
        slope(jnp.float32(0.1), spike=surrogates.arctan(2.0))


def test_your_own_class_needs_a_derivative():
    @dataclasses.dataclass(frozen=True)
    class Cosine(surrogates.Surrogate):
        def derivative(self, excess):
            return jnp.cos(excess)

    np.testing.assert_allclose(jax.grad(Cosine())(jnp.float32(0.4)), np.cos(0.4), rtol=1e-6)
    with pytest.raises(TypeError, match="Surrogate has no derivative; give it one, or use surrogates"):
        jax.grad(surrogates.Surrogate())(jnp.float32(0.4))


def test_a_width_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="width=0 must be positive"):
        surrogates.triangle(0)
    with pytest.raises(ValueError, match=r"width=-1.0 must be positive"):
        surrogates.rectangle(-1.0)


@pytest.mark.parametrize("kind", [surrogates.sigmoid, surrogates.arctan, surrogates.fast_sigmoid])
@pytest.mark.parametrize("slope", [0, -2.0, float("nan")])
def test_a_slope_that_is_not_positive_is_refused(kind, slope):
    with pytest.raises(ValueError, match=f"slope={slope} must be"):
        kind(slope)


@pytest.mark.parametrize("width", [0.4, 1.0, 3.0])
def test_a_triangle_of_a_given_height_is_as_high(width):
    """And without one it is, to the last bit, what it was before it could be given."""
    excess = jnp.linspace(-4, 4, 1001)
    slope = jax.vmap(jax.grad(surrogates.triangle(width, height=0.3)))(excess)
    np.testing.assert_allclose(slope, 0.3 * np.maximum(1 - np.abs(excess) / width, 0), atol=1e-6)
    plain = surrogates.triangle(width).derivative(excess)
    np.testing.assert_array_equal(plain, jnp.maximum(width - jnp.abs(excess), 0) / width**2)
    np.testing.assert_allclose(surrogates.triangle(width, height=1 / width).derivative(excess), plain, atol=1e-6)
