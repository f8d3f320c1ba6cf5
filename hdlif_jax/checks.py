"""What values may be: one mechanism for fields of configurations and options, and for arguments of functions.

Annotations say it all: the type, and in `Annotated` the limits, of which the usual ones have names here. Scalars of
numpy, and concrete arrays without axes, become Python's, so that configurations compare, hash and go to JSON.
"""

import collections.abc
import dataclasses
import functools
import inspect
import math
import operator
import os
import pathlib
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")


HOW = {  # what to give, for arguments that mean the same everywhere
    "model": "give a model such as nn.mlp(...), and not its class or a form of it",
    "network": "give a form of a model, nn.training_form(model) to learn or nn.inference_form(model)",
    "rngs": "give generators such as nnx.Rngs(0)",
    "spec": "give a record such as nn.Spec(num_steps=4)",
    "rule": "give a rule such as learning.random_step()",
    "loss": "give a loss such as losses.cross_entropy()",
    "weights": "give a model or its variables",
    "like": "give a model or its variables",
    "dataset": "give a dataset such as data.Dataset.from_arrays(images, labels)",
    "plan": "give a plan such as training.plan(dataset, epochs=3, batch_size=32)",
    "state": "give what the step or fit before returned, or what training.start gave",
    "checkpoints": "give training.Checkpoints(folder), or None to write none",
    "folded": "give a folded model, deploy.fold.fold(model)",
    "callbacks": "give functions such as training.Callbacks(on_epoch=print)",
    "optimizer": "give an optax transformation such as optax.sgd(0.1, momentum=0.9)",
}


class Limit(NamedTuple):
    """What a value of the right type must be.

    Attributes:
      words: for messages, such as "must be positive".
      holds: whether a value is so.
      outside: values of the right type that are not, for tests.
    """

    words: str
    holds: Callable[[Any], bool]
    outside: tuple[Any, ...]


Count = Annotated[int, Limit("must be at least 1", lambda value: value >= 1, (0, -1, -300))]
Amount = Annotated[int, Limit("must not be negative", lambda value: value >= 0, (-1, -300))]
Seed = Annotated[int, Limit("must be in 0…2³² − 1", lambda value: 0 <= value < 2**32, (-1, 2**32))]
Positive = Annotated[float, Limit("must be positive", lambda value: value > 0, (0.0, -0.5))]
NotNegative = Annotated[float, Limit("must not be negative", lambda value: value >= 0, (-0.5, -300.0))]
Share = Annotated[float, Limit("must be in [0, 1)", lambda value: 0 <= value < 1, (-0.5, 1.0, 2.0))]
Probability = Annotated[float, Limit("must be in [0, 1]", lambda value: 0 <= value <= 1, (-0.5, 1.5))]
Inside = Annotated[float, Limit("must be in (0, 1)", lambda value: 0 < value < 1, (-0.5, 0.0, 1.0, 2.0))]
Leak = Annotated[float, Limit("must be in (0, 1]", lambda value: 0 < value <= 1, (-0.5, 0.0, 2.0))]
Percentile = Annotated[float, Limit("must be in [0, 100]", lambda value: 0 <= value <= 100, (-0.5, 100.5))]
TailPercentile = Annotated[float, Limit("must be in [0, 50)", lambda value: 0 <= value < 50, (-0.5, 50.0, 93.5))]
ImageShape = Annotated[
    tuple[int, ...],
    Limit(
        "must be (height, width, channels) of one image",
        lambda value: len(value) == 3 and min(value) >= 1,
        ((), (8, 8), (8, 8, 0), (4, 8, 8, 1)),
    ),
]
MAX_BITS = 24  # of a spike: a float32 tells no more levels apart
#: Of a spike.
Bits = Annotated[int, Limit(f"must be in 1…{MAX_BITS}", lambda value: 1 <= value <= MAX_BITS, (0, -1, MAX_BITS + 1))]
Widths = Annotated[tuple[Count, ...], Limit("must not be empty", lambda value: len(value) > 0, ((),))]
#: What the kernels of a network are.
WeightKind = Literal["float", "binary", "ternary", "standardized"]
Attention = Literal["none", "seca-1", "seca-2"]
Recalibrate = Literal["auto", "yes", "no"]


