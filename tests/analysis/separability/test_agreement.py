import jax.numpy as jnp
import numpy as np

from hdlif_jax.analysis.separability.agreement import AgreementSums, agreement, agreement_sums


def test_by_hand():
    estimates = jnp.array([[3.0, 4.0, 0.0, 0.0], [-3.0, -4.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    reference = jnp.array([[3.0, 0.0, -4.0, 0.0]])
    result = agreement(agreement_sums(estimates, reference))
    np.testing.assert_allclose(result.cosine, [9 / 25, -9 / 25, 0])
    np.testing.assert_allclose(result.relative_error, np.sqrt([32, 36 + 32, 25]) / 5, rtol=1e-6)
    np.testing.assert_allclose(result.sign_agreement, [1 / 3, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(result.norm_ratio, [1, 1, 0])


def test_zeros():
    zero, one = jnp.zeros((1, 2)), jnp.ones((1, 2))
    both = agreement(agreement_sums(zero, zero))
    assert [float(part[0]) for part in both] == [1, 0, 1, 1]
    reference_only = agreement(agreement_sums(one, zero))
    assert [float(part[0]) for part in reference_only] == [0, np.inf, 0, np.inf]


def test_not_a_number_is_neither_zero_nor_like_it():
    one, zero, broken = jnp.ones((1, 2)), jnp.zeros((1, 2)), jnp.array([[1.0, jnp.nan]])
    for estimates, reference in ((broken, one), (one, broken), (broken, zero), (zero, broken)):
        assert np.isnan(agreement(agreement_sums(estimates, reference)).cosine[0])
    assert np.isnan(agreement(agreement_sums(one, broken)).relative_error[0])


def test_sums_add_up():
    generator = np.random.default_rng(0)
    estimates, reference = (jnp.asarray(generator.normal(size=(1, 10)), jnp.float32) for _ in range(2))
    whole = agreement_sums(estimates, reference)
    parts = [agreement_sums(estimates[:, part], reference[:, part]) for part in (slice(0, 3), slice(3, 10))]
    np.testing.assert_allclose(AgreementSums(*map(sum, zip(*parts, strict=True))), whole, rtol=1e-5)
