"""For which convolutions int8 arithmetic is faster than float32: times by channels, kernel, stride, image and batch.

`python -m experiments.benchmarks.integer_layers [--batch 64] [--rounds 9] [--threads N] [--parts widths pairs images]
[--outputs 4 … 512]`. It needs the package and what that is installed with, nothing else. Both run in turns, so that
what else the machine does falls on both. Timed are the forward pass as a network in training computes it (spikes
rounded to levels, sums scaled), the same with the float backward pass, and the operation of a deployed network (uint8
levels, affine). Before timing, the benchmark checks that both compute the same. "library" is whether XLA hands the
integer convolution to a library of matrix kernels (YNNPACK, on CPUs) and does not write a loop of its own. What a
backend cannot compile is listed.
"""

import argparse
import pathlib
import re
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import report
from hdlif_jax.deploy import Arithmetic
from hdlif_jax.ops import convolve, float_conv, integer_conv

Use = Literal["forward", "training", "deployed"]
Program = tuple[Callable[..., Any], tuple[Any, ...]]  # a function and its arguments

WIDTHS = (4, 8, 12, 16, 20, 24, 32, 48, 64, 128, 256, 512)  # output channels
FORMS = ((3, 1, 1), (3, 1, 2), (3, 2, 2), (1, 1, 1), (1, 2, 2))  # (kernel, stride, outputs per input)
SIDES = {128: 16, 256: 8, 512: 4}  # of a ResNet's images by input channels; 32 for fewer
SMALL_BATCH = 4
NUM_STEPS, CHUNK = 4, 4  # a deployed network convolves the T time-steps of so many images at once
PAIRS = (1, 2, 4, 8, 12, 16, 17, 20, 24, 32, 64)  # input and output channels, each with each
PAIRS_SIDE, PAIRS_BATCH = 16, 16
IMAGES, IMAGE_WIDTHS = (1, 2, 3, 4, 8, 32), (16, 20, 32, 64)
LEAST_MILLISECONDS = 200  # short programs take more than the given number of rounds
MAX_LEVEL, SCALE = 3, 0.1  # of 2-bit spikes, of ternary weights
UNIT = 1 / MAX_LEVEL
PARTS = ("widths", "pairs", "images")
LIBRARY = re.compile(r"= s32\[.*__ynn_fusion")  # in a compiled program, where it convolves integers


class Layer(NamedTuple):
    """A convolution of `batch` square images; in deployment the batch is T·B."""

    kernel: int
    stride: int
    side: int
    batch: int
    inputs: int
    outputs: int

    def __str__(self) -> str:
        shape = f"{self.kernel}×{self.kernel}/{self.stride} {self.inputs}→{self.outputs}"
        return f"{shape}, {self.side}×{self.side}, batch {self.batch}"


class Case(NamedTuple):
    """What is timed: a layer in one use."""

    layer: Layer
    use: Use

    def __str__(self) -> str:
        return f"{self.layer}, {self.use}"


class Timing(NamedTuple):
    """Median and least milliseconds of the integer and the float program, and who computes the former."""

    integer_median: float
    integer_min: float
    float_median: float
    float_min: float
    library: bool

    @property
    def speedup(self) -> float:
        """How many times as fast integers are: by the least times, which say the most on a machine used by others."""
        return self.float_min / self.integer_min


def cases_of_widths(batch: int, widths: Sequence[int]) -> list[Case]:
    found = []
    for kernel, stride, growth in FORMS:
        for outputs in widths:
            inputs = outputs // growth
            layer = Layer(kernel, stride, SIDES.get(inputs, 32), batch, inputs, outputs)
            batches = (layer._replace(batch=SMALL_BATCH), layer)
            found += [Case(layer, use) for use in ("forward", "training") for layer in batches]
            found.append(Case(layer._replace(batch=NUM_STEPS * CHUNK), "deployed"))
    return found


def cases_of_pairs() -> list[Case]:
    uses: tuple[Use, ...] = ("forward", "deployed")
    return [Case(Layer(3, 1, PAIRS_SIDE, PAIRS_BATCH, i, o), use) for use in uses for i in PAIRS for o in PAIRS]


def cases_of_images(batch: int) -> list[Case]:
    return [Case(Layer(3, 1, side, batch, width, width), "forward") for width in IMAGE_WIDTHS for side in IMAGES]


