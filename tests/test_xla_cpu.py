import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import xla_cpu


@pytest.mark.parametrize("probe", [1.5, jnp.inf, jnp.nan])
def test_the_barrier_changes_nothing(probe):
    """Also of integers and keys, and where a number is not finite."""
    carry = {
        "floats": jnp.float32([probe, -0.0, 3e38]),
        "halves": jnp.ones(2, jnp.bfloat16),
        "integers": jnp.arange(3),
        "key": jax.random.key(4),
        "empty": (),
    }
    got = jax.jit(xla_cpu.barrier)(carry)
    assert jax.tree.structure(got) == jax.tree.structure(carry)
    for name in ("floats", "halves", "integers"):
        assert got[name].dtype == carry[name].dtype
        np.testing.assert_array_equal(got[name], carry[name])
    np.testing.assert_array_equal(jax.random.key_data(got["key"]), jax.random.key_data(carry["key"]))


def test_a_carry_without_floats_passes():
    assert xla_cpu.barrier(((),)) == ((),)
    np.testing.assert_array_equal(xla_cpu.barrier(jnp.arange(2)), [0, 1])


@pytest.mark.parametrize("backend", ["cpu", "gpu", "tpu"])
def test_other_backends_have_the_plain_choice(backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    on_cpu = backend == "cpu"
    assert xla_cpu.on_cpu() == on_cpu
    assert xla_cpu.unrolls_gradients() == on_cpu
    assert (xla_cpu.steps_per_dispatch() == 1) == on_cpu
    assert xla_cpu.prefers_integers((3, 3, 64, 24)) == on_cpu
    assert xla_cpu.prefers_integers((3, 3, 16, 16)) == on_cpu
    assert not xla_cpu.prefers_integers((3, 3, 8, 8))
    assert (xla_cpu.inference_unroll(4) == 4) == (on_cpu and jax.__version_info__ >= (0, 11))
    assert xla_cpu.inference_unroll(9) == 1
    assert xla_cpu.columns_at_once((3, 3, 8, 8), integers=False) == 2  # the same wherever a program is written
    assert xla_cpu.columns_at_once((3, 3, 16, 16), integers=False) == 1
    assert xla_cpu.columns_at_once((3, 3, 16, 16), integers=True) == 2
    assert xla_cpu.columns_at_once((3, 3, 17, 16), integers=True) == 1  # the library takes it
    assert xla_cpu.prefers_long_rows((16, 8, 8, 16)) == on_cpu
    for shape in ((8, 8, 8, 16), (16, 8, 8, 12), (16, 8, 8, 18)):
        assert not xla_cpu.prefers_long_rows(shape)


def test_loops_stay_rolled_within_a_block_alone(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    with xla_cpu.rolled():
        assert not xla_cpu.unrolls_gradients()
        assert xla_cpu.inference_unroll(4) == 1
    assert xla_cpu.unrolls_gradients()
