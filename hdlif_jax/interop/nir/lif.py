"""NIR's LIF and IF neurons and ours: the one place where time is discretised, both ways.

NIR's LIF is τ dv/dt = (v_leak − v) + R I, in seconds, with v set to v_reset where v > v_threshold. The forward Euler
method with a time-step of dt gives v ← v + (dt/τ)((v_leak − v) + R I). With u = v − v_leak that is u ← λ u + g I,
λ = 1 − dt/τ and g = (dt/τ) R, which is Eq. 1 in the unit m = u / g: m ← λ m + I fires at (v_threshold − v_leak) / g.
NIR's IF is dv/dt = R I, so that λ = 1 and g = dt R. What NIR leaves open, or an exporter means otherwise, the metadata
of a neuron can say: whether firing sets v to v_reset or subtracts v_threshold, and whether v = v_threshold fires.
"""

from typing import Any, Literal, NamedTuple

import nir
import numpy as np

from hdlif_jax.interop.nir.arrays import numbers
from hdlif_jax.neurons.lif import Tie

Reset = Literal["soft", "hard"]  # NIR's neurons always reset

METHOD = "forward Euler"
RESETS: dict[Reset, str] = {"soft": "subtract v_threshold", "hard": "set to v_reset"}
TIES: dict[Tie, str] = {tie: f"v {tie} v_threshold" for tie in (">=", ">")}


class Dynamics(NamedTuple):
    """A layer of LIF neurons in the units of Eq. 1.

    Attributes:
      decay: λ in (0, 1]; 1 is IF.
      threshold: θ > 0, of spikes that are 0 or 1.
      reset: "soft" subtracts θ, "hard" sets the membrane to 0.
      tie: whether a neuron fires at m = θ (">=") or only above (">").
    """

    decay: float
    threshold: float
    reset: Reset
    tie: Tie


def node_of(dynamics: Dynamics, shape: tuple[int, ...], dt: float) -> nir.NIRNode:
    """The node of a layer: `nir.IF` where nothing leaks, else `nir.LIF`, with g = 1 and rest and reset at 0.

    Args:
      dynamics: of every neuron.
      shape: of the layer, channels first.
      dt: seconds of a time-step.
    """
    decay, threshold, reset, tie = dynamics
    full = np.ones(shape)
    fields = {"v_threshold": threshold * full, "v_reset": 0 * full}
    metadata = {"method": METHOD, "dt": dt, "reset": RESETS[reset], "fires": TIES[tie]}
    if decay == 1:
        return nir.IF(r=full / dt, **fields, metadata=metadata)
    return nir.LIF(tau=full * dt / (1 - decay), r=full / (1 - decay), v_leak=0 * full, **fields, metadata=metadata)


def dynamics_of(node: nir.NIRNode, shape: tuple[int, ...], dt: float, reset: Reset | None, tie: Tie | None) -> Dynamics:
    """What a `nir.LIF` or `nir.IF` node says, in the units of Eq. 1.

    Args:
      node: whose arrays have the layer's shape or one entry.
      shape: of the layer, channels first.
      dt: seconds of a time-step.
      reset: what the metadata does not say; None is NIR's own equation, "hard".
      tie: what the metadata does not say; None is NIR's own equation, ">".

    Raises:
      ValueError: one line, without the name of the node: what of it our LIF neurons cannot say.
    """
    method = node.metadata.get("method", METHOD)
    if method != METHOD:
        raise ValueError(f"it is written for the method {method!r}, and only {METHOD!r} is read")
    kind = _said(node, "reset", RESETS, reset, "hard")
    fires = _said(node, "fires", TIES, tie, ">")
    leaks = isinstance(node, nir.LIF)
    fields = ("r", "v_threshold", "v_reset") + (("tau", "v_leak") if leaks else ())
    of = {field: _of_layer(field, getattr(node, field), shape) for field in fields}
    if leaks and not (of["tau"] > dt).all():
        raise ValueError(
            f"its shortest τ is {of['tau'].min():.4g} s, no longer than the time-step of {dt:.4g} s; give a smaller dt"
        )
    per_step = dt / of["tau"] if leaks else dt
    rest = of["v_leak"] if leaks else of["v_reset"] if kind == "hard" else np.zeros(())
    if kind == "hard" and (rest != of["v_reset"]).any():
        raise ValueError("its v_reset is not its v_leak, and our membranes reset to where they rest")
    if kind == "soft" and rest.any():
        raise ValueError("its v_leak is not 0, and what a soft reset subtracts is v_threshold − v_leak with us")
    gain = per_step * of["r"]
    if not (gain > 0).all():
        raise ValueError(f"its R has the entry {of['r'].min():.4g} and must be positive")
    decay = _one("λ = 1 − dt/τ", np.asarray(1 - per_step)) if leaks else 1.0
    threshold = _one("(v_threshold − v_leak) / (dt R/τ)", (of["v_threshold"] - rest) / gain)
    if not threshold > 0:
        raise ValueError(f"its threshold is {threshold:.4g} above rest and must be positive")
    return Dynamics(decay, threshold, kind, fires)


def _said(node: nir.NIRNode, field: str, words: dict[Any, str], given: Any, otherwise: Any) -> Any:
    """What the metadata of a neuron says, or what is given, or NIR's equation."""
    if field not in node.metadata:
        return otherwise if given is None else given
    found = [word for word, text in words.items() if text == node.metadata[field]]
    if not found:
        raise ValueError(f"its metadata say {field}: {node.metadata[field]!r}; expected one of {list(words.values())}")
    if given not in (None, *found):
        raise ValueError(
            f"its metadata say {field}: {node.metadata[field]!r}, and {given!r} is asked for; leave that out"
        )
    return found[0]


def _of_layer(field: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = numbers(field, value)
    if array.size != 1 and array.shape != shape:
        raise ValueError(f"its {field} has the shape {array.shape} and the layer {shape}")
    return array if array.size > 1 else array.reshape(())


def _one(what: str, values: np.ndarray) -> float:
    """The one number that all neurons have, as float32 holds it."""
    rounded = np.unique(values.astype(np.float32))
    if len(rounded) > 1:
        raise ValueError(
            f"its {what} differs between neurons, from {rounded[0]:.4g} to {rounded[-1]:.4g}, and nn.lif() has one"
        )
    return float(rounded[0])
