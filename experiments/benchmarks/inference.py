"""Time of an inference of the deployed ResNet-18, beside PyTorch and ONNX Runtime, by width and batch; T = 4.

`python -m experiments.benchmarks.inference [--widths 8 16 32 64] [--batches 1 32] [--rounds 9]` needs the extra `bench`
and takes about 20 minutes on two cores. All run in one process on the same number of threads, in turns, so that what
else the machine does falls on all of them. The inputs are images in memory: uint8 for what is deployed, normalised for
the others. PyTorch's kernels are quantised beforehand; the network in training form quantises them in every call.

Before timing, the benchmark checks that all compute the same logits from the same arrays. ONNX Runtime's int8 is
another network, whose convolutions read activations of 8 bits: its difference is shown. `--chunks 8 32`, on CPUs,
measures the deployed program with other numbers of images at once, where a batch has as many. On a GPU ONNX Runtime is
left out.
"""

import argparse
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from experiments.benchmarks import report
from experiments.benchmarks.references import torch as torch_reference
from experiments.benchmarks.references.agreement import distance, full_float32
from experiments.benchmarks.timing import Timing, in_turns
from hdlif_jax import deploy, nn, rollout
from hdlif_jax.deploy import runtime
from hdlif_jax.training import normalize

NUM_STEPS, NUM_CLASSES, IMAGE = 4, 100, (32, 32, 3)
MEAN, STD = (0.5,) * 3, (0.25,) * 3
DEPLOYED, TRAINING = "deployed", "training form"
EAGER, COMPILED = "PyTorch eager", "PyTorch torch.compile"
ONNX, ONNX_INT8 = "ONNX Runtime float32", "ONNX Runtime int8"
OTHERS = (EAGER, COMPILED, ONNX)  # that compute the same
SAME_LOGITS = 5e-2  # where a membrane lies between two levels, another order of summation may move a spike

Cases = dict[str, Callable[[], Any]]  # by name, functions that give logits [T, B, K]


def resnet18(width: int) -> nn.SpikingNetwork:
    spec = nn.Spec(num_steps=NUM_STEPS, second_neuron=nn.parallel())
    return nn.resnet18(IMAGE, NUM_CLASSES, width=width, spec=spec, rngs=nnx.Rngs(0))


def with_chunk(network: deploy.Deployed, size: int, images: np.ndarray) -> Callable[[], jax.Array]:
    network.chunk = size
    return lambda: network(images)


def in_training_form(model: nn.SpikingNetwork, inputs: np.ndarray) -> Callable[[], jax.Array]:
    network, variables = nn.inference_form(model), nn.variables_of(model)
    logits = jax.jit(lambda variables, inputs: rollout.rollout(network, variables, inputs))
    return lambda: logits(variables, inputs)


def on_torch(
    kind: type[torch_reference.ResNet18], model: nn.SpikingNetwork, width: int, device: str
) -> torch_reference.ResNet18:
    network = kind(NUM_CLASSES, NUM_STEPS, width).to(device)
    network.load(jax.tree.map(np.asarray, nn.variables_of(model)))
    network.freeze()
    return network


def inferring(network: torch_reference.ResNet18, inputs: torch.Tensor) -> Callable[[], np.ndarray]:
    return lambda: torch_reference.infer(network, inputs).cpu().numpy()


def with_onnx(model: nn.SpikingNetwork, width: int, inputs: torch.Tensor, folder: pathlib.Path, threads: int) -> Cases:
    """ONNX Runtime's cases.

    Raises:
      ModuleNotFoundError: it is not installed.
    """
    from experiments.benchmarks.references import onnx  # optional

    images, files = inputs.contiguous().numpy(), (folder / "float.onnx", folder / "int8.onnx")
    onnx.export(on_torch(torch_reference.ResNet18, model, width, "cpu"), inputs, files[0])
    onnx.quantize(files[0], images, files[1])
    return {name: onnx.run(file, images, threads) for name, file in zip((ONNX, ONNX_INT8), files, strict=True)}


def make_cases(
    model: nn.SpikingNetwork, artifact: pathlib.Path, images: np.ndarray, arguments: argparse.Namespace, width: int
) -> tuple[Cases, dict[str, str]]:
    """What is timed, and why what is left out is."""
    on_gpu = jax.default_backend() != "cpu"
    device = "cuda" if on_gpu else "cpu"
    normalized = np.asarray(normalize(jnp.asarray(images), MEAN, STD))
    inputs = torch.from_numpy(normalized.transpose(0, 3, 1, 2).copy()).contiguous(memory_format=torch.channels_last)
    inputs = inputs.to(device)
    deployed, in_floats = deploy.load(artifact), deploy.load(artifact, "float")
    found: Cases = {DEPLOYED: lambda: deployed(images)}
    if deployed.arithmetic != in_floats.arithmetic:
        found[f"{DEPLOYED}, float"] = lambda: in_floats(images)
    for size in () if on_gpu else arguments.chunks:
        if not runtime.FEWEST < size <= len(images):  # smaller batches are computed as they are
            continue
        found[f"{DEPLOYED}, {size} images at once"] = with_chunk(deploy.load(artifact), size, images)
    found[TRAINING] = in_training_form(model, normalized)
    torch_reference.forget_compiled()
    for name, kind in {EAGER: torch_reference.ResNet18, COMPILED: torch_reference.CompiledResNet18}.items():
        found[name] = inferring(on_torch(kind, model, width, device), inputs)
    if on_gpu:
        return found, {"ONNX Runtime": "it is compared on CPUs"}
    try:
        return found | with_onnx(model, width, inputs, artifact.parent, arguments.threads), {}
    except ModuleNotFoundError as error:
        return found, {"ONNX Runtime": f"not installed: {error.name}"}


