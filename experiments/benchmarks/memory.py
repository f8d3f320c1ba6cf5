"""Compiled temporary memory of a learning step by rule and number of time-steps: `python -m benchmarks.memory`.

XLA's own figure, nothing runs: the memory beside parameters, statistics and inputs. A six-layer network of block (a),
widths 16-32-32, on 64 static images of 16×16 pixels; then ResNet-18 in full on 32 images of CIFAR's size.
"""

import argparse
import pathlib
import sys

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks import report
from hdlif_jax import nn, rollout
from hdlif_jax.training import smoothed_cross_entropy

NUM_STEPS = (1, 4, 16, 64)
UNROLLED_STEPS = (1, 4, 16)  # XLA takes minutes to compile 64 unrolled steps


def every_step(network, loss, variables, images, labels, **options):
    def descend(grads, optimizer_state, params, learned):
        return jax.tree.map(lambda param, grad: param - 0.01 * grad, params, grads), optimizer_state

    return rollout.every_step(network, loss, variables, images, labels, (), descend, **options)


RULES = {
    "random_step": lambda *arguments: rollout.random_step(*arguments, jax.random.key(0)),
    "random_k, k = 2": lambda *arguments: rollout.random_k(
        *arguments, jax.random.key(0), k=min(2, arguments[0].num_steps)
    ),
    "accumulate": lambda *arguments: rollout.accumulate(*arguments, unroll=False),
    "accumulate, unrolled": lambda *arguments: rollout.accumulate(*arguments, unroll=True),
    "every_step": lambda *arguments: every_step(*arguments, unroll=False),
    "every_step, unrolled": lambda *arguments: every_step(*arguments, unroll=True),
    "stop_gradient, grad outside": lambda *arguments: rollout.stbp(*arguments, detach=True, unroll=False),
    "stbp": lambda *arguments: rollout.stbp(*arguments, unroll=False),
    "stbp, segments of 4": lambda *arguments: rollout.stbp(
        *arguments, segment=min(4, arguments[0].num_steps), unroll=False
    ),
}
RESNET18 = "ResNet-18, random_step"
RESNET18_STEPS = (4, 32)


def small_net(num_steps: int):
    options = nn.SpikingOptions(num_steps=num_steps, parallel=False)
    return nn.conv_net((16, 16, 3), 10, widths=(16, 32, 32), options=options, rngs=nnx.Rngs(0))


def resnet18(num_steps: int):
    return nn.resnet18((32, 32, 3), 100, options=nn.SpikingOptions(num_steps=num_steps), rngs=nnx.Rngs(0))


def temp_megabytes(rule, model, batch: int) -> float:
    network, variables = nn.training_form(model), nn.variables_of(model)
    images, labels = jnp.zeros((batch, *network.input_shape)), jnp.zeros(batch, jnp.int32)
    loss = smoothed_cross_entropy(0.1)
    compiled = jax.jit(lambda variables: rule(network, loss, variables, images, labels)).lower(variables).compile()
    return compiled.memory_analysis().temp_size_in_bytes / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=report.RESULTS)
    arguments = parser.parse_args()
    rows = []
    results: dict[str, dict[int, float]] = {}
    for name, rule in RULES.items():
        steps = UNROLLED_STEPS if "unrolled" in name else NUM_STEPS
        results[name] = {count: round(temp_megabytes(rule, small_net(count), 64), 3) for count in steps}
        rows.append([name, *(f"{results[name][count]:.2f}" if count in steps else "" for count in NUM_STEPS)])
        print(name, results[name], file=sys.stderr, flush=True)
    results[RESNET18] = {
        count: round(temp_megabytes(RULES["random_step"], resnet18(count), 32), 3) for count in RESNET18_STEPS
    }
    print("temporary memory (MB)")
    print(report.table(("rule", *(f"T = {steps}" for steps in NUM_STEPS)), rows))
    few, many = results[RESNET18].values()
    print(f"{RESNET18}: {few:.1f} MB at T = 4, {many:.1f} MB at T = 32: {many / few:.3f}×")
    description = {"jax": jax.__version__, "unit": "MB", "temp": results}
    report.write(f"memory-{report.device_slug()}", description, arguments.out)


if __name__ == "__main__":
    main()
