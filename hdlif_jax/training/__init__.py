"""Optax training over jitted, pure steps, with checkpoints that resume exactly."""

from typing import Any

from hdlif_jax.ops import normalize
from hdlif_jax.training.callbacks import Callbacks, Interrupted, Trained, TrainingDiverged
from hdlif_jax.training.checkpoint import CheckpointError, Checkpoints, DamagedCheckpoint
from hdlif_jax.training.evaluate import accuracy_per_step, make_eval_step
from hdlif_jax.training.explain import explain_non_finite
from hdlif_jax.training.fit import Trainer
from hdlif_jax.training.groups import neuron_params, params_named, slowed, with_own_rule
from hdlif_jax.training.optimizers import decaying_kernels, only_learned_steps
from hdlif_jax.training.plan import Plan, plan
from hdlif_jax.training.preprocess import Augmentation, make_normalize, make_preprocess
from hdlif_jax.training.progress import notebook_progress
from hdlif_jax.training.reach import UnreachedParameters
from hdlif_jax.training.recalibrate import recalibrate
from hdlif_jax.training.schedules import warmup_cosine, warmup_steps
from hdlif_jax.training.steps import StepMetrics, TrainState, TrainStep, initial_state, make_train_step, start
from hdlif_jax.training.temperature import choose_temperature
from hdlif_jax.training.thresholds import find_threshold, find_thresholds
from hdlif_jax.training.weights import (
    Transfer,
    Weights,
    by_name,
    load_weights,
    read_weights,
    save_weights,
    transfer,
)

__all__ = [
    "Augmentation",
    "Callbacks",
    "CheckpointError",
    "Checkpoints",
    "DamagedCheckpoint",
    "Interrupted",
    "Plan",
    "StepMetrics",
    "TrainState",
    "TrainStep",
    "Trained",
    "Trainer",
    "TrainingDiverged",
    "Transfer",
    "UnreachedParameters",
    "Weights",
    "accuracy_per_step",
    "by_name",
    "choose_temperature",
    "decaying_kernels",
    "explain_non_finite",
    "find_threshold",
    "find_thresholds",
    "initial_state",
    "load_run",
    "load_weights",
    "make_eval_step",
    "make_normalize",
    "make_preprocess",
    "make_train_step",
    "neuron_params",
    "normalize",
    "notebook_progress",
    "only_learned_steps",
    "params_named",
    "plan",
    "read_weights",
    "recalibrate",
    "save_weights",
    "slowed",
    "start",
    "transfer",
    "warmup_cosine",
    "warmup_steps",
    "with_own_rule",
]


def __getattr__(name: str) -> Any:
    # A run's configuration is made of names, which only the top floor knows; it is handed on when it is asked for.
    if name == "load_run":
        import importlib

        return importlib.import_module("hdlif_jax.commands.support.runs").load_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
