"""Neurons of SpikingJelly and snnTorch as LIF of ours, exactly, or refused by name.

Rewritten are units alone. SpikingJelly's membrane is measured from its reset potential and, where the input decays,
in units of 1/τ: with u = τ (v − v_reset), H = v + (x − (v − v_reset)) / τ becomes m = (1 − 1/τ) u + x, which fires at
τ (v_threshold − v_reset). A spike is 1 there, so its height is 1 here.
"""

from typing import Any

import numpy as np

from hdlif_jax.neurons import surrogates
from hdlif_jax.neurons.surrogates import SpikeFunction
from hdlif_jax.nn import lif

NODES = "LIFNode, ParametricLIFNode and IFNode"  # of SpikingJelly
RESETS: tuple[dict[str, Any], ...] = (  # of snnTorch, as its state_dict counts them
    {"reset": "soft", "order": "charge-reset-fire"},
    {"reset": "hard", "order": "charge-fire"},
    {"reset": "none", "order": "charge-fire"},
)
MECHANISMS = ("subtract", "zero", "none")


def spikingjelly_lif(
    tau: float = 2.0,
    *,
    decay_input: bool = True,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    detach_reset: bool = False,
    learn_tau: bool = False,
    surrogate: SpikeFunction | None = None,
) -> lif:
    """SpikingJelly's LIFNode, or its ParametricLIFNode, as neurons of ours; arguments are theirs.

    Args:
      tau: τ > 1, or its start.
      decay_input: whether the input is divided by τ.
      v_threshold: above v_reset.
      v_reset: None subtracts the threshold.
      detach_reset: whether the reset is a constant to the gradient.
      learn_tau: whether τ is learned. The threshold is then held as a setting, as it is τ times theirs where the input
        decays: what learns here is λ alone.
      surrogate: of ours, for m − θ; None is theirs, `Sigmoid(alpha=4)`, in its units.

    Raises:
      ValueError: a τ or thresholds that no neuron of ours has.
    """
    if not tau > 1:
        raise ValueError(f"tau={tau} must be above 1: a LIFNode leaves 1 − 1/τ of its membrane")
    unit = float(tau) if decay_input else 1.0
    decays = {"decay": 1 - 1 / tau, "learn_decay": learn_tau, "found_threshold": learn_tau}
    return _node(decays, unit, v_threshold, v_reset, detach_reset, surrogate)


def spikingjelly_if(
    *,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    detach_reset: bool = False,
    surrogate: SpikeFunction | None = None,
) -> lif:
    """SpikingJelly's IFNode as neurons of ours that do not leak; arguments as of `spikingjelly_lif`."""
    return _node({"decay": 1.0, "learn_decay": False}, 1.0, v_threshold, v_reset, detach_reset, surrogate)


def snntorch_leaky(
    beta: float,
    *,
    threshold: float = 1.0,
    reset_mechanism: str = "subtract",
    reset_delay: bool = True,
    graded_spikes_factor: float = 1.0,
    learn_beta: bool = False,
    learn_threshold: bool = False,
    surrogate: SpikeFunction = surrogates.arctan(2.0),
) -> lif:
    """The Leaky of snnTorch as neurons of ours; arguments are theirs, and β may not be one of each neuron.

    Its subtraction comes a step late by default: m_t = β m_{t−1} + I_t − θ 1[m_{t−1} > θ].

    Raises:
      ValueError: a reset or numbers that no neuron of ours has.
    """
    if reset_mechanism not in MECHANISMS:
        raise ValueError(f"reset_mechanism={reset_mechanism!r} is unknown; choose one of {', '.join(MECHANISMS)}")
    if reset_mechanism == "subtract" and not reset_delay:
        raise ValueError(
            "reset_delay=False with reset_mechanism='subtract' resets twice where a membrane is above 2θ, which no "
            "neuron of ours does; use reset_delay=True, or reset_mechanism='zero'"
        )
    beta = min(max(float(beta), 0.0), 1.0)  # as it does in every step
    return lif(
        surrogate,
        decay=beta,
        learn_decay=learn_beta and 0 < beta < 1,  # outside of it nothing learns
        threshold=float(threshold),
        learn_threshold=learn_threshold,
        height=float(graded_spikes_factor),
        tie=">",
        detach=True,
        **RESETS[MECHANISMS.index(reset_mechanism)],
    )


