import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import learning, nn
from hdlif_jax.nn import Form, Tick
from hdlif_jax.nn.forms import in_form
from tests.conftest import cross_entropy, perturbed
from tests.nn.own import features, step_by_step

CURRENTS = 2 * jax.random.normal(jax.random.key(3), (4, 5, 3, 3, 2)) + 1  # [T, B, H, W, C]


def norm_with(**options):
    """A BatchNorm none of whose arrays has its initial value."""
    norm = nn.batch_norm(**options)(2, nnx.Rngs(0))
    norm.scale[...], norm.bias[...] = jnp.float32([0.5, 2.0]), jnp.float32([0.1, -0.3])
    norm.mean[...], norm.var[...] = jnp.float32([0.2, -0.1]), jnp.float32([1.5, 0.5])
    return norm


def by_numpy(values, mean, variance, gain=1.0, epsilon=1e-5):
    return gain * np.float64([0.5, 2.0]) * (values - mean) / np.sqrt(variance + epsilon) + np.float64([0.1, -0.3])


def test_a_step_is_normalised_by_its_batch_and_moves_the_running_statistics():
    norm = in_form(norm_with(momentum=0.8), Form(train=True))
    values = np.asarray(CURRENTS[0], np.float64)
    mean, variance = values.mean((0, 1, 2)), values.var((0, 1, 2))
    np.testing.assert_allclose(norm(CURRENTS[0]), by_numpy(values, mean, variance), atol=1e-5)
    np.testing.assert_allclose(norm.mean[...], 0.8 * np.float64([0.2, -0.1]) + 0.2 * mean, rtol=1e-5)
    np.testing.assert_allclose(norm.var[...], 0.8 * np.float64([1.5, 0.5]) + 0.2 * variance, rtol=1e-5)


@pytest.mark.parametrize("form", [Form(train=False), None])
def test_inference_normalises_by_the_running_statistics_and_keeps_them(form):
    norm = norm_with(epsilon=1e-3)
    norm = norm if form is None else in_form(norm, form)
    expected = by_numpy(np.asarray(CURRENTS), np.float64([0.2, -0.1]), np.float64([1.5, 0.5]), epsilon=1e-3)
    np.testing.assert_allclose(norm(CURRENTS[0]), expected[0], atol=1e-5)
    np.testing.assert_allclose(norm.over_time(CURRENTS), expected, atol=1e-5)
    np.testing.assert_array_equal(norm.mean[...], jnp.float32([0.2, -0.1]))


def test_over_time_each_step_has_its_own_statistics():
    norm = in_form(norm_with(), Form(train=True))
    values = np.asarray(CURRENTS, np.float64)
    expected = np.stack([by_numpy(step, step.mean((0, 1, 2)), step.var((0, 1, 2))) for step in values])
    np.testing.assert_allclose(norm.over_time(CURRENTS), expected, atol=1e-5)
    mean = np.float64([0.2, -0.1])
    for step in values:
        mean = 0.9 * mean + 0.1 * step.mean((0, 1, 2))
    np.testing.assert_allclose(norm.mean[...], mean, rtol=1e-5)


