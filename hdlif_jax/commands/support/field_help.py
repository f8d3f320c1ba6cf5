"""Help of fields whose docstrings have several lines: tyro would keep the line breaks of the source."""

import dataclasses
import typing
from typing import Any

import docstring_parser
import tyro
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

REGISTRY = ConstructorRegistry()


@REGISTRY.struct_rule
def dataclass_rule(info: StructTypeInfo) -> StructConstructorSpec | None:
    """The fields of a dataclass, each with its docstring as one paragraph; None for other types and generic ones."""
    kind: Any = info.type
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)) or hasattr(kind, "__parameters__"):
        return None
    hints = typing.get_type_hints(kind, include_extras=True)
    texts = paragraphs(kind)
    fields = [
        StructFieldSpec(field.name, hints[field.name], _default(field, info.default), texts.get(field.name))
        for field in dataclasses.fields(kind)
    ]
    return StructConstructorSpec(instantiate=kind, fields=tuple(fields))


def paragraphs(kind: type) -> dict[str, str]:
    """The docstrings of a dataclass' fields, also of those that it inherits, without line breaks."""
    found = {}
    for base in reversed(kind.__mro__[:-1]):
        for field in docstring_parser.parse_from_object(base).params:
            found[field.arg_name] = " ".join((field.description or "").split())
    return found


def _default(field: "dataclasses.Field[Any]", of_all: Any) -> Any:
    if dataclasses.is_dataclass(of_all):
        return getattr(of_all, field.name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return tyro.MISSING if field.default is dataclasses.MISSING else field.default