def programs(case: Case) -> dict[str, Program]:
    """For "integer" and "float" a function and its arguments."""
    layer, use = case
    random = np.random.default_rng(0)
    levels = random.integers(0, MAX_LEVEL + 1, (layer.batch, layer.side, layer.side, layer.inputs))
    weights = random.integers(-1, 2, (layer.kernel, layer.kernel, layer.inputs, layer.outputs))
    weights[0, 0, 0] = 1  # a channel of zeros has no scale
    if use == "deployed":
        return {
            "integer": deployed(layer, "integer", levels, weights.astype(np.int8)),
            "float": deployed(layer, "float", levels, weights.astype(np.float32)),
        }
    functions = {
        "integer": lambda spikes, kernel: integer_conv(spikes, kernel, UNIT, layer.stride),
        "float": lambda spikes, kernel: float_conv(spikes, kernel, layer.stride),
    }
    arguments = (jnp.asarray(levels * UNIT, jnp.float32), jnp.asarray(weights * SCALE, jnp.float32))
    if use == "forward":
        return {name: (function, arguments) for name, function in functions.items()}
    output = jax.eval_shape(functions["float"], *arguments)
    gradient = jnp.asarray(random.normal(size=output.shape), jnp.float32)
    return {name: (training(function), (*arguments, gradient)) for name, function in functions.items()}


def training(function: Callable[..., jax.Array]) -> Callable[..., Any]:
    """The output, and the gradients by spikes and kernel of its product with a given gradient."""

    def with_gradients(spikes: jax.Array, kernel: jax.Array, gradient: jax.Array) -> tuple[jax.Array, ...]:
        output, pullback = jax.vjp(function, spikes, kernel)
        return output, *pullback(gradient)

    return with_gradients


