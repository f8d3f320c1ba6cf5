"""Configurations, options, arguments and trees of arrays that are wrong in one place are refused in one line.

What may be wrong follows from the annotations (`hdlif_jax.checks`), so a new field is in here by itself; a function or
another door is one line in `DOORS` or `TREES`.
"""

import dataclasses
import inspect
import json
import tempfile
import types
import typing
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from hdlif_jax import data, encodings, learning, losses, nn, quantize, rollout, training, viz
from hdlif_jax.checks import Limit, field_kinds
from hdlif_jax.commands.config import (
    DataConfig,
    LearningConfig,
    LIFConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
    from_dict,
    to_dict,
)
from hdlif_jax.commands.support.execution import Execution
from hdlif_jax.deploy.fold import fold
from hdlif_jax.interop import nir
from hdlif_jax.neurons import surrogates
from tests.training.trainers import make_dataset

SHAPE, RNGS = (4, 4, 1), nnx.Rngs(0)
MODEL = nn.mlp((4,), 2, widths=(3,), spec=nn.Spec(num_steps=2), rngs=nnx.Rngs(0))
TEACHER = nn.mlp((4,), 2, widths=(3,), spec=nn.Spec(num_steps=1, neuron=nn.relu()), rngs=nnx.Rngs(0))
NETWORK = {"input_shape": SHAPE, "num_classes": 2, "spec": nn.Spec(num_steps=1), "rngs": RNGS}
TRAINING = {"model": MODEL, "rule": learning.random_step(), "loss": losses.cross_entropy(), "optimizer": optax.sgd(0.1)}
FOUND = nn.mlp(
    (4,),
    2,
    widths=(16,),
    spec=nn.Spec(num_steps=2, neuron=nn.lif(learn_threshold=False, found_threshold=True)),
    rngs=nnx.Rngs(0),
)

RUN = {
    "model": nn.mlp((5, 5, 2), 3, widths=(2,), spec=nn.Spec(num_steps=2), rngs=nnx.Rngs(0)),
    "plan": training.plan(make_dataset(), epochs=1, batch_size=4),
}

SPIKES = nn.lif(surrogates.dspike(), height=1.0)
SETTABLE = nn.mlp((4,), 2, widths=(3,), spec=nn.Spec(num_steps=2, neuron=SPIKES), rngs=nnx.Rngs(0))
TEMPERATURE = {
    "network": nn.training_form(SETTABLE),
    "loss": losses.cross_entropy(),
    "variables": nn.variables_of(SETTABLE),
    "batch": learning.Batch(jnp.ones((2, 4)), jnp.arange(2)),
    "num_weights": None,
}

FOLDED = fold(nn.mlp((4,), 2, widths=(3,), spec=nn.Spec(num_steps=2, neuron=nn.lif()), rngs=nnx.Rngs(0)))

