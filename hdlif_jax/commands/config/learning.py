"""How a network learns: the optimiser, and which time-steps teach."""

import dataclasses
from typing import Literal

import hdlif_jax as hd
from hdlif_jax.checks import Count, NotNegative, Positive, Share, check_fields
from hdlif_jax.commands import registry
from hdlif_jax.commands.config.fields import require


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """The optimiser and its schedule."""

    name: Literal[tuple(registry.OPTIMIZERS)] = "sgd"  # type: ignore[valid-type]
    """SGD with Nesterov momentum, or AdamW."""
    learning_rate: Positive = 0.01
    """Peak learning rate."""
    momentum: Share = 0.9
    """Nesterov momentum of SGD; β₁ of AdamW."""
    weight_decay: NotNegative = 5e-4
    """Weight decay: coupled, as in the paper, for SGD; decoupled for AdamW."""
    decay_all: bool = False
    """Decay norms, biases and neuron parameters too, as the authors' code does."""
    warmup_epochs: NotNegative = 5
    """Epochs of linear warm-up from 1 % of the peak; then cosine to 0."""

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for values that are none of a field."""
        check_fields(self)


@dataclasses.dataclass(frozen=True)
class LearningConfig:
    """Which time-steps teach."""

    rule: Literal[tuple(registry.RULES)] = "random_step"  # type: ignore[valid-type]
    """random_step: one random step a batch (Algorithm 1). random_k: the sum over K random steps. accumulate: the sum
    over all steps. every_step: an update after every step. stbp: the full gradient through time, for comparison."""
    k: Count = 2
    """K of random_k."""
    stbp_segment: Count | None = None
    """Of stbp: steps between states that are kept; the others are computed again (gradient checkpointing). None keeps
    all."""
    label_smoothing: Share = 0.1
    """Label smoothing of the cross-entropy."""
    loss: Literal[tuple(registry.LOSSES)] = "cross-entropy"  # type: ignore[valid-type]
    """Loss of the logits of each step that teaches; with rule stbp also of all steps together (mean-output, tet)."""

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for values that are none of a field, or do not go together."""
        check_fields(self)
        require(
            self.stbp_segment is None or self.rule == "stbp",
            f"stbp_segment={self.stbp_segment} is for rule stbp; {self.rule} keeps no more than one step anyway",
        )
        require(
            not self.is_of_sequences or isinstance(registry.RULES[self.rule](self), hd.learning.stbp),
            f"loss={self.loss!r} is of the whole sequence, and {self.rule} learns from single time-steps; use "
            "rule=stbp, or loss=cross-entropy",
        )

    @property
    def is_of_sequences(self) -> bool:
        """Whether the loss is one of all time-steps together."""
        return registry.LOSSES[self.loss].of_sequences
