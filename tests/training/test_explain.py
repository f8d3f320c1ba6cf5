"""A loss that is not finite is explained: by labels, inputs, parameters, or the first layer whose values are not."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hdlif_jax import learning, losses, nn, training
from hdlif_jax.learning import Batch
from tests.nn.own import features

X, LABELS = jax.random.normal(jax.random.key(0), (6, 5)), jnp.arange(6) % 3


class Root(nnx.Module):
    """A layer of one's own, which is not finite below −1."""

    def __call__(self, x):
        return jnp.sqrt(x + 1)


def model_of(*layers):
    return features(nn.Linear(5, 6, rngs=nnx.Rngs(0)), *layers, num_steps=4)


def explained(model, inputs=X, labels=LABELS, variables=None):
    return training.explain_non_finite(model, variables or nn.variables_of(model), Batch(inputs, labels))


def test_labels_of_no_class():
    assert explained(model_of(nn.hd_lif()), labels=LABELS + 1) == "labels are 1 to 3, and the classes 0 to 2"
    shares = jax.nn.one_hot(LABELS, 3).at[1, 2].set(jnp.nan)
    assert explained(model_of(nn.hd_lif()), labels=shares) == "1 of 18 shares of the labels are not finite"


def test_inputs_that_are_not_finite():
    inputs = jnp.clip(X, -1, 1).at[2, 3].set(jnp.inf).at[0].set(-2.0)
    assert explained(model_of(nn.hd_lif()), inputs) == "1 of 30 inputs are not finite, the others -2 to 1"


def test_parameters_that_are_not_finite():
    model = model_of(nn.BatchNorm(6), nn.hd_lif())
    variables = nn.variables_of(model)
    variables.params["layers"][2]["raw_decay"] = jnp.array([0.0, jnp.nan, 0.0, 0.0])
    assert explained(model, variables=variables) == "the parameters layers.2.raw_decay are not finite"
    everything = jax.tree.map(lambda leaf: leaf * jnp.nan, variables)
    assert " more are not finite; the statistics layers.1.mean, layers.1.var" in explained(model, variables=everything)


@pytest.mark.parametrize("late", [False, True])
def test_the_first_layer_and_step(late):
    """Of a static input at the first step, of a recording when it comes."""
    inputs = jnp.stack([jnp.zeros_like(X), jnp.zeros_like(X), 9 * X, X]) if late else 9 * X
    found = explained(model_of(Root(), nn.hd_lif()), inputs)
    assert found == f"layers.1 (Root) gives the first values that are not finite, at time-step {2 if late else 0}"


def test_where_all_is_finite_it_says_so():
    found = explained(model_of(nn.hd_lif()), jnp.clip(X, -1, 1).at[0, 0].set(1.0).at[0, 1].set(-1.0))
    assert found == (
        "labels (0 to 2), inputs (-1 to 1) and the values of all layers are finite, so that the loss itself or its "
        "gradient overflows"
    )


def start(preprocess=training.steps.no_preprocess, loss=losses.cross_entropy()):
    model = model_of(nn.hd_lif())
    return training.start(model, learning.random_step(), loss, optax.sgd(0.1), preprocess=preprocess)


@pytest.mark.parametrize("convert", [np.asarray, jnp.asarray])
def test_labels_of_no_class_are_refused_before_the_step_where_they_are_at_hand(convert):
    learner, step = start()
    for labels, message in ((LABELS + 1, "label 3 at place 2 of"), (LABELS - 1, "label -1 at place 0 of")):
        with pytest.raises(ValueError, match=f"{message} the batch is no class of 3; labels are integers from 0 to 2"):
            step(learner, (X, jax.block_until_ready(convert(labels))))
    step(learner, (X, convert(LABELS)))
    with pytest.raises(TypeError, match="labels are float32; give integers"):
        step(learner, (X, convert(LABELS).astype(np.float32)))


@pytest.mark.parametrize("rule", [learning.random_step(), learning.every_step(), learning.stbp()], ids=repr)
def test_else_the_loss_is_nan_under_every_rule_and_loss(rule):
    """Not the loss of labels that are nothing: JAX's one_hot is zeros there."""
    model = model_of(nn.hd_lif())
    network, learner = nn.training_form(model), learning.Learner(nn.variables_of(model), ())
    for loss in (losses.cross_entropy(0.1), losses.mean_squared_error()):

        @jax.jit
        def learned(labels, loss=loss):
            return rule(network, loss, lambda g, s, p, t: (p, s), learner, Batch(X, labels), jax.random.key(0))[1]

        assert jnp.isfinite(learned(LABELS).loss)
        for labels in (LABELS + 1, LABELS - 1):
            assert jnp.isnan(learned(labels).loss)


def test_mixed_labels_of_no_class_are_nan():
    preprocess = training.make_preprocess((0.5,), (0.5,), 3, augmentation=training.Augmentation(mixup=0.2))
    mix = jax.jit(lambda labels: preprocess(jax.random.key(0), jnp.zeros((6, 4, 4, 1), jnp.uint8), labels)[1])
    assert jnp.all(jnp.isfinite(mix(LABELS)))
    assert jnp.any(jnp.isnan(mix(LABELS + 1)))
