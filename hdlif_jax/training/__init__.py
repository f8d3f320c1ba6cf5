"""Optax training loops over jitted, pure steps, with checkpoints that resume exactly."""

from hdlif_jax.training.checkpoint import CheckpointError, Checkpoints, DamagedCheckpoint
from hdlif_jax.training.config import (
    DataConfig,
    LearningConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
    from_dict,
    to_dict,
)
from hdlif_jax.training.loop import Events, Interrupted, Trainer, TrainingDiverged
from hdlif_jax.training.optimizers import make_optimizer, only_learned_steps, warmup_cosine
from hdlif_jax.training.steps import (
    StepMetrics,
    TrainState,
    build_model,
    make_eval_step,
    make_train_step,
    normalize,
    smoothed_cross_entropy,
)

__all__ = [
    "CheckpointError",
    "Checkpoints",
    "DamagedCheckpoint",
    "DataConfig",
    "Events",
    "Interrupted",
    "LearningConfig",
    "ModelConfig",
    "OptimizerConfig",
    "StepMetrics",
    "TrainConfig",
    "TrainState",
    "Trainer",
    "TrainingDiverged",
    "build_model",
    "from_dict",
    "make_eval_step",
    "make_optimizer",
    "make_train_step",
    "normalize",
    "only_learned_steps",
    "smoothed_cross_entropy",
    "to_dict",
    "warmup_cosine",
]
