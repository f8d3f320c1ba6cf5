"""The examples in the docstrings run and give what they say."""

import ast
import doctest
import importlib
import pathlib

import jax
import pytest

ROOT = pathlib.Path(__file__).parent.parent


def documented_modules():
    """Modules with examples, found in their text so that the others need not be imported."""
    for file in sorted((ROOT / "hdlif_jax").rglob("*.py")):
        nodes = [
            node
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        ]
        if any(">>>" in (ast.get_docstring(node) or "") for node in nodes):
            parts = file.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("module", list(documented_modules()))
def test_examples(module):
    """In the numerics of a user, without the strictness of the tests."""
    finder, runner = doctest.DocTestFinder(exclude_empty=True), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    examples = [example for example in finder.find(importlib.import_module(module), module) if example.examples]
    assert examples
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for example in examples:
            runner.run(example)
    assert runner.summarize(verbose=False).failed == 0


def test_the_floors_that_are_used_most_have_examples():
    having = {module.split(".")[1] for module in documented_modules()}
    assert {"neurons", "nn", "rollout", "learning", "losses"} <= having
