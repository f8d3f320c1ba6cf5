"""What the networks can be made of, in one record for all of them."""

import dataclasses

from hdlif_jax.checks import Attention, Count, WeightKind, check_fields
from hdlif_jax.nn.cell import CellFactory
from hdlif_jax.nn.cells import hd_lif
from hdlif_jax.nn.inits import Init, he_normal
from hdlif_jax.nn.norms import NormFactory, batch_norm


@dataclasses.dataclass(frozen=True)
class Spec:
    """Neurons, normalisers, weights and attention of a network.

    Attributes:
      num_steps: T, the number of time-steps.
      neuron: makes the cells, `(num_steps, num_channels) -> cell`: `nn.lif()`, `nn.hd_lif(bits=4)`, your own.
      second_neuron: makes the cells at the second position of each residual block; `nn.parallel()` there is block (b)
        of Fig. 3, half of all neurons. None is `neuron`.
      norm: makes the normalisers, `(num_channels, rngs) -> module`.
      weights: kernels of all convolutions but the first; the last linear layer is always float.
      attention: channel attention (Eqs. 9-10): "none", SECA_I or SECA_II.
      init: where the kernels start that `weights` is of, from `nn.inits` or any of Flax's; the others are he-normal.

    Raises:
      ValueError: a value out of range.
      TypeError: a neuron or norm that is no factory, such as `nn.lif` without its brackets.

    Example:
      Binary weights, and LIF neurons of which a box is the surrogate.

      >>> from flax import nnx
      >>> from hdlif_jax import nn
      >>> from hdlif_jax.neurons import surrogates
      >>> spec = nn.Spec(num_steps=6, neuron=nn.lif(surrogate=surrogates.rectangle(0.5)), weights="binary")
      >>> model = nn.conv_net((8, 8, 1), 10, widths=(4, 8), spec=spec, rngs=nnx.Rngs(0))
      >>> model.blocks[1].conv1.kernel.shape
      (3, 3, 4, 8)
    """

    num_steps: Count = 4
    neuron: CellFactory = hd_lif()
    second_neuron: CellFactory | None = None
    norm: NormFactory = batch_norm()
    weights: WeightKind = "ternary"
    attention: Attention = "none"
    init: Init = he_normal()

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def second(self) -> CellFactory:
        """What makes the cells at the second position of a block."""
        return self.neuron if self.second_neuron is None else self.second_neuron
