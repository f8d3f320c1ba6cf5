"""Which network."""

import dataclasses
import typing
from typing import Literal

from hdlif_jax.checks import Attention, Bits, Count, Leak, Positive, Share, WeightKind, Widths, check_fields
from hdlif_jax.commands import registry
from hdlif_jax.commands.config.fields import require

if typing.TYPE_CHECKING:
    from hdlif_jax.quantize import SpikeQuantizer


@dataclasses.dataclass(frozen=True)
class LIFConfig:
    """The neurons of neuron=lif."""

    decay: Leak = 0.5
    """λ, or its start if it is learned; 1, integrate-and-fire, is not learned."""
    learn_decay: bool = True
    """Whether λ is learned."""
    threshold: Positive = 1.0
    """θ, or its start if it is learned."""
    learn_threshold: bool = True
    """Whether θ is learned."""
    height: Positive | None = None
    """Of a spike; None is θ."""
    reset: Literal["soft", "hard", "none"] = "soft"
    """soft subtracts θ, hard sets the membrane to 0, none leaves it."""
    tie: Literal[">=", ">"] = ">="
    """Whether a neuron fires at m = θ or only above."""
    detach: bool = False
    """Whether the reset is a constant to the gradient."""
    order: Literal["charge-fire", "fire-charge", "charge-reset-fire"] = "charge-fire"
    """fire-charge fires on what the step before left, so that every layer answers a step later; charge-reset-fire
    resets by what the step before fired, as snnTorch does."""
    relative: bool = False
    """Whether the surrogate is one of m / θ − 1 instead of m − θ."""
    found_threshold: bool = False
    """Whether θ is found from training data before the first epoch instead of learned."""

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for values that are none of a field, or a threshold learned and found."""
        check_fields(self)
        require(
            not (self.decay == 1 and self.learn_decay),
            "decay=1.0 with learn_decay=True: a learned leak is below 1; set learn_decay=False",
        )
        require(
            not (self.found_threshold and self.learn_threshold),
            "found_threshold=True with learn_threshold=True: a threshold is found or learned; set "
            "learn_threshold=False",
        )


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network: its architecture, and its neurons, weights and spikes."""

    num_steps: Count = 4
    """T, the number of time-steps."""
    neuron: Literal[tuple(registry.NEURONS)] = "hd-lif"  # type: ignore[valid-type]
    """Neuron model; parallel makes all neurons Parallel HD-LIF."""
    parallel: bool | None = None
    """Whether the second neuron of each residual block is Parallel HD-LIF, block (b) of Fig. 3, half of all neurons;
    None means yes in blocks, except for LIF, which has no parallel form."""
    weights: WeightKind = "ternary"
    """Kernels of all convolutions but the first, which is float, or standardized if the others are. The last linear
    layer is always float."""
    spike_bits: Bits | None = 4
    """n of the spike quantiser (Eq. 4); None for unquantised spikes. LIF spikes are binary anyway."""
    spike_scale: Positive = 0.25
    """s of the spike quantiser, the size of one level."""
    attention: Attention = "none"
    """Channel attention (Eqs. 9-10): none, SECA_I or SECA_II."""
    architecture: Literal[tuple(registry.NETWORKS)] = "conv-net"  # type: ignore[valid-type]
    """Network family."""
    widths: Widths = (32, 64, 64)
    """Channels per stage of conv-net and vgg."""
    width: Count | None = None
    """Channels of the first stage of the other architectures, whose later stages are multiples; None is the paper's."""
    surrogate: Literal[tuple(registry.SURROGATES)] = "triangle"  # type: ignore[valid-type]
    """Derivative of the spikes of LIF, whose spikes are a step."""
    surrogate_scale: Positive | None = None
    """Width of a triangle, rectangle, gaussian or smooth step, slope of the others, temperature of dspike at the start;
    None is the usual one."""
    surrogate_height: Positive | None = None
    """Of a triangle or rectangle at the threshold; None is that of area 1."""
    surrogate_noise: Share = 0.0
    """Share of the neurons that hand on their smooth step while training, in smooth-sigmoid and smooth-ramp."""
    lif: LIFConfig = LIFConfig()
    relu_ceiling: Positive | None = None
    """The largest output of neuron=relu; None for none."""
    norm: Literal[tuple(registry.NORMS)] = "batch-norm"  # type: ignore[valid-type]
    """Normaliser of the currents. batch-norm takes its statistics of each time-step by itself, tdbn of all together."""
    norm_gain: Positive = 1.0
    """Constant factor of normalised currents: α·θ of tdBN."""
    residual_gain: Positive = 1.0
    """A further factor where branches are added; 0.7071 halves the variance of each, as tdBN does."""
    identity_norm: bool = False
    """Whether shortcuts that keep the shape have a normaliser too, as in GLIF."""
    bias: bool = False
    """Whether convolutions have a bias."""
    dropout: Share = 0.0
    """Share of spikes that are dropped in training, the same ones at all time-steps."""
    init: Literal[tuple(registry.INITS)] = "he-normal"  # type: ignore[valid-type]
    """Where quantised kernels start. uniform: in [0, 0.001), as in the authors' code; `experiments/benchmarks/inits.sh`
    compares."""

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for values that are none of a field, or a mix that does not exist."""
        check_fields(self)
        neuron, architecture = registry.NEURONS[self.neuron], registry.NETWORKS[self.architecture]
        require(
            not self.parallel or self.spikes_in_levels,
            f"neuron={self.neuron!r} has no parallel form; use parallel=False or neuron='hd-lif'",
        )
        require(
            self.neuron != "parallel" or self.parallel is not False,
            "neuron='parallel' makes all neurons parallel, but parallel=False; "
            "use neuron='hd-lif' for serial neurons, or leave parallel unset",
        )
        require(
            not self.parallel or architecture.has_blocks or self.neuron == "parallel",
            f"parallel=True makes the second neuron of a residual block parallel, and {self.architecture} has no "
            "blocks; leave parallel unset, or use neuron='parallel' for all neurons",
        )
        require(
            self.surrogate == ModelConfig.surrogate or neuron.reads == "surrogate",
            f"surrogate={self.surrogate!r} is for neurons whose spikes are a step, such as neuron='lif'; the gradient "
            f"of {self.neuron} is exact: leave surrogate unset",
        )
        surrogate = registry.SURROGATES[self.surrogate]
        require(
            self.surrogate_scale is None or neuron.reads == "surrogate",
            f"surrogate_scale={self.surrogate_scale} with neuron={self.neuron!r}, which has no surrogate to choose; "
            "leave surrogate_scale unset",
        )
        require(
            self.surrogate_height is None or (surrogate.reads == "height" and neuron.reads == "surrogate"),
            f"surrogate_height={self.surrogate_height} is for surrogate=triangle and rectangle; leave it unset",
        )
        require(
            self.surrogate_noise == 0 or surrogate.reads == "noise",
            f"surrogate_noise={self.surrogate_noise} is for surrogate=smooth-sigmoid and smooth-ramp; leave it at 0",
        )
        require(
            not surrogate.is_held or neuron.holds_surrogate,
            f"surrogate={self.surrogate!r} changes while a network trains, which neuron={self.neuron!r} has no place "
            "for; use neuron='lif'",
        )
        require(
            self.lif == LIFConfig() or self.neuron == "lif",
            f"lif has options of neuron='lif', and neuron={self.neuron!r}; use neuron='lif', or leave them unset",
        )
        require(
            self.relu_ceiling is None or self.neuron == "relu",
            f"relu_ceiling={self.relu_ceiling} is for neuron='relu'; leave it unset",
        )
        require(
            self.norm != "none" or self.norm_gain == self.residual_gain == 1,
            "norm='none' normalises nothing that norm_gain or residual_gain could be a factor of; leave them at 1",
        )
        require(
            (self.residual_gain == 1 and not self.identity_norm) or architecture.has_blocks,
            f"residual_gain={self.residual_gain} and identity_norm={self.identity_norm} are for residual blocks, and "
            f"{self.architecture} has none; leave both unset",
        )
        if architecture.size == "widths":
            require(
                self.width is None,
                f"width={self.width} is not for {self.architecture}, which has widths; set widths",
            )
        else:
            require(
                self.widths == ModelConfig.widths,
                f"widths={self.widths} are for conv-net and vgg; set width, the channels of the first stage of "
                f"{self.architecture}",
            )

    @property
    def quantizer(self) -> "SpikeQuantizer":
        """The spike quantiser Q."""
        from hdlif_jax.nn.cell import spike_quantizer

        return spike_quantizer(self.spike_bits, self.spike_scale)

    @property
    def spikes_in_levels(self) -> bool:
        """Whether spikes have the levels of the quantiser; those of LIF are 0 or of one height."""
        return registry.NEURONS[self.neuron].reads == "levels"

    @property
    def second_neuron(self) -> str:
        """Neuron model at the second position of a block."""
        parallel = self.spikes_in_levels if self.parallel is None else self.parallel
        return "parallel" if parallel else self.neuron