class _Unfit(Exception):  # noqa: N818 - not an error yet: another type of a union may fit
    def __init__(self, kind: type[Exception], name: str, value: Any, must: str):
        super().__init__(kind, name, value, must)
        self.kind, self.name, self.value, self.must = kind, name, value, must

    @property
    def is_choice(self) -> bool:
        """Whether the value is none of some choices."""
        return self.must.startswith("is unknown")

    @property
    def is_uncalled(self) -> bool:
        """Whether the value is what makes such a value."""
        return self.must.startswith("is not called")


def check(name: str, value: Any, kind: Any, example: Any = None) -> Any:
    """A value, if it is what its annotation says.

    Args:
      name: of the field or argument, for messages.
      value: to check.
      kind: its annotation; arrays, and what no annotation says, pass.
      example: a good value, for messages; None gives none.

    Returns:
      The value, as the type of Python that the annotation names.

    Raises:
      TypeError: a value of another type.
      ValueError: a choice that does not exist, a number that is not finite, or a value out of range.
    """
    try:
        return _convert(name, value, kind)
    except _Unfit as unfit:
        such_as = "" if example is None or not unfit.must.startswith("must") else f", e.g. {shown(example)}"
        if unfit.kind is TypeError and example is None and unfit.name in HOW and not unfit.is_uncalled:
            such_as = f"; {HOW[unfit.name]}"
        raise unfit.kind(f"{unfit.name}={shown(unfit.value)} {unfit.must}{such_as}") from None


def check_fields(record: Any) -> None:
    """Checks and converts the fields of a frozen dataclass; for the first line of `__post_init__`.

    Raises:
      TypeError: as `check`.
      ValueError: as `check`.
    """
    for name, (kind, default) in field_kinds(type(record)).items():
        value = getattr(record, name)
        converted = check(name, value, kind, default)
        if converted is not value:
            object.__setattr__(record, name, converted)


