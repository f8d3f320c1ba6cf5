"""Time of an inference of the deployed ResNet-18, beside the training-time model and PyTorch: batch 1 and 32, T = 4.

`python -m benchmarks.inference [--rounds 9] [--width 64]`; needs the extra `bench`. All run in one process on the same
number of threads, in turns, so that what else the machine does falls on all of them. Before timing, the benchmark
checks that all compute the same logits from the same arrays. The inputs are normalised images in memory.
"""

import argparse
import pathlib
import statistics
import tempfile
import time

import jax
import numpy as np
import torch
from flax import nnx

from benchmarks import report, torch_reference
from benchmarks.agreement import distance
from hdlif_jax import nn, rollout
from hdlif_jax.deploy import artifact, load, runtime
from hdlif_jax.deploy.export import make_artifact
from hdlif_jax.deploy.fold import fold
from hdlif_jax.training import normalize

NUM_STEPS, NUM_CLASSES, IMAGE = 4, 100, (32, 32, 3)
MEAN, STD = (0.5,) * 3, (0.25,) * 3
BATCHES = (1, 32)
CHUNKS = (1, 2, 4, 8, 32)
DEFAULT_CHUNK = runtime.CPU_CHUNK  # the cases set another
TORCH, TRAINING = "PyTorch float32, eval", "training-time model, integer forward"
TARGETS = {TORCH: 4.0, TRAINING: 1.5}  # times as fast, at batch 32


def write_artifact(model, folder):
    class_names = tuple(map(str, range(NUM_CLASSES)))
    made = make_artifact(
        fold(model), lambda inputs: normalize(inputs, MEAN, STD), input_kind="image", class_names=class_names
    )
    artifact.write(folder, made)


def with_chunk(network, size, images):
    def run():
        runtime.CPU_CHUNK = size
        return jax.block_until_ready(network(images))

    return run


def cases(model, width, folder, images):
    """Name → function without arguments, that gives logits `[T, B, K]`."""
    found = {}
    variables = nn.variables_of(model)
    normalized = np.asarray(normalize(images, MEAN, STD))
    for integer_forward in (False, True):
        network = nn.inference_form(model, integer_forward=integer_forward)
        step = jax.jit(lambda variables, x, network=network: rollout.rollout(network, variables, x))
        name = TRAINING if integer_forward else "training-time model, float forward"
        found[name] = lambda step=step: jax.block_until_ready(step(variables, normalized))
    for arithmetic in ("integer", "float"):
        network = load(folder, arithmetic)
        for size in CHUNKS if arithmetic == "integer" else (DEFAULT_CHUNK,):
            if size <= max(1, len(images)) or arithmetic == "float":
                found[f"deployed, {arithmetic}, {size} images at once"] = with_chunk(network, size, images)
    reference = torch_reference.ResNet18(NUM_CLASSES, NUM_STEPS, width)
    reference.load(jax.tree.map(np.asarray, variables))
    on_torch = torch.from_numpy(normalized.transpose(0, 3, 1, 2).copy()).contiguous(memory_format=torch.channels_last)
    found[TORCH] = lambda: torch_reference.infer(reference, on_torch).numpy()
    return found


def check_agreement(functions):
    """Largest difference of the logits' norm from PyTorch's; raises where the networks are not the same."""
    expected = functions[TORCH]()
    worst = max(distance(np.asarray(function()), expected) for function in functions.values())
    if worst > 1e-2:  # where a membrane lies between two levels, another order of summation may move a spike
        raise SystemExit(f"logits differ by {worst:.1e} of their norm: these are not the same networks")
    return worst


def seconds(functions, rounds):
    """Median and minimum of every case; the cases take turns."""
    times = {name: [] for name in functions}
    for _ in range(rounds + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: {"median": statistics.median(row[1:]), "min": min(row[1:])} for name, row in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--out", type=pathlib.Path, default=report.RESULTS)
    arguments = parser.parse_args()
    load = report.load_average()
    threads = report.limit_threads(None)
    torch.set_num_threads(threads)  # XLA's pool has as many

    options = nn.SpikingOptions(num_steps=NUM_STEPS)
    model = nn.resnet18(IMAGE, NUM_CLASSES, width=arguments.width, options=options, rngs=nnx.Rngs(0))
    results = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "artifact"
        write_artifact(model, folder)
        for batch in BATCHES:
            images = np.random.default_rng(0).integers(0, 256, (batch, *IMAGE)).astype(np.uint8)
            functions = cases(model, arguments.width, folder, images)
            agreement = check_agreement(functions)
            results[batch] = {"logit_difference": agreement, "seconds": seconds(functions, arguments.rounds)}

    for batch, result in results.items():
        print(f"\nResNet-18, width {arguments.width}, batch {batch}, T = {NUM_STEPS}, {threads} threads")
        rows = []
        timings = result["seconds"]
        for name, row in timings.items():
            ratios = [timings[base]["median"] / row["median"] for base in (TORCH, TRAINING)]
            times = [f"{1e3 * row[statistic]:.0f}" for statistic in ("median", "min")]
            rows.append([name, *times, *(f"{ratio:.2f}" for ratio in ratios)])
        print(report.table(("", "ms, median", "fastest", "× PyTorch", "× training"), rows))
    default = f"deployed, integer, {DEFAULT_CHUNK} images at once"
    for base, target in TARGETS.items():
        timings = results[32]["seconds"]
        reached = timings[base]["median"] / timings[default]["median"]
        print(f"batch 32, default against {base}: {reached:.2f} × as fast (target {target})")

    description = {
        "benchmark": "inference",
        "threads": threads,
        "load_average_before": load,
        "width": arguments.width,
        "num_steps": NUM_STEPS,
        "rounds": arguments.rounds,
        "versions": report.versions("jax", "jaxlib", "flax", "torch"),
        "targets": TARGETS,
        "batches": results,
    }
    report.write(f"inference-{report.device_slug()}-jax{jax.__version__}", description, arguments.out)


if __name__ == "__main__":
    main()
