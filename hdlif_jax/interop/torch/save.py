"""Networks of ours as state_dicts of PyTorch."""

import dataclasses
from typing import Any

import numpy as np

from hdlif_jax.interop.torch.convert import Unfit, check_neuron, rows_to
from hdlif_jax.interop.torch.files import Arrays, read_state_dict
from hdlif_jax.interop.torch.layers import LEAKY, Layer, layers_of
from hdlif_jax.interop.torch.pairs import Naming, pair
from hdlif_jax.interop.torch.places import Place, places_of
from hdlif_jax.interop.torch.pools import Pool, check_pools, pools_of
from hdlif_jax.nn import SpikingNetwork, Variables, with_variables
from hdlif_jax.nn.needs import check_model


def to_state_dict(
    model: SpikingNetwork,
    variables: Variables | None = None,
    *,
    like: Any = None,
    naming: Naming = None,
    latent: bool = False,
) -> Arrays:
    """The weights of a network by PyTorch's names and in its layouts, as numpy arrays.

    `net.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})` takes them, and so does
    `safetensors.numpy.save_file`.

    Args:
      model: the network.
      variables: its parameters and statistics; None are those that it holds.
      like: a living network of PyTorch, or its state_dict, for which it is: layers are then told as `from_state_dict`
        does, and the names are its own. None names layers by `naming`.
      naming: their layer's name of each of our paths, as a mapping or a function, such as `names_of(model)`; None are
        our own paths, or with `like` finds out.
      latent: whether kernels of binary or ternary layers are the floats that those are made of; else they are what the
        layers multiply by.

    Raises:
      TypeError: what is no network.
      ValueError: layers or neurons that the other network does not have.

    Example:
      >>> from flax import nnx
      >>> from hdlif_jax import nn
      >>> from hdlif_jax.interop import torch
      >>> spec = nn.Spec(num_steps=4, neuron=torch.spikingjelly_lif())
      >>> model = nn.mlp((8,), 3, widths=(16,), spec=spec, rngs=nnx.Rngs(0))
      >>> state = torch.to_state_dict(model, naming=torch.names_of(model))
      >>> {name: array.shape for name, array in state.items()}
      {'0.weight': (16, 8), '0.bias': (16,), '2.weight': (3, 16), '2.bias': (3,)}
    """
    check_model(model)
    model = model if variables is None else with_variables(model, variables)
    places, pools = places_of(model)
    if like is not None:
        return _like(model, places, pools, like, naming, latent)
    if naming is None:
        name: Any = str
    else:
        name = naming if callable(naming) else lambda path: naming.get(path, path)
    state: Arrays = {}
    for place in places:
        for field, array in _fields(place, latent).items():
            named = f"{name(place.path)}.{field}"
            if named in state:
                raise ValueError(f"naming calls two arrays {named}; give each layer a name of its own")
            state[named] = array
    return state


def _like(
    model: SpikingNetwork, places: list[Place], pools: list[Pool], like: Any, naming: Naming, latent: bool
) -> Arrays:
    """Every array of another network, with our numbers."""
    layers = layers_of(like)
    check_pools(pools_of(like), pools)
    pairs = pair(model, places, layers, naming)
    missing = [one.path for one in pairs.places if one.fields] + [one.name for one in pairs.layers]
    if missing:
        raise ValueError(f"{missing[0]} has no counterpart in the other network, told {pairs.told}")
    template = read_state_dict(like.state_dict() if hasattr(like, "state_dict") else like)
    state = dict(template)
    for place, layer in pairs.pairs:
        try:
            fields = _fields(place, latent) if place.kind != "neuron" else _neuron(place, layer)
        except Unfit as unfit:
            raise ValueError(f"{layer.name}: {unfit}") from None
        if layer.kind != place.kind:
            raise ValueError(f"{layer.name} is a {layer.kind} layer, and {place.path} a {place.kind} layer")
        if "bias" in layer.arrays and "bias" not in fields:
            fields["bias"] = np.zeros(layer.arrays["bias"].shape, np.float32)
        for field, array in fields.items():
            name = f"{layer.name}.{field}" if layer.name else field
            if field == "num_batches_tracked":
                continue
            if name not in template or template[name].shape != array.shape:
                found = list(template[name].shape) if name in template else "not there"
                raise ValueError(f"{name} of the other network is {found}, and {place.path} gives {list(array.shape)}")
            state[name] = array.astype(template[name].dtype)
    return state


def _fields(place: Place, latent: bool) -> Arrays:
    """The arrays of a layer of ours under their names."""
    own = place.fields
    if place.kind == "norm":
        gain = np.float32(place.module.options.gain)
        fields = {
            "weight": own["scale"] * gain,
            "bias": own["bias"],
            "running_mean": own["mean"],
            "running_var": own["var"],
        }
        moved = {field: rows_to(array, place.flat) for field, array in fields.items()}
        return moved | {"num_batches_tracked": np.zeros((), np.int64)}
    if place.kind == "attention":
        return {"weight": own["kernel"][None, None], "bias": own["bias"][None]}
    if place.kind not in ("convolution", "linear"):
        return own
    kernel = own["kernel"] if latent else np.asarray(place.module.quantized_kernel())
    turned = kernel.transpose(3, 2, 0, 1) if place.kind == "convolution" else rows_to(kernel, place.flat).T
    fields = {"weight": np.ascontiguousarray(turned)}
    if latent and "gain" in own:
        fields["gain"] = own["gain"].reshape(-1, 1, 1, 1)
    return fields | ({"bias": own["bias"]} if "bias" in own else {})


def _neuron(place: Place, layer: Layer) -> Arrays:
    """The numbers of our LIF as the other network keeps them, whose neurons have to do the same."""
    if layer.refusal is not None:
        raise Unfit(layer.refusal)
    if layer.neuron is not None:
        check_neuron(layer.neuron, place)
    params = place.module.params()
    decay, threshold = (float(value) for value in (params.decay, params.threshold))
    if layer.arrays.keys() == LEAKY:
        shape = {field: array.shape for field, array in layer.arrays.items()}
        return {
            "beta": np.full(shape["beta"], decay, np.float32),
            "threshold": np.full(shape["threshold"], threshold, np.float32),
        }
    theirs = layer.neuron
    if theirs is None:
        return {}
    if "w" in layer.arrays and 0 < decay < 1:
        held = theirs.threshold * (1 - theirs.decay) if layer.decays_input else theirs.threshold
        theirs = dataclasses.replace(theirs, decay=decay, threshold=held / (1 - decay) if layer.decays_input else held)
    if not np.isclose(theirs.decay, decay, rtol=1e-6) or not np.isclose(theirs.threshold, threshold, rtol=1e-6):
        raise Unfit(
            f"its neurons leave {theirs.decay:.6g} and fire at {theirs.threshold:.6g}, and those of {place.path} "
            f"{decay:.6g} and {threshold:.6g}; make it with those"
        )
    if "w" not in layer.arrays:
        return {}
    raw = place.fields.get("raw_decay", np.asarray(np.log(decay / (1 - decay))))
    return {"w": -raw}  # 1 / τ = σ(w) is 1 − λ
