"""The arrays of one layer, from theirs to ours, with what was done to them.

PyTorch keeps convolutions as OIHW and linear layers as [out, in], and flattens images as (C, H, W); here it is HWIO,
[in, out] and (H, W, C).
"""

import math
from typing import Any, NamedTuple

import numpy as np

from hdlif_jax.interop.torch.files import Arrays
from hdlif_jax.interop.torch.layers import Layer
from hdlif_jax.interop.torch.places import Image, Place
from hdlif_jax.nn import lif

NEAR = 1e-6  # relative: of a leak float32 keeps seven digits, and a configuration sixteen


class Converted(NamedTuple):
    """Arrays of our layer by field, and what was done for them."""

    arrays: Arrays
    changes: tuple[str, ...]


class Unfit(ValueError):  # noqa: N818 - not an error yet: it may go into a report
    """A layer that has no place in another, and why."""


def to_ours(layer: Layer, place: Place, latent: bool) -> Converted:
    """The arrays of their layer as the fields of ours.

    Args:
      layer: theirs.
      place: ours.
      latent: whether kernels of binary or ternary layers are the floats that those are made of.

    Raises:
      Unfit: they do not fit.
    """
    if layer.refusal is not None:
        raise Unfit(layer.refusal)
    as_ours = layer.kind == "other" and layer.arrays.keys() == place.fields.keys()
    if layer.kind != place.kind and not as_ours:
        what = f"is a {layer.kind} layer" if layer.kind != "other" else f"has the fields {', '.join(layer.arrays)}"
        raise Unfit(f"it {what}, and {place.path} is a {place.kind} layer")
    converts = {"convolution": _convolution, "linear": _linear, "norm": _norm, "attention": _attention}
    if as_ours:
        converted = Converted(dict(layer.arrays), ())
    elif place.kind == "neuron":
        converted = _neuron(layer.neuron, place)
    elif place.kind == "other":
        raise Unfit(
            f"it has the fields {', '.join(layer.arrays)}, and {place.path} has {', '.join(place.fields)}; rename them"
        )
    else:
        check_weights(place, latent)
        _check_settings(layer, place)
        converted = converts[place.kind](layer.arrays, place)
    for field, expected in place.fields.items():
        found = converted.arrays[field]
        if found.shape != expected.shape:
            raise Unfit(f"{field} of {place.path} would be {list(found.shape)}, and it is {list(expected.shape)}")
    return converted


def check_weights(place: Place, latent: bool) -> None:
    """Raises Unfit for a layer that would quantise the kernel that it is given."""
    weights = getattr(place.module, "weights", "float")
    if weights in ("binary", "ternary") and not latent:
        raise Unfit(
            f"{place.path} has {weights} weights and would quantise it; make the network with weights='float', or say "
            "latent=True"
        )


def _check_settings(layer: Layer, place: Place) -> None:
    """Raises Unfit for a living layer that does something else with the same arrays."""
    module, theirs = place.module, layer.settings
    ours: dict[str, Any] = {}
    if place.kind == "convolution":
        ours = {name: (getattr(module, name),) * 2 for name in ("stride", "padding")}
        ours |= {"dilation": (1, 1), "padding_mode": "zeros"}
        words = {"valid": (0, 0), "same": ((module.kernel_size - 1) / 2,) * 2}
        ours |= {"eps": 1e-4} if module.gain is not None else {}  # of a standardised kernel
        theirs = {name: words.get(str(value), value) for name, value in theirs.items()}
    elif place.kind == "norm":
        ours = {"eps": module.options.epsilon}
    for name, value in ours.items():
        if theirs.get(name, value) != value:
            raise Unfit(f"its {name} is {theirs[name]}, and that of {place.path} {value}; make the network with that")


def check_neuron(theirs: lif, place: Place) -> None:
    """Raises Unfit for neurons that fire, reset or send otherwise than ours."""
    ours: lif = place.module.options
    for name in ("reset", "tie"):
        if getattr(theirs, name) != getattr(ours, name):
            raise _other_neuron(place, name, getattr(theirs, name), getattr(ours, name))
    if theirs.order != ours.order and not (theirs.reset == "none" and ours.order != "fire-charge"):
        raise _other_neuron(place, "order", theirs.order, ours.order)
    is_fixed = not (ours.learn_threshold or ours.found_threshold)
    height = ours.height if ours.height is not None or not is_fixed else ours.threshold
    if height is None or not _near(theirs.height, height):
        raise _other_neuron(place, "height", theirs.height, height)


def rows_of(array: np.ndarray, image: Image | None) -> np.ndarray:
    """Features along the first axis, of flattened images, from (C, H, W) to (H, W, C)."""
    if image is None:
        return array
    height, width, channels = image
    moved = array.reshape(channels, height, width, *array.shape[1:])
    return np.moveaxis(moved, 0, 2).reshape(array.shape)


def rows_to(array: np.ndarray, image: Image | None) -> np.ndarray:
    """The way back, from (H, W, C) to (C, H, W)."""
    if image is None:
        return array
    return np.moveaxis(array.reshape(*image, *array.shape[1:]), 2, 0).reshape(array.shape)


