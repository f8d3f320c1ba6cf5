"""Which layer of theirs belongs to which of ours: by name, or one after the other.

A state_dict is in the order of its layers, which is that of their calls in most networks; where the numbers in its
names say otherwise, nothing is told by it. A safetensors file sorts its names; there layers are told by their shapes,
and those of one shape by the numbers in their names.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from hdlif_jax.interop.torch.layers import Layer
from hdlif_jax.interop.torch.names import names_of
from hdlif_jax.interop.torch.places import Place
from hdlif_jax.nn import SpikingNetwork

Naming = Mapping[str, str] | Callable[[str], str] | None
Key = tuple[str, tuple[int, ...]]
One = TypeVar("One", Place, Layer)
STATELESS = ("neuron", "other")  # may be in one of the two alone


class Pairs(NamedTuple):
    """What belongs together.

    Attributes:
      told: by what, such as "in order".
      pairs: ours and theirs.
      places: of ours that have none of theirs.
      layers: of theirs that have none of ours.
    """

    told: str
    pairs: list[tuple[Place, Layer]]
    places: list[Place]
    layers: list[Layer]

    @property
    def is_whole(self) -> bool:
        """Whether all layers with weights found their own kind."""
        left: list[Place | Layer] = [*self.places, *self.layers]
        alike = all(layer.kind in (place.kind, "other") for place, layer in self.pairs)
        return bool(self.pairs) and alike and all(one.kind in STATELESS for one in left)


def pair(model: SpikingNetwork, places: list[Place], layers: list[Layer], naming: Naming) -> Pairs:
    """Layers of theirs and ours that belong together.

    Args:
      model: the network.
      places: its layers.
      layers: theirs.
      naming: their name of each of our paths, as a mapping or function; None tries our own paths, the names that such
        networks have in PyTorch, and then the order.
    """
    if naming is not None:
        name = naming if callable(naming) else naming.get
        return _by_name("by the names given", {place.path: str(name(place.path)) for place in places}, places, layers)
    known = {"by our own paths": {place.path: place.path for place in places}, "by its usual names": names_of(model)}
    tried = [
        _by_name(told, {path: prefix + name for path, name in names.items()}, places, layers)
        for told, names in known.items()
        for prefix in dict.fromkeys(("", _common_prefix(layers)))
    ]
    ordered = _by_shape(places, layers) if _is_sorted(layers) else _in_order(places, layers)
    whole = [pairs for pairs in (*tried, ordered) if pairs.is_whole]
    return whole[0] if whole else max((*tried, ordered), key=lambda pairs: len(pairs.pairs))


def _by_name(told: str, names: Mapping[str, str], places: list[Place], layers: list[Layer]) -> Pairs:
    by_name = {layer.name: layer for layer in layers}
    pairs = [(place, by_name[names[place.path]]) for place in places if names.get(place.path) in by_name]
    return _pairs(told, pairs, places, layers)


def _in_order(places: list[Place], layers: list[Layer]) -> Pairs:
    """The layers with weights one after the other, and so the neurons; nothing where kinds or counts differ."""
    pairs: list[tuple[Place, Layer]] = []
    for of_neurons in (False, True):
        ours = [place for place in places if place.kind != "other" and (place.kind == "neuron") == of_neurons]
        theirs = [layer for layer in layers if layer.kind != "other" and (layer.kind == "neuron") == of_neurons]
        in_order = not any(list(alike) != sorted(alike, key=_by_numbers) for alike in _alike(theirs))
        if in_order and [one.kind for one in ours] == [one.kind for one in theirs] and (pairs or not of_neurons):
            pairs += zip(ours, theirs, strict=True)
    return _pairs("in order", pairs, places, layers)


def _by_shape(places: list[Place], layers: list[Layer]) -> Pairs:
    """Layers of one kind and shape, of which there are as many in both, by the numbers in their names."""
    pairs: list[tuple[Place, Layer]] = []
    theirs, ours = _by_key(layers), _by_key(places)
    numbered = {tuple(id(layer) for layer in alike) for alike in _alike(layers)}
    for key, alike in theirs.items():
        is_numbered = tuple(id(layer) for layer in alike) in numbered
        if key[0] != "other" and is_numbered and len(alike) == len(ours.get(key, ())):
            pairs += zip(ours[key], sorted(alike, key=_by_numbers), strict=True)
    return _pairs("by shapes, as the file has its names sorted", pairs, places, layers)


def _by_key(layers: Iterable[One]) -> dict[Key, list[One]]:
    """Layers by their kind and the sizes of their weights, whatever their order."""
    found: dict[Key, list[One]] = {}
    for layer in layers:
        arrays = layer.arrays if isinstance(layer, Layer) else layer.fields
        sizes = next((arrays[name].shape for name in ("weight", "kernel", "scale") if name in arrays), ())
        found.setdefault((layer.kind, tuple(sorted(sizes))), []).append(layer)
    return found


def _alike(layers: list[Layer]) -> list[list[Layer]]:
    """Layers of one kind and shape whose names differ in numbers alone."""
    groups: dict[tuple[Key, str], list[Layer]] = {}
    for key, same in _by_key(layers).items():
        for layer in same:
            groups.setdefault((key, re.sub(r"\d+", "0", layer.name)), []).append(layer)
    return list(groups.values())


def _by_numbers(layer: Layer) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", layer.name)]


def _is_sorted(layers: list[Layer]) -> bool:
    """Whether names are sorted, as a bias is before its weight in no layer of PyTorch."""
    both = [list(layer.arrays) for layer in layers if {"weight", "bias"} <= layer.arrays.keys()]
    names = [layer.name for layer in layers]
    return any(fields.index("bias") < fields.index("weight") for fields in both) if both else names == sorted(names)


def _pairs(told: str, pairs: list[tuple[Place, Layer]], places: list[Place], layers: list[Layer]) -> Pairs:
    used, filled = ({id(pair[index]) for pair in pairs} for index in (1, 0))
    return Pairs(
        told,
        pairs,
        [place for place in places if id(place) not in filled],
        [layer for layer in layers if id(layer) not in used],
    )


def _common_prefix(layers: list[Layer]) -> str:
    """What all names begin with up to a dot, such as that of a wrapper."""
    names = [layer.name.split(".") for layer in layers]
    prefix: list[str] = []
    for parts in zip(*(name[:-1] for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        prefix.append(parts[0])
    return "".join(f"{part}." for part in prefix)
