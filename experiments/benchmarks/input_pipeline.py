"""What the input costs: the resident feed beside a ResNet-18 step, and the images/s of the streaming feed.

`python -m benchmarks.input_pipeline [--dir DATA_DIR] [--batch 64] [--rounds 8] [--workers 2] [--width 64]`; DATA_DIR
holds a prepared cifar100, without which synthetic images of the same size are prepared. The resident feed does all of
the paper's recipe: random crop, flip, AutoAugment, normalisation, Cutout, Mixup and CutMix.
"""

import argparse
import os
import pathlib
import statistics
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import report
from hdlif_jax import data, nn
from hdlif_jax.training import (
    DataConfig,
    LearningConfig,
    ModelConfig,
    OptimizerConfig,
    TrainState,
    build_model,
    make_optimizer,
    make_train_step,
    warmup_cosine,
)
from hdlif_jax.training.feeds import make_prepare, make_take

RECIPE = DataConfig(name="cifar100", crop_padding=4, flip=True, auto_augment=True, cutout=8, mixup=0.8, cutmix=1.0)
NUM_CLASSES = 100
WARM_UP = 20  # streamed batches that are not timed: the workers start and fill what they keep ready


def synthetic(directory):
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


def milliseconds(function, rounds):
    """Median, after one call that compiles."""
    jax.block_until_ready(function())
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(function())
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def resident(dataset, batch_size, width, rounds):
    """Times of a training step and of the input inside it, ms."""
    split = dataset.train.load()
    inputs, labels = jax.device_put(tuple(split))
    take = make_take(len(split.labels), batch_size, 0)
    steps = iter(range(10**6))

    def timed_input(config):
        prepare = make_prepare(config, dataset.mean, dataset.std, NUM_CLASSES)

        @jax.jit
        def batch(inputs, labels, step):
            return prepare(jax.random.fold_in(jax.random.key(0), step), *take(inputs, labels, step))

        return milliseconds(lambda: batch(inputs, labels, jnp.int32(next(steps))), 5 * rounds)

    config = ModelConfig(architecture="resnet18", width=width)
    network = nn.training_form(build_model(config, (32, 32, 3), NUM_CLASSES, 0))
    variables = nn.variables_of(build_model(config, (32, 32, 3), NUM_CLASSES, 0))
    optimizer_config = OptimizerConfig()
    optimizer = make_optimizer(optimizer_config, warmup_cosine(optimizer_config, 1000, 1), network.per_step)
    step = make_train_step(network, optimizer, LearningConfig(), lambda key, batch, targets: (batch, targets), 0)
    ready = jnp.zeros((batch_size, 32, 32, 3)), jnp.zeros((batch_size, NUM_CLASSES))
    held = {"state": TrainState(jnp.int32(0), *variables, optimizer.init(variables.params))}
    run = jax.jit(step, donate_argnums=0)

    def train():
        held["state"], metrics = run(held["state"], *ready)
        return metrics

    return {
        "step_ms": milliseconds(train, rounds),
        "input_ms": timed_input(RECIPE),
        "input_crop_and_flip_ms": timed_input(DataConfig(name="cifar100", crop_padding=4, flip=True)),
    }


def streaming(dataset, batch_size, workers, batches):
    """Images/s of the streaming feed's batches, read, decoded and in this process."""
    reader = data.BatchReader(dataset.train, batch_size, 0)
    start = 0.0
    for number, _ in enumerate(data.stream(reader, 0, WARM_UP + batches, workers), 1):
        if number == WARM_UP:
            start = time.perf_counter()
    return batches * batch_size / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=pathlib.Path, default=pathlib.Path("data"))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batches", type=int, default=300, help="streamed batches of 256 images that are timed")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("benchmarks/results"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        is_real = (arguments.dir / "cifar100").is_dir()
        directory = arguments.dir if is_real else synthetic(pathlib.Path(folder))
        dataset = data.open_prepared("cifar100", directory, num_steps=4)
        result = {
            "load_average": os.getloadavg()[0],  # of the machine: above the number of cores the figures are too low
            "images": "CIFAR-100" if is_real else "synthetic",
            "batch": arguments.batch,
            "width": arguments.width,
            "workers": arguments.workers,
            "streaming_images_per_second": streaming(dataset, 256, arguments.workers, arguments.batches),
        }
        result |= resident(dataset, arguments.batch, arguments.width, arguments.rounds)
    result["input_share_of_step"] = result["input_ms"] / (result["input_ms"] + result["step_ms"])
    print(f"{result['images']}, batch {arguments.batch}, {report.device_name()}")
    print(f"ResNet-18 step, T = 4            {result['step_ms']:9.1f} ms")
    print(f"resident input, whole recipe     {result['input_ms']:9.1f} ms  target < 5 %: "
          f"{100 * result['input_share_of_step']:.1f} %")  # fmt: skip
    print(f"resident input, crop and flip    {result['input_crop_and_flip_ms']:9.1f} ms")
    print(f"streaming, {arguments.workers} workers             {result['streaming_images_per_second']:9.0f} images/s  "
          "target 5,000 on 2 cores")  # fmt: skip
    report.write(f"input_pipeline-{report.device_slug()}", result, arguments.out)


if __name__ == "__main__":
    main()
