"""Weights as files of their own, and what of one network's weights another can take."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from hdlif_jax import nn, show
from hdlif_jax.checks import check_arguments
from hdlif_jax.nn import SpikingNetwork, Variables

FORMAT = "hdlif_jax.weights.1"

Arrays = Mapping[str, Any]  # by name, "params.blocks.0.conv1.kernel"


class Weights(NamedTuple):
    """What a file of weights holds.

    Attributes:
      arrays: parameters and statistics by name, such as "params.blocks.0.conv1.kernel".
      config: what was saved with them; None for nothing.
    """

    arrays: Arrays
    config: Any

    def __repr__(self) -> str:
        return show.line("Weights", self._facts())

    def _repr_html_(self) -> str:
        return show.table("Weights", self._facts())

    def _facts(self) -> dict[str, Any]:
        return {"arrays": show.entries(dict(self.arrays)), "config": "none" if self.config is None else "with it"}


class Transfer(NamedTuple):
    """What a network took of other weights.

    Attributes:
      variables: of the network, with what it took.
      taken: paths of the layers that were taken.
      left: what of the network stayed as it was: why, by path of the layer.
      unused: paths of the layers that the network has no place for.
    """

    variables: Variables
    taken: tuple[str, ...]
    left: dict[str, str]
    unused: tuple[str, ...]


def by_name(weights: Variables | SpikingNetwork) -> dict[str, jax.Array]:
    """Parameters and statistics by name, such as "params.blocks.0.conv1.kernel".

    Raises:
      ValueError: two arrays have one name.
    """
    variables = weights if isinstance(weights, Variables) else nn.variables_of(weights)
    leaves, _ = jax.tree_util.tree_flatten_with_path(variables)
    named = {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
    if len(named) != len(leaves):
        raise ValueError("two arrays have one name, as a module's name has a dot; rename the module")
    return named


@check_arguments
def save_weights(path: pathlib.Path, weights: Variables | SpikingNetwork, *, config: Any = None) -> None:
    """Writes parameters and statistics to a safetensors file, whole or not at all.

    Args:
      path: the file; one that is there is replaced.
      weights: a model, or its variables.
      config: what to keep with them, such as how the model was made: a dataclass, or what JSON can say.

    Raises:
      TypeError: a config that JSON cannot say.
    """
    from safetensors.numpy import save

    is_record = dataclasses.is_dataclass(config) and not isinstance(config, type)
    plain = dataclasses.asdict(config) if is_record else config
    metadata = {"format": FORMAT, "config": json.dumps(plain)}
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in by_name(weights).items()}
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(save(arrays, metadata))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@check_arguments
def read_weights(path: pathlib.Path) -> Weights:
    """What a file of weights holds, whatever network it is of.

    Raises:
      ValueError: it is no safetensors file.
      OSError: it cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = path.read_bytes()
    try:
        arrays = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        config = json.loads(header.get("__metadata__", {}).get("config", "null"))
    except (SafetensorError, json.JSONDecodeError, KeyError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())[:100]
        raise ValueError(f"{path} is no file of weights ({problem}); name one that save_weights wrote") from None
    return Weights(arrays, config)


@check_arguments
def load_weights(path: pathlib.Path, like: Variables | SpikingNetwork) -> Variables:
    """The variables of a file that `save_weights` wrote; `nn.with_variables(model, …)` puts them into a model.

    Args:
      path: the file.
      like: the model that they are for, or its variables.

    Raises:
      ValueError: it is no such file, or of another network; names the first array that differs.
      OSError: it cannot be read.
    """
    found, expected = read_weights(path).arrays, by_name(like)
    for name in sorted(found.keys() | expected.keys(), key=lambda name: (not name.startswith("params."), name)):
        difference = _difference(name, found, expected)
        if difference:
            raise ValueError(
                f"{path} is of another network: {difference}; make the model as it was, or take what fits with "
                "training.transfer"
            )
    return _filled(expected, found, like)


def transfer(arrays: Arrays, into: Variables | SpikingNetwork) -> Transfer:
    """Takes the layers that a network has at the same path with arrays of the same shapes and types.

    A layer is taken whole or not at all, with its statistics.

    Args:
      arrays: by name, from `read_weights(path).arrays` or `by_name(variables)`.
      into: the model that takes them, or its variables; they stay as they are.

    Raises:
      ValueError: no layer fits.
    """
    expected = by_name(into)
    left: dict[str, str] = {}
    layers = set(map(_layer, expected))
    for name in sorted(arrays.keys() | expected.keys()):
        difference = _difference(name, arrays, expected)
        if difference and _layer(name) in layers:
            left.setdefault(_layer(name), difference)
    taken = {name: arrays[name] for name in expected if _layer(name) not in left}
    if not taken:
        raise ValueError(f"none of the network's {len(left)} layers fits: {'; '.join(list(left.values())[:2])}, …")
    return Transfer(
        _filled(expected, dict(expected) | taken, into),
        tuple(dict.fromkeys(map(_layer, taken))),
        left,
        tuple(dict.fromkeys(_layer(name) for name in arrays if _layer(name) not in layers)),
    )


def _layer(name: str) -> str:
    """The module's path: a name without its first and last part."""
    return ".".join(name.split(".")[1:-1])


def _difference(name: str, found: Arrays, expected: Arrays) -> str | None:
    """What is wrong with an array; None for nothing."""
    if name not in found:
        return f"it has no {name}"
    if name not in expected:
        return f"the network has no {name}"
    has, needs = (show.array(arrays[name]) for arrays in (found, expected))
    return None if has == needs else f"{name} is {has}, the network needs {needs}"


def _filled(names: Arrays, arrays: Arrays, like: Variables | SpikingNetwork) -> Variables:
    variables = like if isinstance(like, Variables) else nn.variables_of(like)
    filled: Variables = jax.tree.unflatten(
        jax.tree.structure(variables), [jax.numpy.asarray(arrays[name]) for name in names]
    )
    return filled
