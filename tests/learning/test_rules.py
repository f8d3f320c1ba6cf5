"""What every learning rule keeps; a new one of `hdlif_jax.learning` is found here by itself."""

import dataclasses
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning, losses, nn
from hdlif_jax.learning import Batch, Learner
from tests.conftest import cross_entropy, perturbed
from tests.learning.test_online import relative_difference
from tests.nn.own import features


def made(kind):
    """A rule with what it cannot do without."""
    if kind is not learning.layer_local:
        return kind()
    model = features(*layers(nn.relu(), nn.relu()), num_steps=1)
    return kind(learning.Teacher(model, nn.variables_of(model)))


def layers(first, second):
    rngs = nnx.Rngs(0)
    return nn.BatchNorm(5), nn.Linear(5, 6, rngs=rngs), first, nn.Linear(6, 6, rngs=rngs), second


RULES = {
    name: made(kind)
    for name, kind in ((name, getattr(learning, name)) for name in learning.__all__)
    if dataclasses.is_dataclass(kind) and hasattr(kind, "updates_per_batch")
}
GRADIENT_RULES = {name: rule for name, rule in RULES.items() if isinstance(rule, learning.GradientRule)}
EACH = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
EACH_OF_ONE_GRADIENT = pytest.mark.parametrize("rule", GRADIENT_RULES.values(), ids=GRADIENT_RULES)
BATCH = Batch(jax.random.normal(jax.random.key(1), (7, 5)), jnp.arange(7) % 3)


def setup(rule=None, *, num_steps=4, form=nn.training_form):
    second = nn.hd_lif() if isinstance(rule, learning.traced) else nn.mem_bn()  # which has no leak for a trace
    model = features(*layers(nn.hd_lif(), second), num_steps=num_steps)
    return form(model), perturbed(nn.variables_of(model), scale=0.05)


def descend(grads, count, params, learned):
    """Plain gradient descent; the state of the optimiser is the number of updates and who learned."""
    number, seen = count
    params = jax.tree.map(lambda param, grad: param - 0.1 * grad, params, grads)
    return params, (number + 1, seen + learned.astype(seen.dtype))


def learn(rule, network, variables, loss=cross_entropy, batch=BATCH):
    learner = Learner(variables, (jnp.int32(0), jnp.zeros(network.num_steps, jnp.int32)))
    step = jax.jit(lambda learner, key: rule(network, loss, descend, learner, batch, key))
    return step(learner, jax.random.key(3))


@functools.cache
def learned_by(rule):
    """A network, its variables, and what the rule made of them."""
    network, variables = setup(rule)
    return network, variables, learn(rule, network, variables)


def test_these_are_the_rules():
    assert RULES.keys() == {"accumulate", "every_step", "layer_local", "random_k", "random_step", "stbp", "traced"}
    assert GRADIENT_RULES.keys() == RULES.keys() - {"every_step", "traced"}


@EACH
def test_rules_are_values(rule):
    assert rule == dataclasses.replace(rule)
    assert hash(rule) == hash(dataclasses.replace(rule))
    assert repr(rule).startswith(f"{type(rule).__name__}(")
    with pytest.raises(dataclasses.FrozenInstanceError):
        rule.k = 3


def test_rules_have_one_signature():
    for names in (
        {tuple(inspect.signature(rule.__call__).parameters) for rule in RULES.values()},
        {tuple(inspect.signature(rule.updates_per_batch).parameters) for rule in RULES.values()},
        {tuple(inspect.signature(rule.gradient).parameters) for rule in GRADIENT_RULES.values()},
    ):
        assert len(names) == 1


@EACH
def test_a_rule_learns_a_batch(rule):
    _, variables, (learner, learned) = learned_by(rule)
    updates, taught = learner.opt_state
    assert updates == rule.updates_per_batch(4)
    np.testing.assert_array_equal(taught > 0, learned.steps)
    assert learned.steps.shape == (4,)
    assert learned.loss.shape == ()
    assert np.isfinite(learned.loss)
    assert learned.logits.shape == (7, 3)
    assert jax.tree.structure(learner.variables) == jax.tree.structure(variables)
    assert not np.allclose(learner.variables.params["layers"][3]["kernel"], variables.params["layers"][3]["kernel"])
    assert not np.allclose(learner.variables.batch_stats["layers"][0]["var"], variables.batch_stats["layers"][0]["var"])


@EACH_OF_ONE_GRADIENT
def test_a_rule_of_one_gradient_is_its_gradient_and_an_update(rule):
    network, variables, (learner, learned) = learned_by(rule)
    gradient = jax.jit(lambda variables, key: rule.gradient(network, cross_entropy, variables, BATCH, key))(
        variables, jax.random.key(3)
    )
    expected, _ = descend(gradient.grads, (0, gradient.learned), variables.params, gradient.learned)
    assert relative_difference(learner.variables, nn.Variables(expected, gradient.batch_stats)) < 1e-5
    np.testing.assert_array_equal(learned.steps, gradient.learned)
    number = 1 if isinstance(rule, learning.layer_local) else np.sum(gradient.learned, dtype=np.float32)  # of losses
    np.testing.assert_allclose(learned.loss, gradient.loss / number, rtol=1e-6)
    np.testing.assert_allclose(learned.logits, gradient.logits, rtol=1e-6)


