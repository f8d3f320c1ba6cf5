import jax
import numpy as np
import pytest

from hdlif_jax import nn, training
from hdlif_jax.commands.config import TrainConfig, from_dict
from tests.conftest import perturbed, small_network

SMALL = {"widths": (3,), "num_steps": 2}


@pytest.fixture(scope="module")
def model():
    return nn.with_variables(fresh := small_network(**SMALL), perturbed(nn.variables_of(fresh)))


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "own.safetensors"
    training.save_weights(path, model, config=TrainConfig(epochs=7))
    return path


def test_weights_and_their_configuration_come_back_exactly(model, saved):
    variables = training.load_weights(saved, small_network(**SMALL, seed=1))
    jax.tree.map(np.testing.assert_array_equal, variables, nn.variables_of(model))
    config = training.read_weights(saved).config
    assert from_dict(TrainConfig, config) == TrainConfig(epochs=7)
    assert [file.name for file in saved.parent.iterdir()] == [saved.name]  # nothing half-written is left


def test_other_programs_read_them(model, saved):
    from safetensors import safe_open

    with safe_open(saved, "numpy") as file:
        kernel = file.get_tensor("params.blocks.0.conv1.kernel")
    np.testing.assert_array_equal(kernel, nn.variables_of(model).params["blocks"][0]["conv1"]["kernel"])


def test_another_network_s_weights_are_refused_by_name(saved):
    message = r"own.safetensors is of another network: params.blocks.0.conv1.kernel is float32\[3, 3, 3, 3\], the "
    with pytest.raises(ValueError, match=message + r"network needs float32\[3, 3, 4, 4\]"):
        training.load_weights(saved, small_network(widths=(4,), num_steps=2))
    with pytest.raises(ValueError, match=r"is float32\[2\], the network needs float32\[4\]"):
        training.load_weights(saved, small_network(widths=(3,), num_steps=4))
    with pytest.raises(ValueError, match=r"the network has no params\..*raw_decay"):
        training.load_weights(saved, small_network(**SMALL, neuron="parallel"))


@pytest.mark.parametrize("content", [b"", b"12345678" * 9, b"\x02\0\0\0\0\0\0\0{}tail"])
def test_what_is_no_file_of_weights_is_refused(content, tmp_path, model):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="file is no file of weights") as caught:
        training.load_weights(path, model)
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError):
        training.load_weights(tmp_path / "nowhere", model)


def test_a_failed_write_leaves_the_old_file(tmp_path, model, monkeypatch):
    path = tmp_path / "weights"
    path.write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            training.save_weights(path, model)
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]
    assert path.read_text() == "old"
    with pytest.raises(TypeError, match="not JSON serializable"):
        training.save_weights(path, model, config={1j})


def test_layers_that_fit_are_taken_whole_and_the_rest_is_named(saved, model):
    other = small_network(**SMALL, num_classes=5, seed=3)
    moved = training.transfer(training.read_weights(saved).arrays, other)
    assert moved.left == {"head": "params.head.bias is float32[3], the network needs float32[5]"}
    assert moved.unused == ()
    old, new, own = (training.by_name(weights) for weights in (model, moved.variables, other))
    for name, array in new.items():
        expected = own if name.startswith("params.head.") else old
        np.testing.assert_array_equal(array, expected[name])
    assert "blocks.0.conv1" in moved.taken
    assert "stem_norm" in moved.taken  # with its statistics


def test_nothing_that_fits_is_an_error(saved):
    with pytest.raises(ValueError, match=r"none of the network's \d+ layers fits: it has no params\."):
        training.transfer(training.read_weights(saved).arrays, nn.mlp((4,), 2, widths=(3,), rngs=nn_rngs()))


def nn_rngs():
    from flax import nnx

    return nnx.Rngs(0)
