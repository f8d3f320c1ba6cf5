"""Which parameters a rule does not reach is found out from the traced step, and said once."""

import functools

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

from hdlif_jax import learning, losses, nn, training
from hdlif_jax.learning import Batch
from hdlif_jax.training.reach import unreached
from tests.nn.own import SlowCell

B, F, K, T = 4, 5, 2, 3
BATCH = Batch(jax.random.normal(jax.random.key(1), (B, F)), jnp.arange(B) % K)
CLIPPED = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, 0.9))  # every update depends on all gradients
STRENGTH = "layers.1.raw_strength"
RULES = [
    learning.random_step(),
    learning.random_k(2),
    learning.accumulate(),
    learning.accumulate(unroll=False),
    learning.every_step(),
    learning.every_step(unroll=False),
    learning.stbp(),
    learning.stbp(unroll=False),
    learning.stbp(segment=1),
    learning.stbp(layerwise=True),
    learning.stbp(detach=True),
]


def network(neuron, num_steps=T):
    return nn.mlp((F,), K, widths=(4,), spec=nn.Spec(num_steps, neuron), rngs=nnx.Rngs(0))


def lost_under(rule, model):
    step = training.make_train_step(nn.training_form(model), rule, losses.cross_entropy(), CLIPPED)
    return unreached(jax.make_jaxpr(step)(training.initial_state(model, CLIPPED), BATCH))


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_what_acts_through_the_state_alone_is_lost_to_online_rules_and_nothing_else_is(rule):
    full = isinstance(rule, learning.stbp) and not rule.detach
    assert lost_under(rule, network(SlowCell)) == ([] if full else [STRENGTH])
    for neuron in (nn.lif(), nn.hd_lif(), nn.mem_bn(), nn.parallel(), nn.adaptive_lif()):
        assert lost_under(rule, network(neuron)) == []


@pytest.mark.parametrize("rule", [learning.traced(), learning.traced(learning.every_step(unroll=False))], ids=repr)
def test_traces_reach_what_their_rules_reach(rule):
    for neuron in (nn.lif(), nn.hd_lif(), nn.parallel()):
        assert lost_under(rule, network(neuron)) == []


@pytest.mark.parametrize("online", [False, True])
def test_layer_local_rules_reach_all_layers(online):
    teacher = network(nn.relu(), num_steps=1)
    rule = learning.layer_local(learning.Teacher(teacher, nn.variables_of(teacher)), online=online)
    assert lost_under(rule, network(nn.lif())) == []


def test_it_agrees_with_the_gradients_themselves():
    """Of generic values: what is not zero by construction is not zero."""
    model = network(SlowCell)
    for rule in (learning.accumulate(), learning.stbp()):
        learn = jax.jit(functools.partial(rule.gradient, nn.training_form(model), losses.cross_entropy()))
        found = learn(nn.variables_of(model), BATCH)
        zero = {
            jax.tree_util.keystr(path, simple=True, separator=".")
            for path, leaf in jax.tree.leaves_with_path(found.grads)
            if not jnp.any(leaf != 0)
        }
        assert zero == set(lost_under(rule, model))


def test_the_first_step_says_which_rule_would_reach_them_and_the_next_say_nothing():
    learner, step = training.start(network(SlowCell), learning.random_step(), losses.cross_entropy(), CLIPPED)
    message = rf"{STRENGTH} get no gradient under random_step\(\), as they act through .*; learning.stbp\(\) reaches"
    with pytest.warns(training.UnreachedParameters, match=message) as caught:
        learner, _ = step(learner, BATCH)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    step(learner, BATCH)


class Unused(nn.Sequential):
    def __init__(self, *layers, **options):
        super().__init__(*layers, **options)
        self.idle = nn.Linear(3, 3, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("rule", [learning.random_step(), learning.stbp()], ids=repr)
def test_what_nothing_reads_is_said_to_be_beyond_every_rule(rule):
    rngs = nnx.Rngs(0)
    layers = nn.Linear(F, 4, rngs=rngs), nn.hd_lif(), nn.Linear(4, K, rngs=rngs)
    learner, step = training.start(
        Unused(*layers, num_steps=T, input_shape=(F,)), rule, losses.cross_entropy(), CLIPPED
    )
    with pytest.warns(training.UnreachedParameters, match=r"idle.bias, idle.kernel get no gradient under any rule"):
        step(learner, BATCH)


def test_what_an_optimiser_freezes_is_the_user_s_business():
    frozen = optax.multi_transform({"on": optax.sgd(0.1), "off": optax.set_to_zero()}, lambda params: "off")
    learner, step = training.start(network(nn.hd_lif()), learning.random_step(), losses.cross_entropy(), frozen)
    after, _ = step(learner, BATCH)
    chex.assert_trees_all_equal(after.params, learner.params)


def test_the_step_is_traced_once():
    traces = []

    def loss(logits, labels):
        traces.append(logits)
        return losses.cross_entropy()(logits, labels)

    learner, step = training.start(network(nn.hd_lif()), learning.random_step(), loss, CLIPPED)
    for _ in range(2):
        learner, _ = step(learner, BATCH)
    assert len(traces) == 1
