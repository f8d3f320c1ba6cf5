import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn, rollout
from hdlif_jax.nn.declared import definer, holds
from hdlif_jax.nn.intercept import intercept
from hdlif_jax.quantize import SpikeQuantizer


class Base(nn.Module):
    operations = 3

    def __call__(self, x):
        return x


class Same(Base):
    pass


class Anew(Base):
    def __call__(self, x):
        return 2 * x


class SaidAnew(Anew):
    operations = 1


def test_what_is_said_holds_of_inherited_code_and_not_of_code_written_anew():
    assert holds(Base, "operations", "__call__")
    assert holds(Same(), "operations", "__call__")
    assert not holds(Anew(), "operations", "__call__")
    assert holds(SaidAnew(), "operations", "__call__")
    assert definer(SaidAnew, "__call__") is Anew


def test_an_intercepted_module_says_what_it_said():
    for kind, expected in ((Same, True), (Anew, False)):
        module = kind()
        intercept(module, lambda path, module: lambda call, x: call(x))
        assert holds(module, "operations", "__call__") == expected


def subclass_of(kind):
    """A cell whose spikes are not on the grid of the class that it is derived from."""

    class Scaled(kind):
        operations = 3

        def advance(self, state, x, tick):
            state, spikes = super().advance(state, x, tick)
            return state, 0.3 * spikes

    return Scaled


@pytest.mark.parametrize("kind", [nn.HDLIFCell, nn.ParallelHDLIFCell, nn.MemBNHDLIFCell])
def test_spikes_of_code_written_anew_are_not_rounded_to_inherited_levels(kind):
    """A layer that computes in integers would."""
    quantizer, sizes = SpikeQuantizer(), (2, 4) if kind is nn.MemBNHDLIFCell else (2,)
    assert kind(*sizes, quantizer).emits == nn.SpikeInput(quantizer)
    model = nn.Sequential(
        nn.Conv(1, 4, rngs=nnx.Rngs(0)),
        subclass_of(kind)(*sizes, quantizer),
        nn.Conv(4, 4, weights="ternary", rngs=nnx.Rngs(1)),
        nn.GlobalAverage(),
        num_steps=2,
        input_shape=(4, 4, 1),
    )
    inputs = 3 * jax.random.normal(jax.random.key(0), (2, 4, 4, 1))
    forms = (nn.inference_form(model, integer=integer) for integer in (True, False))
    in_integers, in_floats = (rollout.rollout(form, nn.variables_of(model), inputs) for form in forms)
    assert jnp.any(in_floats != 0)
    np.testing.assert_allclose(in_integers, in_floats, rtol=1e-6)
