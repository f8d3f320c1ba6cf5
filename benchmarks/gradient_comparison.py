"""Time of a gradient comparison in STBP steps: `python -m benchmarks.gradient_comparison [--steps 4] [--rounds 9]`."""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks import report
from hdlif_jax import nn, rollout
from hdlif_jax.analysis.separability import make_comparison
from hdlif_jax.training import smoothed_cross_entropy

BATCH = 64


def functions(num_steps: int, event: bool):
    """One STBP gradient and one comparison of the same small conv net and batch."""
    options = nn.SpikingOptions(num_steps=num_steps, parallel=False)
    model = nn.conv_net((8, 8, 1), 10, widths=(32, 64, 64), options=options, rngs=nnx.Rngs(0))
    variables, loss_function = nn.variables_of(model), smoothed_cross_entropy(0.1)
    inputs = jax.random.normal(jax.random.key(0), ((num_steps,) if event else ()) + (BATCH, 8, 8, 1))
    labels = jnp.arange(BATCH) % 10
    network, recording = nn.training_form(model), nn.training_form(model, record=True)
    stbp = jax.jit(lambda *arguments: rollout.stbp(network, loss_function, *arguments).grads)
    compare = make_comparison(recording, loss_function)
    return (lambda: stbp(variables, inputs, labels)), (lambda: compare(variables, inputs, labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=[4])
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    results: list[dict] = []
    rows: list[list] = []
    for num_steps in arguments.steps:
        for event in (False, True):
            both = functions(num_steps, event)
            for function in both:
                jax.block_until_ready(function())
            times: list[list[float]] = [[], []]
            for _ in range(arguments.rounds):  # in turns, so that what else the machine does falls on both
                for function, measured in zip(both, times, strict=True):
                    started = time.perf_counter()
                    jax.block_until_ready(function())
                    measured.append(1000 * (time.perf_counter() - started))
            stbp, comparison = map(statistics.median, times)
            name = "event" if event else "static"
            results.append({"input": name, "T": num_steps, "stbp_ms": stbp, "comparison_ms": comparison})
            rows.append([name, num_steps, f"{stbp:.1f}", f"{comparison:.1f}", f"{comparison / stbp:.2f}"])
    print(report.table(("input", "T", "STBP (ms)", "comparison (ms)", "ratio"), rows))
    report.write(f"gradient_comparison-{report.device_slug()}", {"batch": BATCH, "results": results})


if __name__ == "__main__":
    main()
