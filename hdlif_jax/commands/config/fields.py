"""What the fields of configurations share: their checks, and their way to JSON and back."""

import dataclasses
import types
import typing
from collections.abc import Iterable
from typing import Any, Literal

SCHEMA = 1  # of config.json; raised when a field changes its meaning


def require(condition: bool, message: str) -> None:
    """Raises ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


def require_choice(config: Any, **choices: Iterable[str]) -> None:
    """Raises ValueError for a field whose value is none of those that there are."""
    for name, known in choices.items():
        value = getattr(config, name)
        require(value in known, f"{name}={value!r} is unknown; choose one of {', '.join(known)}")


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as plain dicts and lists, ready for JSON."""
    return dataclasses.asdict(config)


def from_dict(kind: type, values: dict[str, Any]) -> Any:
    """The inverse of `to_dict`.

    Args:
      kind: the dataclass to build.
      values: its fields.

    Raises:
      ValueError: a field that does not exist or a value of the wrong type.
    """
    hints = typing.get_type_hints(kind)
    names = {field.name for field in dataclasses.fields(kind)}
    unknown = sorted(values.keys() - names)
    require(not unknown, f"{kind.__name__} has no field {', '.join(unknown)}; it has {', '.join(sorted(names))}")
    return kind(**{name: _convert(hints[name], value, f"{kind.__name__}.{name}") for name, value in values.items()})


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        require(isinstance(value, dict), f"{where}={value!r} must be an object")
        return from_dict(typing.cast(type, hint), value)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        require(isinstance(value, list), f"{where}={value!r} must be a list")
        return tuple(_convert(arguments[0], item, where) for item in value)
    if origin is Literal:
        require(value in arguments, f"{where}={value!r} must be one of {', '.join(map(str, arguments))}")
        return value
    if origin in (typing.Union, types.UnionType):
        accepted = tuple(arguments)
    else:
        accepted = (hint, int) if hint is float else (hint,)
    if float in accepted:
        accepted += (int,)
    allowed = isinstance(value, accepted) and not (isinstance(value, bool) and bool not in accepted)
    require(allowed, f"{where}={value!r} must be {getattr(hint, '__name__', hint)}")
    return value
