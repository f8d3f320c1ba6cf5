"""What the modules of a spiking network have in common: how they are called, and in which form they run."""

from typing import Any, NamedTuple

import jax
from flax import nnx


class Tick(NamedTuple):
    """A time-step, handed from module to module; only cells look into it.

    Attributes:
      t: from 0.
      key: of this cell and sequence, the same at all steps (one draw per sequence); None where nothing was given to
        draw from.
    """

    t: jax.Array | int
    key: jax.Array | None = None

    @property
    def step_key(self) -> jax.Array | None:
        """A key of this step (one draw per step)."""
        return None if self.key is None else jax.random.fold_in(self.key, self.t)


class Form(NamedTuple):
    """How a network runs; every module of the library has it as `form`, None outside of `nn.forms`.

    Attributes:
      train: whether normalisers use the statistics of the batch and move the running ones, and whether what is random
        in training is so.
      record: whether the spikes of every neuron cell come back.
      integer: whether convolutions of quantised spikes with quantised kernels compute in integers; None takes for each
        layer what was measured to be faster.
      dtype: name of the type of convolutions and of the currents and spikes between them.
    """

    train: bool
    record: bool = False
    integer: bool | None = None
    dtype: str = "float32"


class Module(nnx.Module):
    """A module that is told in which form it runs.

    Attributes:
      composes: whether its own code only calls its parts and adds, so that layer by layer each of them sees
        `[T·B, ...]` by itself; else a layer of several is called as a whole. What mixes the examples of a batch, such
        as a mean over them, belongs into a norm. Said of the class that has the code, and not of one that writes its
        `__call__` anew.
      over_sequence: whether in training it normalises all steps together, over (T, B), as it can in the layer-by-layer
        form alone.
      form: None outside of `nn.forms`: kernels are then quantised at every call, and statistics are the running ones.
    """

    form: Form | None = None
    composes: bool = False
    over_sequence: bool = False

    @property
    def trains(self) -> bool:
        """Whether it runs in training form."""
        return self.form is not None and self.form.train


def is_over_sequence(module: Any) -> bool:
    """Whether a module, of the library or not, says that it normalises all time-steps together."""
    return bool(getattr(module, "over_sequence", False))


class Stateful(Module):
    """A module that is called as `(state, x, tick) -> (state, y)`; a state of None starts a sequence.

    The state is any pytree of arrays. A module of several such modules hands them their states with `Carry`.
    """


class Carry:
    """Hands stateful modules the states that they left at the step before, in the order of the calls.

    Args:
      state: of the step before; None starts a sequence.
      tick: of this step.

    Raises:
      ValueError: the state has more or fewer entries than there are calls.

    Example:
      >>> import jax.numpy as jnp
      >>> from hdlif_jax import nn
      >>> class Twice(nn.Stateful):
      ...     def __init__(self):
      ...         self.first, self.second = nn.hd_lif()(4, 8), nn.lif()(4, 8)
      ...     def __call__(self, state, x, tick):
      ...         carry = nn.Carry(state, tick)
      ...         y = carry(self.second, carry(self.first, x))
      ...         return carry.state, y
      >>> state, y = Twice()(None, jnp.ones((2, 8)), nn.Tick(0))
      >>> len(state), y.shape
      (2, (2, 8))
    """

    def __init__(self, state: tuple[Any, ...] | None, tick: Tick):
        self._old = state
        self._new: list[Any] = []
        self._tick = tick

    def __call__(self, module: Stateful, x: jax.Array) -> jax.Array:
        """One step of a module."""
        index = len(self._new)
        if self._old is not None and index == len(self._old):
            raise ValueError(
                f"the state has {index} entries and the module calls more; hand on the state of the same network"
            )
        state, y = module(None if self._old is None else self._old[index], x, self._tick)
        self._new.append(state)
        output: jax.Array = y
        return output

    def through(self, x: jax.Array, *modules: Stateful | None) -> jax.Array:
        """One step of each module after the other; None stands for no module."""
        for module in modules:
            x = x if module is None else self(module, x)
        return x

    @property
    def state(self) -> tuple[Any, ...]:
        """What the modules left."""
        if self._old is not None and len(self._new) != len(self._old):
            raise ValueError(
                f"the state has {len(self._old)} entries and the module called {len(self._new)}; hand on the state of "
                "the same network"
            )
        return tuple(self._new)
