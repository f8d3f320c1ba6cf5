"""What `train --help` prints: the presets by what they are for, each in a line, and how to go on."""

import textwrap
from collections.abc import Iterator

from hdlif_jax.commands.presets import GROUPS, Preset
from hdlif_jax.commands.support.program import program

COLUMNS = 80
MEANINGS = 44  # column in which meanings of examples begin
EXAMPLES = {  # words behind `train`, and what they ask for
    "": "the preset digits",
    "--epochs 5 --out runs/short": "short, to a folder of your choice",
    "--model.weights binary": "1-bit weights",
    "--model.neuron lif": "plain LIF neurons",
    "--learning.rule stbp": "the full gradient through time",
    "digits-ottt": "an earlier system",
    "cifar100-resnet18-ternary-4bit-parallel": "a row of the paper, on data/",
    "--data.name folder --data.dir PICTURES": "own pictures, a folder a class",
}


def overview(default: str) -> str:
    """All presets and some command lines, in lines of at most 80 columns.

    Args:
      default: the preset that is trained where none is named.
    """
    train = program("train")
    lines = [
        f"usage: {train} [PRESET] [--field.name value ...]",
        f"       {train} --config FILE [--field.name value ...]",
        f"       {train} --resume DIR [--epochs N] [--data.dir DIR]",
        "",
        f"presets (without one: {default}):",
    ]
    for title, presets in GROUPS.items():
        lines += ["", f"{title}:"]
        width = max(map(len, presets))
        for name, preset in presets.items():
            lines += _row(name, width, in_short(preset))
    lines += ["", "examples:"]
    for words, meaning in EXAMPLES.items():
        line = f"  {' '.join([train, *words.split()])}"
        fits = len(line) < MEANINGS
        lines += [f"{line:{MEANINGS}}{meaning}"] if fits else [line, " " * MEANINGS + meaning]
    explained = (
        "FILE is a run's config.json, or has some of the fields as JSON or YAML; DIR is the folder of a run.",
        f"`{train} {default} --help` explains every field, with the defaults of {default}; that of another preset says "
        "what is known of it.",
    )
    return "\n".join([*lines, "", *(line for text in explained for line in textwrap.wrap(text, COLUMNS))])


def in_short(preset: Preset) -> str:
    """What tells a preset from those beside it: the figures of the paper, or of its own paper, or what is special."""
    if preset.paper is not None:
        figures = preset.paper._replace(sops_m=None, nops_m=None, power_mj=None)
        return str(figures).removeprefix("paper, ")
    return preset.source or preset.description.partition(": ")[2] or preset.description


def about(preset: Preset) -> str:
    """All that is known of a preset, in paragraphs."""
    known = (preset.description, preset.paper, preset.source, preset.note)
    return "\n\n".join(str(text) for text in known if text is not None)


def _row(name: str, width: int, text: str) -> Iterator[str]:
    indent = " " * (width + 4)
    return iter(textwrap.wrap(text, COLUMNS, initial_indent=f"  {name:{width}}  ", subsequent_indent=indent))
