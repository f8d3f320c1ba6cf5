"""Records, predictions and costs as a run leaves them, with names that a page must not take for its own code."""

import types

import numpy as np

from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.support.report.records import Records
from hdlif_jax.commands.support.report.seen import Seen
from hdlif_jax.commands.support.run_directory import RunDirectory

T, N, K = 3, 40, 4
HOSTILE = [
    "<b>left</b> & <img src=x onerror=fail()>",
    "mid\"dle' <script>fail()</script>",
    "%{x} $x^2$ </script>",
    "ok",
]
LAYERS = ("blocks.0.neuron1", "blocks.0.neuron2")
GENERATOR = np.random.default_rng(0)
LABELS = np.arange(N) % K
LOGITS = GENERATOR.normal(size=(T, N, K)) + np.linspace(0.5, 2, T)[:, None, None] * np.eye(K)[LABELS]


def epoch(number):
    return {
        "epoch": number, "step": 10 * number, "train_loss": 1 / number, "train_accuracy": 1 - 0.4 / number,
        "validation_accuracy_per_step": [0.4, 0.5, 0.6], "firing_rates": dict.fromkeys(LAYERS, 0.1 * number),
    }  # fmt: skip


def records(path, *, finished=True, epochs=3):
    """Of a run in a directory, which is made."""
    directory = RunDirectory(path)
    config = PRESETS["digits"].config
    info = types.SimpleNamespace(num_test=N, num_train=100, example_shape=(6, 5, 3), dtype="uint8")
    directory.dataset_info = lambda: info
    steps = [
        {"step": step, "epoch": 1, "loss": 1 / step, "accuracy": 0.5, "learning_rate": 0.1} for step in range(1, 9)
    ]
    coherence = [
        {"epoch": 0.5 * index, "cosine": 0.9, "cosine_per_layer": {"stem": 0.8, "head": 1.0}} for index in (1, 2)
    ]
    description = {
        "versions": {"jax": "1.2.3", "hdlif_jax": None}, "git_commit": None, "command": ["python", "<b>train</b>"],
        "changes": [{"field": "epochs", "from": 1, "to": 3, "step": 10}],
    }  # fmt: skip
    seen_accuracy = predictions().accuracy.tolist()
    summary = {
        "accuracy_per_step": seen_accuracy, "train_seconds": 100.0, "images_per_second": 12.0, "device": "<i>cpu</i>",
    }  # fmt: skip
    done = [epoch(number) for number in range(1, epochs + 1)]
    return Records(directory, config, description, steps, done, coherence, summary if finished else None)


def predictions(shape=(6, 5, 3), examples=8):
    """What a network made of inputs of a shape, `(H, W, C)` or `(T, H, W, C)`."""
    rates = {layer: np.linspace(0.1, 0.3, T) for layer in LAYERS}
    inputs = GENERATOR.integers(0, 256, (examples, *shape)).astype(np.uint8)
    return Seen(N, LABELS, LOGITS, rates, np.arange(0, N, N // examples), inputs)


def costs():
    """As costs.json has them."""
    names = ("param_mb_paper", "param_mb_packed", "other_mb", "nops_m", "sops_m", "macs_m", "power_mj_paper")
    layer = {"path": "stem", "weights": "float", "parameters": 12, "input_rate": None, "sops": 0.0, "macs": 1e6}
    return {
        **dict.fromkeys((*names, "power_mj_strict", "firing_rate"), 0.25),
        "inputs": "64 test inputs of <b>mine</b>",
        "paper": {"sops_m": 0.5, "param_mb": None, "source": "Table 1"},
        "layers": [layer, layer | {"path": "head", "input_rate": 0.5, "sops": 2e6, "macs": 0.0}],
        "neurons": [{"path": LAYERS[0], "neurons": 9, "nops": 1e5, "firing_rate": 0.5}],
    }
