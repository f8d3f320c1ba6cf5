"""What `benchmarks.train_speed` measures on: the data, the configurations, and how much work an update is."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from experiments.presets import PRESETS
from hdlif_jax import data, nn
from hdlif_jax.nn import SpikingNetwork
from hdlif_jax.training import (
    DataConfig,
    LearningConfig,
    OptimizerConfig,
    TrainConfig,
    Trainer,
    build_model,
    normalize,
)

HD_LIF, LIF = "cifar100-resnet18-ternary-4bit-parallel", "cifar100-resnet18-lif"
NUM_STEPS, NUM_CLASSES, IMAGE, NUM_IMAGES = 4, 100, (32, 32, 3), 50_000
MEAN, STD = (0.5,) * 3, (0.25,) * 3


def synthetic() -> data.Dataset:
    """Random images and labels in the shape of CIFAR-100."""
    generator = np.random.default_rng(0)
    inputs = generator.integers(0, 256, (NUM_IMAGES, *IMAGE), np.uint8)
    labels = generator.integers(0, NUM_CLASSES, NUM_IMAGES, np.int32)
    train = data.Split(inputs, labels)
    names = tuple(map(str, range(NUM_CLASSES)))
    return data.Dataset("cifar100", names, train, train.select(np.arange(NUM_CLASSES)), MEAN, STD)


def fixed_batch(dataset: data.Dataset, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """The first images, uint8, and their labels."""
    return dataset.train.read(np.arange(batch))


def configure(preset: str, width: int, **changes: Any) -> TrainConfig:
    config = PRESETS[preset].config
    model = dataclasses.replace(config.model, width=width, num_steps=NUM_STEPS)
    return dataclasses.replace(config, model=model, **changes)


def bare_trainer(
    preset: str, width: int, dataset: data.Dataset, batch: int, rule: str, precision: str = "float32"
) -> Trainer:
    """Without augmentation, with a constant learning rate and decay of kernels alone: as `torch_reference` trains."""
    config = configure(
        preset,
        width,
        batch_size=batch,
        precision=precision,
        learning=LearningConfig(rule=rule),
        data=DataConfig(name="cifar100", validation_fraction=0.0),
        optimizer=OptimizerConfig(warmup_epochs=0),
    )
    return Trainer(config, dataset)


def model_of(preset: str, width: int) -> SpikingNetwork:
    config = configure(preset, width)
    return build_model(config.model, IMAGE, NUM_CLASSES, config.seed)


@dataclasses.dataclass(frozen=True)
class Work:
    """Floating-point operations of a forward step, and of a step with its gradient and all that a batch does once."""

    forward: float
    learning: float

    def flops(self, case: str) -> float:
        """Of one update."""
        if case.startswith("t*="):
            return self.learning + (int(case[3:]) - 1) * self.forward
        if case in ("accumulate", "stbp"):
            return NUM_STEPS * self.learning
        return self.learning + (NUM_STEPS - 1) / 2 * self.forward  # the mean over t*


def count_work(model: SpikingNetwork, batch: int) -> Work:
    """XLA's own count before it optimises, when convolutions are still convolutions."""
    network, variables = nn.training_form(model, integer_forward=False), nn.variables_of(model)
    state = nn.init_state(network, variables, batch)
    inputs = jnp.zeros((batch, *IMAGE))

    def forward(variables, state, current):
        return network.step(*variables, state, current, 0)

    def loss(params, batch_stats, inputs):
        current, batch_stats = network.encode(network.quantize(params), batch_stats, inputs)
        return jnp.sum(network.step(network.quantize(params), batch_stats, state, current, 0)[1])

    current, _ = jax.eval_shape(network.encode, *variables, inputs)
    programs = jax.jit(forward).lower(variables, state, current), jax.jit(jax.grad(loss)).lower(*variables, inputs)
    return Work(*(float((program.cost_analysis() or {}).get("flops", "nan")) for program in programs))


def drawing_steps(seed: int) -> list[int]:
    """For every t, from 0, the first number of a batch whose drawn time-step is t."""
    found: dict[int, int] = {}
    for step in range(100 * NUM_STEPS):
        key, _ = jax.random.split(jax.random.fold_in(jax.random.key(seed), step))
        found.setdefault(int(jax.random.randint(key, (1,), 0, NUM_STEPS)[0]), step)
        if len(found) == NUM_STEPS:
            break
    return [found[t] for t in range(NUM_STEPS)]


def torch_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def torch_batch(images, labels):
    """Normalised images `[B, C, H, W]`, channels last, and labels, on the device."""
    inputs = torch.tensor(np.asarray(normalize(images, MEAN, STD))).permute(0, 3, 1, 2)
    inputs = inputs.to(torch_device()).contiguous(memory_format=torch.channels_last)
    return inputs, torch.tensor(np.asarray(labels), dtype=torch.int64, device=torch_device())