# What is called, and good arguments for what has no default or would take long with it.
DOORS: list[tuple[Any, dict[str, Any]]] = [
    *((kind, {}) for kind in (DataConfig, LearningConfig, ModelConfig, OptimizerConfig, TrainConfig, Execution)),
    (LIFConfig, {}),
    *((kind, {}) for kind in (nn.Spec, nn.lif, nn.adaptive_lif, nn.hd_lif, nn.mem_bn, nn.parallel, nn.batch_norm)),
    *((kind, {}) for kind in (surrogates.triangle, surrogates.rectangle, surrogates.sigmoid, surrogates.arctan)),
    *((kind, {}) for kind in (surrogates.fast_sigmoid, surrogates.gaussian, surrogates.dspike, surrogates.smooth_step)),
    *((kind, {}) for kind in (nn.glif, nn.relu)),
    (training.choose_temperature, TEMPERATURE),
    (surrogates.custom, {"function": jnp.exp}),
    *((kind, {}) for kind in (losses.cross_entropy, losses.mean_squared_error, losses.distance_to, losses.tet)),
    *((kind, {"loss": losses.cross_entropy()}) for kind in (losses.of_mean_output, losses.of_each_step)),
    *((kind, {}) for kind in (learning.random_k, learning.stbp, learning.accumulate, learning.every_step)),
    *((kind, {}) for kind in (learning.traced, learning.ratio_trace)),
    (learning.layer_local, {"teacher": learning.Teacher(TEACHER, nn.variables_of(TEACHER))}),
    (learning.rates_of, {"activations": jnp.ones(3)}),
    *((kind, {"num_steps": 2}) for kind in (encodings.poisson, encodings.latency, encodings.dct)),
    *((kind, {"block": 4}) for kind in (encodings.dct_matrix, encodings.zigzag)),
    (encodings.dct_slices, {"images": jnp.zeros((1, 4, 4, 1))}),
    (encodings.dct_thresholds, {"slices": jnp.zeros((16, 1, 4, 4, 1))}),
    (data.hold_out, {"source": make_dataset().train, "fraction": 0.5}),
    (data.stratified, {"source": make_dataset().train, "count": 2}),
    (
        data.Dataset.from_arrays,
        {"images": np.zeros((4, 2, 2), np.uint8), "labels": np.arange(4) % 2, "test_fraction": 0.5},
    ),
    (data.frames_of, {"x": [0], "y": [0], "t": [1], "p": [1], "sensor": (2, 2), "num_frames": 1}),
    (data.open_dataset, {"name": "digits", "directory": ".", "num_steps": 2}),
    (quantize.SpikeQuantizer, {}),
    (training.Augmentation, {}),
    (training.plan, {"dataset": make_dataset(), "epochs": 1, "batch_size": 4}),
    (training.make_preprocess, {"mean": (0.5,), "std": (0.25,), "num_classes": 2}),
    (training.make_normalize, {"mean": (0.5,), "std": (0.25,)}),
    (training.warmup_cosine, {"learning_rate": 0.1, "warmup": 1, "total": 4}),
    (training.warmup_steps, {"learning_rate": 0.1, "milestones": (2,)}),
    (training.slowed, {"rule": optax.sgd(0.1), "factor": 0.1, "chosen": {"gate": True}}),
    *(
        (kind, {"model": FOUND, "variables": nn.variables_of(FOUND), "inputs": jnp.ones((2, 4))} | options)
        for kind, options in ((training.find_thresholds, {}), (training.find_threshold, {"path": "layers.1"}))
    ),
    (training.start, TRAINING),
    (training.Trainer, TRAINING | RUN),
    (nn.Conv, {"in_channels": 1, "out_channels": 1, "rngs": RNGS}),
    (nn.Linear, {"in_features": 1, "out_features": 1, "rngs": RNGS}),
    (nn.inits.uniform, {}),
    (nn.SECA, {"rngs": RNGS}),
    (nn.Dropout, {}),
    (nn.mlp, NETWORK | {"widths": (2,)}),
    (nn.conv_net, NETWORK | {"widths": (2,)}),
    (nn.vgg, NETWORK | {"widths": (2,)}),
    (nn.AdaptiveAverage, {"size": 2}),
    *((kind, NETWORK | {"width": 1}) for kind in (nn.resnet18, nn.resnet19, nn.resnet34)),
    *((kind, NETWORK | {"input_shape": (16, 16, 2), "width": 1}) for kind in (nn.vgg13, nn.vgg_snn)),
    *((kind, NETWORK | {"width": 1}) for kind in (nn.post_resnet18, nn.post_resnet19, nn.post_resnet34)),
    *((kind, NETWORK | {"width": 1}) for kind in (nn.glif_resnet18, nn.spike_resnet18, nn.nf_resnet34)),
    *((kind, NETWORK | {"input_shape": (32, 32, 2), "width": 1}) for kind in (nn.vgg11_adaptive, nn.vgg13_linear)),
    *((kind, NETWORK | {"input_shape": (16, 16, 2), "width": 1}) for kind in (nn.vgg11, nn.vgg11_strided)),
    (nn.Scale, {"factor": 0.5}),
    *((nir.to_nir, {"folded": FOLDED}), (nir.from_nir, {"graph": nir.to_nir(FOLDED)})),
    (viz.decimals_of_percent, {"count": 10}),
    (viz.wilson, {"share": 0.5, "count": 10}),
]


class Wrong(NamedTuple):
    """A kind of wrongness: what is wrong with a value, and values that are."""

    what: str
    values: st.SearchStrategy[Any]