def test_statistics_over_the_sequence_are_those_of_all_steps_together():
    norm = in_form(norm_with(statistics="sequence"), Form(train=True))
    values = np.asarray(CURRENTS, np.float64)
    mean, variance = values.mean((0, 1, 2, 3)), values.var((0, 1, 2, 3))
    np.testing.assert_allclose(norm.over_time(CURRENTS), by_numpy(values, mean, variance), atol=1e-5)
    np.testing.assert_allclose(norm.mean[...], 0.9 * np.float64([0.2, -0.1]) + 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(norm.var[...], 0.9 * np.float64([1.5, 0.5]) + 0.1 * variance, rtol=1e-5)


@pytest.mark.parametrize("statistics", ["step", "sequence"])
def test_the_gain_multiplies_the_normalised_value_and_not_the_bias(statistics):
    norm = in_form(norm_with(gain=0.7, statistics=statistics), Form(train=True))
    values = np.asarray(CURRENTS[:1], np.float64)
    mean, variance = values.mean((0, 1, 2, 3)), values.var((0, 1, 2, 3))
    np.testing.assert_allclose(norm.over_time(CURRENTS[:1]), by_numpy(values, mean, variance, gain=0.7), atol=1e-5)


def test_the_gradient_does_not_pass_through_the_running_statistics():
    def moved(x):
        norm = in_form(norm_with(), Form(train=True))
        norm(x)
        return norm.mean[...].sum() + norm.var[...].sum()

    np.testing.assert_array_equal(jax.grad(moved)(CURRENTS[0]), np.zeros(CURRENTS[0].shape))


def test_half_precision_is_normalised_in_float32():
    norm = in_form(norm_with(), Form(train=True))
    rounded = CURRENTS[0].astype(jnp.bfloat16)
    values = np.asarray(rounded, np.float64)
    got = norm(rounded)
    assert got.dtype == jnp.bfloat16
    expected = by_numpy(values, values.mean((0, 1, 2)), values.var((0, 1, 2)))
    np.testing.assert_allclose(np.asarray(got, np.float64), expected, rtol=2**-8, atol=1e-5)
    assert norm.mean[...].dtype == jnp.float32


def tdbn_net(input_shape=(6, 6, 2)):
    spec = nn.Spec(neuron=nn.lif(), norm=nn.batch_norm(statistics="sequence", gain=0.5), weights="float")
    return nn.conv_net(input_shape, 3, widths=(4,), spec=spec, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("kind", ["images", "events"])
def test_a_network_over_the_sequence_trains_layer_by_layer(kind, request, labels):
    """The stem's statistics are those of all frames, or of the images, which are the same at all steps."""
    inputs, model = request.getfixturevalue(kind), tdbn_net()
    network, variables = nn.training_form(model), nn.variables_of(model)
    batch = learning.Batch(inputs, labels)
    gradient = jax.jit(
        lambda variables: learning.stbp(layerwise=True).gradient(network, cross_entropy, variables, batch)
    )(variables)
    assert all(np.any(leaf != 0) and np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient.grads))
    currents = model.stem(inputs.reshape(-1, 6, 6, 2))
    stem = gradient.batch_stats["stem_norm"]
    np.testing.assert_allclose(stem["mean"], 0.1 * np.asarray(currents).mean((0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(stem["var"], 0.9 + 0.1 * np.asarray(currents).var((0, 1, 2)), rtol=1e-5)


def test_a_network_over_the_sequence_does_not_train_step_by_step(images, labels, key):
    model = tdbn_net()
    network, variables, batch = nn.training_form(model), nn.variables_of(model), learning.Batch(images, labels)
    message = "statistics='sequence' trains in the layer-by-layer form alone: use learning.stbp"
    for rule in (learning.random_step(), learning.accumulate(), learning.stbp()):
        with pytest.raises(ValueError, match=message) as caught:
            rule.gradient(network, cross_entropy, variables, batch, key)
        assert "\n" not in str(caught.value)


def test_in_inference_statistics_over_the_sequence_are_constants_like_others(events):
    model = tdbn_net()
    network = nn.inference_form(model)
    variables = nn.Variables(
        perturbed(nn.variables_of(model).params, scale=0.05), jax.tree.map(jnp.ones_like, nn.variables_of(model)[1])
    )
    got, expected = network.sequence(*variables, events), step_by_step(network, variables, events)
    np.testing.assert_allclose(got.logits, expected.logits, atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, got.batch_stats, variables.batch_stats)


def test_a_single_step_is_a_sequence():
    """At T = 1 the two statistics are one."""
    rngs = nnx.Rngs(0)
    inputs = jax.random.normal(jax.random.key(0), (1, 8, 5))
    outputs = []
    for statistics in ("step", "sequence"):
        layers = nn.Linear(5, 6, rngs=nnx.Rngs(0)), nn.batch_norm(statistics=statistics)(6, rngs), nn.hd_lif()
        model = features(*layers, num_steps=1)
        outputs.append(nn.training_form(model).sequence(*nn.variables_of(model), inputs))
    np.testing.assert_allclose(outputs[0].logits, outputs[1].logits, atol=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), outputs[0].batch_stats, outputs[1].batch_stats
    )


def test_factories_are_values():
    assert nn.batch_norm() == nn.batch_norm(momentum=0.9)
    assert hash(nn.batch_norm(gain=2.0)) != hash(nn.batch_norm())
    assert repr(nn.batch_norm(gain=2.0)).endswith("statistics='step', gain=2.0, unbiased=False)")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum": 1.0}, r"momentum=1\.0 must be in \[0, 1\)"),
        ({"epsilon": 0.0}, r"epsilon=0\.0 must be positive"),
        ({"statistics": "time"}, "statistics='time' is unknown; choose one of step, sequence"),
        ({"gain": -1.0}, r"gain=-1\.0 must be positive"),
    ],
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        nn.batch_norm(**options)


def test_a_network_of_the_module_alone_normalises_by_what_it_has():
    """Outside of a form nothing moves."""
    model = nn.conv_net((6, 6, 2), 3, widths=(4,), rngs=nnx.Rngs(0))
    before = nn.variables_of(model)
    model(None, model.encode(jnp.ones((2, 6, 6, 2))), Tick(0))
    jax.tree.map(np.testing.assert_array_equal, nn.variables_of(model), before)


def test_a_seed_gives_the_kernels_that_it_gave_behind_flax_batch_norm():
    rngs, flax_rngs = nnx.Rngs(3), nnx.Rngs(3)
    nn.batch_norm()(4, rngs)
    nnx.BatchNorm(4, rngs=flax_rngs)
    assert jnp.array_equal(jax.random.key_data(rngs.params()), jax.random.key_data(flax_rngs.params()))


@pytest.mark.parametrize("ratio", [0, 100, 1_000, 10_000])
@pytest.mark.parametrize("statistics", ["step", "sequence"])
def test_digits_are_kept_however_far_the_mean_is_from_zero(ratio, statistics):
    """E[x²] − E[x]² has a relative error of 0.1 in float32 at 1,000 standard deviations."""
    norm = in_form(norm_with(statistics=statistics), Form(train=True))
    currents = jax.random.normal(jax.random.key(0), (1, 16, 8, 8, 2)) + jnp.float32(ratio)
    values = np.asarray(currents, np.float64)
    mean, variance = values.mean((0, 1, 2, 3)), values.var((0, 1, 2, 3))
    got = norm.over_time(currents)
    np.testing.assert_allclose(norm.var[...], 0.9 * np.float64([1.5, 0.5]) + 0.1 * variance, rtol=1e-5)
    np.testing.assert_allclose(norm.mean[...], 0.9 * np.float64([0.2, -0.1]) + 0.1 * mean, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(got, by_numpy(values, mean, variance), atol=3e-5)


@pytest.mark.parametrize("ratio", [0, 1_000])
def test_the_gradient_is_that_of_centred_values(ratio):
    """A constant that is added to the currents is taken off again, and changes no gradient."""
    cotangent = jax.random.normal(jax.random.key(4), (16, 8, 8, 2))
    # On a grid, so that adding the constant rounds nothing.
    currents = jnp.round(64 * jax.random.normal(jax.random.key(0), cotangent.shape)) / 64

    @jax.jit
    def gradient(currents):
        def loss(currents):
            return jnp.sum(cotangent * in_form(norm_with(), Form(train=True))(currents))

        return jax.grad(loss)(currents)

    values, given = np.asarray(currents, np.float64), np.asarray(cotangent, np.float64) * np.float64([0.5, 2.0])
    centred = (values - values.mean((0, 1, 2))) / np.sqrt(values.var((0, 1, 2)) + 1e-5)
    expected = given - given.mean((0, 1, 2)) - centred * (given * centred).mean((0, 1, 2))
    expected /= np.sqrt(values.var((0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(gradient(currents + jnp.float32(ratio)), expected, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 45])
def test_an_unbiased_running_variance_is_over_one_less(count):
    values = jax.random.normal(jax.random.key(0), (count, 2))
    moved = {}
    for unbiased in (False, True):
        norm = in_form(nn.batch_norm(unbiased=unbiased)(2, nnx.Rngs(0)), Form(train=True))
        normalised, moved[unbiased] = norm(values), (norm.var[...] - 0.9) / 0.1
        np.testing.assert_allclose(normalised, in_form(nn.batch_norm()(2, nnx.Rngs(0)), Form(train=True))(values))
    np.testing.assert_allclose(moved[False], np.var(np.asarray(values), 0), atol=1e-5)
    expected = np.var(np.asarray(values), 0, ddof=1) if count > 1 else np.zeros(2)
    np.testing.assert_allclose(moved[True], expected, atol=1e-5)


def test_tdbn_of_one_step_is_batch_norm_times_its_gain():
    """Zheng et al., AAAI 2021: α·θ times the normalised current, scale and bias apart."""
    tdbn = in_form(nn.batch_norm(statistics="sequence", gain=0.35, unbiased=True)(2, nnx.Rngs(0)), Form(train=True))
    plain = in_form(nn.batch_norm()(2, nnx.Rngs(0)), Form(train=True))
    np.testing.assert_allclose(tdbn.over_time(CURRENTS[:1])[0], 0.35 * plain(CURRENTS[0]), atol=1e-6)


def test_no_norm_is_the_identity_and_has_no_arrays():
    norm = nn.no_norm()(3, nnx.Rngs(0))
    np.testing.assert_array_equal(norm(CURRENTS), CURRENTS)
    assert jax.tree.leaves(nnx.state(norm)) == []
    assert nn.no_norm() == nn.no_norm()
    assert hash(nn.no_norm()) == hash(nn.no_norm())
