"""What a spiking network is: as a module, as pure functions, and what those take and give."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax

from hdlif_jax import show
from hdlif_jax.nn.module import Form, Tick

Params = dict[Any, Any]  #: nested dicts of arrays, by module path
ByPath = dict[str, jax.Array]  # by path of the cell, `"blocks.0.neuron1"`


class Variables(NamedTuple):
    """The arrays of a network that outlive a sequence, as nested dicts by module path.

    Attributes:
      params: what the optimiser moves.
      batch_stats: running statistics of BatchNorm and Mem-BN.
    """

    params: Params
    batch_stats: Params

    def __repr__(self) -> str:
        return show.line("Variables", self._facts())

    def _repr_html_(self) -> str:
        return show.table("Variables", self._facts())

    def _facts(self) -> dict[str, Any]:
        return {"params": show.entries(self.params), "batch_stats": show.entries(self.batch_stats)}


class StepOutput(NamedTuple):
    """What a time-step gives.

    Attributes:
      state: what the next step needs, a pytree of arrays.
      logits: `[B, K]`.
      batch_stats: after the step.
      records: spikes `[B, ...]` of every neuron cell by path, in a form that records; else empty.
    """

    state: Any
    logits: jax.Array
    batch_stats: Params
    records: ByPath


class SequenceOutput(NamedTuple):
    """What a whole sequence gives, layer by layer.

    Attributes:
      logits: `[T, B, K]`.
      batch_stats: after the sequence.
      records: spikes `[T, B, ...]` of every neuron cell by path, in a form that records; else empty.
    """

    logits: jax.Array
    batch_stats: Params
    records: ByPath


class Network(NamedTuple):
    """A spiking network in one form as pure functions of `params` as `quantize` gives them.

    Attributes:
      num_steps: T.
      input_shape: of one input at one time-step, such as (H, W, C).
      num_classes: width of the logits.
      form: how it runs.
      per_step: True at the parameters that are indexed by time (leading axis T), the shape of `params`.
      quantize: `params -> params`, the kernels replaced by Ŵ; differentiable by the straight-through rules, and done
        once per batch.
      encode: `(params, batch_stats, x [B, ...]) -> (current, batch_stats)`, the memoryless stem.
      start: `(params, batch_stats, x [B, ...]) -> state` before the first step, of which x decides the shapes alone.
      step: `(params, batch_stats, state, current, tick, offsets=None) -> StepOutput`; None as state starts a sequence.
        Offsets by path of the cell, `[B, ...]`, are added to the cells' currents: a gradient with respect to zeros is
        ∂L/∂m_t.
      sequence: `(params, batch_stats, inputs, key=None, offsets=None) -> SequenceOutput`, all steps of a layer before
        the next layer; inputs are static `[B, ...]` or sequences `[T, B, ...]`, offsets `[T, B, ...]`.
      model: what it was made of, in its form, from which another process makes it anew; None for one of your own.
    """

    num_steps: int
    input_shape: tuple[int, ...]
    num_classes: int
    form: Form
    per_step: Params
    quantize: Callable[[Params], Params]
    encode: Callable[[Params, Params, jax.Array], tuple[jax.Array, Params]]
    start: Callable[[Params, Params, jax.Array], Any]
    step: Callable[..., StepOutput]
    sequence: Callable[..., SequenceOutput]
    model: "SpikingNetwork | None" = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self.model is None:
            raise TypeError("a network of your own functions cannot be pickled; pickle what it is made of")
        from hdlif_jax.nn.forms import network_of  # which is made of this file

        return network_of, (self.model, self.form)

    def __deepcopy__(self, memo: Any) -> "Network":
        return self  # functions, and a model that nobody changes

    def __repr__(self) -> str:
        return show.line("Network", self._facts())

    def _repr_html_(self) -> str:
        return show.table("Network", self._facts())

    def _facts(self) -> dict[str, Any]:
        facts = {
            "form": "training" if self.form.train else "inference",
            "steps": self.num_steps,
            "input": self.input_shape,
            "classes": self.num_classes,
            "dtype": self.form.dtype,
        }
        return facts | ({"records": "spikes"} if self.form.record else {})


class SpikingNetwork(Protocol):
    """What a network module has; see `Sequential` and `SpikingResNet`."""

    num_steps: int
    input_shape: tuple[int, ...]
    num_classes: int

    def encode(self, x: jax.Array) -> jax.Array:
        """The memoryless stem, `[B, ...]` to a current."""

    def __call__(self, state: Any, current: jax.Array, tick: Tick) -> tuple[Any, jax.Array]:
        """One time-step, from the stem's current to logits `[B, K]`."""
