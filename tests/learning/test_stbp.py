import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning, nn
from hdlif_jax.learning import Batch
from tests.conftest import cross_entropy, perturbed, small_network
from tests.learning import test_rules
from tests.learning.test_online import relative_difference, setup, temp_bytes
from tests.nn.own import features, synaptic


@pytest.mark.parametrize("shape", [(7, 5), (4, 7, 5)])
def test_segments_change_nothing_but_memory(shape):
    network, variables = test_rules.setup()
    batch = Batch(jax.random.normal(jax.random.key(2), shape), jnp.arange(7) % 3)

    def gradient(segment):
        rule = learning.stbp(segment=segment)
        return jax.jit(lambda v: rule.gradient(network, cross_entropy, v, batch))(variables)

    whole, in_twos = gradient(None), gradient(2)
    assert relative_difference(in_twos.grads, whole.grads) < 1e-4
    assert relative_difference((in_twos.loss, in_twos.logits), (whole.loss, whole.logits)) < 1e-5
    assert relative_difference(in_twos.batch_stats, whole.batch_stats) < 1e-5


@pytest.mark.parametrize("unroll", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_segments_need_less_memory(unroll):
    def rule(segment):
        return learning.stbp(segment=segment, unroll=unroll).gradient

    assert temp_bytes(rule(4), 16) < 0.6 * temp_bytes(rule(None), 16)


@pytest.mark.parametrize("segment", [3, 8])
def test_segments_that_do_not_divide_the_steps(segment, images, labels):
    network, variables = setup()
    with pytest.raises(ValueError, match=f"segment={segment} does not divide the 4 steps"):
        learning.stbp(segment=segment).gradient(network, cross_entropy, variables, Batch(images, labels))


def test_a_segment_has_a_step():
    with pytest.raises(ValueError, match="segment=0 must be at least 1"):
        learning.stbp(segment=0)


@pytest.mark.parametrize(
    ("factory", "shape"),
    [
        *((factory, (2, 7, 5)) for factory in (nn.lif(), nn.hd_lif(), nn.parallel(), nn.mem_bn(), synaptic())),
        (nn.mem_bn(), (7, 5)),
    ],
    ids=str,
)
def test_layer_by_layer_it_is_the_same_gradient(factory, shape):
    rngs = nnx.Rngs(0)
    layers = nn.BatchNorm(5), nn.Linear(5, 6, rngs=rngs), factory, nn.BatchNorm(6)
    model = features(*layers, nn.Linear(6, 6, weights="ternary", rngs=rngs), factory, num_steps=2)
    network, variables = nn.training_form(model), perturbed(nn.variables_of(model), scale=0.05)
    batch = Batch(jax.random.normal(jax.random.key(2), shape), jnp.arange(7) % 3)
    step_by_step, layer_by_layer = (
        jax.jit(lambda v, rule=rule: rule.gradient(network, cross_entropy, v, batch))(variables)
        for rule in (learning.stbp(), learning.stbp(layerwise=True))
    )
    assert relative_difference(layer_by_layer.grads, step_by_step.grads) < 1e-4
    assert relative_difference(layer_by_layer.batch_stats, step_by_step.batch_stats) < 1e-5
    np.testing.assert_allclose(layer_by_layer.loss, step_by_step.loss, rtol=1e-6)
    np.testing.assert_allclose(layer_by_layer.logits, step_by_step.logits, atol=1e-5)


def test_layer_by_layer_a_network_of_blocks_has_the_same_gradient(events, labels):
    network, variables = setup(num_steps=2, attention="seca-2")
    step_by_step, layer_by_layer = (
        jax.jit(lambda v, rule=rule: rule.gradient(network, cross_entropy, v, Batch(events[:2], labels)))(variables)
        for rule in (learning.stbp(), learning.stbp(layerwise=True))
    )
    assert relative_difference(layer_by_layer.grads, step_by_step.grads) < 1e-3
    np.testing.assert_allclose(layer_by_layer.logits, step_by_step.logits, atol=1e-4)


@pytest.mark.parametrize("options", [{"segment": 2}, {"detach": True}])
def test_layer_by_layer_there_is_nothing_between_steps(options):
    with pytest.raises(ValueError, match="layerwise=True computes all steps of a layer at once, so there is nothing"):
        learning.stbp(layerwise=True, **options)


@pytest.mark.parametrize("layerwise", [False, True])
def test_a_batch_of_nothing_is_refused(layerwise, key):
    """Its mean loss would be NaN."""
    model = small_network()
    batch = learning.Batch(jnp.zeros((0, *model.input_shape)), jnp.zeros(0, jnp.int32))
    rule, network = learning.stbp(layerwise=layerwise), nn.training_form(model)
    with pytest.raises(ValueError, match=r"inputs have shape \(0, 6, 6, 2\), which is nothing"):
        rule.gradient(network, cross_entropy, nn.variables_of(model), batch, key)
