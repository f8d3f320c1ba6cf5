"""Time of a ResNet-18 training step for every t*, of STBP and of inference, beside the same network in PyTorch.

`python -m benchmarks.step_time [--batch 32] [--rounds 9] [--width 64] [--threads N]`; needs the extra `bench`. Both run
in one process on the same number of threads, in turns, so that what else the machine does falls on both. Where others
use the machine, wall-clock times mean little: `--threads 1` then compares the processor time of one thread. Before
timing, the benchmark checks that both compute the same logits from the same arrays.
"""

import argparse
import os
import pathlib
import statistics
import time

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # before JAX starts: PyTorch uses the same GPU

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from benchmarks import report, torch_reference
from benchmarks.agreement import distance, full_float32
from hdlif_jax import nn, rollout
from hdlif_jax.training import OptimizerConfig, make_optimizer, smoothed_cross_entropy, warmup_cosine

NUM_STEPS, NUM_CLASSES, IMAGE = 4, 100, (32, 32, 3)


def options(compressed):
    if compressed:
        return nn.SpikingOptions(num_steps=NUM_STEPS)
    return nn.SpikingOptions(num_steps=NUM_STEPS, weights="float", spike_bits=None)


def jax_cases(model, integer_forward, images, labels):
    """Name → function without arguments, for every t*, STBP and inference of one form of the network."""
    network = nn.training_form(model, integer_forward=integer_forward)
    deployed = nn.inference_form(model, integer_forward=integer_forward)
    config = OptimizerConfig()
    optimizer = make_optimizer(config, warmup_cosine(config, 1000, 300), network.per_step)
    loss_function = smoothed_cross_entropy(0.1)
    state = {"variables": nn.variables_of(model)}
    state["optimizer"] = optimizer.init(state["variables"].params)
    fixed = nn.variables_of(model)

    def update(variables, optimizer_state, gradient):
        updates, optimizer_state = optimizer.update(
            gradient.grads, optimizer_state, variables.params, learned=gradient.learned
        )
        params = jax.tree.map(jnp.add, variables.params, updates)
        return nn.Variables(params, gradient.batch_stats), optimizer_state, gradient.loss

    def online(variables, optimizer_state, images, labels, steps):
        gradient = rollout.gradient_at_steps(network, loss_function, variables, images, labels, steps)
        return update(variables, optimizer_state, gradient)

    def stbp(variables, optimizer_state, images, labels):
        return update(variables, optimizer_state, rollout.stbp(network, loss_function, variables, images, labels))

    online, stbp = jax.jit(online, donate_argnums=(0, 1)), jax.jit(stbp, donate_argnums=(0, 1))
    infer = jax.jit(lambda variables, images: rollout.rollout(deployed, variables, images))

    def train(step, *arguments):
        state["variables"], state["optimizer"], loss = step(state["variables"], state["optimizer"], *arguments)
        return float(loss)

    def at(t):
        steps = jnp.array([t])
        return lambda: train(online, images, labels, steps)

    cases = {f"t*={t + 1}": at(t) for t in range(NUM_STEPS)}
    cases["STBP"] = lambda: train(stbp, images, labels)
    cases["inference"] = lambda: np.asarray(infer(fixed, images))
    return cases


def torch_cases(variables, compressed, width, images, labels):
    """The same cases in PyTorch, from the same arrays."""
    images = torch.tensor(np.array(images)).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images, labels = images.to(device), torch.tensor(np.array(labels), dtype=torch.int64, device=device)
    trained, fixed = (torch_reference.ResNet18(NUM_CLASSES, NUM_STEPS, width, compressed) for _ in range(2))
    for model in (trained, fixed):
        model.load(jax.tree.map(np.asarray, variables))
        model.to(device)
    optimizer = torch_reference.make_optimizer(trained)

    def at(t):
        return lambda: torch_reference.online_step(trained, optimizer, images, labels, t).item()

    cases = {f"t*={t + 1}": at(t) for t in range(NUM_STEPS)}
    cases["STBP"] = lambda: torch_reference.stbp_step(trained, optimizer, images, labels).item()
    cases["inference"] = lambda: torch_reference.infer(fixed, images).cpu().numpy()
    return cases