def check_agreement(cases: Cases) -> dict[str, float]:
    """‖logits − eager PyTorch's‖ / ‖eager PyTorch's‖ by case.

    Raises:
      SystemExit: the networks are not the same.
    """
    with full_float32():
        expected = cases[EAGER]()
        found = {name: distance(np.asarray(function()), expected) for name, function in cases.items()}
    for name, difference in found.items():
        if name != ONNX_INT8 and not difference <= SAME_LOGITS:
            raise SystemExit(
                f"{name}: logits differ by {difference:.1e} of their norm: these are not the same networks"
            )
    return found


def compare(width: int, batch: int, timings: dict[str, Timing]) -> dict[str, Any]:
    """Milliseconds by case, and ours by the best of the others that compute the same."""
    row: dict[str, Any] = {"width": width, "batch": batch}
    row |= {name: 1e3 * timing.median for name, timing in timings.items()}
    row["÷ torch.compile"] = row[DEPLOYED] / row[COMPILED]
    row["÷ best other"] = row[DEPLOYED] / min(row[name] for name in OTHERS if name in row)
    return row


def show(comparison: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(name for row in comparison for name in row))

    def text(value: float | None) -> str | None:
        return None if value is None else f"{value:.3g}"

    return report.table(columns, [[text(row.get(name)) for name in columns] for row in comparison])


def parse() -> argparse.Namespace:
    on_gpu = jax.default_backend() != "cpu"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--widths", type=int, nargs="+", default=[64] if on_gpu else [8, 16, 32, 64], help="8 16 32 64, or 64 on a GPU"
    )
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[32, 256] if on_gpu else [1, 32], help="1 32, or 32 256 on a GPU"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--chunks", type=int, nargs="+", default=[], help="images at once; what is deployed by default")
    parser.add_argument("--threads", type=int, help="all cores by default")
    parser.add_argument("--out", type=pathlib.Path, default=report.RESULTS)
    return parser.parse_args()


def main() -> None:
    arguments, load = parse(), report.load_average()
    arguments.threads = report.limit_threads(arguments.threads)
    torch.set_num_threads(arguments.threads)  # XLA's pool has as many
    torch.set_float32_matmul_precision("high")  # TensorFloat-32, as JAX's default is
    comparison: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    for width in arguments.widths:
        model = resnet18(width)
        with tempfile.TemporaryDirectory() as scratch:
            artifact = pathlib.Path(scratch) / "artifact"
            names = tuple(map(str, range(NUM_CLASSES)))
            deploy.deploy(model, None, artifact, mean=MEAN, std=STD, input_kind="image", class_names=names)
            for batch in arguments.batches:
                images = np.random.default_rng(0).integers(0, 256, (batch, *IMAGE)).astype(np.uint8)
                cases, left = make_cases(model, artifact, images, arguments, width)
                left_out |= left
                differences = check_agreement(cases)
                timings = in_turns(cases, arguments.rounds)
                comparison.append(compare(width, batch, timings))
                for name, timing in timings.items():
                    row = {"width": width, "batch": batch, "implementation": name, "seconds": timing._asdict()}
                    rows.append(row | {"logits_against_eager": differences[name]})
                description = {
                    "benchmark": "inference",
                    "threads": arguments.threads,
                    "load_average_before": load,
                    "num_steps": NUM_STEPS,
                    "rounds": arguments.rounds,
                    "versions": report.versions("jax", "jaxlib", "flax", "torch", "onnx", "onnxscript", "onnxruntime"),
                    "left_out": left_out,
                    "comparison_ms": comparison,
                    "rows": rows,
                }
                # After each, so that a run that is cut off leaves what it has.
                report.write(f"inference-{report.device_slug()}-jax{jax.__version__}", description, arguments.out)
                print(f"logits against eager PyTorch: {differences}", flush=True)
    print(f"\nResNet-18, T = {NUM_STEPS}, milliseconds, {report.device_name()}, {arguments.threads} threads")
    print(show(comparison))
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")


if __name__ == "__main__":
    main()
