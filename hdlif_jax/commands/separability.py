"""Compares the gradients of neuron models: `python -m hdlif_jax.commands.separability [--models lif ...]`."""

import dataclasses
import pathlib
import sys
import time
from typing import Literal

import tyro
from experiments.cli import CommandError, command, console, one_line_errors
from experiments.presets import PRESETS
from experiments.run_directory import device_name, read_json, write_json

from experiments.separability_figures import plot_all
from experiments.separability_models import ModelStudy, study
from experiments.separability_neurons import MODELS
from hdlif_jax.analysis.separability import Contributions

ModelName = Literal["lif", "hd-lif", "parallel", "mem-bn"]
LEGEND = """\
first layer, all: cosine of the accumulated online and the STBP gradient (mean ±
standard deviation over seeds). ε: separability index and number of distinct
values before training. Thm 4.2: worst deviation from the theorem. var., bias:
relative variance of one random step, and relative bias to STBP, after training.
"""
FIGURES = ("epsilon.png", "epsilon_distribution.png", "cosine_per_layer.png", "estimator_variance.png")


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Trains each model on a preset, or loads it from an earlier call, and compares online gradients with STBP."""

    models: tuple[ModelName, ...] = ("lif", "hd-lif", "parallel", "mem-bn")
    """Neuron models: lif (triangle surrogate), hd-lif, parallel (half of the neurons; in a VGG all), mem-bn."""
    preset: str = "digits"
    """Preset whose data, network size and optimiser all models get."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of the initial kernels, the data order and the drawn time-steps; figures are means over them."""
    updates: int = 300
    """Updates of training before the second comparison."""
    out: pathlib.Path | None = None
    """Where results and trained models go; runs/separability-TIME by default. A second call loads the models."""

    def __post_init__(self):
        """Raises ValueError for values out of range."""
        for name in ("models", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"--{name} {' '.join(map(str, values))} must name at least one, each once")
        if self.updates < 1:
            raise ValueError(f"--updates {self.updates} must be at least 1")
        if min(self.seeds) < 0:
            raise ValueError(f"--seeds {' '.join(map(str, self.seeds))} must not be negative")
        if self.preset not in PRESETS:
            raise ValueError(f"unknown preset {self.preset!r}; the presets are {', '.join(PRESETS)}")


def table(studies: dict[str, ModelStudy]) -> str:
    """The figures of all models side by side, within 80 columns."""
    rows = []
    for name, figures in studies.items():
        estimator = figures["estimator"]["trained"]["network"]
        rows.append(
            (
                name,
                f"{figures['first_layer_cosine_init']:.4f}±{figures['first_layer_cosine_init_std']:.4f}",
                f"{figures['first_layer_cosine_trained']:.4f}±{figures['first_layer_cosine_trained_std']:.4f}",
                f"{figures['network_cosine']['trained']:.3f}",
                f"{figures['separability_index']:.3f}",
                f"{figures['distinct_epsilon_values']}",
                f"{figures['theorem_worst_deviation']:.1e}",
                f"{estimator['variance']:.3f}",
                f"{estimator['bias_stbp']:.3f}",
            )
        )
    heads = [
        ("", "first layer", "first layer", "all", "index", "values", "Thm 4.2", "var.", "bias"),
        ("model", "initial", "trained", "trained", "of ε", "of ε", "worst", "", ""),
    ]
    widths = [max(len(row[column]) for row in (*heads, *rows)) for column in range(len(heads[0]))]
    lines = []
    for first, *others in (*heads, *rows):
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append(" ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(["", *lines, "", LEGEND])


def prepare_directory(arguments: Arguments) -> pathlib.Path:
    """Makes the output directory, or finds in it an earlier call of the same preset and number of updates.

    Raises:
      CommandError: it holds something else.
    """
    out = arguments.out or pathlib.Path("runs") / f"separability-{time.strftime('%Y%m%d-%H%M%S')}"
    description = {"preset": arguments.preset, "updates": arguments.updates}
    file = out / "study.json"
    if file.is_file():
        if read_json(file) != description:
            raise CommandError(
                f"{out} holds a comparison of {read_json(file)}, not of {description}; choose another --out"
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CommandError(f"{out} is not empty and holds no comparison; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_json(file, description)
    return out


@command
def main() -> None:
    """Entry point."""
    with one_line_errors():
        arguments = tyro.cli(Arguments, prog="python -m hdlif_jax.commands.separability", args=sys.argv[1:])
    out = prepare_directory(arguments)
    config = PRESETS[arguments.preset].config
    studies: dict[str, ModelStudy] = {}
    samples: dict[str, Contributions] = {}
    for name in arguments.models:
        started = time.perf_counter()
        studies[name], samples[name] = study(
            MODELS[name], config, arguments.seeds, arguments.updates, out / "models" / name
        )
        console.print(f"{name}: {len(arguments.seeds)} seeds in {time.perf_counter() - started:.1f} s")
    console.print(table(studies))
    write_json(
        out / "separability.json",
        {
            "preset": arguments.preset,
            "updates": arguments.updates,
            "seeds": list(arguments.seeds),
            "num_steps": config.model.num_steps,
            "device": device_name(),
            "models": studies,
        },
    )
    plot_all([out / figure for figure in FIGURES], studies, samples)
    console.print(f"results in {out}")


if __name__ == "__main__":
    main()
