import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import losses, nn
from hdlif_jax.analysis.separability import coherence_observer, make_comparison
from hdlif_jax.learning import Batch
from tests.analysis.own import inputs_of, sequential
from tests.conftest import cross_entropy


def observer(write, model=None, loss=cross_entropy, every=2):
    model = sequential() if model is None else model
    batch = Batch(inputs_of(model), jnp.arange(6) % 3)
    return coherence_observer(model, loss, batch, write, every=every, steps_per_epoch=4), batch


def steps_of(numbers):
    records, model = [], sequential()
    observe, _ = observer(records.append, model)
    for step in numbers:
        observe(step, nn.variables_of(model))
    return [record["step"] for record in records]


def test_compares_every_n_batches():
    assert steps_of(range(7)) == [0, 2, 4, 6]
    assert steps_of([0, 3, 6, 7]) == [0, 3, 6]  # three batches a call
    assert steps_of([3, 4, 5, 6]) == [4, 6]  # goes on after the third batch, whose comparison is known
    assert steps_of([2, 3, 4]) == [2, 4]


def test_a_record_is_the_comparison_in_short():
    records, model = [], sequential()
    observe, batch = observer(records.append, model)
    observe(6, nn.variables_of(model))
    network = nn.training_form(model, record=True)
    result = make_comparison(network, cross_entropy)(nn.variables_of(model), batch)
    (record,) = records
    assert (record["step"], record["epoch"]) == (6, 1.5)
    np.testing.assert_allclose(record["cosine"], result.network.accumulate.cosine, rtol=1e-6)
    assert set(record["cosine_per_layer"]) == {"layers.0", "layers.1", "layers.2"}
    np.testing.assert_allclose(
        record["cosine_per_layer"]["layers.0"], result.layers["layers.0"].accumulate.cosine, rtol=1e-6
    )
    estimator = result.network.random_step_estimator
    np.testing.assert_allclose(record["random_step_variance"], estimator.variance, rtol=1e-6)
    np.testing.assert_allclose(record["bias_stbp"], estimator.bias_stbp, rtol=1e-6)


def test_what_cannot_be_compared_is_refused_before_training():
    with pytest.raises(ValueError, match="every=0 must be at least 1"):
        observer(print, every=0)
    with pytest.raises(ValueError, match="num_steps=1"):
        observer(print, sequential(num_steps=1))
    with pytest.raises(TypeError, match="is a loss of the whole sequence"):
        observer(print, loss=losses.tet())