def seconds(cases, rounds):
    """Median and least wall-clock time, and least processor time, of every case; all implementations take turns."""
    for variant, functions in cases.items():
        for name, function in functions.items():
            start = time.perf_counter()
            function()  # compiles, and fills the caches
            print(f"warm-up: {variant}, {name}: {time.perf_counter() - start:.1f} s", flush=True)
    times = {(variant, name): [] for variant, functions in cases.items() for name in functions}
    for _ in range(rounds):
        for variant, functions in cases.items():
            for name, function in functions.items():
                start, start_cpu = time.perf_counter(), time.process_time()
                function()
                times[variant, name].append((time.perf_counter() - start, time.process_time() - start_cpu))

    def summary(pairs):
        wall, processor = zip(*pairs, strict=True)
        return {"median": statistics.median(wall), "min": min(wall), "processor": min(processor)}

    return {
        variant: {name: summary(times[variant, name]) for name in functions} for variant, functions in cases.items()
    }


def check_agreement(ours, theirs):
    """‖ours − theirs‖ / ‖theirs‖ of the logits; raises where the networks are not the same.

    Where a membrane lies between two spike levels, another order of summation may move a spike by one level.
    """
    difference = distance(ours, theirs)
    if difference > 1e-2:
        raise SystemExit(f"logits differ by {difference:.1e} of their norm: these are not the same networks")
    return difference


def ratio(timings, numerator, denominator, names, statistic):
    return sum(timings[numerator][name][statistic] for name in names) / sum(
        timings[denominator][name][statistic] for name in names
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--threads", type=int, help="all cores by default")
    parser.add_argument("--out", type=pathlib.Path, default=report.RESULTS)
    arguments = parser.parse_args()
    threads = report.limit_threads(arguments.threads)
    torch.set_num_threads(threads)

    key = jax.random.key(0)
    images = jax.random.normal(key, (arguments.batch, *IMAGE))
    labels = jax.random.randint(key, (arguments.batch,), 0, NUM_CLASSES)
    cases, agreement = {}, {}
    for compressed in (True, False):
        precision = "compressed" if compressed else "float"
        model = nn.resnet18(IMAGE, NUM_CLASSES, width=arguments.width, options=options(compressed), rngs=nnx.Rngs(0))
        reference = torch_cases(nn.variables_of(model), compressed, arguments.width, images, labels)
        for integer in (True, False) if compressed else (False,):
            name = f"{precision}, {'integer' if integer else 'float'} forward"
            cases[name] = jax_cases(model, integer, images, labels)
            with full_float32():
                agreement[name] = check_agreement(cases[name]["inference"](), reference["inference"]())
        cases[f"{precision}, PyTorch"] = reference

    load = report.load_average()
    timings = seconds(cases, arguments.rounds)
    training = [f"t*={t + 1}" for t in range(NUM_STEPS)]
    groups = {"training": training, "STBP": ["STBP"], "inference": ["inference"]}
    ratios = {}
    for variant in cases:
        precision = variant.split(",")[0]
        if not variant.endswith("PyTorch"):
            for group, names in groups.items():
                ratios[f"{variant}: {group}"] = {
                    statistic: ratio(timings, variant, f"{precision}, PyTorch", names, statistic)
                    for statistic in ("median", "min", "processor")
                }

    print(f"\nResNet-18, width {arguments.width}, batch {arguments.batch}, T = {NUM_STEPS}, {threads} threads; ms")
    columns = [*training, "STBP", "inference"]
    for statistic in ("median", "processor"):
        rows = [
            [variant, *(f"{1e3 * row[name][statistic]:.0f}" for name in columns)] for variant, row in timings.items()
        ]
        print(report.table((statistic, *columns), rows))
    print("\nours / PyTorch: median and least wall-clock time, least processor time")
    statistics_ = ("median", "min", "processor")
    lines = [[name, *(f"{value[statistic]:.2f}" for statistic in statistics_)] for name, value in ratios.items()]
    print(report.table(("", *statistics_), lines))
    if load is not None and load > 1:
        print(f"the load average was {load:.1f} before the timing: others used this machine")

    result = {
        "benchmark": "step_time",
        "threads": threads,
        "load_average_before": load,
        "batch": arguments.batch,
        "width": arguments.width,
        "num_steps": NUM_STEPS,
        "rounds": arguments.rounds,
        "versions": report.versions("jax", "jaxlib", "flax", "torch"),
        "logit_difference": agreement,
        "seconds": timings,
        "ratios": ratios,
    }
    report.write(f"step_time-{report.device_slug()}-{threads}", result, arguments.out)


if __name__ == "__main__":
    main()