NUMBERS = [
    Wrong("a string", st.text() | st.just("3")),
    Wrong("True or False", st.booleans()),
    Wrong("a list", st.lists(st.integers())),
    Wrong("complex", st.just(1j)),
    Wrong("a class", st.just(int)),
    Wrong("an array", st.sampled_from([np.ones(2), np.ones((1, 1)), np.array("a"), np.array(True)])),
]
NOTHING = Wrong("None", st.none())
ANYTHING = [Wrong("a number", st.integers() | st.floats()), Wrong("a list", st.lists(st.integers())), NOTHING]


def wrongs_of(kind: Any) -> list[Wrong]:
    """Kinds of wrongness of a value with an annotation; none where everything is taken."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        outside = [value for limit in arguments[1:] if isinstance(limit, Limit) for value in limit.outside]
        return [*wrongs_of(arguments[0]), *(Wrong(f"{value!r}, out of range", st.just(value)) for value in outside)]
    if origin is Literal:
        near = [f"{choice}s" for choice in arguments] + [choice.upper() for choice in arguments]
        return [*ANYTHING, Wrong("unknown", st.sampled_from(sorted({"", *near} - set(arguments))))]
    if origin in (typing.Union, types.UnionType):
        optional = type(None) in arguments
        (first, *others) = [argument for argument in arguments if argument is not type(None)]
        return [] if others else [wrong for wrong in wrongs_of(first) if not (optional and wrong is NOTHING)]
    if origin is tuple:
        item = next(iter(wrongs_of(arguments[0])))
        return [*ANYTHING[::2], Wrong(f"with an entry that is {item.what}", item.values.map(lambda value: (1, value)))]
    if kind is int:
        return [*NUMBERS, NOTHING, Wrong("a fraction", st.floats())]
    if kind is float:
        return [*NUMBERS, NOTHING, Wrong("not finite", st.sampled_from([np.nan, np.inf, -np.inf, np.float32("nan")]))]
    if kind is bool:
        return [*ANYTHING, Wrong("a string", st.text())]
    if kind is str:
        return [*ANYTHING, Wrong("bytes", st.binary())]
    if "Callable" in str(origin) or (getattr(kind, "_is_protocol", False) and "__call__" in vars(kind)):
        return [*ANYTHING, Wrong("not called yet", st.just(surrogates.triangle))]
    return ANYTHING if dataclasses.is_dataclass(kind) or kind in (nnx.Rngs, training.Plan) else []


def kinds_of(door: Any) -> dict[str, Any]:
    """The annotations of what a door takes."""
    if dataclasses.is_dataclass(door):
        return {name: kind for name, (kind, _) in field_kinds(door).items()}
    function = door.__init__ if inspect.isclass(door) else door
    hints = typing.get_type_hints(function, include_extras=True)
    return {name: hint for name, hint in hints.items() if name != "return"}


WRONGS = {
    door: [(name, wrong) for name, kind in kinds_of(door).items() for wrong in wrongs_of(kind)] for door, _ in DOORS
}


def refuses(call: Any, *names: str) -> None:
    """Checks that a call ends in one line that has these words."""
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    message = str(caught.value)
    assert message, caught
    assert "\n" not in message
    assert all(name in message for name in names), message


def test_there_are_many_kinds_of_wrongness():
    assert sum(map(len, WRONGS.values())) + len(TREE_WRONGS) * len(TREES) > 300
    assert all(WRONGS.values()), "a door without a check"


@pytest.mark.parametrize(("door", "good"), DOORS, ids=lambda door: getattr(door, "__name__", ""))
def test_a_value_that_is_wrong_is_refused_by_name(door, good):
    if "rngs" in good:  # in shapes: to draw kernels takes seconds
        nnx.eval_shape(lambda: door(**(good | {"rngs": nnx.Rngs(0)})))
    else:
        door(**good)

    @settings(max_examples=2, deadline=None, derandomize=True, database=None)
    @given(st.data())
    def every_wrong(drawn):
        for name, wrong in WRONGS[door]:
            value = drawn.draw(wrong.values, label=f"{name}, {wrong.what}")
            refuses(lambda: door(**(good | {name: value})), name)  # noqa: B023 - called at once

    every_wrong()


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type, in its limits or not."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return values_of(arguments[0])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(values_of, arguments))
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    simple = {
        bool: st.booleans(),
        int: st.integers(-1, 12),
        float: st.floats(-0.1, 1.5) | st.integers(0, 2),
        str: st.text(max_size=4),
        type(None): st.none(),
    }
    return simple[kind]


@pytest.mark.parametrize("kind", [DataConfig, LearningConfig, LIFConfig, ModelConfig, OptimizerConfig, TrainConfig])
def test_any_mix_of_values_is_a_configuration_that_json_keeps_or_is_refused_in_one_line(kind):
    fields = {name: hint for name, (hint, _) in field_kinds(kind).items() if not dataclasses.is_dataclass(hint)}

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(st.fixed_dictionaries({}, optional={name: values_of(hint) for name, hint in fields.items()}))
    def any_mix(values):
        config, problem = None, ""
        try:
            config = kind(**values)
        except (ValueError, TypeError) as error:
            problem = str(error)
        assert "\n" not in problem
        if config is None:
            assert problem
            return
        assert from_dict(kind, json.loads(json.dumps(to_dict(config)))) == config
        assert hash(config) == hash(kind(**values))

    any_mix()


def test_numbers_of_numpy_and_jax_become_python_s():
    config = TrainConfig(seed=np.int64(3), epochs=jnp.int32(2), optimizer=OptimizerConfig(momentum=np.float32(0.5)))
    assert [type(value) for value in (config.seed, config.epochs, config.optimizer.momentum)] == [int, int, float]
    assert OptimizerConfig(learning_rate=1, decay_all=np.True_) == OptimizerConfig(learning_rate=1.0, decay_all=True)
    assert ModelConfig(widths=[np.int32(4), 8]).widths == (4, 8)
    assert hash(nn.hd_lif(bits=np.int8(3), scale=jnp.float32(0.5))) == hash(nn.hd_lif(3, 0.5))


def test_a_field_is_not_explained_as_the_argument_of_that_name():
    with pytest.raises(TypeError, match=r"^model=3 must be of type ModelConfig, e\.g\. ModelConfig\("):
        TrainConfig(model=3)


@pytest.mark.parametrize("name", training.Callbacks._fields)
def test_a_callback_is_a_function(name, small_trainer):
    refuses(lambda: small_trainer.fit(callbacks=training.Callbacks(**{name: 3})), f"callbacks.{name}")


@pytest.fixture(scope="module")
def small_trainer():
    return training.Trainer(**(TRAINING | RUN))


LEAVES = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(nn.variables_of(MODEL))]


def changed(tree: Any, path: str, change: Any) -> Any:
    """A tree with one leaf changed."""
    return jax.tree_util.tree_map_with_path(
        lambda at, leaf: change(leaf) if jax.tree_util.keystr(at) == path else leaf, tree
    )


TREE_WRONGS = {
    f"{path} {what}": (path, change)
    for path in LEAVES
    for what, change in {
        "with one more axis": lambda leaf: leaf[None],
        "of another size": lambda leaf: jnp.ones((*leaf.shape[:-1], (leaf.shape or (0,))[-1] + 1)),
        "that is a dict": lambda leaf: {"kernel": leaf},
        "that is missing": lambda leaf: {},
    }.items()
}


def through_a_file(variables: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        training.save_weights(f"{folder}/weights", nn.Variables(*variables))
        training.load_weights(f"{folder}/weights", MODEL)


def by_a_gradient(variables: Any) -> None:
    rule, loss, batch = learning.random_step(), losses.cross_entropy(), learning.Batch(jnp.ones((2, 4)), jnp.arange(2))
    network, key = nn.training_form(MODEL), jax.random.key(0)
    jax.eval_shape(lambda variables: rule.gradient(network, loss, variables, batch, key), variables)


def by_a_rollout(variables: Any) -> None:
    network, inputs = nn.inference_form(MODEL), jnp.ones((2, 4))
    jax.eval_shape(lambda variables: rollout.rollout(network, variables, inputs), variables)


# Doors that variables come in by; each takes a tree that may be wrong.
TREES = {
    "with_variables": lambda variables: nn.with_variables(MODEL, variables),
    "load_weights": through_a_file,
    "a gradient": by_a_gradient,
    "a rollout": by_a_rollout,
}


@pytest.mark.parametrize("door", TREES)
@pytest.mark.parametrize("wrong", TREE_WRONGS)
def test_a_tree_that_is_wrong_in_one_leaf_is_refused(wrong, door):
    path, change = TREE_WRONGS[wrong]
    good = nn.variables_of(MODEL)
    TREES[door](good)
    refuses(lambda: TREES[door](changed(good, path, change)))
