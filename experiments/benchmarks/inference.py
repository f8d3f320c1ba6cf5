"""Time of an inference of the deployed ResNet-18, beside the training-time model and PyTorch: batch 1 and 32, T = 4.

`python -m experiments.benchmarks.inference [--rounds 9] [--width 64] [--batches 1 32]`, on a CPU; needs the extra
`bench`. All run in one process on the same number of threads, in turns, so that what else the machine does falls on all
of them. Before timing, the benchmark checks that all compute the same logits from the same arrays. The inputs are
normalised images in memory.
"""

import argparse
import pathlib
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from experiments.benchmarks import report
from experiments.benchmarks.references import torch as torch_reference
from experiments.benchmarks.references.agreement import distance
from experiments.benchmarks.timing import Timing, in_turns
from hdlif_jax import deploy, nn, rollout
from hdlif_jax.training import normalize

NUM_STEPS, NUM_CLASSES, IMAGE = 4, 100, (32, 32, 3)
MEAN, STD = (0.5,) * 3, (0.25,) * 3
CHUNKS = (4, 8, 16, 32)
DEFAULT = "deployed, integer"
TORCH, TRAINING = "PyTorch float32, eval", "training-time model, integer forward"
TARGETS = {TORCH: 4.0, TRAINING: 1.5}  # times as fast, at the largest batch

Cases = dict[str, Callable[[], Any]]  # by name, functions that give logits [T, B, K]


def at_training_time(
    model: nn.SpikingNetwork, integer: bool, variables: nn.Variables, inputs: np.ndarray
) -> Callable[[], jax.Array]:
    network = nn.inference_form(model, integer=integer)
    logits = jax.jit(lambda variables, inputs: rollout.rollout(network, variables, inputs))
    return lambda: logits(variables, inputs)


def with_chunk(network: deploy.Deployed, size: int, images: np.ndarray) -> Callable[[], jax.Array]:
    network.chunk = size
    return lambda: network(images)


def cases(model: nn.SpikingNetwork, width: int, folder: pathlib.Path, images: np.ndarray) -> Cases:
    found: Cases = {}
    variables = nn.variables_of(model)
    normalized = np.asarray(normalize(jnp.asarray(images), MEAN, STD))
    found["training-time model, float forward"] = at_training_time(model, False, variables, normalized)
    found[TRAINING] = at_training_time(model, True, variables, normalized)
    integer_path, float_path = deploy.load(folder, "integer"), deploy.load(folder, "float")
    found[DEFAULT], found["deployed, float"] = lambda: integer_path(images), lambda: float_path(images)
    for size in CHUNKS:
        if size <= len(images):
            name = f"deployed, integer, {size} images at once"
            found[name] = with_chunk(deploy.load(folder, "integer"), size, images)
    reference = torch_reference.ResNet18(NUM_CLASSES, NUM_STEPS, width)
    reference.load(jax.tree.map(np.asarray, variables))
    on_torch = torch.from_numpy(normalized.transpose(0, 3, 1, 2).copy()).contiguous(memory_format=torch.channels_last)
    found[TORCH] = lambda: torch_reference.infer(reference, on_torch).numpy()
    return found


def check_agreement(functions: Cases) -> float:
    """Largest difference of the logits' norm from PyTorch's.

    Raises:
      SystemExit: the networks are not the same.
    """
    expected = functions[TORCH]()
    worst = max(distance(np.asarray(function()), expected) for function in functions.values())
    if worst > 1e-2:  # where a membrane lies between two levels, another order of summation may move a spike
        raise SystemExit(f"logits differ by {worst:.1e} of their norm: these are not the same networks")
    return worst


def show(timings: Mapping[str, Timing]) -> str:
    rows = []
    for name, timing in timings.items():
        ratios = [timings[base].median / timing.median for base in TARGETS]
        rows.append([name, *(f"{1e3 * value:.0f}" for value in timing), *(f"{ratio:.2f}" for ratio in ratios)])
    return report.table(("", "ms, median", "least", "× PyTorch", "× training"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--out", type=pathlib.Path, default=report.RESULTS)
    arguments = parser.parse_args()
    if jax.default_backend() != "cpu":
        raise SystemExit("this benchmark is of CPUs, where networks are deployed in pieces; set JAX_PLATFORMS=cpu")
    load, threads = report.load_average(), report.limit_threads(None)
    torch.set_num_threads(threads)  # XLA's pool has as many

    spec = nn.Spec(num_steps=NUM_STEPS, second_neuron=nn.parallel())
    model = nn.resnet18(IMAGE, NUM_CLASSES, width=arguments.width, spec=spec, rngs=nnx.Rngs(0))
    results: dict[int, dict[str, Any]] = {}
    timings: dict[int, dict[str, Timing]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "artifact"
        names = tuple(map(str, range(NUM_CLASSES)))
        deploy.deploy(model, None, folder, mean=MEAN, std=STD, input_kind="image", class_names=names)
        for batch in arguments.batches:
            images = np.random.default_rng(0).integers(0, 256, (batch, *IMAGE)).astype(np.uint8)
            functions = cases(model, arguments.width, folder, images)
            agreement = check_agreement(functions)
            timings[batch] = in_turns(functions, arguments.rounds)
            seconds = {name: timing._asdict() for name, timing in timings[batch].items()}
            results[batch] = {"logit_difference": agreement, "seconds": seconds}

    for batch, timed in timings.items():
        print(f"\nResNet-18, width {arguments.width}, batch {batch}, T = {NUM_STEPS}, {threads} threads")
        print(show(timed))
    largest = max(timings)
    for base, target in TARGETS.items():
        reached = timings[largest][base].median / timings[largest][DEFAULT].median
        print(f"batch {largest}, default against {base}: {reached:.2f} × as fast (target {target})")

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
