import jax
import pytest

from hdlif_jax import learning
from hdlif_jax.learning import Batch
from tests.conftest import cross_entropy
from tests.learning.test_online import FAMILIES, relative_difference, setup, temp_bytes


@pytest.mark.parametrize(("kind", "options"), [("images", FAMILIES[1]), ("events", FAMILIES[0])])
def test_segments_change_nothing_but_memory(kind, options, labels, request):
    inputs = request.getfixturevalue(kind)
    network, variables = setup(**options)

    def gradient(segment):
        rule, batch = learning.stbp(segment=segment), Batch(inputs, labels)
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
    with pytest.raises(ValueError, match="segment=0 must be at least 1, or None to keep all steps"):
        learning.stbp(segment=0)
