"""The configuration of a training run: frozen dataclasses, which the command line and config.json mirror.

Choices are the names of the registry.
"""

from hdlif_jax.commands.config.data import DataConfig
from hdlif_jax.commands.config.fields import SCHEMA, from_dict, to_dict
from hdlif_jax.commands.config.first import FirstConfig
from hdlif_jax.commands.config.learning import LearningConfig, OptimizerConfig
from hdlif_jax.commands.config.model import LIFConfig, ModelConfig
from hdlif_jax.commands.config.train import TrainConfig

__all__ = [
    "SCHEMA",
    "DataConfig",
    "FirstConfig",
    "LIFConfig",
    "LearningConfig",
    "ModelConfig",
    "OptimizerConfig",
    "TrainConfig",
    "from_dict",
    "to_dict",
]
