"""What a study is: presets with changes, seeds, and budgets; a file of its own in YAML or JSON says the same."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Any

from hdlif_jax.checks import Seed, check_fields
from hdlif_jax.commands.config import TrainConfig, from_dict, to_dict
from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.support.cli import where_presets_are
from hdlif_jax.commands.support.config_file import read_values
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.near import did_you_mean

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")  # of a variant, which names a folder
Fields = dict[str, Any]  # by dotted name, such as "model.width"
DECIDED = {"seed": "seeds", "preset": "preset"}  # what no field may change, and where it stands


@dataclasses.dataclass(frozen=True)
class Variant:
    """A row of the table: a preset, and what is other than there."""

    preset: str
    fields: Fields = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Study:
    """A question to be answered by runs.

    Attributes:
      description: the question, in a line.
      variants: by name; the first is what the others are compared with.
      seeds: one run of each variant for each.
      scales: budgets by name, as fields of all variants; the first is the usual one. The field `recipe` chooses that
        of the presets, and fields of `first` go to variants that begin with another run.
    """

    description: str
    variants: dict[str, Variant]
    seeds: tuple[Seed, ...] = (0, 1, 2)
    scales: dict[str, Fields] = dataclasses.field(default_factory=lambda: {"full": {}})

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for what makes no study."""
        check_fields(self)
        if not self.variants or not self.seeds or not self.scales:
            raise ValueError("a study has at least one variant, one seed and one scale")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds={self.seeds} name one twice; give each once")
        for name, variant in self.variants.items():
            if not NAME.fullmatch(name):
                raise ValueError(f"variant {name!r} names a folder; use letters, digits and . _ + -")
            if variant.preset not in PRESETS:
                near = did_you_mean(variant.preset, PRESETS)
                raise ValueError(f"variant {name} has unknown preset {variant.preset!r}; {near}{where_presets_are()}")
            _check_names(f"variant {name}", variant.fields)
        for name, fields in self.scales.items():
            _check_names(f"scale {name}", fields)

    def config(self, variant: str, scale: str, seed: int) -> TrainConfig:
        """The configuration of a run.

        Raises:
          ValueError: a field that does not exist, or a value out of range.
          TypeError: a value of the wrong type.
        """
        chosen, budget = self.variants[variant], self.scales[scale]
        try:
            base = PRESETS[chosen.preset].recipe((budget | chosen.fields).get("recipe", "own"))
            has_first = chosen.fields.get("first.preset", base.first.preset) is not None
            budget = {name: value for name, value in budget.items() if has_first or not name.startswith("first.")}
            return with_fields(base, budget | chosen.fields | {"seed": seed})
        except (TypeError, ValueError) as error:
            raise type(error)(f"variant {variant}: {error}") from error


def _check_names(where: str, fields: Any) -> None:
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise ValueError(f"{where} has fields {fields!r}; give names with values, such as model.width: 16")
    for name in fields.keys() & DECIDED.keys():
        raise ValueError(f"{where} has the field {name}, which is decided by the study's {DECIDED[name]}; leave it out")


def with_fields(config: TrainConfig, fields: Fields) -> TrainConfig:
    """A configuration with some fields, by dotted name, of other values.

    Raises:
      ValueError: a field that does not exist, or a value out of range.
      TypeError: a value of the wrong type.
    """
    values = to_dict(config)
    for name, value in fields.items():
        *parts, last = name.split(".")
        part: Any = values
        for key in parts:
            part = part.get(key) if isinstance(part, dict) else None
        if not isinstance(part, dict) or last not in part:
            raise ValueError(f"there is no field {name}; fields are named as options, such as model.width")
        part[last] = value
    changed: TrainConfig = from_dict(TrainConfig, values)
    return changed


def read_study(path: pathlib.Path) -> Study:
    """The study in a file of YAML or JSON.

    Raises:
      CommandError: there is no such file, or it holds no study.
    """
    values = read_values(path)
    if not isinstance(values, dict):
        raise CommandError(f"{path} is no study; expected description and variants")
    try:
        variants = values.get("variants")
        if not isinstance(variants, dict):
            raise ValueError("variants are missing; give names with a preset each, such as lif: {preset: digits}")
        made = {str(name): _variant(str(name), variant) for name, variant in variants.items()}
        known = {field.name for field in dataclasses.fields(Study)}
        unknown = sorted(values.keys() - known)
        if unknown:
            raise ValueError(f"unknown {', '.join(map(str, unknown))}; a study has {', '.join(sorted(known))}")
        others = {name: value for name, value in values.items() if name != "variants"}
        if isinstance(others.get("seeds"), list):
            others["seeds"] = tuple(others["seeds"])
        if isinstance(others.get("scales"), dict):  # YAML reads 16 as a number, and nothing as None
            others["scales"] = {str(name): fields or {} for name, fields in others["scales"].items()}
        return Study(**({"description": path.stem} | others | {"variants": made}))
    except (TypeError, ValueError) as error:
        raise CommandError(f"{path} is no study: {error}") from error


def _variant(name: str, values: Any) -> Variant:
    if not isinstance(values, dict) or set(values) - {"preset", "fields"} or "preset" not in values:
        raise ValueError(f"variant {name} is {values!r}; give preset, and fields that are other than there")
    return Variant(str(values["preset"]), values.get("fields") or {})
