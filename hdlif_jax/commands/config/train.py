"""A whole run."""

import dataclasses
from typing import Literal

from hdlif_jax.commands.config.data import DataConfig
from hdlif_jax.commands.config.fields import require
from hdlif_jax.commands.config.learning import LearningConfig, OptimizerConfig
from hdlif_jax.commands.config.model import ModelConfig


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the result of a run, together with the package versions."""

    preset: str = "digits"
    """Name of the preset that this began as."""
    epochs: int = 300
    """Passes over the training set."""
    batch_size: int = 64
    """Images per update."""
    seed: int = 0
    """Of the initial kernels, the data order and the drawn time-steps."""
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    learning: LearningConfig = LearningConfig()
    checkpoint_every_epochs: int = 1
    """Epochs between checkpoints."""
    checkpoint_every_steps: int = 0
    """Batches between checkpoints within an epoch; 0 for none."""
    keep_checkpoints: int = 2
    """How many of the newest checkpoints are kept; the one with the best validation accuracy is kept besides."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of convolutions and the currents and spikes between them while training. Parameters, statistics and membranes are
    float32 with either, and so is evaluation."""
    coherence_every: int = 0
    """Batches between comparisons of the online with the STBP gradient, on one batch; 0 for none."""

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range."""
        require(self.epochs >= 1, f"epochs={self.epochs} must be at least 1")
        require(self.batch_size >= 1, f"batch_size={self.batch_size} must be at least 1")
        require(
            self.checkpoint_every_epochs >= 1, f"checkpoint_every_epochs={self.checkpoint_every_epochs} must be ≥ 1"
        )
        require(
            self.checkpoint_every_steps >= 0,
            f"checkpoint_every_steps={self.checkpoint_every_steps} must not be negative; 0 for none",
        )
        require(self.keep_checkpoints >= 1, f"keep_checkpoints={self.keep_checkpoints} must be at least 1")
        require(self.coherence_every >= 0, f"coherence_every={self.coherence_every} must not be negative; 0 for none")
        require(
            self.coherence_every == 0 or self.model.num_steps >= 2,
            f"coherence_every={self.coherence_every} with model.num_steps={self.model.num_steps}: at one time-step "
            "online and STBP gradients are the same; choose coherence_every=0 or model.num_steps ≥ 2",
        )
        require(
            self.coherence_every == 0 or not self.learning.is_of_sequences,
            f"coherence_every={self.coherence_every} with learning.loss={self.learning.loss}: online learning has no "
            "loss of whole sequences; choose coherence_every=0 or learning.loss=cross-entropy",
        )
        require(
            self.model.num_steps % (self.learning.stbp_segment or 1) == 0,
            f"learning.stbp_segment={self.learning.stbp_segment} does not divide "
            f"model.num_steps={self.model.num_steps}; choose a divisor",
        )
        if self.learning.rule == "random_k":
            require(
                self.learning.k <= self.model.num_steps,
                f"learning.k={self.learning.k} exceeds model.num_steps={self.model.num_steps}; choose k ≤ num_steps",
            )
