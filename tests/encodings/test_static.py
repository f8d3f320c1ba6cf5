import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import encodings, training


@pytest.fixture
def intensities():
    """Inputs `[3, 4, 5, 2]` in [0, 1]."""
    return jax.random.uniform(jax.random.key(3), (3, 4, 5, 2))


def test_direct_shows_the_input_as_it_is(intensities, key):
    np.testing.assert_array_equal(encodings.direct()(key, intensities), intensities)


@pytest.mark.parametrize("encoding", [encodings.poisson(7), encodings.latency(7)])
def test_spikes_are_zeros_and_ones_over_time(encoding, intensities, key):
    spikes = jax.jit(encoding)(key, intensities)
    assert spikes.shape == (7, 3, 4, 5, 2)
    assert spikes.dtype == intensities.dtype
    assert set(np.unique(spikes)) == {0.0, 1.0}


def test_poisson_rates_are_the_intensities(key):
    intensities = jnp.asarray([[0.0, 0.1, 0.5, 0.9, 1.0]])
    num_steps = 4000
    rates = encodings.poisson(num_steps)(key, intensities).mean(0)
    deviation = np.sqrt(intensities * (1 - intensities) / num_steps)  # of a mean of Bernoulli draws
    assert np.all(np.abs(rates - intensities) <= 5 * deviation)


def test_poisson_spikes_follow_from_the_key_alone(intensities, key):
    first, again = (encodings.poisson(5)(key, intensities) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != encodings.poisson(5)(jax.random.key(99), intensities))
    assert np.any(first[0] != first[1])


def test_latency_spikes_once_and_brighter_is_earlier(key):
    intensities = jnp.asarray([[1.0, 0.75, 0.5, 0.25, 0.01, 0.0]])
    spikes = encodings.latency(5)(key, intensities)
    np.testing.assert_array_equal(spikes.sum(0), [[1, 1, 1, 1, 1, 0]])
    np.testing.assert_array_equal(spikes.argmax(0)[0, :5], [0, 1, 2, 3, 4])


def test_latency_at_one_step_is_whether_there_is_anything(key):
    spikes = encodings.latency(1, silence=0.2)(key, jnp.asarray([[0.0, 0.2, 0.3]]))
    np.testing.assert_array_equal(spikes, [[[0, 0, 1]]])


@pytest.mark.parametrize("silence", [-0.1, 1.0])
def test_a_silence_out_of_range_is_refused(silence):
    with pytest.raises(ValueError, match=f"silence={silence} must be in"):
        encodings.latency(4, silence)


def test_encodings_of_the_same_values_are_equal():
    assert encodings.latency(4, 0.1) == encodings.latency(4, 0.1) != encodings.latency(4, 0.2)
    assert hash(encodings.poisson(4)) == hash(encodings.poisson(4))


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="num_steps=0 must be at least 1"):
        encodings.poisson(0)


def test_training_takes_an_encoding_as_it_is(key):
    encoding = encodings.latency(5)
    preprocess = training.make_preprocess((0.5,), (0.25,), 3, encoding=encoding)
    pixels = jnp.arange(32, dtype=jnp.uint8).reshape(2, 4, 4, 1) * 8
    spikes, _ = preprocess(key, pixels, jnp.arange(2))
    np.testing.assert_array_equal(spikes, encoding(key, pixels.astype(jnp.float32) / 255))
