"""A configuration from a file: a run's config.json, or the fields alone, as JSON or YAML."""

import json
import pathlib
import re
from typing import Any

from hdlif_jax.commands.config import SCHEMA, TrainConfig, from_dict
from hdlif_jax.commands.support.errors import CommandError

YAML = (".yaml", ".yml")


def read_config(path: pathlib.Path) -> TrainConfig:
    """The configuration in a file; fields that it does not name have their defaults.

    Raises:
      CommandError: there is no such file, it cannot be read, or it is no configuration.
    """
    values = read_values(path)
    if isinstance(values, dict) and "config" in values:  # that of a run
        if values.get("schema") != SCHEMA:
            raise CommandError(f"{path} has schema {values.get('schema')}, this version reads {SCHEMA}")
        values = values["config"]
    if not isinstance(values, dict):
        raise CommandError(f'{path} is no configuration; expected fields, such as {{"epochs": 3}}')
    try:
        config: TrainConfig = from_dict(TrainConfig, values)
    except (TypeError, ValueError) as error:
        raise CommandError(f"{path} is not a valid configuration: {error}") from error
    return config


def read_values(path: pathlib.Path) -> Any:
    """What a file of JSON or, by its ending, YAML holds.

    Raises:
      CommandError: there is no such file, or it cannot be read.
    """
    if not path.is_file():
        raise CommandError(f"{path} is no file; name a run's config.json, or a file of fields in JSON or YAML")
    return _yaml(path) if path.suffix.lower() in YAML else _json(path)


def _json(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text(), object_pairs_hook=_once)
    except ValueError as error:
        raise CommandError(f"{path} is not valid JSON ({error}); YAML files end in .yaml") from error


def _yaml(path: pathlib.Path) -> Any:
    try:
        import yaml  # comes with Flax
    except ImportError:
        raise CommandError(f"{path} needs the package PyYAML; write it as JSON instead") from None

    class Loader(yaml.SafeLoader):
        """YAML 1.2's numbers: 1e-3 is one, too; and no name twice, of which one would be lost."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            _once([(key.value, None) for key, _ in node.value if isinstance(key.value, str)])
            return super().construct_mapping(node, deep)

    number = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    try:
        return yaml.load(path.read_text(), Loader)  # a safe one
    except (yaml.YAMLError, ValueError) as error:
        raise CommandError(f"{path} is not valid YAML ({error})") from error


def _once(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} stands there twice")
    return dict(pairs)