def neuron_of(module: Any) -> lif | None:
    """A living neuron of SpikingJelly or snnTorch as one of ours; None for what is no neuron of either.

    Raises:
      ValueError: its dynamics are none of ours; names them.
    """
    library, kind = type(module).__module__.split(".")[0], type(module).__name__
    if library == "spikingjelly" and hasattr(module, "v_threshold"):
        return _of_spikingjelly(module, kind)
    if library == "snntorch" and hasattr(module, "threshold"):
        return _of_snntorch(module, kind)
    return None


def _of_spikingjelly(node: Any, kind: str) -> lif:
    reset: dict[str, Any] = {name: getattr(node, name) for name in ("v_threshold", "v_reset", "detach_reset")}
    function = getattr(node, "surrogate_function", None)
    if kind in ("IFNode", "SimpleIFNode"):
        return spikingjelly_if(**reset, surrogate=_surrogate(function, 1.0))
    if kind not in ("LIFNode", "SimpleLIFNode", "ParametricLIFNode"):
        raise ValueError(f"the dynamics of SpikingJelly's {kind} are no LIF of ours, which are {NODES}")
    learned = kind == "ParametricLIFNode"
    tau = tau_of(node.w.detach().cpu().numpy()) if learned else float(node.tau)
    surrogate = _surrogate(function, tau if node.decay_input else 1.0)
    return spikingjelly_lif(tau, decay_input=node.decay_input, learn_tau=learned, **reset, surrogate=surrogate)


def tau_of(w: np.ndarray) -> float:
    """τ of a ParametricLIFNode, 1 / σ(w)."""
    return 1 + float(np.exp(-np.float64(w)))


def _of_snntorch(neuron: Any, kind: str) -> lif:
    if kind != "Leaky":
        raise ValueError(f"the dynamics of snnTorch's {kind} are no LIF of ours, which is Leaky")
    for option in ("inhibition", "state_quant"):
        if getattr(neuron, option):
            raise ValueError(f"its {option} is none of our neurons'")
    numbers = {
        name: one_number(name, getattr(neuron, name).detach().cpu().numpy())
        for name in ("beta", "threshold", "graded_spikes_factor")
    }
    learned = [type(getattr(neuron, name)).__name__ == "Parameter" for name in ("beta", "threshold")]
    return snntorch_leaky(
        numbers["beta"],
        threshold=numbers["threshold"],
        reset_mechanism=neuron.reset_mechanism,
        reset_delay=neuron.reset_delay,
        graded_spikes_factor=numbers["graded_spikes_factor"],
        learn_beta=learned[0],
        learn_threshold=learned[1],
    )


def one_number(name: str, array: np.ndarray) -> float:
    """The value that all neurons of a layer share; raises ValueError where they do not."""
    if not array.size or np.any(array != array.flat[0]):
        raise ValueError(f"its {name} is one of each neuron, and a LIF of ours has one of each layer")
    return float(array.flat[0])


def _node(
    decays: dict[str, Any],
    unit: float,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: SpikeFunction | None,
) -> lif:
    height = v_threshold if v_reset is None else v_threshold - v_reset
    if not height > 0:
        raise ValueError(f"v_threshold={v_threshold} must be above v_reset={v_reset}, or 0 where that is None")
    return lif(
        surrogates.sigmoid(4 / unit) if surrogate is None else surrogate,
        threshold=unit * height,
        learn_threshold=False,
        height=1.0,
        reset="soft" if v_reset is None else "hard",
        tie=">=",
        detach=detach_reset,
        **decays,
    )


def _surrogate(function: Any, unit: float) -> SpikeFunction | None:
    """The derivative of theirs in units of ours; that of `Sigmoid(alpha=4)` for one that is not known."""
    known = {"Sigmoid": surrogates.sigmoid, "ATan": surrogates.arctan}.get(type(function).__name__)
    return None if known is None else known(float(function.alpha) / unit)
