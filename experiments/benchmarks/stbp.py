"""The full gradient through time, step by step against layer by layer: time, compilation and memory of an update.

`python -m experiments.benchmarks.stbp [--width 8 16] [--steps 4 8] [--batch 32] [--rounds 5]`, on a GPU by default
`--width 64 --batch 128 --rounds 10`. It needs the package and what that is installed with, nothing else.

The network is ResNet-18 of HD-LIF for images of CIFAR's size: ternary kernels, 4-bit spikes, half of the neurons
parallel. "compile" is tracing and compilation; "temp" is what XLA plans beside parameters, optimiser and batch. Both
start from the same parameters, and where their first losses differ the benchmark ends with an error.
"""

import argparse
import pathlib
import time
from typing import Any

import jax
import optax
from flax import nnx

from experiments.benchmarks import report
from experiments.benchmarks.timing import in_turns
from hdlif_jax import learning, losses, nn
from hdlif_jax.learning import Batch
from hdlif_jax.training import StepMetrics, initial_state, make_train_step

IMAGE, NUM_CLASSES = (32, 32, 3), 100
STEP_BY_STEP, LAYER_BY_LAYER = "step by step", "layer by layer"
RULES: dict[str, learning.Rule] = {STEP_BY_STEP: learning.stbp(), LAYER_BY_LAYER: learning.stbp(layerwise=True)}
UNROLLED: dict[str, learning.Rule] = {"step by step, unrolled": learning.stbp(unroll=True)}
SAME_LOSS = 5e-2  # another order of summation moves single spikes, which moves the loss


class Update:
    """A compiled update of a rule, which goes on from where it stopped at every call.

    Attributes:
      compile_seconds: of tracing and compilation.
      temp_mb: 10⁶ bytes that XLA plans beside arguments and results.
      first_loss: of the untrained network.
    """

    def __init__(self, model: nn.SpikingNetwork, rule: learning.Rule, batch: Batch, dtype: str):
        optimizer = optax.sgd(0.01, 0.9, nesterov=True)
        network = nn.training_form(model, dtype=dtype)
        step = make_train_step(network, rule, losses.cross_entropy(0.1), optimizer)
        self._state, self._batch = initial_state(model, optimizer), batch
        start = time.perf_counter()
        self._step = jax.jit(step, donate_argnums=0).lower(self._state, batch).compile()
        self.compile_seconds = time.perf_counter() - start
        plan = self._step.memory_analysis()
        assert plan is not None
        self.temp_mb = plan.temp_size_in_bytes / 1e6
        self.first_loss = float(self().loss)

    def __call__(self) -> StepMetrics:
        self._state, metrics = self._step(self._state, self._batch)
        return metrics


def resnet18(width: int, num_steps: int) -> nn.SpikingNetwork:
    spec = nn.Spec(num_steps=num_steps, neuron=nn.hd_lif(4), second_neuron=nn.parallel(4), weights="ternary")
    return nn.resnet18(IMAGE, NUM_CLASSES, width=width, spec=spec, rngs=nnx.Rngs(0))


def random_batch(size: int) -> Batch:
    inputs_key, labels_key = jax.random.split(jax.random.key(0))
    labels = jax.random.randint(labels_key, (size,), 0, NUM_CLASSES)
    return Batch(jax.random.normal(inputs_key, (size, *IMAGE)), labels)


def measure(rules: dict[str, learning.Rule], width: int, num_steps: int, options: argparse.Namespace) -> list[dict]:
    """A row per rule.

    Raises:
      SystemExit: their losses differ by more than single spikes explain.
    """
    model, batch = resnet18(width, num_steps), random_batch(options.batch)
    updates = {name: Update(model, rule, batch, options.dtype) for name, rule in rules.items()}
    losses_ = {name: update.first_loss for name, update in updates.items()}
    if not max(losses_.values()) <= (1 + SAME_LOSS) * min(losses_.values()):
        raise SystemExit(f"width {width}, T = {num_steps}: the first losses are {losses_}: not the same gradient")
    timings = in_turns(updates, options.rounds, calls=1 if jax.default_backend() == "cpu" else 10)
    return [
        {
            "width": width,
            "num_steps": num_steps,
            "rule": name,
            "seconds": timings[name]._asdict(),
            "times_as_fast": timings[STEP_BY_STEP].median / timings[name].median,
            "images_per_second": options.batch / timings[name].median,
            "compile_seconds": update.compile_seconds,
            "temp_mb": update.temp_mb,
            "first_loss": update.first_loss,
        }
        for name, update in updates.items()
    ]


def show(rows: list[dict[str, Any]]) -> str:
    columns = ("rule", "width", "T", "ms", "least", "images/s", "× as fast", "compile (s)", "temp (MB)")
    return report.table(
        columns,
        [
            [
                row["rule"],
                row["width"],
                row["num_steps"],
                *(f"{1e3 * row['seconds'][name]:.1f}" for name in ("median", "least")),
                f"{row['images_per_second']:.0f}",
                f"{row['times_as_fast']:.2f}",
                f"{row['compile_seconds']:.1f}",
                f"{row['temp_mb']:.1f}",
            ]
            for row in rows
        ],
    )


def parse() -> argparse.Namespace:
    on_cpu = jax.default_backend() == "cpu"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--width", type=int, nargs="+", default=[8, 16] if on_cpu else [64], help="8 16, or 64 on a GPU"
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 8], help="numbers of time-steps")
    parser.add_argument("--batch", type=int, default=32 if on_cpu else 128, help="32, or 128 on a GPU")
    parser.add_argument("--rounds", type=int, default=5 if on_cpu else 10)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of convolutions")
    parser.add_argument("--unrolled", action="store_true", help="step by step also with the loop unrolled, as on CPUs")
    parser.add_argument("--out", type=pathlib.Path, default=report.RESULTS)
    return parser.parse_args()


def main() -> None:
    options, load = parse(), report.load_average()
    rules = RULES | UNROLLED if options.unrolled else RULES
    rows: list[dict[str, Any]] = []
    for width in options.width:
        for num_steps in options.steps:
            rows += measure(rules, width, num_steps, options)
            description = {
                "benchmark": "stbp",
                "load_average_before": load,
                "batch": options.batch,
                "rounds": options.rounds,
                "dtype": options.dtype,
                "versions": report.versions("jax", "jaxlib", "flax"),
                "rows": rows,
            }
            # After each, so that a run that is cut off leaves what it has.
            report.write(f"stbp-{report.device_slug()}", description, options.out)
    print(f"\nResNet-18, HD-LIF, batch {options.batch}, {options.dtype}, {report.device_name()}")
    print(show(rows))


if __name__ == "__main__":
    main()
