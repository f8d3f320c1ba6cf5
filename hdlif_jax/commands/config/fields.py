"""What configurations share: conditions between fields, and their way to JSON and back."""

import dataclasses
import typing
from typing import Any

SCHEMA = 1  # of config.json; raised when a field changes its meaning


def require(condition: bool, message: str) -> None:
    """Raises ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as plain dicts and lists, ready for JSON."""
    return dataclasses.asdict(config)


def from_dict(kind: type, values: dict[str, Any]) -> Any:
    """The inverse of `to_dict`.

    Args:
      kind: the dataclass to build.
      values: its fields.

    Raises:
      ValueError: a field that does not exist, or a value out of range.
      TypeError: a value of the wrong type.
    """
    hints = typing.get_type_hints(kind)
    names = {field.name for field in dataclasses.fields(kind)}
    unknown = sorted(values.keys() - names)
    require(not unknown, f"{kind.__name__} has no field {', '.join(unknown)}; it has {', '.join(sorted(names))}")
    return kind(**{name: _part(hints[name], value, f"{kind.__name__}.{name}") for name, value in values.items()})


def _part(hint: Any, value: Any, where: str) -> Any:
    """A part of a configuration that is one itself; all else is checked where it is made."""
    if not dataclasses.is_dataclass(hint):
        return value
    require(isinstance(value, dict), f"{where}={value!r} must be an object")
    return from_dict(typing.cast(type, hint), value)
