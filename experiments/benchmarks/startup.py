"""Time from a command to its first training step, without and with compiled programs that an earlier process kept.

`python -m experiments.benchmarks.startup [--width 64] [--batch-size 64] [--rounds 3]`. Each measurement is a process of
its own: "cold" with an empty compilation cache, "warm" with the one that the cold process left. The digits preset runs
on its data; the ResNet-18 preset of the width on random images, so that it needs none. A stage's compiling holds what
XLA compiles and what is read from the cache instead; seconds of processors are those of all threads.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

RESNET = "cifar100-resnet18-ternary-4bit-parallel"
SUBJECTS = ("digits", RESNET)
STAGES = ("imports", "data", "network", "state", "firing rates", "first step")
EVENTS = {  # of jax.monitoring, in seconds
    "/jax/core/compile/jaxpr_trace_duration": "tracing",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lowering",
    "/jax/core/compile/backend_compile_duration": "compiling",
}
EXAMPLES = 512

Stage = dict[str, float]


class Clock:
    """What each stage took: seconds, seconds of processors, and of JAX's own counts tracing, lowering and compiling."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}
        self._events: Stage = {}
        self._begin()

    def event(self, event: str, duration_secs: float, **_: str | int) -> None:
        """Takes an event of `jax.monitoring`."""
        if event in EVENTS:
            kind = EVENTS[event]
            self._events[kind] = self._events.get(kind, 0.0) + duration_secs
            self._events["programs"] = self._events.get("programs", 0) + (kind == "compiling")

    def done(self, stage: str) -> None:
        """Ends a stage."""
        wall, processors = time.perf_counter() - self._started[0], time.process_time() - self._started[1]
        self.stages[stage] = {"seconds": wall, "processor_seconds": processors} | self._events
        self._begin()

    def _begin(self) -> None:
        self._started, self._events = (time.perf_counter(), time.process_time()), {}


def measure(subject: str, width: int, batch_size: int) -> dict[str, Stage]:
    """Goes to the first step as `hdlif train` does, in this process, which has not imported anything of it."""
    clock = Clock()
    import jax

    import hdlif_jax.commands.support.run  # noqa: F401 - all that a training imports

    jax.monitoring.register_event_duration_secs_listener(clock.event)
    clock.done("imports")
    import dataclasses

    import numpy as np

    from hdlif_jax.commands.make import make_trainer
    from hdlif_jax.commands.presets import PRESETS
    from hdlif_jax.commands.support.execution import Execution, use_compilation_cache
    from hdlif_jax.commands.support.runs import load_dataset
    from hdlif_jax.data import Dataset

    config = PRESETS[subject].config
    use_compilation_cache()
    if subject == RESNET:
        config = dataclasses.replace(
            config, model=dataclasses.replace(config.model, width=width), batch_size=batch_size
        )
        images = np.random.default_rng(0).integers(0, 256, (EXAMPLES, 32, 32, 3), np.uint8)
        dataset = Dataset.from_arrays(images, np.arange(EXAMPLES) % 100)
    else:
        dataset = load_dataset(config, None)
    clock.done("data")
    trainer = make_trainer(config, dataset, Execution().mesh())
    clock.done("network")
    state = jax.block_until_ready(trainer.initial_state)
    clock.done("state")
    trainer.firing_rates(state)
    clock.done("firing rates")
    runner = trainer.runner()
    runner.traced(state)
    jax.block_until_ready(runner.run(state, 0, 1).state)
    clock.done("first step")
    runner.close()
    return clock.stages


def in_own_process(subject: str, cache: pathlib.Path, words: list[str]) -> dict[str, Stage]:
    """What `measure` finds in a new process that keeps its compiled programs in this folder."""
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.02",  # as the commands have it
    }
    command = [sys.executable, "-m", "experiments.benchmarks.startup", "--measure", subject, *words]
    started = time.perf_counter()
    found = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    stages: dict[str, Stage] = json.loads(found.stdout.splitlines()[-1])
    rest = time.perf_counter() - started - sum(stage["seconds"] for stage in stages.values())
    return stages | {"interpreter": {"seconds": rest}}


def medians(rounds: list[dict[str, Stage]]) -> dict[str, Stage]:
    """The median over rounds of each figure of each stage."""
    return {
        stage: {kind: statistics.median(one[stage].get(kind, 0) for one in rounds) for kind in figures}
        for stage, figures in rounds[0].items()
    }


def table(found: dict[str, dict[str, Stage]], make: Callable[..., str]) -> str:
    """Seconds by stage, without and with the cache, and what of them XLA compiled."""
    rows = []
    for stage in ("interpreter", *STAGES):
        cells: list[Any] = [stage]
        for kind in ("cold", "warm"):
            figures = found[kind][stage]
            cells += [f"{figures['seconds']:.2f}", f"{figures['compiling']:.2f}" if "compiling" in figures else None]
            cells += [f"{figures['programs']:.0f}" if "programs" in figures else None]
        rows.append(cells)
    totals = [sum(stage["seconds"] for stage in found[kind].values()) for kind in ("cold", "warm")]
    rows.append(["all", f"{totals[0]:.2f}", None, None, f"{totals[1]:.2f}", None, None])
    return make(("seconds", "cold", "compiling", "programs", "warm", "compiling", "programs"), rows)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, help="folder of the JSON; beside the others by default")
    parser.add_argument("--measure", choices=SUBJECTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.width, arguments.batch_size)))
        return
    from experiments.benchmarks import report  # which imports jax

    load = report.load_average()
    words = ["--width", str(arguments.width), "--batch-size", str(arguments.batch_size)]
    results: dict[str, dict[str, dict[str, Stage]]] = {}
    for subject in arguments.subjects:
        rounds: dict[str, list[dict[str, Stage]]] = {"cold": [], "warm": []}
        for _ in range(arguments.rounds):
            with tempfile.TemporaryDirectory() as cache:
                for kind in rounds:
                    rounds[kind].append(in_own_process(subject, pathlib.Path(cache), words))
        results[subject] = {kind: medians(measured) for kind, measured in rounds.items()}
        print(f"\n{subject}{f', width {arguments.width}' if subject == RESNET else ''}")
        print(table(results[subject], report.table))
    description = {
        "benchmark": "startup",
        "load_average_before": load,
        "width": arguments.width,
        "batch_size": arguments.batch_size,
        "rounds": arguments.rounds,
        "python": ".".join(map(str, sys.version_info[:3])),
        "versions": report.versions("jax", "jaxlib", "flax", "optax"),
        "subjects": results,
    }
    name = f"startup-{report.device_slug()}-jax{report.versions('jax')['jax']}"
    report.write(name, description, arguments.out or report.RESULTS)


if __name__ == "__main__":
    main()
