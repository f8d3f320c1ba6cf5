"""What is measured on: the data, the networks, single training steps, and how much work an update is."""

import dataclasses
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from experiments.benchmarks.cifar100 import IMAGE, NUM_CLASSES
from hdlif_jax import data, learning, losses, nn, xla_cpu
from hdlif_jax.commands.config import OptimizerConfig, TrainConfig
from hdlif_jax.commands.make import make_model, make_optimizer
from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.training import TrainState, TrainStep, initial_state, make_preprocess, make_train_step, normalize

HD_LIF, LIF = "cifar100-resnet18-ternary-4bit-parallel", "cifar100-resnet18-lif"
NUM_STEPS, NUM_IMAGES = 4, 50_000
MEAN, STD, SEED = (0.5,) * 3, (0.25,) * 3, 0


class Task(NamedTuple):
    """What every implementation of a group is given.

    Attributes:
      preset: name of the network's preset.
      width: channels of its first stage.
      dataset: in the shape of CIFAR-100.
      model: the network, untrained.
      batch: uint8 images and labels, the first of the training set.
    """

    preset: str
    width: int
    dataset: data.Dataset
    model: nn.SpikingNetwork
    batch: learning.Batch


def make_task(preset: str, width: int, dataset: data.Dataset, batch_size: int) -> Task:
    return Task(preset, width, dataset, model_of(preset, width), images_of(dataset, 0, batch_size))


def images_of(dataset: data.Dataset, start: int, size: int) -> learning.Batch:
    """So many of the training images, from the given one, on the device."""
    inputs, labels = dataset.train.read(np.arange(start, start + size))
    return learning.Batch(jnp.asarray(inputs), jnp.asarray(labels))


def configure(preset: str, width: int, **changes: Any) -> TrainConfig:
    config = PRESETS[preset].config
    model = dataclasses.replace(config.model, width=width, num_steps=NUM_STEPS)
    return dataclasses.replace(config, model=model, seed=SEED, **changes)


def model_of(preset: str, width: int) -> nn.SpikingNetwork:
    return make_model(configure(preset, width).model, IMAGE, NUM_CLASSES, SEED)


def bare_step(
    model: nn.SpikingNetwork, rule: learning.Rule, *, dtype: str = "float32", integer: bool | None = None
) -> tuple[TrainState, TrainStep]:
    """A first state and the trainer's step on a given batch, not yet compiled, as the references in PyTorch learn.

    That is without augmentation, with a constant learning rate, and with decay of kernels alone.

    Args:
      model: the network.
      rule: how it learns.
      dtype: of convolutions, see `nn.training_form`.
      integer: see `nn.training_form`.
    """
    network, config = nn.training_form(model, dtype=dtype, integer=integer), OptimizerConfig()
    optimizer = make_optimizer(config, optax.constant_schedule(config.learning_rate), network)
    step = make_train_step(
        network,
        rule,
        losses.cross_entropy(0.1),
        optimizer,
        preprocess=make_preprocess(MEAN, STD, NUM_CLASSES),
        seed=SEED,
    )
    return initial_state(model, optimizer), step


class Work(NamedTuple):
    """Floating-point operations.

    Attributes:
      encode: of what an inference does once: the stem.
      forward: of a step without gradient.
      learning: of a step with its gradient and all that a batch does once.
    """

    encode: float
    forward: float
    learning: float

    def flops(self, case: str) -> float:
        """Of one update or inference."""
        if case == "inference":
            return self.encode + NUM_STEPS * self.forward
        if case.startswith("t*="):
            return self.learning + (int(case[3:]) - 1) * self.forward
        if case in ("accumulate", "stbp"):
            return NUM_STEPS * self.learning
        return self.learning + (NUM_STEPS - 1) / 2 * self.forward  # the mean over t*


def count_work(model: nn.SpikingNetwork, batch_size: int) -> Work:
    """XLA's own count before it optimises, when convolutions are still convolutions, in XLA's own form."""
    network, variables = nn.training_form(model, integer=False), nn.variables_of(model)
    state = nn.init_state(network, variables, batch_size)
    inputs = jnp.zeros((batch_size, *IMAGE))

    def forward(variables: nn.Variables, state: Any, current: jax.Array) -> nn.StepOutput:
        return network.step(*variables, state, current, nn.Tick(0))

    def encode(variables: nn.Variables, inputs: jax.Array) -> jax.Array:
        current: jax.Array = network.encode(*variables, inputs)[0]
        return current

    def loss(params: nn.Params, batch_stats: nn.Params, inputs: jax.Array) -> jax.Array:
        params = network.quantize(params)
        current, batch_stats = network.encode(params, batch_stats, inputs)
        return jnp.sum(network.step(params, batch_stats, state, current, nn.Tick(0)).logits)

    current = jax.eval_shape(encode, variables, inputs)
    own_forms: Any = {"columns_at_once": lambda shape, integers: 1, "prefers_long_rows": lambda shape: False}
    with mock.patch.multiple(xla_cpu, **own_forms):  # others multiply by zeros as well
        programs = (
            jax.jit(encode).lower(variables, inputs),
            jax.jit(forward).lower(variables, state, current),
            jax.jit(jax.grad(loss)).lower(*variables, inputs),
        )
    return Work(*(float((program.cost_analysis() or {}).get("flops", "nan")) for program in programs))


def drawing_steps() -> list[int]:
    """For every t, from 0, the first number of a batch whose drawn time-step is t."""
    found: dict[int, int] = {}
    for step in range(100 * NUM_STEPS):
        key, _ = jax.random.split(jax.random.fold_in(jax.random.key(SEED), step))
        found.setdefault(int(jax.random.randint(key, (1,), 0, NUM_STEPS)[0]), step)
        if len(found) == NUM_STEPS:
            break
    return [found[t] for t in range(NUM_STEPS)]


def torch_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def torch_batch(batch: learning.Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised images `[B, C, H, W]`, channels last, and labels, on the device."""
    inputs = torch.tensor(np.asarray(normalize(batch.inputs, MEAN, STD))).permute(0, 3, 1, 2)
    inputs = inputs.to(torch_device()).contiguous(memory_format=torch.channels_last)
    return inputs, torch.tensor(np.asarray(batch.labels), dtype=torch.int64, device=torch_device())
