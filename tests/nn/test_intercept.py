import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hdlif_jax import nn
from hdlif_jax.nn import Tick
from hdlif_jax.nn.intercept import intercept, modules, original
from tests.conftest import small_network


def small_mlp():
    rngs = nnx.Rngs(0)
    layers = nn.Linear(4, 5, rngs=rngs), nn.hd_lif(), nn.Linear(5, 3, rngs=rngs)
    return nn.Sequential(*layers, num_steps=2, input_shape=(4,))


X = jnp.linspace(-1, 2, 8).reshape(2, 4)


def run(model):
    return model(None, model.encode(X), Tick(0))[1]


def test_modules_have_their_paths():
    paths = dict(modules(small_network()))
    assert isinstance(paths[""], nn.SpikingResNet)
    assert isinstance(paths["blocks.1.downsample.conv"], nn.Conv)
    assert isinstance(paths["head"], nn.Linear)


def test_a_call_goes_through_the_function_that_was_chosen():
    model, seen = small_mlp(), []
    expected = run(model)

    def choose(path, module):
        if not isinstance(module, nn.Linear):
            return None

        def double(call, x):
            seen.append((path, x.shape))
            return 2 * call(x)

        return double

    copy = nnx.clone(model)
    intercept(copy, choose)
    hidden = copy.encode(X)
    np.testing.assert_allclose(hidden, 2 * model.encode(X), rtol=1e-6)
    _, logits = copy(None, hidden, Tick(0))
    _, by_hand = model(None, 2 * model.encode(X), Tick(0))
    np.testing.assert_allclose(logits, 2 * by_hand, rtol=1e-6)
    assert seen == [("layers.0", (2, 4)), ("layers.2", (2, 5))]
    np.testing.assert_array_equal(run(model), expected)  # the caller's model is untouched


def test_modules_stay_what_they_are():
    model = small_mlp()
    kinds = {path: type(module) for path, module in modules(model)}
    intercept(model, lambda path, module: lambda call, *arguments: call(*arguments))
    for path, module in modules(model):
        assert isinstance(module, kinds[path])
        assert type(module).__name__ == kinds[path].__name__
        assert type(module).__module__ == kinds[path].__module__
    assert isinstance(dict(modules(model))["layers.1"], nn.NeuronCell)


def test_modules_that_are_not_chosen_keep_their_class():
    model = small_mlp()
    intercept(model, lambda path, module: (lambda call, x: call(x)) if path == "layers.0" else None)
    kinds = {path: type(module) for path, module in modules(model)}
    assert kinds["layers.2"] is nn.Linear
    assert kinds["layers.0"] is not nn.Linear


def test_watchers_of_one_model_stand_one_behind_the_other():
    """As where a meter watches a copy whose form watches it too: the last one that came sees the call first."""
    model, order = small_mlp(), []

    def watcher(name):
        def note(call, *arguments):
            order.append(name)
            return call(*arguments)

        return lambda path, module: note if path == "layers.1" else None

    expected = run(model)
    for name in ("first", "second", "third"):
        intercept(model, watcher(name))
    np.testing.assert_array_equal(run(model), expected)
    assert order == ["third", "second", "first"]


def test_the_class_before_is_known():
    model = small_mlp()
    intercept(model, lambda path, module: lambda call, *arguments: call(*arguments))
    intercept(model, lambda path, module: lambda call, *arguments: call(*arguments))
    assert original(type(dict(modules(model))["layers.1"])) is nn.HDLIFCell
    assert original(nn.Linear) is nn.Linear


def test_arguments_by_name_stay_by_name():
    model = small_mlp()
    intercept(model, lambda path, module: lambda call, *arguments, **names: (sorted(names), call(*arguments, **names)))
    names, (_, spikes) = dict(modules(model))["layers.1"](None, X, tick=Tick(1))
    assert names == ["tick"]
    assert spikes.shape == X.shape


def test_a_form_of_a_watched_model_keeps_the_watcher():
    model, seen = small_mlp(), []

    def choose(path, module):
        def note(call, *arguments):
            seen.append(path)
            return call(*arguments)

        return note if isinstance(module, nn.NeuronCell | nn.Linear) else None

    plain, variables = nn.inference_form(model, record=True), nn.variables_of(model)
    expected = plain.sequence(*variables, X)
    watched = nnx.clone(model)
    intercept(watched, choose)
    got = nn.inference_form(watched, record=True).sequence(*variables, X)
    np.testing.assert_array_equal(got.logits, expected.logits)
    jax.tree.map(np.testing.assert_array_equal, got.records, expected.records)
    assert seen == ["layers.0", "layers.1", "layers.1", "layers.2"]  # two steps of the cell


def test_an_error_in_a_watcher_is_the_caller_s():
    model = small_mlp()

    def refuse(call, *arguments):
        raise ValueError("not here")

    intercept(model, lambda path, module: refuse if path == "layers.2" else None)
    with pytest.raises(ValueError, match="not here"):
        run(model)
