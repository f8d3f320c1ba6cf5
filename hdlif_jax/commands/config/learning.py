"""How a network learns: the optimiser, and which time-steps teach."""

import dataclasses
import itertools
from typing import Literal

from hdlif_jax.checks import Amount, Count, NotNegative, Percentile, Positive, Probability, Share, check_fields
from hdlif_jax.commands import registry
from hdlif_jax.commands.config.fields import require


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """The optimiser and its schedule."""

    name: Literal[tuple(registry.OPTIMIZERS)] = "sgd"  # type: ignore[valid-type]
    """SGD with momentum, Adam or AdamW."""
    learning_rate: Positive = 0.01
    """Peak learning rate."""
    momentum: Share = 0.9
    """Momentum of SGD; β₁ of Adam and AdamW."""
    nesterov: bool = True
    """Whether the momentum of SGD is Nesterov's."""
    weight_decay: NotNegative = 5e-4
    """Weight decay: coupled, as in the paper, for SGD and Adam; decoupled for AdamW."""
    decay_all: bool = False
    """Decay norms, biases and neuron parameters too, as the authors' code does."""
    warmup_epochs: NotNegative = 5
    """Epochs of linear warm-up from 1 % of the peak."""
    schedule: Literal[tuple(registry.SCHEDULES)] = "cosine"  # type: ignore[valid-type]
    """The learning rate after the warm-up. cosine: to 0. steps: multiplied by decay_factor at milestones. constant."""
    milestones: tuple[Positive, ...] = ()
    """Of schedule steps: epochs after which the rate falls."""
    decay_factor: Positive = 0.1
    """Of schedule steps: what the rate is multiplied by at each milestone."""
    cell_rate: Positive | None = None
    """Constant learning rate of Adam, without decay, for what neurons learn; None moves it as all else."""
    gate_factor: Positive = 1.0
    """What the learning rate of the gates of GLIF is multiplied by."""

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for values that are none of a field, or do not go together."""
        check_fields(self)
        require(
            self.nesterov or self.name == "sgd",
            f"nesterov=False is of the momentum of sgd, and {self.name} has none; leave nesterov unset",
        )
        if self.schedule == "steps":
            rising = all(first < second for first, second in itertools.pairwise(self.milestones))
            require(
                bool(self.milestones) and rising,
                f"schedule='steps' falls at milestones, and milestones={self.milestones}; give epochs in rising "
                "order, e.g. (60, 120)",
            )
        else:
            for name in ("milestones", "decay_factor"):
                value = getattr(self, name)
                require(
                    value == getattr(OptimizerConfig, name),
                    f"{name}={value} is of schedule='steps', and the schedule is {self.schedule}; leave {name} unset",
                )


@dataclasses.dataclass(frozen=True)
class LearningConfig:
    """Which time-steps teach."""

    rule: Literal[tuple(registry.RULES)] = "random_step"  # type: ignore[valid-type]
    """random_step: one random step a batch (Algorithm 1). random_k: the sum over K random steps. accumulate: the sum
    over all steps. every_step: an update after every step. stbp: the full gradient through time, for comparison.
    layer-local, layer-local-online: each layer learns by itself from a teacher (LTL), through time or within steps."""
    k: Count = 2
    """K of random_k."""
    early_stop: bool = True
    """Of random_k: nothing runs after the last of the K steps. False, as in SLTT-K: the others run forward."""
    trace: Literal[tuple(registry.TRACES)] = "none"  # type: ignore[valid-type]
    """What weights behind neurons learn from, with an online rule. none: the spikes of the step (SLTT). decay: their
    trace (OTTT). ratio-code, ratio-paper: the trace of NDOT as its authors ran it, and as they wrote it."""
    stbp_segment: Count | None = None
    """Of stbp: steps between states that are kept; the others are computed again (gradient checkpointing). None keeps
    all."""
    label_smoothing: Share = 0.1
    """Label smoothing of the cross-entropy."""
    loss: Literal[tuple(registry.LOSSES)] = "cross-entropy"  # type: ignore[valid-type]
    """Loss of the logits of each step that teaches; with rule stbp also of all steps together (mean-output, tet)."""
    mse_weight: Probability = 0.05
    """Of cross-entropy+mse: weight a of the squared distance; the cross-entropy has 1 − a."""
    mse_target: Literal["one-hot", "constant"] = "one-hot"
    """Of cross-entropy+mse: what the logits are compared with, the label or 1 for every class."""
    mean_over_steps: bool = False
    """Divide the loss of a step by T, as SLTT, OTTT and NDOT are published: the mean over the steps, not the sum."""
    tet_weight: Probability = 0.05
    """Of tet: weight λ of the distance of all logits from a constant."""
    tet_constant: float = 1.0
    """Of tet: this constant, φ."""
    local_percentile: Percentile = 99.9
    """Of layer-local rules: percentile of a layer's activations in the teacher that stands for a rate of 1."""
    local_warmup: Amount = 0
    """Of layer-local-online: first time-steps that do not teach."""

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for values that are none of a field, or do not go together."""
        check_fields(self)
        require(
            self.stbp_segment is None or self.rule == "stbp",
            f"stbp_segment={self.stbp_segment} is for rule stbp; {self.rule} keeps no more than one step anyway",
        )
        require(
            self.trace == "none" or self.rule != "stbp",
            f"trace={self.trace!r} is for online rules, and stbp goes back through time itself; use rule=accumulate "
            "(OTTT-A) or every_step (OTTT-O), or trace=none",
        )
        for names, owner, is_owners in (
            (("early_stop",), "rule=random_k", self.rule == "random_k"),
            (("mse_weight", "mse_target"), "loss=cross-entropy+mse", self.loss == "cross-entropy+mse"),
            (("tet_weight", "tet_constant"), "loss=tet", self.loss == "tet"),
            (("local_percentile",), "layer-local rules", registry.RULES[self.rule].has_teacher),
            (("local_warmup",), "rule=layer-local-online", self.rule == "layer-local-online"),
        ):
            for name in names:
                value, usual = getattr(self, name), getattr(LearningConfig, name)
                require(
                    is_owners or value == usual,
                    f"{name}={value} is of {owner}, and of nothing with rule={self.rule} and loss={self.loss}; choose "
                    f"{name}={usual}, the default",
                )
        require(
            self.trace == "none" or not registry.RULES[self.rule].has_teacher,
            f"trace={self.trace!r} with rule={self.rule!r}: layer-local rules have no traces; leave trace unset",
        )
        require(
            not self.is_of_sequences or registry.RULES[self.rule].of_sequences,
            f"loss={self.loss!r} is of the whole sequence, and {self.rule} learns from single time-steps; use "
            "rule=stbp, or loss=cross-entropy",
        )
        require(
            not (self.is_of_sequences and self.mean_over_steps),
            f"mean_over_steps=True with loss={self.loss!r}, which is a mean over the steps already; leave it False",
        )

    @property
    def is_of_sequences(self) -> bool:
        """Whether the loss is one of all time-steps together."""
        return registry.LOSSES[self.loss].of_sequences
