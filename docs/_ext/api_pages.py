"""The API reference: a page for every public module, with every public name."""

import functools
import importlib
import inspect
import operator
import pathlib
import types
import typing
from typing import Any

import surface
from flax import nnx
from sphinx.util.inspect import signature, stringify_signature

ORDER = ("class", "function", "data")
HEADINGS = {"class": "Classes", "function": "Functions", "data": "Types and constants"}


def write(folder: pathlib.Path) -> None:
    """Writes `folder/<module>.rst` and `folder/index.rst`."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = surface.pages()
    for module, names in pages.items():
        _put(folder / f"{module}.rst", _page(module, names))
    _put(folder / "index.rst", _index(pages))
    for old in set(folder.glob("*.rst")) - {folder / f"{name}.rst" for name in [*pages, "index"]}:
        old.unlink()


def _put(path: pathlib.Path, text: str) -> None:
    """Only where it differs, so that what has not changed is not built again."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _heading(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


def _index(pages: dict[str, list[surface.Name]]) -> str:
    lines = [
        _heading("API reference", "="),
        "Every public name of the package, from its docstring. After `import hdlif_jax as hd` a name such as\n"
        ":py:obj:`hdlif_jax.nn.lif` is `hd.nn.lif`.\n",
        ".. list-table::\n   :widths: 35 65\n",
        *(
            f"   * - :doc:`{_short(module)} <{module}>`\n     - {_first(importlib.import_module(module).__doc__)}"
            for module in sorted(pages)
        ),
        "\n.. toctree::\n   :hidden:\n",
        *(f"   {_short(module)} <{module}>" for module in sorted(pages)),
    ]
    return "\n".join(lines) + "\n"


def _short(module: str) -> str:
    return module.removeprefix("hdlif_jax.")


def _first(docstring: str | None) -> str:
    return " ".join((docstring or "").split("\n\n")[0].split())


def _page(module: str, names: list[surface.Name]) -> str:
    parts = [_heading(module, "="), f".. automodule:: {module}\n   :no-members:\n", _summary(names)]
    for kind in ORDER:
        chosen = [name for name in names if name.kind == kind]
        if chosen:
            parts += [_heading(HEADINGS[kind], "-"), *map(_entry, chosen)]
    return "\n".join(parts)


def _summary(names: list[surface.Name]) -> str:
    rows = (
        f"   * - :py:obj:`{name.path.rpartition('.')[2]} <{name.path}>`\n     - {name.summary}"
        for kind in ORDER
        for name in names
        if name.kind == kind
    )
    return ".. list-table::\n   :widths: 30 70\n\n" + "\n".join(rows) + "\n"


def _entry(name: surface.Name) -> str:
    if name.kind == "class":
        return f".. autoclass:: {name.path}\n   :members:\n"
    if name.kind == "function":
        return f".. autofunction:: {name.path}\n"
    written = surface.source_of(name.module, name.path.rpartition(".")[2])
    value = f"   :value: {written}\n" if written and len(written) < 200 else ""
    return f".. py:data:: {name.path.rpartition('.')[2]}\n{value}\n" + "".join(
        f"   {line}\n" for line in surface.as_text(name.docstring).splitlines()
    )


def signature_of(app, what, path, value, options, arguments, returned):  # type: ignore[no-untyped-def]
    """Modules are called through a metaclass that takes anything; what counts is their constructor."""
    if what == "class" and issubclass(value, nnx.Module) and inspect.isfunction(value.__init__):
        bare_types(app, value.__init__, True)
        return stringify_signature(signature(value.__init__, bound_method=True), unqualified_typehints=True), ""
    return None


def bare_types(app, function, bound):  # type: ignore[no-untyped-def]
    """Signatures show types without the limits that `checks` reads in them, which the text says in words."""
    function = inspect.unwrap(function) if callable(function) else function
    for name, annotation in list(getattr(function, "__annotations__", {}).items()):
        function.__annotations__[name] = _without_limits(annotation)


def _without_limits(annotation: Any) -> Any:
    if typing.get_origin(annotation) is typing.Annotated:
        return _without_limits(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return functools.reduce(operator.or_, map(_without_limits, typing.get_args(annotation)))
    if isinstance(annotation, types.GenericAlias):
        return types.GenericAlias(annotation.__origin__, tuple(map(_without_limits, annotation.__args__)))
    return annotation


def as_text(app, what, path, value, options, lines):  # type: ignore[no-untyped-def]
    """Docstrings are written to be read as they are; examples stay as they are."""
    for place, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            lines[place] = surface.as_text(line)


def skips(app, what, name, value, skip, options):  # type: ignore[no-untyped-def]
    """Fields of named tuples, which the class describes."""
    if (inspect.getdoc(value) or "").startswith("Alias for field number"):
        return True
    return None
