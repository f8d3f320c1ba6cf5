"""Compiled temporary memory of a learning step by rule and number of time-steps.

`python -m experiments.benchmarks.memory [--steps 1 4 16 64] [--width 64]`. XLA's own figure, nothing runs: the memory
beside parameters, statistics and inputs. A six-layer network of block (a), widths 16-32-32, on 64 static images of
16×16 pixels; then ResNet-18 of the width on 32 images of CIFAR's size.
"""

import argparse
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.benchmarks import report
from hdlif_jax import learning, losses, nn

NUM_STEPS = (1, 4, 16, 64)
MOST_UNROLLED = 16  # XLA takes minutes to compile 64 unrolled steps
RULES: dict[str, Callable[[int], learning.Rule]] = {  # by number of time-steps
    "random_step": lambda num_steps: learning.random_step(),
    "random_k, k = 2": lambda num_steps: learning.random_k(min(2, num_steps)),
    "accumulate": lambda num_steps: learning.accumulate(unroll=False),
    "accumulate, unrolled": lambda num_steps: learning.accumulate(unroll=True),
    "every_step": lambda num_steps: learning.every_step(unroll=False),
    "every_step, unrolled": lambda num_steps: learning.every_step(unroll=True),
    "stop_gradient, grad outside": lambda num_steps: learning.stbp(detach=True, unroll=False),
    "stbp": lambda num_steps: learning.stbp(unroll=False),
    "stbp, segments of 4": lambda num_steps: learning.stbp(min(4, num_steps), unroll=False),
    "stbp, layer by layer": lambda num_steps: learning.stbp(layerwise=True),
}
UNROLLED = ("accumulate, unrolled", "every_step, unrolled", "stbp, layer by layer")
RESNET18, RESNET18_STEPS = "ResNet-18, random_step", (4, 32)


def small_net(num_steps: int) -> nn.SpikingNetwork:
    return nn.conv_net((16, 16, 3), 10, widths=(16, 32, 32), spec=nn.Spec(num_steps=num_steps), rngs=nnx.Rngs(0))


def resnet18(num_steps: int, width: int) -> nn.SpikingNetwork:
    spec = nn.Spec(num_steps=num_steps, second_neuron=nn.parallel())
    return nn.resnet18((32, 32, 3), 100, width=width, spec=spec, rngs=nnx.Rngs(0))


def descend(grads: nn.Params, opt_state: Any, params: nn.Params, learned: jax.Array) -> tuple[nn.Params, Any]:
    return jax.tree.map(lambda param, grad: param - 0.01 * grad, params, grads), opt_state


def temp_megabytes(rule: learning.Rule, model: nn.SpikingNetwork, batch_size: int) -> float:
    network = nn.training_form(model)
    images, labels = jnp.zeros((batch_size, *network.input_shape)), jnp.zeros(batch_size, jnp.int32)

    @jax.jit
    def learn(variables: nn.Variables, batch: learning.Batch, key: jax.Array) -> tuple[nn.Variables, jax.Array]:
        learner = learning.Learner(variables, ())
        learner, learned = rule(network, losses.cross_entropy(0.1), descend, learner, batch, key)
        return learner.variables, learned.loss

    compiled = learn.lower(nn.variables_of(model), learning.Batch(images, labels), jax.random.key(0)).compile()
    plan = compiled.memory_analysis()
    assert plan is not None
    return round(plan.temp_size_in_bytes / 1e6, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=NUM_STEPS, help="numbers of time-steps")
    parser.add_argument("--width", type=int, default=64, help="of ResNet-18")
    parser.add_argument("--out", type=pathlib.Path, default=report.RESULTS)
    arguments = parser.parse_args()
    rows = []
    results: dict[str, dict[int, float]] = {}

    def write() -> None:  # after each, so that a run that is cut off leaves what it has
        description = {"jax": jax.__version__, "unit": "MB", "width": arguments.width, "temp": results}
        report.write(f"memory-{report.device_slug()}", description, arguments.out)

    results[RESNET18] = {
        count: temp_megabytes(RULES["random_step"](count), resnet18(count, arguments.width), 32)
        for count in RESNET18_STEPS
    }
    write()
    for name, rule in RULES.items():
        steps = [count for count in arguments.steps if name not in UNROLLED or count <= MOST_UNROLLED]
        results[name] = {count: temp_megabytes(rule(count), small_net(count), 64) for count in steps}
        rows.append([name, *(f"{results[name][count]:.2f}" if count in steps else "" for count in arguments.steps)])
        write()
    print("temporary memory (MB)")
    print(report.table(("rule", *(f"T = {steps}" for steps in arguments.steps)), rows))
    few, many = results[RESNET18].values()
    print(f"{RESNET18}, width {arguments.width}: {few:.1f} MB at T = 4, {many:.1f} MB at T = 32: {many / few:.3f}×")


if __name__ == "__main__":
    main()
