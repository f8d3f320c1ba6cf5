import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import learning, nn
from hdlif_jax.learning import Batch
from hdlif_jax.nn import Tick
from tests.conftest import cross_entropy, perturbed, small_network

FAMILIES = [
    {},
    {"neuron": "mem-bn", "parallel": False, "attention": "seca-2", "weights": "binary"},
    {"neuron": "lif", "weights": "float"},
]


def relative_difference(got, expected):
    """Largest difference of any leaf, relative to the largest entry of that leaf.

    A leaf whose entries are all below a thousandth of the largest of the tree is a sum that cancels, whose rounding is
    measured by that thousandth.
    """
    floor = 1e-3 * max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(expected)) + 1e-12

    def difference(a, b):
        return float(jnp.max(jnp.abs(a - b))) / max(float(jnp.max(jnp.abs(b))), floor)

    return max(jax.tree.leaves(jax.tree.map(difference, got, expected)))


def setup(**options):
    model = small_network(widths=(4,), **options)
    return nn.training_form(model), perturbed(nn.variables_of(model), scale=0.05)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("images", FAMILIES[0]),
        ("events", FAMILIES[1]),
        ("images", FAMILIES[2]),
        pytest.param("events", FAMILIES[0], marks=pytest.mark.slow),
        pytest.param("images", FAMILIES[1], marks=pytest.mark.slow),
        pytest.param("events", FAMILIES[2], marks=pytest.mark.slow),
    ],
)
def test_accumulate_equals_the_gradient_of_a_detached_scan(kind, options, labels, request):
    inputs = request.getfixturevalue(kind)
    network, variables = setup(**options)
    got, oracle = (
        jax.jit(lambda v, rule=rule: rule.gradient(network, cross_entropy, v, Batch(inputs, labels)))(variables)
        for rule in (learning.accumulate(), learning.stbp(detach=True))
    )
    assert relative_difference(got.grads, oracle.grads) < 1e-4
    assert relative_difference(got.batch_stats, oracle.batch_stats) < 1e-5
    np.testing.assert_allclose(got.loss, oracle.loss, rtol=1e-5)
    np.testing.assert_allclose(got.logits, oracle.logits, atol=1e-4)
    assert got.learned.all()


def test_the_rolled_and_the_unrolled_loop_agree(images, labels):
    network, variables = setup()
    rolled, unrolled = (
        jax.jit(lambda v, rule=rule: rule.gradient(network, cross_entropy, v, Batch(images, labels)).grads)(variables)
        for rule in (learning.accumulate(unroll=False), learning.accumulate(unroll=True))
    )
    assert relative_difference(rolled, unrolled) < 1e-4


@pytest.mark.parametrize("options", FAMILIES)
def test_online_equals_stbp_when_there_is_one_step(options, images, labels, key):
    network, variables = setup(num_steps=1, seed=1, **options)  # a seed without a sum that cancels to nearly nothing
    online, full = (
        jax.jit(lambda v, rule=rule: rule.gradient(network, cross_entropy, v, Batch(images, labels), key))(variables)
        for rule in (learning.random_step(), learning.stbp())
    )
    assert relative_difference(online.grads, full.grads) < 1e-4
    np.testing.assert_allclose(online.loss, full.loss, rtol=1e-6)


def test_stbp_differs_from_online_when_there_are_more(images, labels):
    network, variables = setup(neuron="lif")
    online, full = (
        jax.jit(lambda v, rule=rule: rule.gradient(network, cross_entropy, v, Batch(images, labels)))(variables)
        for rule in (learning.accumulate(), learning.stbp())
    )
    assert relative_difference(online.grads, full.grads) > 0.01


@pytest.mark.parametrize("t", range(4))
def test_a_random_step_is_that_term_of_the_sum(t, images, labels):
    """The step's loss alone, differentiated through a loop whose state is cut, gives the same gradient."""
    network, variables = setup()

    def loss_of_step(params):
        quantized = network.quantize(params)
        current, stats = network.encode(quantized, variables.batch_stats, images)
        state = None
        for step in range(t + 1):
            state, logits, stats, _ = network.step(quantized, stats, jax.lax.stop_gradient(state), current, Tick(step))
        return cross_entropy(logits, labels)

    got = learning.gradient_at_steps(network, cross_entropy, variables, Batch(images, labels), jnp.array([t]))
    loss, expected = jax.value_and_grad(loss_of_step)(variables.params)
    assert relative_difference(got.grads, expected) < 1e-4
    np.testing.assert_allclose(got.loss, loss, rtol=1e-5)
    np.testing.assert_array_equal(got.learned, np.arange(4) == t)


def test_per_step_parameters_of_other_steps_have_gradients_of_exactly_zero(images, labels):
    network, variables = setup(neuron="mem-bn", parallel=False)
    grads = learning.gradient_at_steps(network, cross_entropy, variables, Batch(images, labels), jnp.array([2])).grads
    for by_time, grad in zip(jax.tree.leaves(network.per_step), jax.tree.leaves(grads), strict=True):
        if by_time:
            np.testing.assert_array_equal(jnp.delete(grad, 2, axis=0), 0)
    neuron = grads["blocks"][0]["neuron1"]
    assert all(np.any(grad[2] != 0) for grad in neuron.values())


