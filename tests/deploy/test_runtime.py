import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdlif_jax import nn
from hdlif_jax.deploy import anytime, load, size_on_disk, write
from hdlif_jax.deploy.runtime import chunk_of
from tests.deploy.networks import conv_net, named, prepare_inputs, small_artifact, spec_of, unfolded_logits


def random_inputs(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.fixture(scope="module")
def network(written):
    return load(written)


def stream(network, frames):
    state = network.init_state(len(frames[0]))
    logits = []
    for frame in frames:
        state, step_logits = network.step(state, frame)
        logits.append(np.asarray(step_logits))
    return state, np.stack(logits)


def test_logits_and_stream_are_those_of_the_network(network):
    inputs = random_inputs((4, 8, 8, 2))
    expected = unfolded_logits(conv_net(), prepare_inputs(inputs))
    np.testing.assert_allclose(network(inputs), expected, atol=1e-4 * np.abs(expected).max(), rtol=0)
    state, streamed = stream(network, [inputs] * 4)
    np.testing.assert_allclose(streamed, expected, atol=1e-4 * np.abs(expected).max(), rtol=0)
    assert state.t == 4
    assert {array.shape[0] for array in state.neurons.values()} == {4}
    with pytest.raises(ValueError, match="has had its 4 time-steps"):
        network.step(state, inputs)


def test_any_batch_size(network):
    """19 are two chunks of 16, 11 are three of 4, and up to 4 are one."""
    assert network.chunk == 16
    inputs = random_inputs((19, 8, 8, 2))
    whole = np.asarray(network(inputs))
    assert whole.shape == (4, 19, 5)
    np.testing.assert_allclose(whole[:, :11], network(inputs[:11]), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(whole[:, 15:], network(inputs[15:]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("shapes", "chunk"),
    [
        ([(32, 32, 8), (16, 16, 16)], 16),
        ([(32, 32, 16), ()], 8),
        ([(8, 8, 8), (32, 32, 32)], 4),
        ([(32, 32, 64)], 4),
        ([(2,)], 16),
        ([], 4),  # neurons without a state say nothing of sizes
    ],
)
def test_a_chunk_is_what_the_caches_hold(network, shapes, chunk):
    """Of a ResNet on 32×32 pixels in four steps: 16, 8, 4 and 4 images at widths of 8, 16, 32 and 64."""
    state = {str(index): shape for index, shape in enumerate(shapes)}
    assert chunk_of(dataclasses.replace(network.manifest, state=state)) == chunk


@pytest.mark.parametrize("batch", [1, 4, 9])
def test_it_is_a_function_for_jit_of_any_batch(network, batch):
    inputs = random_inputs((batch, 8, 8, 2))
    np.testing.assert_allclose(jax.jit(network)(inputs), network(inputs), rtol=1e-5, atol=1e-5)


def test_it_is_a_function_for_vmap_and_scan(network):
    inputs = random_inputs((6, 8, 8, 2))
    expected = np.asarray(network(inputs))
    by_image = np.moveaxis(expected, 1, 0)
    close = {"rtol": 1e-5, "atol": 1e-5}
    pairs = inputs.reshape(3, 2, 8, 8, 2)
    np.testing.assert_allclose(
        np.asarray(jax.vmap(network)(pairs)), by_image.reshape(3, 2, 4, 5).swapaxes(1, 2), **close
    )
    np.testing.assert_allclose(jax.jit(jax.vmap(lambda one: network(one[None])[:, 0]))(inputs), by_image, **close)

    def streamed(frames):
        """Logits `[T, B, K]` of the same frames at every step, in a loop."""
        return jax.lax.scan(lambda state, _: network.step(state, frames), network.init_state(len(frames)), length=4)[1]

    np.testing.assert_allclose(jax.jit(streamed)(inputs), expected, **close)
    np.testing.assert_allclose(jax.vmap(streamed)(pairs).swapaxes(1, 2).reshape(6, 4, 5), by_image, **close)
    # Streams that stand at different steps.
    first = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), network.step(network.init_state(3), inputs[:3])[0])
    second, logits = jax.vmap(network.step)(first, inputs.reshape(2, 3, 8, 8, 2))
    np.testing.assert_allclose(logits[0], expected[1, :3], **close)
    assert second.t.tolist() == [2, 2]


def test_a_step_too_many_in_a_loop_gives_no_numbers(network):
    inputs = random_inputs((2, 8, 8, 2))
    _, logits = jax.lax.scan(lambda state, _: network.step(state, inputs), network.init_state(2), length=5)
    np.testing.assert_array_equal(np.isnan(logits).all((1, 2)), [False] * 4 + [True])


def test_sequences_stream_frame_by_frame(tmp_path):
    model = named(nn.vgg_snn, (16, 16, 2), neuron="mem-bn", num_steps=3)
    write(tmp_path / "artifact", small_artifact(model, "sequence"))
    network = load(tmp_path / "artifact", "float")
    assert network.input_shape == (3, 16, 16, 2)
    inputs = random_inputs((2, 3, 16, 16, 2))
    by_time = np.moveaxis(inputs, 1, 0)
    expected = unfolded_logits(model, prepare_inputs(by_time))
    np.testing.assert_allclose(network(inputs), expected, atol=1e-4 * np.abs(expected).max(), rtol=0)
    np.testing.assert_allclose(stream(network, by_time)[1], network(inputs), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(anytime.run(network, inputs, 1.0), network(inputs), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"shape \[2, 4, 16, 16, 2\]; expected uint8 \[B, 3, 16, 16, 2\]"):
        anytime.run(network, np.repeat(inputs, (1, 2, 1), 1), 1.0)


def test_float_weights_have_no_integer_path(tmp_path):
    write(tmp_path / "artifact", small_artifact(conv_net(weights="float", num_steps=2)))
    network = load(tmp_path / "artifact")
    assert network.arithmetic == "float"
    assert network.manifest.integer_layers == 0
    with pytest.raises(ValueError, match="no layer of integer"):
        load(tmp_path / "artifact", "integer")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((2, 8, 8, 2), np.float32), r"inputs are float32 .*; of floats in \[0, 1\]: np\.round\(255 \* inputs"),
        (np.zeros((2, 8, 8, 3), np.uint8), r"shape \[2, 8, 8, 3\]; expected uint8 \[B, 8, 8, 2\]"),
        (np.zeros((8, 8, 2), np.uint8), "expected uint8"),
        (np.zeros((0, 8, 8, 2), np.uint8), "expected uint8"),
    ],
)
def test_inputs_that_do_not_fit(network, inputs, message):
    with pytest.raises(ValueError, match=message):
        network(inputs)
    with pytest.raises(ValueError, match=message):
        network.step(network.init_state(2), inputs)


