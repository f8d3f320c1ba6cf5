import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

from hdlif_jax.training import decaying_kernels, only_learned_steps, warmup_cosine
from tests.conftest import perturbed

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
SMALL = {"conv": {"kernel": "a", "bias": "a"}, "neuron": {"raw_decay": "b", "scale": "b"}}
ONE_UPDATE_A_BATCH = {
    "sgd": optax.sgd(0.1),
    "momentum": MOMENTUM,
    "nesterov": optax.sgd(0.1, 0.9, nesterov=True),
    "adam": optax.adam(0.1),
    "nadamw": optax.nadamw(0.1),
    "adamw": optax.adamw(0.1, weight_decay=0.1),
    "amsgrad": optax.amsgrad(0.1),
    "adabelief": optax.adabelief(0.1),
    "adagrad": optax.adagrad(0.1),
    "adafactor": optax.adafactor(0.1),
    "adafactor that factors": optax.multi_transform(
        {"a": optax.adafactor(0.1, min_dim_size_to_factor=2), "b": MOMENTUM}, SMALL
    ),
    "lamb": optax.lamb(0.1),
    "lars": optax.lars(0.1),
    "lion": optax.lion(0.1),
    "novograd": optax.novograd(0.1),
    "rmsprop": optax.rmsprop(0.1, momentum=0.9),
    "rprop": optax.rprop(0.1),
    "yogi": optax.yogi(0.1),
    "schedule free": optax.contrib.schedule_free_sgd(0.1),
    "prodigy": optax.contrib.prodigy(),
    "muon": optax.contrib.muon(0.1),
    "noise": optax.chain(optax.add_noise(0.1, 0.5, 0), MOMENTUM),
    "ema": optax.chain(optax.ema(0.9), optax.scale(-0.1)),
    "clipped": optax.chain(optax.clip_by_global_norm(1.0), optax.adaptive_grad_clip(0.5), MOMENTUM),
    "injected": optax.inject_hyperparams(optax.adamw)(learning_rate=optax.exponential_decay(0.1, 1, 0.9)),
    "masked": optax.masked(MOMENTUM, jax.tree.map(lambda _: True, PARAMS)),
    "partly masked": optax.chain(optax.masked(optax.trace(0.9), KERNELS), optax.scale(-0.1)),
    "multi_transform": optax.multi_transform({"a": MOMENTUM, "b": optax.adam(0.1)}, PARTITION),
    "by a function": optax.multi_transform(
        {"matrices": MOMENTUM, "others": optax.rmsprop(0.1)},
        lambda params: jax.tree.map(lambda leaf: "matrices" if leaf.ndim > 1 else "others", params),
    ),
    "chain": optax.chain(optax.masked(optax.trace(0.9), KERNELS), optax.adamw(0.1)),
    "nested": optax.apply_if_finite(optax.multi_transform({"a": MOMENTUM, "b": MOMENTUM}, PARTITION), 3),
    "named": optax.named_chain(("first", optax.trace(0.9)), ("second", optax.scale(-0.1))),
}
COLLECTING = {
    "MultiSteps": optax.MultiSteps(optax.adamw(0.1, weight_decay=0.1), 2),
    "MultiSteps within": optax.chain(optax.MultiSteps(MOMENTUM, 2).gradient_transformation(), optax.scale(0.5)),
    "MultiSteps of a partition": optax.MultiSteps(
        optax.multi_transform({"a": MOMENTUM, "b": optax.adam(0.1)}, PARTITION), 2
    ),
    "apply_every": optax.chain(optax.apply_every(2), optax.scale(-0.1)),
}


def random_grads(seed, learned):
    """As an online rule gives them: generic, and zero at the per-step entries of other steps."""
    grads = perturbed(jax.tree.map(jnp.zeros_like, PARAMS), seed, scale=1.0)
    neuron = {name: jnp.where(learned.reshape(-1, *[1] * (g.ndim - 1)), g, 0) for name, g in grads["neuron"].items()}
    return grads | {"neuron": neuron}


def run(optimizer, seeds_and_steps, **extra):
    """Parameters and states before the first update and after each."""
    params = perturbed(PARAMS, 9)
    state = optimizer.init(params)
    history = [(params, state)]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for seed, learned in seeds_and_steps:
            given = {"learned": learned} if extra else {}
            updates, state = jax.jit(optimizer.update)(random_grads(seed, learned), state, params, **given)
            params = optax.apply_updates(params, updates)
            history.append((params, state))
    return history


def still(new, old, steps):
    """Whether the entries of other steps are bit for bit what they were, in all arrays by time."""
    for after, before in zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True):
        if jnp.ndim(after) and after.shape[0] == 4 and after.shape != (4, 1, 2):
            np.testing.assert_array_equal(np.asarray(after)[~steps], np.asarray(before)[~steps])


