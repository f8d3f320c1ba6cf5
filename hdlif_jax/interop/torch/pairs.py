"""Which layer of theirs belongs to which of ours: by name, or one after the other.

A state_dict is in the order of its layers, which is that of their calls in most networks. A safetensors file sorts its
names; there layers are told by their shapes, and those of one shape by the numbers in their names.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hdlif_jax.interop.torch.layers import Layer
from hdlif_jax.interop.torch.names import names_of
from hdlif_jax.interop.torch.places import Place
from hdlif_jax.nn import SpikingNetwork

Naming = Mapping[str, str] | Callable[[str], str] | None
Key = tuple[str, tuple[int, ...]]
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
        left = [*self.places, *self.layers]
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
        if [one.kind for one in ours] == [one.kind for one in theirs] and (pairs or not of_neurons):
            pairs += zip(ours, theirs, strict=True)
    return _pairs("in order", pairs, places, layers)


def _by_shape(places: list[Place], layers: list[Layer]) -> Pairs:
    """Layers of one kind and shape, of which there are as many in both, by the numbers in their names."""
    pairs: list[tuple[Place, Layer]] = []
    theirs: dict[Key, list[Layer]] = {}
    ours: dict[Key, list[Place]] = {}
    for layer in layers:
        theirs.setdefault((layer.kind, _numbers_of(layer.arrays, "weight")), []).append(layer)
    for place in places:
        ours.setdefault((place.kind, _numbers_of(place.fields, "kernel", "scale")), []).append(place)
    for key, alike in theirs.items():
        counted = len({re.sub(r"\d+", "0", layer.name) for layer in alike}) == 1
        if key[0] != "other" and counted and len(alike) == len(ours.get(key, ())):
            pairs += zip(ours[key], sorted(alike, key=_by_numbers), strict=True)
    return _pairs("by shapes, as the file has its names sorted", pairs, places, layers)


def _numbers_of(arrays: Mapping[str, Any], *names: str) -> tuple[int, ...]:
    """The sizes of the weights of a layer, whatever their order; nothing of neurons."""
    return next((tuple(sorted(arrays[name].shape)) for name in names if name in arrays), ())


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