def check_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a function check and convert its arguments by their annotations, and raise as `check`."""

    @functools.cache
    def kinds() -> tuple[inspect.Signature, dict[str, Any]]:  # not before the first call: names may follow
        return inspect.signature(function), typing.get_type_hints(function, include_extras=True)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        signature, hints = kinds()
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # Python says which arguments are missing or too many, and of what
        for name, value in bound.arguments.items():
            if name in hints and signature.parameters[name].kind not in (
                inspect.Parameter.VAR_POSITIONAL,
                inspect.Parameter.VAR_KEYWORD,
            ):
                bound.arguments[name] = check(name, value, hints[name])
        return function(*bound.args, **bound.kwargs)

    return checked


def field_kinds(record: Any) -> dict[str, tuple[Any, Any]]:
    """Annotation, and default or None, of the fields that a dataclass, the class, is made with."""
    hints = typing.get_type_hints(record, include_extras=True)
    return {
        field.name: (hints[field.name], None if field.default is dataclasses.MISSING else field.default)
        for field in dataclasses.fields(record)
        if field.init
    }


def shown(value: Any) -> str:
    """A value for a message: one line, and not a long one."""
    text = value.__name__ if inspect.isclass(value) or inspect.isfunction(value) else " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _convert(name: str, value: Any, kind: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        converted = _convert(name, value, arguments[0])
        for limit in arguments[1:]:
            if isinstance(limit, Limit) and not limit.holds(converted):
                raise _Unfit(ValueError, name, value, limit.words)
        return converted
    if origin is Literal:
        return _choice(name, value, arguments)
    if origin in (typing.Union, types.UnionType):
        return _one_of(name, value, arguments)
    if origin is tuple:
        return _tuple(name, value, arguments)
    if origin is collections.abc.Callable:
        return _function(name, value)
    if getattr(kind, "_is_protocol", False) and "__call__" in vars(kind):
        return _object(name, value)
    if kind in _SCALARS:
        return _SCALARS[kind](name, value)
    return _instance(name, value, origin or kind)


def _choice(name: str, value: Any, choices: tuple[Any, ...]) -> Any:
    for choice in choices:
        if isinstance(value, type(choice)) and value == choice:
            return choice
    raise _Unfit(ValueError, name, value, f"is unknown; choose one of {', '.join(map(str, choices))}")


def _one_of(name: str, value: Any, kinds: tuple[Any, ...]) -> Any:
    problems = []
    for kind in kinds:
        try:
            return _convert(name, value, kind)
        except _Unfit as problem:
            problems.append(problem)
    for unfit in problems:
        if unfit.is_uncalled or (unfit.kind is ValueError and (isinstance(value, str) or not unfit.is_choice)):
            raise unfit  # the value is of this type, and out of its range, or makes such values
    first, *others = (unfit.must for unfit in problems if not unfit.is_choice)
    raise _Unfit(TypeError, name, value, " or ".join([first, *(must.removeprefix("must be ") for must in others)]))


def _tuple(name: str, value: Any, kinds: tuple[Any, ...]) -> Any:
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    if not isinstance(value, tuple | list):
        raise _Unfit(TypeError, name, value, "must be a tuple")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise _Unfit(ValueError, name, value, f"must be a tuple of {len(kinds)}")
    items = enumerate(zip(value, kinds, strict=True))
    converted = tuple(_convert(f"{name}[{index}]", item, kind) for index, (item, kind) in items)
    same = isinstance(value, tuple) and all(new is old for new, old in zip(converted, value, strict=True))
    return value if same else converted


def _function(name: str, value: Any) -> Any:
    if inspect.isclass(value) and dataclasses.is_dataclass(value):
        raise _uncalled(name, value)
    if not callable(value):
        raise _Unfit(TypeError, name, value, "must be a function or an object that is called as one")
    return value


def _object(name: str, value: Any) -> Any:
    if inspect.isclass(value):
        raise _uncalled(name, value)
    return _function(name, value)


def _uncalled(name: str, value: Any) -> _Unfit:
    arguments = "" if inspect.isclass(value) else "..."
    return _Unfit(TypeError, name, value, f"is not called yet; write {value.__name__}({arguments})")


def _instance(name: str, value: Any, kind: Any) -> Any:
    is_checked = inspect.isclass(kind) and kind.__module__.split(".")[0] not in ("jax", "jaxlib", "numpy")
    if is_checked and not getattr(kind, "_is_protocol", False) and not isinstance(value, kind):
        if inspect.isclass(value) or inspect.isfunction(value):
            raise _uncalled(name, value)
        raise _Unfit(TypeError, name, value, f"must be of type {kind.__name__}")
    return value


def _none(name: str, value: Any) -> None:
    if value is not None:
        raise _Unfit(TypeError, name, value, "must be None")


def _bool(name: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise _Unfit(TypeError, name, value, "must be True or False")
    return bool(value)


def _int(name: str, value: Any) -> int:
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise _Unfit(TypeError, name, value, "must be an integer")


def _float(name: str, value: Any) -> float:
    is_number = isinstance(value, float | int) and not isinstance(value, bool)
    if not is_number:  # numpy's and JAX's scalars; neither of them has a "kind" for booleans or complex numbers here
        kind, shape = getattr(getattr(value, "dtype", None), "kind", ""), getattr(value, "shape", None)
        is_number = kind in tuple("iufV") and shape == ()
    try:
        converted = float(value) if is_number else math.nan
    except (TypeError, OverflowError):
        is_number = False
    if not is_number:
        raise _Unfit(TypeError, name, value, "must be a number")
    if not math.isfinite(converted):
        raise _Unfit(ValueError, name, value, "must be finite")
    return value if type(value) is float else converted


def _str(name: str, value: Any) -> str:
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    if not isinstance(value, str):
        raise _Unfit(TypeError, name, value, "must be a string")
    return value if type(value) is str else str(value)


def _path(name: str, value: Any) -> pathlib.Path:
    if not isinstance(value, str | os.PathLike):
        raise _Unfit(TypeError, name, value, "must be a path")
    return pathlib.Path(value)


def _any(name: str, value: Any) -> Any:
    del name
    return value


_SCALARS: dict[Any, Callable[[str, Any], Any]] = {
    None: _none,
    type(None): _none,
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
    pathlib.Path: _path,
    Any: _any,
}
