"""The public surface of the package: what has to be documented, and on which page."""

import ast
import importlib
import inspect
import pathlib
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import hdlif_jax

ROOT = "hdlif_jax"
APART = f"{ROOT}.commands"  # described by its --help
ALSO = {"hdlif_jax.commands.support.runs": ["Run"]}  # what `hd.training.load_run` gives
TYPES = ["hdlif_jax.deploy.graph"]  # what fold rules write


class Name(NamedTuple):
    """A public name: where users find it, and where it is written."""

    path: str
    module: str
    value: Any

    @property
    def kind(self) -> str:
        """As autodoc calls it."""
        if isinstance(self.value, type):
            return "class"
        # What JAX has made of a function, such as a custom gradient, carries the function's docstring.
        made = callable(self.value) and hasattr(self.value, "__wrapped__")
        return "function" if made or inspect.isfunction(self.value) else "data"

    @property
    def identity(self) -> object:
        """Equal for one thing under two names."""
        return (self.module, self.path.rpartition(".")[2]) if self.kind == "data" else id(self.value)

    @property
    def docstring(self) -> str:
        """Its own; of a value, the `#:` comment where it is written."""
        if self.kind == "data":
            return comment_of(self.module, self.path.rpartition(".")[2])
        return inspect.getdoc(self.value) or ""

    @property
    def summary(self) -> str:
        """The first paragraph, in one line."""
        return " ".join(as_text(self.docstring.split("\n\n")[0]).split())


def pages() -> dict[str, list[Name]]:
    """The documented modules with their names, packages first; a name stands once, where it is nearest to `hd`."""
    packages = sorted(_packages(), key=lambda module: (module.count("."), module))
    found: dict[str, list[Name]] = {}
    seen: set[object] = set()
    for module in [*packages, *_modules(packages), *TYPES, *ALSO]:
        if module in found:
            continue
        found[module] = [name for name in _names(module) if name.identity not in seen]
        seen |= {name.identity for name in found[module]}
    return {module: names for module, names in found.items() if names}


def _packages() -> Iterator[str]:
    """Those that say what is public, `hdlif_jax` itself and the commands left out."""
    for info in pkgutil.walk_packages(hdlif_jax.__path__, f"{ROOT}."):
        if info.ispkg and not info.name.startswith(APART) and hasattr(importlib.import_module(info.name), "__all__"):
            yield info.name


def _modules(packages: list[str]) -> Iterator[str]:
    """Plain modules that are public names themselves, such as `hd.losses` and `hd.nn.inits`."""
    for package in [ROOT, *packages]:
        module = importlib.import_module(package)
        for name in module.__all__:
            value = getattr(module, name)
            if isinstance(value, ModuleType):
                yield value.__name__


def _names(module_name: str) -> list[Name]:
    module = importlib.import_module(module_name)
    written = _written_in(module)
    public = (
        ALSO.get(module_name)
        or getattr(module, "__all__", None)
        or [name for name, source in written.items() if source == module_name]
    )
    names = [Name(f"{module_name}.{name}", written.get(name, module_name), getattr(module, name)) for name in public]
    return sorted(
        (name for name in names if not isinstance(name.value, ModuleType) and name.path.split(".")[-1][0] != "_"),
        key=lambda name: name.path.lower(),
    )


def _written_in(module: ModuleType) -> dict[str, str]:
    """Names that stand at a module's top level, with the module that they are written in."""
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(ROOT):
            for alias in node.names:
                found[alias.asname or alias.name] = _origin(node.module, alias.name)
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = module.__name__
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    found[target.id] = module.__name__
    return found


def _origin(module_name: str, name: str) -> str:
    """Follows an import to the module that writes the name."""
    try:
        module = importlib.import_module(module_name)
    except ImportError:
        return module_name
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(ROOT):
            for alias in node.names:
                if (alias.asname or alias.name) == name and node.module != module_name:
                    return _origin(node.module, alias.name)
    return module_name


def as_text(docstring: str) -> str:
    """Prose in which |x| is no substitution and `X`s is code with a letter behind it, as authors mean it."""
    parts = re.split(r"(`[^`\n]+`)", docstring.replace("``", "`"))
    for place in range(0, len(parts), 2):  # prose; between are pieces of code
        parts[place] = parts[place].replace("|", r"\|")
        if place and parts[place][:1].isalnum():
            parts[place] = r"\ " + parts[place]
    return "".join(parts)


def comment_of(module_name: str, name: str) -> str:
    """The `#:` comment of a value."""
    from sphinx.pycode import ModuleAnalyzer

    comments = ModuleAnalyzer.for_module(module_name).find_attr_docs()
    return "\n".join(comments.get(("", name), [])).strip()


def source_of(module_name: str, name: str) -> str:
    """The right side of an assignment as it is written, in one line; "" where there is none."""
    text = pathlib.Path(inspect.getfile(importlib.import_module(module_name))).read_text()
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        named = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        if named and isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            return ast.unparse(node.value)
    return ""
