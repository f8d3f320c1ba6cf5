"""What the networks can be made of, in one record for all of them."""

import dataclasses

from hdlif_jax.checks import Attention, Count, Share, WeightKind, check_fields
from hdlif_jax.nn.cell import CellFactory
from hdlif_jax.nn.cells import Dropout, hd_lif
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
      weights: kernels of all convolutions but the first, which is float; "standardized" is of the first one too. The
        last linear layer is always float.
      bias: whether convolutions have one; beside a norm that centres they need none.
      attention: channel attention (Eqs. 9-10): "none", SECA_I or SECA_II.
      init: where the kernels start that `weights` is of, from `nn.inits` or any of Flax's; the others are he-normal.
      dropout: share of spikes that are dropped while training, the same at all steps.
      residual_norm: makes the normalisers whose output is added to another branch; None is `norm`. With half of the
        variance, `nn.batch_norm(gain=0.5**0.5)`, the sum has that of one branch (tdBN).
      identity_norm: whether shortcuts that keep the shape have a normaliser too (GLIF).

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
    bias: bool = False
    dropout: Share = 0.0
    residual_norm: NormFactory | None = None
    identity_norm: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def second(self) -> CellFactory:
        """What makes the cells at the second position of a block."""
        return self.neuron if self.second_neuron is None else self.second_neuron

    @property
    def summed_norm(self) -> NormFactory:
        """What makes the normalisers whose output is added to another branch."""
        return self.norm if self.residual_norm is None else self.residual_norm

    def make_dropout(self) -> Dropout | None:
        """What drops the spikes of a layer of neurons; None where nothing does."""
        return Dropout(self.dropout) if self.dropout else None

    @property
    def first_weights(self) -> WeightKind:
        """Kernels of the first convolution."""
        return "standardized" if self.weights == "standardized" else "float"

    @property
    def first_init(self) -> Init:
        """Where they start."""
        return self.init if self.weights == "standardized" else he_normal()


def refuse(spec: Spec, network: str, *fields: str) -> None:
    """Raises ValueError for options, by the names of their fields, that a kind of network has no place for."""
    for name in fields:
        value, usual = getattr(spec, name), getattr(Spec, name)
        if value != usual:
            raise ValueError(f"{name}={value!r} has no place in a {network}; leave it at {usual!r}")
