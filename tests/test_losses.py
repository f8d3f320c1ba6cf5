import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hdlif_jax import losses

T, B, K = 4, 6, 5
LOGITS = 2 * jax.random.normal(jax.random.key(0), (T, B, K))
LABELS = jnp.arange(B) % K
MIXED = jax.nn.softmax(jax.random.normal(jax.random.key(1), (B, K)))


def numpy_cross_entropy(logits, targets):
    logits = np.asarray(logits, np.float64)
    return np.mean(np.log(np.exp(logits).sum(-1)) - (np.asarray(targets) * logits).sum(-1))


def one_hot(labels):
    return np.eye(K)[np.asarray(labels)]


def test_cross_entropy_is_that_of_optax_and_of_the_formula():
    loss = losses.cross_entropy()
    expected = optax.softmax_cross_entropy_with_integer_labels(LOGITS[0], LABELS).mean()
    np.testing.assert_allclose(loss(LOGITS[0], LABELS), expected, rtol=1e-6)
    np.testing.assert_allclose(loss(LOGITS[0], LABELS), numpy_cross_entropy(LOGITS[0], one_hot(LABELS)), rtol=1e-6)
    gradient = jax.grad(loss)(LOGITS[0], LABELS)
    np.testing.assert_allclose(gradient, (jax.nn.softmax(LOGITS[0]) - one_hot(LABELS)) / B, atol=1e-6)


def test_labels_may_be_distributions():
    for loss in (losses.cross_entropy(), losses.cross_entropy(0.1), losses.mean_squared_error(), losses.tet()):
        logits = LOGITS if isinstance(loss, losses.SequenceLoss) else LOGITS[0]
        np.testing.assert_allclose(
            loss(logits, LABELS), loss(logits, jnp.float32(one_hot(LABELS))), rtol=1e-6, err_msg=str(loss)
        )
    np.testing.assert_allclose(
        losses.cross_entropy()(LOGITS[0], MIXED), numpy_cross_entropy(LOGITS[0], MIXED), rtol=1e-6
    )


@pytest.mark.parametrize("labels", [LABELS, MIXED], ids=["integers", "distributions"])
def test_label_smoothing_spreads_its_share_over_all_classes(labels):
    targets = one_hot(labels) if labels.ndim == 1 else np.asarray(labels)
    smoothed = 0.8 * targets + 0.2 / K
    got = losses.cross_entropy(label_smoothing=0.2)(LOGITS[0], labels)
    np.testing.assert_allclose(got, numpy_cross_entropy(LOGITS[0], smoothed), rtol=1e-6)


def test_mean_squared_error_and_distance():
    logits = np.asarray(LOGITS[0], np.float64)
    got = losses.mean_squared_error(height=2.0)(LOGITS[0], LABELS)
    np.testing.assert_allclose(got, np.mean((logits - 2 * one_hot(LABELS)) ** 2), rtol=1e-6)
    distance = losses.distance_to(0.5)
    np.testing.assert_allclose(distance(LOGITS[0], LABELS), np.mean((logits - 0.5) ** 2), rtol=1e-6)


def test_a_weighted_sum():
    def own(logits, labels):
        return logits[0, 0]

    parts = (0.95, losses.cross_entropy()), (0.05, losses.mean_squared_error()), (2.0, own)
    expected = sum(weight * loss(LOGITS[0], LABELS) for weight, loss in parts)
    np.testing.assert_allclose(losses.weighted(*parts)(LOGITS[0], LABELS), expected, rtol=1e-6)
    assert losses.weighted(*parts[:2]) == losses.weighted(*parts[:2])
    with pytest.raises(ValueError, match="a weighted loss needs at least one"):
        losses.weighted()


def test_the_loss_of_the_mean_output_and_the_mean_of_the_losses():
    loss = losses.cross_entropy()
    mean = np.asarray(LOGITS, np.float64).mean(0)
    np.testing.assert_allclose(
        losses.of_mean_output(loss)(LOGITS, LABELS), numpy_cross_entropy(mean, one_hot(LABELS)), rtol=1e-6
    )
    each = [numpy_cross_entropy(step, one_hot(LABELS)) for step in LOGITS]
    np.testing.assert_allclose(losses.of_each_step(loss)(LOGITS, LABELS), np.mean(each), rtol=1e-6)
    assert losses.of_mean_output(loss)(LOGITS, LABELS) < losses.of_each_step(loss)(LOGITS, LABELS)  # it is convex


@pytest.mark.parametrize(("weight", "constant"), [(0.05, 1.0), (0.3, 0.5), (0.0, 1.0), (1.0, 2.0)])
def test_tet_is_its_formula(weight, constant):
    """(1 − λ) 1/T Σ CE(O_t, y) + λ 1/T Σ MSE(O_t, φ) (Deng et al., Eqs. 10-12)."""
    logits = np.asarray(LOGITS, np.float64)
    cross_entropies = [numpy_cross_entropy(step, one_hot(LABELS)) for step in logits]
    distances = [np.mean((step - constant) ** 2) for step in logits]
    expected = (1 - weight) * np.mean(cross_entropies) + weight * np.mean(distances)
    got = losses.tet(weight=weight, constant=constant)(LOGITS, LABELS)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_tet_of_an_own_step_loss():
    def own(logits, labels):
        return jnp.max(logits)

    got = losses.tet(own, weight=0.0)(LOGITS, LABELS)
    np.testing.assert_allclose(got, np.asarray(LOGITS).max((1, 2)).mean(), rtol=1e-6)


def test_a_sequence_loss_wants_all_steps_and_says_its_name():
    loss = losses.of_mean_output(losses.cross_entropy(0.1))
    assert loss.name == "of_mean_output(cross_entropy(label_smoothing=0.1))"
    with pytest.raises(ValueError, match=r"of_mean_output.* got \(6, 5\); expected \[T, B, K\]"):
        loss(LOGITS[0], LABELS)


@pytest.mark.parametrize("shape", [(8,), (8, 3)])
def test_labels_that_fit(shape):
    losses.check_labels((8, 3), np.zeros(shape))


def test_labels_that_do_not_fit():
    with pytest.raises(ValueError, match=r"labels have shape \(7,\); expected \(8,\) integers or \(8, 3\)"):
        losses.check_labels((8, 3), np.zeros(7))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: losses.cross_entropy(1.0), r"label_smoothing=1\.0 must be in \[0, 1\)"),
        (lambda: losses.cross_entropy(-0.1), r"label_smoothing=-0\.1 must be"),
        (lambda: losses.tet(weight=1.5), r"weight=1\.5 must be in \[0, 1\]"),
    ],
)
def test_values_out_of_range_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_equal_losses_are_equal():
    assert losses.cross_entropy() == losses.cross_entropy(0.0)
    assert losses.cross_entropy() != losses.cross_entropy(0.1)
    assert hash(losses.mean_squared_error(2.0)) == hash(losses.mean_squared_error(height=2.0))
    assert repr(losses.cross_entropy(0.1)) == "cross_entropy(label_smoothing=0.1)"
    assert losses.tet() == losses.tet(weight=0.05)
    assert losses.of_mean_output(losses.cross_entropy()) == losses.of_mean_output(losses.cross_entropy())
    assert losses.tet() != losses.tet(weight=0.1)


def test_labels_that_are_no_array_are_refused_by_name():
    with pytest.raises(TypeError, match=r"labels are a list; give an array, e\.g\. jax\.numpy\.asarray\(labels\)"):
        losses.cross_entropy()(LOGITS[0], LABELS.tolist())