@pytest.mark.parametrize("name", ONE_UPDATE_A_BATCH)
def test_nothing_of_steps_that_did_not_learn_moves_whatever_the_rule(name):
    """After a batch that taught all, so that all moments are full."""
    everything = np.ones(4, bool)
    taught = [everything, np.arange(4) == 1, np.array([True, False, False, True])]
    history = run(only_learned_steps(ONE_UPDATE_A_BATCH[name], PER_STEP), enumerate(map(jnp.asarray, taught)), masked=1)
    for ((before, old), (after, new)), learned in zip(itertools.pairwise(history), taught, strict=True):
        still((after["neuron"], new), (before["neuron"], old), learned)
        for leaf in ("raw_decay", "scale"):
            moved = np.asarray(after["neuron"][leaf] != before["neuron"][leaf])[learned]
            assert np.all(moved) or name == "rprop", leaf  # which stays where a sign has changed
        assert jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, old)


@pytest.mark.parametrize("name", ONE_UPDATE_A_BATCH | COLLECTING)
def test_with_all_steps_learned_every_rule_is_the_plain_one(name):
    rule = (ONE_UPDATE_A_BATCH | COLLECTING)[name]
    batches = [(seed, jnp.ones(4, bool)) for seed in range(4)]
    plain, masked = run(rule, batches), run(only_learned_steps(rule, PER_STEP), batches, masked=1)
    for (expected, _), (got, _) in zip(plain, masked, strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), got, expected)


@pytest.mark.parametrize("name", COLLECTING)
def test_a_rule_that_collects_moves_the_steps_of_all_its_batches(name):
    """Two batches an update: first steps 1 and 3, then step 1 twice."""
    rule = COLLECTING[name]
    batches = [(seed, jnp.arange(4) == step) for seed, step in enumerate((1, 3, 1, 1))]
    masked, plain = run(only_learned_steps(rule, PER_STEP), batches, masked=1), run(rule, batches)
    params = [params for params, _ in masked]
    jax.tree.map(np.testing.assert_array_equal, params[1], params[0])  # nothing before the update
    first, steps = np.array([False, True, False, True]), np.arange(4)
    for leaf in ("raw_decay", "scale"):
        got, expected = np.asarray(params[2]["neuron"][leaf]), np.asarray(plain[2][0]["neuron"][leaf])
        np.testing.assert_allclose(got[first], expected[first], rtol=1e-6)
        assert np.all(got[first] != np.asarray(params[0]["neuron"][leaf])[first])
    still((params[2]["neuron"], masked[2][1].inner), (params[0]["neuron"], masked[0][1].inner), first)
    still((params[4]["neuron"], masked[4][1].inner), (params[2]["neuron"], masked[2][1].inner), steps == 1)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), params[4]["conv"], plain[4][0]["conv"])


SLOW = optax.MultiSteps(MOMENTUM, 3).gradient_transformation()
COLLECTING_ELSEWHERE = {  # than the per-step parameters, and how many batches those collect
    "multi_transform": (optax.multi_transform({"a": SLOW, "b": MOMENTUM}, SMALL), 1),
    "masked": (optax.chain(optax.masked(SLOW, jax.tree.map(lambda by_time: not by_time, PER_STEP)), MOMENTUM), 1),
    "other periods": (
        optax.multi_transform({"a": SLOW, "b": optax.MultiSteps(MOMENTUM, 2).gradient_transformation()}, SMALL),
        2,
    ),
}


@pytest.mark.parametrize("name", COLLECTING_ELSEWHERE)
def test_what_collects_the_gradients_of_other_parameters_does_not_concern_these(name):
    rule, period = COLLECTING_ELSEWHERE[name]
    taught = [np.ones(4, bool)] * 6 + [np.arange(4) == step for step in (1, 3, 1, 2, 0, 1)]
    history = run(only_learned_steps(rule, PER_STEP), enumerate(map(jnp.asarray, taught)), masked=1)
    for start in range(6, len(taught), period):
        (before, _), (after, _) = history[start], history[start + period]
        learned = np.any(taught[start : start + period], 0)
        for leaf in ("raw_decay", "scale"):
            moved = np.asarray(after["neuron"][leaf] != before["neuron"][leaf])
            np.testing.assert_array_equal(moved.reshape(4, -1).any(1), learned, leaf)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (optax.lookahead(MOMENTUM, 2, 0.5), r"optax\.lookahead keeps two sets of parameters"),
        (optax.flatten(optax.adam(0.1)), "does not tell which of its arrays are of which parameter"),
        (optax.sm3(0.1), "does not tell which of its arrays are of which parameter"),
        (optax.lbfgs(), "does not tell which of its arrays are of which parameter"),
        (
            optax.adafactor(0.1, min_dim_size_to_factor=2),
            r"keeps an array \[\d\] of a per-step parameter \[4, 2\], not",
        ),
    ],
    ids=["lookahead", "flatten", "sm3", "lbfgs", "factored"],
)
@pytest.mark.filterwarnings("ignore")
def test_a_rule_whose_memory_is_not_by_time_is_refused_by_name(rule, message):
    with pytest.raises(ValueError, match=message + ".*give the per-step parameters another"):
        only_learned_steps(rule, PER_STEP).init(PARAMS)
    elsewhere = only_learned_steps(rule, jax.tree.map(lambda _: False, PER_STEP))
    jax.tree.map(np.testing.assert_array_equal, elsewhere.init(PARAMS), rule.init(PARAMS))


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