def deployed(layer: Layer, arithmetic: Arithmetic, levels: np.ndarray, kernel: np.ndarray) -> Program:
    """The operation of an artifact's program, but in the given arithmetic whatever the layer, and its arguments."""
    operand, accumulator = (jnp.int8, jnp.int32) if arithmetic == "integer" else (jnp.float32, jnp.float32)

    def operation(kernel: jax.Array, scale: jax.Array, bias: jax.Array, x: jax.Array) -> jax.Array:
        images = x.reshape(-1, *x.shape[2:]).astype(operand)
        sums = convolve(images, kernel.astype(operand), layer.stride, layer.kernel // 2, accumulator)
        return (sums.astype(jnp.float32) * scale + bias).reshape(*x.shape[:2], *sums.shape[1:])

    channels = (1, 1, 1, layer.outputs)
    x = jnp.asarray(levels.reshape(NUM_STEPS, -1, *levels.shape[1:]), jnp.uint8)
    return operation, (jnp.asarray(kernel), jnp.full(channels, UNIT * SCALE, jnp.float32), jnp.ones(channels), x)


def measure(case: Case, rounds: int) -> Timing:
    """Compiles both programs, checks that their results agree, and times them in turns."""
    made = programs(case)
    compiled = {name: jax.jit(function).lower(*arguments).compile() for name, (function, arguments) in made.items()}

    def milliseconds(name: str) -> float:
        arguments = made[name][1]
        started = time.perf_counter()
        jax.block_until_ready(compiled[name](*arguments))
        return 1e3 * (time.perf_counter() - started)

    check_agreement(case, *(compiled[name](*arguments) for name, (_, arguments) in made.items()))
    rounds = max(rounds, round(LEAST_MILLISECONDS / sum(milliseconds(name) for name in made)))
    times = [(milliseconds("integer"), milliseconds("float")) for _ in range(rounds)]
    integer, float32 = zip(*times, strict=True)
    program = compiled["integer"].as_text() or ""
    return Timing(
        integer_median=round(statistics.median(integer), 4),
        integer_min=round(min(integer), 4),
        float_median=round(statistics.median(float32), 4),
        float_min=round(min(float32), 4),
        library=LIBRARY.search(program) is not None,
    )


def check_agreement(case: Case, *results: Any) -> None:
    """Raises where the results of integers and floats differ by more than float32 sums may."""
    for ours, theirs in zip(*map(jax.tree.leaves, results), strict=True):
        if float(jnp.max(jnp.abs(ours - theirs))) > 1e-3 * float(jnp.max(jnp.abs(theirs))):
            raise SystemExit(f"{case}: the two arithmetics compute different things")


def measure_all(cases: Iterable[Case], rounds: int, failed: dict[str, str]) -> dict[Case, Timing]:
    """Times by case; what this backend cannot compile goes into `failed` with the first line of what it says."""
    found = {}
    for case in cases:
        try:
            found[case] = measure(case, rounds)
        except RuntimeError as error:
            failed[str(case)] = str(error).strip().splitlines()[0]
    return found


def cell(timing: Timing) -> str:
    """How many times as fast integers are; a star where XLA has no library for them."""
    return f"{timing.speedup:.2f}{' ' if timing.library else '*'}"


def tables_of_widths(timings: dict[Case, Timing]) -> str:
    texts = []
    for form in FORMS:
        cells: dict[str, dict[str, str]] = {}  # by channels, then by use and batch
        for (layer, use), timing in timings.items():
            if (layer.kernel, layer.stride, layer.outputs // layer.inputs) == form:
                cells.setdefault(f"{layer.inputs}→{layer.outputs}", {})[f"{use}, {layer.batch}"] = cell(timing)
        columns = list(dict.fromkeys(column for row in cells.values() for column in row))
        rows = [[channels, *map(row.get, columns)] for channels, row in cells.items()]
        texts.append(report.table((f"{form[0]}×{form[0]}/{form[1]}", *columns), rows))
    return "\n\n".join(texts)


def table_of_pairs(timings: dict[Case, Timing], use: Use) -> str:
    by_pair = {case.layer[4:]: cell(timing) for case, timing in timings.items() if case.use == use}
    return report.table(("in \\ out", *map(str, PAIRS)), [[i, *(by_pair.get((i, o)) for o in PAIRS)] for i in PAIRS])


def table_of_images(timings: dict[Case, Timing]) -> str:
    found = {(case.layer.outputs, case.layer.side): cell(timing) for case, timing in timings.items()}
    rows = [[width, *(found.get((width, side)) for side in IMAGES)] for width in IMAGE_WIDTHS]
    return report.table(("channels", *map(str, IMAGES)), rows)


def summary(timings: dict[Case, Timing]) -> str:
    """Speed-ups with and without the library, by use: how many layers gain, the least, the middle and the most."""
    rows = []
    for use in ("forward", "training", "deployed"):
        for library in (True, False):
            speedups = sorted(t.speedup for case, t in timings.items() if (case.use, t.library) == (use, library))
            if speedups:
                gains = f"{sum(speedup > 1 for speedup in speedups)} of {len(speedups)}"
                least, middle, most = speedups[0], statistics.median(speedups), speedups[-1]
                name = f"{use}, {'library' if library else 'loop'}"
                rows.append([name, gains, *(f"{value:.2f}" for value in (least, middle, most))])
    return report.table(("", "faster", "least", "median", "most"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, help="all cores by default")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to vary; all by default")
    parser.add_argument("--outputs", type=int, nargs="+", default=WIDTHS, help="output channels of the part widths")
    parser.add_argument("--out", type=pathlib.Path, default=report.RESULTS)
    options = parser.parse_args()
    load, threads = report.load_average(), report.limit_threads(options.threads)

    print(f"least time in float32 / in int8, {threads} threads; *: XLA has no library for int8\n")
    timings: dict[Case, Timing] = {}
    failed: dict[str, str] = {}
    if "widths" in options.parts:
        widths = measure_all(cases_of_widths(options.batch, options.outputs), options.rounds, failed)
        print(f"by use and batch\n\n{tables_of_widths(widths)}\n\n{summary(widths)}\n", flush=True)
        timings |= widths
    if "pairs" in options.parts:
        pairs = measure_all(cases_of_pairs(), options.rounds, failed)
        for use in ("forward", "deployed"):
            print(f"3×3/1 {use}, {PAIRS_SIDE}×{PAIRS_SIDE}, batch {PAIRS_BATCH}\n{table_of_pairs(pairs, use)}\n")
        timings |= pairs
    if "images" in options.parts:
        images = measure_all(cases_of_images(options.batch), options.rounds, failed)
        print(f"3×3/1 forward by image side, batch {options.batch}\n{table_of_images(images)}\n")
        timings |= images
    for name, message in failed.items():
        print(f"failed: {name}: {message}")

    result = {
        "benchmark": "integer_layers",
        "threads": threads,
        "load_average_before": load,
        "batch": options.batch,
        "rounds": options.rounds,
        "versions": report.versions("jax", "jaxlib"),
        "milliseconds": {str(case): timing._asdict() for case, timing in timings.items()},
        "failed": failed,
    }
    report.write(f"integer_layers-{report.device_slug()}-jax{jax.__version__}", result, options.out)


if __name__ == "__main__":
    main()