def test_a_frame_of_other_streams_than_the_state(network):
    with pytest.raises(ValueError, match=r"a frame of 3 streams for a state of 2; begin with init_state\(3\)"):
        network.step(network.init_state(2), random_inputs((3, 8, 8, 2)))


def test_wrong_number_of_class_names():
    from hdlif_jax.deploy.export import make_artifact
    from hdlif_jax.deploy.fold import fold

    with pytest.raises(ValueError, match="1 class names for 5 classes"):
        make_artifact(fold(conv_net()), prepare_inputs, input_kind="image", class_names=("one",))


@pytest.mark.slow
@pytest.mark.parametrize(("weights", "megabytes"), [("ternary", 2.6), ("binary", 1.8)])
def test_size_of_resnet18(tmp_path, weights, megabytes):
    from flax import nnx

    model = nn.resnet18((32, 32, 3), 100, spec=spec_of(weights=weights), rngs=nnx.Rngs(0))
    write(tmp_path / "artifact", small_artifact(model))
    assert size_on_disk(tmp_path / "artifact") <= megabytes * 1e6
    assert load(tmp_path / "artifact").manifest.integer_layers == 16


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "3", None])
def test_a_number_of_streams_is_one(network, size):
    with pytest.raises((ValueError, TypeError), match="batch_size="):
        network.init_state(size)


def test_lists_and_other_states_are_refused_by_name(network):
    inputs, state = random_inputs((2, 8, 8, 2)), network.init_state(2)
    with pytest.raises(TypeError, match=r"inputs are a list; give an array, uint8 \[B, 8, 8, 2\]"):
        network(inputs.tolist())
    with pytest.raises(TypeError, match=r"the state is a NoneType; begin with init_state\(2\)"):
        network.step(None, inputs)
    renamed = {f"{name}x": array for name, array in state.neurons.items()}
    narrower = {name: array[..., :1] for name, array in state.neurons.items()}
    for neurons in (renamed, narrower, {}):
        with pytest.raises(ValueError, match="the state is of another network; begin with init_state"):
            network.step(state._replace(neurons=neurons), inputs)
