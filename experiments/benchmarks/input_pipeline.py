"""What the input costs: the resident input beside a ResNet-18 step, and the images/s of the streaming input.

`python -m experiments.benchmarks.input_pipeline [--dir DATA_DIR] [--batch 64] [--rounds 8] [--workers 2] [--width 64]`
needs the extra `data`; DATA_DIR holds a prepared cifar100, without which synthetic images of the same size are
prepared. The resident input does all of the paper's recipe: random crop, flip, AutoAugment, normalisation, Cutout,
Mixup and CutMix.
"""

import argparse
import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments.benchmarks import report
from experiments.benchmarks.timing import in_turns
from hdlif_jax import data, learning, losses, nn
from hdlif_jax.learning import Batch
from hdlif_jax.training import Augmentation, make_preprocess, start
from hdlif_jax.training.runners import make_take

RECIPE = Augmentation(crop_padding=4, flip=True, auto_augment=True, cutout=8, mixup=0.8, cutmix=1.0)
CROP_AND_FLIP = Augmentation(crop_padding=4, flip=True)
STEP, INPUT, CROPPED = "step_ms", "input_ms", "input_crop_and_flip_ms"
NUM_STEPS, NUM_CLASSES = 4, 100
STREAMED_BATCH = 256
WARM_UP = 20  # streamed batches that are not timed: the workers start and fill what they keep ready


def synthetic(directory: pathlib.Path) -> pathlib.Path:
    """10,000 smooth random images in the layout of CIFAR-100, prepared."""
    generator = np.random.default_rng(0)
    walk = generator.normal(0, 20, (10000, 32, 32, 3)).cumsum(1).cumsum(2) / 6 + 120
    planes = np.clip(walk, 0, 255).astype(np.uint8).transpose(0, 3, 1, 2).reshape(10000, -1)
    labels = np.stack([generator.integers(0, 20, 10000), generator.integers(0, 100, 10000)], 1).astype(np.uint8)
    for split in ("train", "test"):
        (directory / f"{split}.bin").write_bytes(np.concatenate([labels, planes], 1).tobytes())
    (directory / "coarse_label_names.txt").write_text("\n".join(f"c{index}" for index in range(20)))
    (directory / "fine_label_names.txt").write_text("\n".join(f"f{index}" for index in range(100)))
    data.prepare("cifar100", directory, directory, partial=True)
    return directory


def resident_input(dataset: data.Dataset, batch_size: int, augmentation: Augmentation) -> Callable[[], Any]:
    """Makes one batch after the other, as it happens inside the step of a training set on the device."""
    split = dataset.train.load()
    inputs, labels = jax.device_put((split.inputs, split.labels))
    take = make_take(len(split.labels), batch_size, 0)
    preprocess = make_preprocess(dataset.mean, dataset.std, NUM_CLASSES, augmentation=augmentation)
    steps = iter(range(10**6))

    @jax.jit
    def batch(inputs: jax.Array, labels: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        return preprocess(jax.random.fold_in(jax.random.key(0), step), *take(inputs, labels, step))

    return lambda: batch(inputs, labels, jnp.int32(next(steps)))


def training_step(batch_size: int, width: int) -> Callable[[], Any]:
    """One step after the other on a batch that is ready."""
    spec = nn.Spec(num_steps=NUM_STEPS, second_neuron=nn.parallel())
    model = nn.resnet18((32, 32, 3), NUM_CLASSES, width=width, spec=spec, rngs=nnx.Rngs(0))
    optimizer = optax.sgd(0.01, 0.9, nesterov=True)
    state, step = start(model, learning.random_step(), losses.cross_entropy(0.1), optimizer)
    ready = Batch(jnp.zeros((batch_size, 32, 32, 3)), jnp.zeros((batch_size, NUM_CLASSES)))

    def train() -> Any:
        nonlocal state
        state, metrics = step(state, ready)
        return metrics

    return train


def streaming(dataset: data.Dataset, workers: int, batches: int) -> float:
    """Images/s of streamed batches, read, decoded and in this process."""
    reader = data.BatchReader(dataset.train, STREAMED_BATCH, 0)
    started = 0.0
    for number, _ in enumerate(data.stream(reader, 0, WARM_UP + batches, workers), 1):
        if number == WARM_UP:
            started = time.perf_counter()
    return batches * STREAMED_BATCH / (time.perf_counter() - started)


def resident(dataset: data.Dataset, batch_size: int, width: int, rounds: int) -> dict[str, float]:
    """Median milliseconds of a training step, and of the input inside it."""
    inputs = {
        INPUT: resident_input(dataset, batch_size, RECIPE),
        CROPPED: resident_input(dataset, batch_size, CROP_AND_FLIP),
    }
    timings = in_turns({STEP: training_step(batch_size, width)}, rounds) | in_turns(inputs, 5 * rounds)
    return {name: 1e3 * timing.median for name, timing in timings.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=pathlib.Path, default=pathlib.Path("data"))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batches", type=int, default=300, help=f"streamed batches of {STREAMED_BATCH} images")
    parser.add_argument("--out", type=pathlib.Path, default=report.RESULTS)
    arguments = parser.parse_args()
    load = report.load_average()
    with tempfile.TemporaryDirectory() as folder:
        is_real = (arguments.dir / "cifar100").is_dir()
        directory = arguments.dir if is_real else synthetic(pathlib.Path(folder))
        dataset = data.open_prepared("cifar100", directory, num_steps=NUM_STEPS)
        streamed = streaming(dataset, arguments.workers, arguments.batches)
        times = resident(dataset, arguments.batch, arguments.width, arguments.rounds)
    share = times[INPUT] / (times[INPUT] + times[STEP])
    images = "CIFAR-100" if is_real else "synthetic"
    print(f"{images}, batch {arguments.batch}, width {arguments.width}, {report.device_name()}")
    rows: list[list[Any]] = [
        [f"ResNet-18 step, T = {NUM_STEPS}", f"{times[STEP]:.1f} ms", None],
        ["resident input, whole recipe", f"{times[INPUT]:.1f} ms", f"{100 * share:.1f} % of both, target < 5 %"],
        ["resident input, crop and flip", f"{times[CROPPED]:.1f} ms", None],
        [f"streaming, {arguments.workers} workers", f"{streamed:.0f} images/s", "target 5,000 on 2 cores"],
    ]
    print(report.table(("", "", ""), rows).lstrip())
    description = {
        "benchmark": "input_pipeline",
        "load_average_before": load,  # above the number of cores the figures are too low
        "images": images,
        "batch": arguments.batch,
        "width": arguments.width,
        "workers": arguments.workers,
        "streaming_images_per_second": streamed,
        **times,
        "input_share_of_step": share,
    }
    report.write(f"input_pipeline-{report.device_slug()}", description, arguments.out)


if __name__ == "__main__":
    main()