def test_random_k_sums_k_different_steps(images, labels, key):
    network, variables = setup()
    got = learning.random_k(2).gradient(network, cross_entropy, variables, Batch(images, labels), key)
    steps = jnp.flatnonzero(got.learned)
    assert steps.shape == (2,)
    expected = learning.gradient_at_steps(network, cross_entropy, variables, Batch(images, labels), steps)
    jax.tree.map(np.testing.assert_array_equal, got.grads, expected.grads)


def test_random_k_of_all_steps_is_accumulate(images, labels, key):
    network, variables = setup()
    got = learning.random_k(4).gradient(network, cross_entropy, variables, Batch(images, labels), key)
    expected = learning.accumulate().gradient(network, cross_entropy, variables, Batch(images, labels))
    assert relative_difference(got.grads, expected.grads) < 1e-4


def test_without_an_early_stop_later_steps_move_the_statistics_alone(images, labels, key):
    network, variables = setup(neuron="mem-bn", parallel=False)
    batch = Batch(images, labels)
    early, late, full = (
        jax.jit(lambda v, rule=rule: rule.gradient(network, cross_entropy, v, batch, key))(variables)
        for rule in (learning.random_k(1), learning.random_k(1, early_stop=False), learning.accumulate())
    )
    assert not early.learned[3]
    jax.tree.map(np.testing.assert_array_equal, early.grads, late.grads)
    np.testing.assert_array_equal(early.learned, late.learned)
    assert relative_difference(late.batch_stats, full.batch_stats) < 1e-5
    assert relative_difference(early.batch_stats, full.batch_stats) > 1e-3


def test_every_step_of_the_unit_interval_is_drawn():
    network, _ = setup()
    draw = jax.jit(jax.vmap(lambda key: jax.random.randint(key, (1,), 0, network.num_steps)[0]))
    counts = np.bincount(draw(jax.random.split(jax.random.key(0), 4000)), minlength=4)
    np.testing.assert_allclose(counts / 4000, 0.25, atol=0.03)


def test_other_steps_do_not_recompile(images, labels):
    network, variables = setup()

    @jax.jit
    @chex.assert_max_traces(1)
    def gradient(variables, key):
        return learning.random_step().gradient(network, cross_entropy, variables, Batch(images, labels), key).learned

    learned = {tuple(np.asarray(gradient(variables, jax.random.key(seed)))) for seed in range(8)}
    assert len(learned) > 1


def temp_bytes(rule, num_steps, batch_size=32):
    network, variables = setup(num_steps=num_steps)
    batch, key = Batch(jnp.zeros((batch_size, 6, 6, 2)), jnp.zeros(batch_size, jnp.int32)), jax.random.key(0)
    compiled = jax.jit(lambda v: rule(network, cross_entropy, v, batch, key)).lower(variables).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def every_step(network, loss, variables, batch, key):
    def update(grads, opt_state, params, learned):
        return jax.tree.map(jnp.subtract, params, grads), opt_state

    return learning.every_step(unroll=False)(network, loss, update, learning.Learner(variables, ()), batch, key)


@pytest.mark.parametrize(
    "rule",
    [
        learning.random_step().gradient,
        learning.random_k(2).gradient,
        learning.accumulate(unroll=False).gradient,
        every_step,
    ],
    ids=["random_step", "random_k", "accumulate", "every_step"],
)
def test_memory_of_the_online_rules_does_not_depend_on_the_number_of_steps(rule):
    assert temp_bytes(rule, 64) <= 1.05 * temp_bytes(rule, 4)


@pytest.mark.slow
def test_memory_stays_flat_when_unrolled():
    unrolled = learning.accumulate(unroll=True).gradient
    assert temp_bytes(unrolled, 12, 128) <= 1.05 * temp_bytes(unrolled, 4, 128)


def test_memory_of_stbp_and_of_the_detached_scan_grows():
    for detach in (False, True):
        rule = learning.stbp(detach=detach, unroll=False).gradient
        assert temp_bytes(rule, 64) > 4 * temp_bytes(rule, 4)


def test_k_out_of_range(images, labels, key):
    network, variables = setup()
    with pytest.raises(ValueError, match="k=0 must be at least 1"):
        learning.random_k(0)
    with pytest.raises(ValueError, match="k=5 random steps of 4"):
        learning.random_k(5).gradient(network, cross_entropy, variables, Batch(images, labels), key)


def test_labels_that_do_not_fit(images, key):
    network, variables = setup()
    batch = Batch(images, jnp.zeros(5, jnp.int32))
    with pytest.raises(ValueError, match=r"labels have shape \(5,\)"):
        learning.random_step().gradient(network, cross_entropy, variables, batch, key)
