import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hdlif_jax.training import decaying_kernels, only_learned_steps, warmup_cosine

PARAMS = {
    "conv": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)},
    "neuron": {"raw_decay": jnp.ones(4), "scale": jnp.ones((4, 2))},
}
PER_STEP = {"conv": {"kernel": False, "bias": False}, "neuron": {"raw_decay": True, "scale": True}}
ONES = jax.tree.map(jnp.ones_like, PARAMS)


def one_hot(t):
    return jnp.arange(4) == t


def grads_at(t):
    """Gradients as an online rule gives them: zero at the per-step entries of other steps."""
    neuron = {name: jnp.where(one_hot(t).reshape(-1, *[1] * (g.ndim - 1)), g, 0) for name, g in ONES["neuron"].items()}
    return ONES | {"neuron": neuron}


def decaying_sgd(weight_decay, mask=None):
    return optax.chain(optax.add_decayed_weights(weight_decay, mask), optax.sgd(0.1, 0.9, nesterov=True))


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("decay_all", [False, True])
def test_only_the_entries_of_the_learned_step_move(name, decay_all):
    """Momentum from a step before, and weight decay, would move the others."""
    mask = None if decay_all else decaying_kernels(PER_STEP)
    rule = decaying_sgd(0.1, mask) if name == "sgd" else optax.adamw(0.1, b1=0.9, weight_decay=0.1, mask=mask)
    optimizer = only_learned_steps(rule, PER_STEP)
    params, state = PARAMS, optimizer.init(PARAMS)
    for t in (1, 3):
        before, before_state = params, state
        with jax.numpy_dtype_promotion("standard"):  # optax' Adam mixes its counter with floats
            updates, state = optimizer.update(grads_at(t), state, params, learned=one_hot(t))
        params = optax.apply_updates(params, updates)
        for leaf in ("raw_decay", "scale"):
            moved = np.asarray(params["neuron"][leaf] != before["neuron"][leaf]).reshape(4, -1).all(1)
            np.testing.assert_array_equal(moved, one_hot(t))
        assert np.all(params["conv"]["kernel"] != before["conv"]["kernel"])
        # the moments of the others keep still, too
        for new, old in zip(jax.tree.leaves(state), jax.tree.leaves(before_state), strict=True):
            if new.ndim and new.shape[0] == 4:
                np.testing.assert_array_equal(jnp.delete(new, t, 0), jnp.delete(old, t, 0))


KERNELS = jax.tree.map(lambda leaf: leaf.ndim > 1, PARAMS)
MOMENTUM = optax.sgd(0.1, 0.9)
PARTITION = {"conv": {"kernel": "a", "bias": "b"}, "neuron": {"raw_decay": "a", "scale": "b"}}


@pytest.mark.parametrize(
    "rule",
    [
        MOMENTUM,
        optax.masked(MOMENTUM, jax.tree.map(lambda _: True, PARAMS)),
        optax.masked(MOMENTUM, KERNELS),
        optax.multi_transform({"a": MOMENTUM, "b": optax.adam(0.1)}, PARTITION),
        optax.chain(optax.masked(optax.trace(0.9), KERNELS), optax.adamw(0.1)),
        optax.apply_if_finite(optax.multi_transform({"a": MOMENTUM, "b": MOMENTUM}, PARTITION), 3),
    ],
    ids=["plain", "masked", "partly masked", "multi_transform", "chain", "nested"],
)
def test_moments_of_steps_that_did_not_learn_keep_still_wherever_the_rule_keeps_them(rule):
    optimizer = only_learned_steps(rule, PER_STEP)
    with jax.numpy_dtype_promotion("standard"):
        _, state = optimizer.update(ONES, optimizer.init(PARAMS), PARAMS, learned=jnp.ones(4, bool))
        _, new_state = optimizer.update(grads_at(1), state, PARAMS, learned=one_hot(1))
    kept = 0
    for new, old in zip(jax.tree.leaves(new_state), jax.tree.leaves(state), strict=True):
        if jnp.ndim(new) and new.shape[0] == 4:
            np.testing.assert_array_equal(jnp.delete(new, 1, 0), jnp.delete(old, 1, 0))
            assert np.all(new[1] != old[1])
            kept += 1
    assert kept


def test_with_all_steps_learned_it_is_the_plain_rule():
    rule = optax.sgd(0.1, 0.9, nesterov=True)
    masked = only_learned_steps(rule, PER_STEP)
    state, masked_state = rule.init(PARAMS), masked.init(PARAMS)
    for _ in range(3):
        expected, state = rule.update(ONES, state, PARAMS)
        got, masked_state = masked.update(ONES, masked_state, PARAMS, learned=jnp.ones(4, bool))
        jax.tree.map(np.testing.assert_array_equal, got, expected)


def test_sgd_is_nesterov_with_coupled_decay():
    """Against the recursion of the reference optimiser, written out for one weight."""
    optimizer = only_learned_steps(decaying_sgd(0.5, decaying_kernels(PER_STEP)), PER_STEP)
    params, state = PARAMS, optimizer.init(PARAMS)
    weight, velocity = 1.0, 0.0
    for _ in range(4):
        updates, state = optimizer.update(ONES, state, params, learned=jnp.ones(4, bool))
        params = optax.apply_updates(params, updates)
        grad = 1 + 0.5 * weight
        velocity = 0.9 * velocity + grad
        weight -= 0.1 * (grad + 0.9 * velocity)
    np.testing.assert_allclose(params["conv"]["kernel"], weight, rtol=1e-5)


@pytest.mark.parametrize(
    ("decay_all", "decays"), [(False, {"kernel"}), (True, {"kernel", "bias", "raw_decay", "scale"})]
)
def test_what_decays(decay_all, decays):
    mask = None if decay_all else decaying_kernels(PER_STEP)
    optimizer = only_learned_steps(decaying_sgd(0.5, mask), PER_STEP)
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    updates, _ = optimizer.update(zeros, optimizer.init(PARAMS), PARAMS, learned=jnp.ones(4, bool))
    moved = {name for layer in updates.values() for name, update in layer.items() if np.any(update != 0)}
    assert moved == decays


def test_schedule():
    schedule = warmup_cosine(0.4, warmup=20, total=120)
    np.testing.assert_allclose(
        [schedule(0), schedule(20), schedule(70), schedule(120)], [0.004, 0.4, 0.2, 0], atol=1e-6
    )


@pytest.mark.parametrize(("warmup", "epochs"), [(0, 3), (5, 2)])
def test_schedule_without_warm_up_or_with_more_than_there_is_time_for(warmup, epochs):
    schedule = warmup_cosine(0.01, warmup=4 * warmup, total=4 * epochs)
    rates = np.array([schedule(step) for step in range(4 * epochs)])
    assert np.all(rates > 0)
    np.testing.assert_allclose(rates.max(), 0.01)