def _convolution(arrays: Arrays, place: Place) -> Converted:
    weight, kernel = arrays["weight"], place.fields["kernel"]
    inputs = kernel.shape[2]
    if weight.shape[1] < inputs and inputs % weight.shape[1] == 0 and weight.shape[0] == kernel.shape[3]:
        raise Unfit(f"it is a convolution in {inputs // weight.shape[1]} groups, and ours have one")
    gain, changes = {}, ["transposed from OIHW to HWIO"]
    if (place.module.gain is None) != ("gain" not in arrays):
        which = ("it has", "none") if "gain" in arrays else ("it has no", "one")
        raise Unfit(f"{which[0]} gain of a standardised kernel, and {place.path} has {which[1]}")
    if "gain" in arrays:
        gain = {"gain": arrays["gain"].reshape(-1)}
    return _with_bias({"kernel": weight.transpose(2, 3, 1, 0), **gain}, arrays, place, changes)


def _linear(arrays: Arrays, place: Place) -> Converted:
    weight, changes = arrays["weight"].T, ["transposed from [out, in] to [in, out]"]
    if place.flat is not None and len(weight) == math.prod(place.flat):
        weight = rows_of(weight, place.flat)
        changes += _rows(place.flat)
    return _with_bias({"kernel": weight}, arrays, place, changes)


def _with_bias(ours: Arrays, arrays: Arrays, place: Place, changes: list[str]) -> Converted:
    if place.module.bias is None:
        if "bias" in arrays:
            raise Unfit(f"it has a bias, and {place.path} has none; make the network with bias=True")
    elif "bias" in arrays:
        ours["bias"] = arrays["bias"]
    else:
        ours["bias"] = np.zeros(place.fields["bias"].shape, np.float32)
        changes.append("without a bias, so 0")
    return Converted(ours, tuple(changes))


def _norm(arrays: Arrays, place: Place) -> Converted:
    changes: list[str] = []
    size, gain = arrays["running_var"].shape, place.module.options.gain
    if np.any(arrays["running_var"] < 0):
        raise Unfit("its running_var is negative somewhere, which no variance is")
    if "weight" not in arrays:
        changes.append("without gain, so 1")
    if gain != 1:
        changes.append(f"gain divided by {gain:g}")
    ours = {
        "scale": arrays.get("weight", np.ones(size, np.float32)) / np.float32(gain),
        "bias": arrays.get("bias", np.zeros(size, np.float32)),
        "mean": arrays["running_mean"],
        "var": arrays["running_var"],
    }
    if place.flat is not None and size == (math.prod(place.flat),):
        ours = {field: rows_of(array, place.flat) for field, array in ours.items()}
        changes += _rows(place.flat)
    return Converted(ours, tuple(changes))


def _attention(arrays: Arrays, place: Place) -> Converted:
    if "bias" not in arrays:
        raise Unfit(f"it has no bias, and {place.path} has one")
    return Converted({"kernel": arrays["weight"].reshape(-1), "bias": arrays["bias"].reshape(())}, ())


def _neuron(theirs: lif | None, place: Place) -> Converted:
    assert theirs is not None  # a neuron without is one that is refused
    check_neuron(theirs, place)
    ours: lif = place.module.options
    arrays: dict[str, Any] = {}
    changes: list[str] = []
    if ours.learn_decay:
        if not 0 < theirs.decay < 1:
            raise _other_neuron(place, "decay", theirs.decay, "a learned one")
        arrays["raw_decay"] = np.float32(math.log(theirs.decay / (1 - theirs.decay)))
        changes.append(f"decay {theirs.decay:.6g}")
    elif not _near(theirs.decay, ours.decay):
        raise _other_neuron(place, "decay", theirs.decay, ours.decay)
    if ours.learn_threshold or ours.found_threshold:
        arrays["threshold"] = np.float32(theirs.threshold)
        changes.append(f"threshold {theirs.threshold:.6g}")
    elif not _near(theirs.threshold, ours.threshold):
        raise _other_neuron(place, "threshold", theirs.threshold, ours.threshold)
    if "surrogate_value" in place.fields:
        arrays["surrogate_value"] = place.fields["surrogate_value"]
    return Converted({field: np.asarray(array) for field, array in arrays.items()}, tuple(changes))


def _other_neuron(place: Place, name: str, theirs: Any, ours: Any) -> Unfit:
    said = f"{theirs:.6g}" if isinstance(theirs, float) else repr(theirs)
    return Unfit(
        f"its {name} is {said}, and that of {place.path} {ours!r}; make the network's neurons with {name}={said}"
    )


def _near(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and math.isclose(one, other, rel_tol=NEAR)


def _rows(image: Image) -> list[str]:
    """What was done to rows of a flattened image; nothing where both orders are one."""
    height, width, channels = image
    return [] if channels == 1 or height * width == 1 else ["features from (C, H, W) to (H, W, C)"]
