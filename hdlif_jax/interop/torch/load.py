"""Weights of PyTorch networks into networks of ours."""

import collections
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import nnx

from hdlif_jax import show
from hdlif_jax.interop.torch.convert import Unfit, to_ours
from hdlif_jax.interop.torch.files import read_state_dict
from hdlif_jax.interop.torch.layers import Layer, from_arrays, layers_of
from hdlif_jax.interop.torch.pairs import Naming, Pairs, pair
from hdlif_jax.interop.torch.places import Place, places_of
from hdlif_jax.interop.torch.pools import check_pools, pools_of
from hdlif_jax.interop.torch.report import Match, Report
from hdlif_jax.nn import Cell, SpikingNetwork, Variables, variables_of
from hdlif_jax.nn.intercept import modules
from hdlif_jax.nn.needs import check_model


class Imported(NamedTuple):
    """A network with weights of PyTorch.

    Attributes:
      model: a copy of the network that holds them.
      report: what was matched, and how.
    """

    model: SpikingNetwork
    report: Report

    @property
    def variables(self) -> Variables:
        """Its parameters and statistics."""
        return variables_of(self.model)

    def __repr__(self) -> str:
        return show.line("Imported", {"model": type(self.model).__name__, "report": repr(self.report)})


def from_state_dict(
    model: SpikingNetwork,
    source: Any,
    *,
    naming: Naming = None,
    rename: Callable[[str], str] | None = None,
    latent: bool = False,
    partial: bool = False,
) -> Imported:
    """A copy of a network with the weights of a PyTorch network of the same architecture.

    Layers are told by our own paths, by the names that such networks have in PyTorch (`names_of`), or else one after
    the other, each only if all of them fit; the report says which. A state_dict says nothing of the neurons of
    SpikingJelly, and of those of snnTorch not that their reset comes a step late: make the network with
    `spikingjelly_lif` or `snntorch_leaky`, or give the living network, whose neurons are then compared with ours.

    Args:
      model: as it should be, with any weights.
      source: a mapping of names to tensors or arrays, a file as `read_state_dict` takes it, or a living network of
        PyTorch.
      naming: their layer's name of each of our paths, as a mapping or a function; None finds out.
      rename: their names of tensors, such as "layer1.0.act1.decay", to the names that they should have here; not of
        living networks.
      latent: whether kernels of binary or ternary layers are the floats that those are made of.
      partial: whether layers that do not fit stay as they are; else they are an error.

    Raises:
      TypeError: what is no network, and no source.
      ValueError: a file that is damaged, or layers that do not fit; names the first.
      ImportError: a file that takes PyTorch, which is not there.
      OSError: the file cannot be read.

    Example:
      >>> import numpy as np
      >>> from flax import nnx
      >>> from hdlif_jax import nn
      >>> from hdlif_jax.interop import torch
      >>> neuron = torch.spikingjelly_lif(tau=2.0)
      >>> spec = nn.Spec(num_steps=4, neuron=neuron, weights="float")
      >>> model = nn.mlp((8,), 3, widths=(16,), spec=spec, rngs=nnx.Rngs(0))
      >>> state = {"0.weight": np.ones((16, 8)), "0.bias": np.zeros(16)}
      >>> state |= {"2.weight": np.ones((3, 16)), "2.bias": np.zeros(3)}
      >>> print(torch.from_state_dict(model, state).report)
      2 layers matched, told by its usual names
        layers.0 ← 0; renamed; transposed from [out, in] to [in, out]
        layers.2 ← 2; renamed; transposed from [out, in] to [in, out]
        layers.1 is kept: nothing is said of it
    """
    check_model(model)
    layers = layers_of(source) if rename is None else from_arrays(renamed(source, rename))
    places, pools = places_of(model)
    pairs = pair(model, places, layers, naming)
    matched: list[Match] = []
    kept, refused = _left(pairs)
    try:
        check_pools(pools_of(source), pools)
    except ValueError as error:
        refused["pooling"] = str(error)
    copy: Any = nnx.clone(model)
    parts: dict[str, Any] = dict(modules(copy))
    before: str | None = None  # the last layer with a kernel that was refused, if no other came since
    for place, layer in pairs.pairs:
        try:
            if place.kind == "norm" and before is not None and pairs.told == "in order":
                raise Unfit(f"it follows {before}, which is refused, and nothing but the order tells what it is")
            converted = to_ours(layer, place, latent)
            before = before if place.kind in ("norm", "neuron") else None
        except Unfit as unfit:
            refused[layer.name] = str(unfit)
            before = before if place.kind in ("norm", "neuron") else layer.name
            continue
        for field, array in converted.arrays.items():
            getattr(parts[place.path], field)[...] = jnp.asarray(array, jnp.float32)
        changes = (*(("renamed",) if layer.name != place.path else ()), *converted.changes)
        matched.append(Match(place.path, layer.name, changes))
    report = Report(pairs.told, tuple(matched), kept, refused)
    check_report(report, partial)
    return Imported(copy, report)


def check_report(report: Report, partial: bool) -> None:
    """Raises ValueError where layers were refused and all have to fit, or where none does."""
    if report.matched and (partial or not report.refused):
        return
    first = [f"{name or 'the network'} is refused: {why}" for name, why in report.refused.items()][:1]
    rest = "" if len(report.refused) < 2 else f" (and {len(report.refused) - 1} more)"
    raise ValueError(f"{(first or ['nothing in it is a layer of the network'])[0]}{rest}")


def renamed(source: Any, rename: Callable[[str], str]) -> dict[str, Any]:
    """The arrays of a state_dict under other names; raises ValueError where two get one name."""
    arrays = read_state_dict(source)
    under = {rename(name): array for name, array in arrays.items()}
    if len(under) != len(arrays):
        raise ValueError(f"rename gives {len(arrays)} tensors {len(under)} names; give each a name of its own")
    return under


def _left(pairs: Pairs) -> tuple[dict[str, str], dict[str, str]]:
    """What stays as it is, and what is refused, of what has no counterpart."""
    kept: dict[str, str] = {}
    refused = {layer.name: layer.refusal for layer in pairs.layers if layer.refusal is not None}
    if not pairs.pairs:
        ours, theirs = (_counted(left) for left in (pairs.places, pairs.layers))
        refused["the whole"] = (
            f"its layers are {theirs}, and the network's {ours}; no name tells which is which, so say naming"
        )
        return kept, refused
    for layer in pairs.layers:
        what = f"{layer.kind} layer" if layer.kind != "other" else f"layer with the fields {', '.join(layer.arrays)}"
        refused.setdefault(layer.name, f"no {what} of the network is left for it")
    for place in pairs.places:
        if not isinstance(place.module, Cell):
            refused[place.path] = f"there is no {place.kind} layer for it"
        elif not any(layer.kind == "neuron" for layer in pairs.layers):
            kept[place.path] = "nothing is said of it"
    return kept, refused


def _counted(layers: Sequence[Place | Layer]) -> str:
    """Kinds of layers, and how many there are of each."""
    counts = collections.Counter(layer.kind for layer in layers if layer.kind != "other")
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none"
