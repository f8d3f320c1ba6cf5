"""LIF as a cell (Eq. 1)."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax import neurons
from hdlif_jax.checks import Leak, Positive, check_fields
from hdlif_jax.neurons.lif import Order, Reset, Tie
from hdlif_jax.neurons.surrogates import Adjustable, SpikeFunction, triangle
from hdlif_jax.nn.cell import BINARY, NeuronCell, Setting
from hdlif_jax.nn.module import Tick
from hdlif_jax.quantize import round_to


@dataclasses.dataclass(frozen=True)
class lif:  # noqa: N801 - a class that is called as a function
    """LIF (Eq. 1): by default a learned leak and threshold, shared over time, and spikes of height θ.

    Attributes:
      surrogate: the spike function, from `neurons.surrogates` or your own; the number of an adjustable one is held by
        the cell, as `surrogate_value`.
      decay: λ in (0, 1], 1 for neurons that do not leak; or its start in (0, 1) if it is learned, as sigmoid(raw).
      learn_decay: whether λ is learned.
      threshold: θ > 0, or its start if it is learned.
      learn_threshold: whether θ is learned.
      height: of a spike; None is θ, which in a form of bfloat16 is the nearest that this type holds. Another height is
        rounded there as currents are.
      reset: "soft" subtracts θ, "hard" sets the membrane to 0, "none" leaves it.
      tie: whether a neuron fires at m = θ (">=") or only above (">").
      detach: whether 1[m ≥ θ] in the reset is a constant to the gradient.
      order: "fire-charge" fires on what the step before left, so that every layer answers a step later;
        "charge-reset-fire" resets by what the step before fired, as snnTorch does.
      relative: whether the surrogate's derivative is one of m / θ − 1 instead of m − θ.
      found_threshold: whether θ is a setting that is found from data (`training.find_thresholds`) instead of learned.

    Raises:
      ValueError: a value out of range, a leak of 1 that is learned, or a threshold that is both learned and found.
    """

    surrogate: SpikeFunction = triangle(1.0)
    decay: Leak = 0.5
    learn_decay: bool = True
    threshold: Positive = 1.0
    learn_threshold: bool = True
    height: Positive | None = None
    reset: Reset = "soft"
    tie: Tie = ">="
    detach: bool = False
    order: Order = "charge-fire"
    relative: bool = False
    found_threshold: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if self.decay == 1 and self.learn_decay:
            raise ValueError(f"decay={self.decay} must be in (0, 1) where it is learned; with 1 set learn_decay=False")
        if self.found_threshold and self.learn_threshold:
            raise ValueError(
                "found_threshold=True with learn_threshold=True: a threshold is found or learned; set "
                "learn_threshold=False"
            )

    def __call__(self, num_steps: int, num_channels: int) -> "LIFCell":
        """The cell; LIF has nothing per step or channel."""
        return LIFCell(self)


class LIFCell(NeuronCell):
    """LIF with the options of `lif`."""

    emits = BINARY
    operations = 3  # leak, charge and reset

    def __init__(self, options: lif = lif()):
        self.options = options
        if options.learn_decay:
            self.raw_decay = nnx.Param(jnp.float32(math.log(options.decay / (1 - options.decay))))
        if options.learn_threshold or options.found_threshold:
            kind: type[nnx.Variable[jax.Array]] = nnx.Param if options.learn_threshold else Setting
            self.threshold = kind(jnp.float32(options.threshold))
        surrogate = options.surrogate
        if isinstance(surrogate, Adjustable):
            self.surrogate_value = (nnx.Param if surrogate.learned else Setting)(jnp.float32(surrogate.start))

    def params(self) -> neurons.NeuronParams:
        """λ and θ, scalars; θ as the form's type holds it where it is the height of a spike."""
        options = self.options
        is_held = options.learn_threshold or options.found_threshold
        threshold = self.threshold[...] if is_held else jnp.float32(options.threshold)
        if options.height is None and self.form is not None:
            threshold = round_to(threshold, self.form.dtype)  # so that the reset takes off what the spike carries on
        return neurons.NeuronParams(
            jax.nn.sigmoid(self.raw_decay[...]) if options.learn_decay else jnp.float32(options.decay), threshold
        )

    def decay_at(self, t: jax.Array | int) -> jax.Array | None:
        """λ, scalar."""
        return self.params().decay

    def spike_function(self, tick: Tick) -> SpikeFunction:
        """The surrogate; an adjustable one at the cell's number, which draws in training.

        Raises:
          ValueError: one that draws, in training without a key.
        """
        surrogate = self.options.surrogate
        if not isinstance(surrogate, Adjustable):
            return surrogate
        if not (self.trains and surrogate.draws):
            return surrogate.at(self.surrogate_value[...])
        if tick.step_key is None:
            raise ValueError(
                f"{surrogate} draws in training and has no key; hand one to the rule, or to the network's step"
            )
        return surrogate.at(self.surrogate_value[...], tick.step_key)

    def membrane(self, state: jax.Array, x: jax.Array, tick: Tick) -> jax.Array:
        """λ v_{t−1} + I_t, in the order charge-reset-fire less what the step before fired."""
        if self.options.order == "charge-reset-fire":
            return self.advance(state, x, tick)[0]  # which is carried on as it is
        return neurons.charge(self.params().decay, state, x)

    def advance(self, state: jax.Array, x: jax.Array, tick: Tick) -> tuple[jax.Array, jax.Array]:
        """See `neurons.lif.step`; nothing depends on the step."""
        options = self.options
        return neurons.lif.step(
            self.params(),
            state,
            x,
            spike_function=self.spike_function(tick),
            height=options.height,
            reset=options.reset,
            tie=options.tie,
            detach=options.detach,
            order=options.order,
            relative=options.relative,
        )
