"""Kills a run at random moments, goes on with it each time, and compares its end with an uninterrupted run.

`python -m tests.commands.survival [KILLS]` prints what happened and ends with status 1 where anything differs.
"""

import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np

from hdlif_jax.commands.make import make_trainer
from hdlif_jax.commands.support.run_directory import RunDirectory
from hdlif_jax.commands.support.runs import load_dataset
from hdlif_jax.training import Checkpoints

ROOT = pathlib.Path(__file__).parents[2]

TRAINING = "--model.widths 4 --model.num-steps 2 --epochs 20 --batch-size 64 --checkpoint-every-steps 7"
ARGUMENTS = TRAINING.split()
TIMES = ("seconds", "images_per_second")  # what may differ in the log


def start(cache, *arguments):
    words = [sys.executable, "-m", "experiments.train", *map(str, arguments)]
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.02",
    }
    return subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def final_arrays(directory):
    config = RunDirectory(directory).config()
    trainer = make_trainer(config, load_dataset(config))
    checkpoints = Checkpoints(directory / "checkpoints")
    state = checkpoints.load(trainer.initial_state)
    checkpoints.close()
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state)]


def log(directory):
    """All that a run logged, but for times."""
    records = [record for kind in ("step", "epoch") for record in RunDirectory(directory).read_metrics(kind)]
    return [{name: value for name, value in record.items() if name not in TIMES} for record in records]


def wait_for_step(directory, step, process):
    """Waits until a run has logged a step."""
    metrics = directory / "metrics.jsonl"
    while process.poll() is None:
        if metrics.exists() and f'"step": {step},' in metrics.read_text():
            return
        time.sleep(0.002)


def kill_somewhere(directory, process, step, generator, seconds_to_start):
    """Kills a process at a random moment: while it starts (step None), or soon after it logged a step."""
    if step is None:
        time.sleep(generator.uniform(0, seconds_to_start))
    else:
        wait_for_step(directory, step, process)
        time.sleep(generator.uniform(0, 0.1))  # anywhere in a step or in the writing of a checkpoint
    process.send_signal(signal.SIGKILL)
    output, _ = process.communicate()
    return output


def survive(kills: int, seed: int = 0) -> bool:
    """Whether a run that was killed `kills` times ended exactly as one that was not."""
    generator = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed, cache = (pathlib.Path(folder) / name for name in ("whole", "killed", "cache"))
        process = start(cache, *ARGUMENTS, "--out", whole)
        started = time.monotonic()
        wait_for_step(whole, 1, process)
        seconds_to_start = time.monotonic() - started
        output, _ = process.communicate()
        if process.returncode:
            print(output)
            return False
        total = len(RunDirectory(whole).read_metrics("step"))
        moments = sorted(generator.sample(range(1, total), kills - kills // 4))
        moments += [None] * (kills // 4)
        arguments = [*ARGUMENTS, "--out", killed]
        while moments:
            # A moment of starting anywhere between the others, which must come in order.
            moment = moments.pop() if moments[-1] is None and generator.random() < 0.3 else moments.pop(0)
            process = start(cache, *arguments)
            output = kill_somewhere(killed, process, moment, generator, seconds_to_start)
            if process.returncode != -signal.SIGKILL:
                print(output)
                return False
            where = "while starting" if moment is None else f"after step {moment} of {total}"
            steps = sorted(int(path.name) for path in (killed / "checkpoints").glob("*") if path.name.isdigit())
            print(f"killed {where}; checkpoints of steps {steps}", flush=True)
            if (killed / "config.json").exists():
                arguments = ["--resume", killed]
        process = start(cache, *arguments)
        output, _ = process.communicate()
        if process.returncode:
            print(output)
            return False
        same = all(map(np.array_equal, final_arrays(whole), final_arrays(killed)))
        logs = [log(whole), log(killed)]
        print(
            f"after {kills} kills: parameters {'bit-identical' if same else 'DIFFER'}, "
            f"log of {total} steps {'the same' if logs[0] == logs[1] else 'DIFFERS'}"
        )
        return same and logs[0] == logs[1]


if __name__ == "__main__":
    sys.exit(not survive(int(sys.argv[1]) if sys.argv[1:] else 20))