def test_with_a_single_step_all_rules_are_one():
    """Online equals STBP at T = 1, also for the rule that updates after each step."""
    rules = {name: rule for name, rule in RULES.items() if name != "layer_local"}  # which has another loss
    rules |= {"random_k": learning.random_k(1), "in segments": learning.stbp(segment=1)}
    rules |= {"layerwise": learning.stbp(layerwise=True), "detached": learning.stbp(detach=True)}
    networks = [setup(None, num_steps=1), setup(learning.traced(), num_steps=1)]
    full = [learn(learning.stbp(), *network) for network in networks]
    for name, rule in rules.items():
        has_leaks = isinstance(rule, learning.traced)
        (network, variables), (expected, expected_learned) = networks[has_leaks], full[has_leaks]
        learner, learned = learn(rule, network, variables)
        assert relative_difference(learner.variables, expected.variables) < 1e-5, name
        np.testing.assert_allclose(learned.loss, expected_learned.loss, rtol=1e-6, err_msg=name)
        assert learned.steps.all()


@EACH
def test_a_network_in_inference_form_does_not_learn(rule):
    network, variables = setup(rule, form=nn.inference_form)
    with pytest.raises(ValueError, match="the network is in inference form; learn with nn") as caught:
        learn(rule, network, variables)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rule", [learning.random_step(), learning.random_k(2)], ids=repr)
def test_rules_that_draw_need_a_key(rule):
    network, variables = setup(rule)
    message = f"{type(rule).__name__} draws its time-steps; give it a key"
    with pytest.raises(ValueError, match=message):
        rule.gradient(network, cross_entropy, variables, BATCH)
    with pytest.raises(ValueError, match=message):
        rule(network, cross_entropy, descend, Learner(variables, ()), BATCH, None)


@pytest.mark.parametrize("rule", [learning.accumulate(), learning.stbp()], ids=["accumulate", "stbp"])
def test_rules_that_draw_nothing_need_none_and_do_not_depend_on_it(rule):
    network, variables = setup(rule)
    without, with_key = (
        jax.jit(lambda variables, key=key: rule.gradient(network, cross_entropy, variables, BATCH, key))(variables)
        for key in (None, jax.random.key(7))
    )
    jax.tree.map(np.testing.assert_array_equal, without, with_key)


@pytest.mark.parametrize("rule", [rule for name, rule in RULES.items() if name != "stbp"], ids=repr)
def test_online_rules_refuse_losses_of_the_whole_sequence(rule):
    network, variables = setup(rule)
    message = r"learns from single time-steps, and of_mean_output\(cross_entropy.*use a step loss such as"
    with pytest.raises(TypeError, match=message) as caught:
        learn(rule, network, variables, losses.of_mean_output(losses.cross_entropy()))
    assert "\n" not in str(caught.value)


@EACH
def test_labels_that_do_not_fit_are_refused(rule):
    network, variables = setup(rule)
    with pytest.raises(ValueError, match=r"labels have shape \(5,\); expected \(7,\) integers or \(7, 3\)"):
        learn(rule, network, variables, batch=Batch(BATCH.inputs, jnp.zeros(5, jnp.int32)))


@EACH
def test_inputs_that_do_not_fit_are_refused(rule):
    network, variables = setup(rule)
    with pytest.raises(ValueError, match=r"inputs have shape \(7, 4\); expected \[B, 5\]"):
        learn(rule, network, variables, batch=Batch(jnp.zeros((7, 4)), BATCH.labels))


@EACH
def test_labels_may_be_distributions(rule):
    network, variables = setup(rule, num_steps=2)
    loss = losses.cross_entropy()
    integers, _ = learn(rule, network, variables, loss)
    distributions, _ = learn(rule, network, variables, loss, Batch(BATCH.inputs, jax.nn.one_hot(BATCH.labels, 3)))
    assert relative_difference(distributions.variables, integers.variables) < 1e-5


@dataclasses.dataclass(frozen=True)
class last_step(learning.GradientRule):  # noqa: N801
    """A rule of one's own: only the last step teaches."""

    def gradient(self, network, loss, variables, batch, key=None):
        steps = jnp.array([network.num_steps - 1])
        return learning.gradient_at_steps(network, loss, variables, batch, steps, key=key)


def test_an_own_gradient_is_a_rule():
    network, variables = setup()
    learner, learned = learn(last_step(), network, variables)
    np.testing.assert_array_equal(learned.steps, [False, False, False, True])
    updates, taught = learner.opt_state
    assert updates == 1
    np.testing.assert_array_equal(taught, [0, 0, 0, 1])
    neuron = learner.variables.params["layers"][2]["raw_threshold"]
    np.testing.assert_array_equal(neuron[:3], variables.params["layers"][2]["raw_threshold"][:3])


def test_a_rule_without_a_gradient_says_what_to_write():
    class Empty(learning.GradientRule):
        pass

    network, variables = setup()
    with pytest.raises(TypeError, match=r"Empty has no gradient\(network, loss, variables, batch, key\); write it"):
        learn(Empty(), network, variables)
