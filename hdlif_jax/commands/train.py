"""Trains a spiking network: `hdlif train [PRESET|--config FILE] [--field.name value ...]`."""

import dataclasses
import pathlib
import sys
from typing import Any, NamedTuple, TypeVar

from hdlif_jax.checks import Count, check_fields
from hdlif_jax.commands.config import TrainConfig
from hdlif_jax.commands.presets import PRESETS
from hdlif_jax.commands.support import cli, preset_help, stages
from hdlif_jax.commands.support.cli import conf, console, where_presets_are
from hdlif_jax.commands.support.config_file import read_config
from hdlif_jax.commands.support.entry import command
from hdlif_jax.commands.support.errors import CommandError
from hdlif_jax.commands.support.execution import Execution
from hdlif_jax.commands.support.near import did_you_mean
from hdlif_jax.commands.support.program import program
from hdlif_jax.commands.support.progress import phase
from hdlif_jax.commands.support.run_directory import RunDirectory

T = TypeVar("T")

DEFAULT_PRESET = "digits"


@dataclasses.dataclass(frozen=True)
class Arguments(TrainConfig):
    """A configuration and where to put its results."""

    preset: conf.Suppress[str] = DEFAULT_PRESET
    out: pathlib.Path | None = None
    """Run directory; runs/PRESET-TIME by default."""
    init_from: pathlib.Path | None = None
    """A run, a file that `training.save_weights` wrote, or a state_dict of a PyTorch network (.safetensors, or .pt with
    hdlif_jax[interop]): layers that fit start with its weights, the others are named and start as usual."""
    execution: conf.OmitArgPrefixes[Execution] = Execution()

    @property
    def config(self) -> TrainConfig:
        """The configuration alone."""
        return TrainConfig(**{field.name: getattr(self, field.name) for field in dataclasses.fields(TrainConfig)})


@dataclasses.dataclass(frozen=True)
class Moved:
    """Where data is now."""

    dir: str | None = None
    """Directory of prepared datasets, where it has moved."""


@dataclasses.dataclass(frozen=True)
class Resumption:
    """What may be another when a run goes on."""

    epochs: Count | None = None
    """Train to so many epochs in all, also a finished run. From here on the learning rate is that of a run of so many
    epochs, so that of a finished run rises again."""
    data: Moved = Moved()
    execution: conf.OmitArgPrefixes[Execution] = Execution()

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for values that are none of a field."""
        check_fields(self)


class Request(NamedTuple):
    """What a command line asks for.

    Attributes:
      directory: of the run.
      config: of the run.
      resumed: whether it goes on from a checkpoint.
      execution: how it is computed.
      init_from: a run or file whose weights it starts with; None for none.
    """

    directory: RunDirectory
    config: TrainConfig
    resumed: bool
    execution: Execution
    init_from: pathlib.Path | None = None


def parse_arguments(argv: list[str]) -> Request:
    """What the words of a command line ask for.

    Raises:
      CommandError: they ask for nothing that exists.
    """
    if "--resume" in argv:
        if argv[0] != "--resume" or len(argv) < 2:
            raise CommandError("--resume DIR comes first, and takes its configuration from DIR")
        resumption, unknown = parse(Resumption, Resumption(), argv[2:], "--resume DIR", "How to go on with a run.")
        if unknown:
            raise CommandError(
                f"--resume DIR takes its configuration from DIR; leave out {unknown[0]} (it can be followed by "
                f"{' '.join(option_names(Resumption()))})"
            )
        directory = RunDirectory(pathlib.Path(argv[1]))
        config = directory.config(resumption.data.dir)
        if resumption.epochs is not None:
            config = dataclasses.replace(config, epochs=resumption.epochs)
        return Request(directory, config, True, resumption.execution)
    if argv in (["-h"], ["--help"]):
        print(preset_help.overview(DEFAULT_PRESET))
        raise SystemExit(0)
    name, description, config, options = starting_point(argv)
    default = Arguments(**shallow(config))
    arguments, unknown = parse(Arguments, default, options, name, description)
    if unknown:
        names = option_names(default)
        raise CommandError(
            f"unknown option {unknown[0]}; {did_you_mean(unknown[0], names)}"
            f"`{program('train')} {name} --help` explains all"
        )
    if arguments.recipe != config.recipe:
        raise CommandError(f"--recipe is of a preset, and {name} is a configuration as it is; leave it out")
    if arguments.init_from is not None and not arguments.init_from.exists():
        raise CommandError(f"--init-from {arguments.init_from} does not exist; name a run or a file of weights")
    if arguments.first.preset is not None:
        stages.first_config(arguments.config)  # refuses what does not exist
        if arguments.init_from is not None and arguments.first.use == "weights":
            raise CommandError(
                f"--init-from {arguments.init_from} and first.preset={arguments.first.preset!r} both say what weights "
                "the run starts with; leave out one"
            )
    config = arguments.config
    directory = RunDirectory.of_now(config.title) if arguments.out is None else RunDirectory(arguments.out)
    return Request(directory, config, False, arguments.execution, arguments.init_from)


def starting_point(argv: list[str]) -> tuple[str, str, TrainConfig, list[str]]:
    """Words of the configuration that a command line starts from, what it is, itself, and the words after it.

    Raises:
      CommandError: it does not exist.
    """
    if "--config" in argv:
        if argv[0] != "--config" or len(argv) < 2:
            raise CommandError("--config FILE comes first, in place of a preset; options may follow")
        return f"--config {argv[1]}", f"As in {argv[1]}.", read_config(pathlib.Path(argv[1])), argv[2:]
    name, options = (DEFAULT_PRESET, argv) if not argv or argv[0].startswith("-") else (argv[0], argv[1:])
    if name not in PRESETS:
        raise CommandError(f"unknown preset {name!r}; {did_you_mean(name, PRESETS)}{where_presets_are()}")
    try:
        config = PRESETS[name].recipe(recipe_of(options))
    except ValueError as error:
        raise CommandError(str(error)) from error
    return name, preset_help.about(PRESETS[name]), config, options


def recipe_of(words: list[str]) -> str:
    """The recipe that options ask for, as it decides the defaults of all others."""
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == "--recipe":
            return value if equals else next(iter(words[index + 1 :]), "")
    return "own"


def parse(kind: type[T], default: T, words: list[str], name: str, description: str) -> tuple[T, list[str]]:
    """A dataclass from the command line, and the words that it does not know."""
    options = {"config": (conf.AvoidSubcommands,), "return_unknown_args": True}
    parsed: Any = cli.parse(kind, f"train {name}", words, description=description, default=default, **options)
    return parsed


def option_names(config: Any, prefix: str = "--") -> list[str]:
    """The command line's name of every field."""
    names = []
    for name, value in shallow(config).items():
        option = prefix + name.replace("_", "-")
        if isinstance(value, Execution):
            names += option_names(value)  # at the top level
            continue
        names += option_names(value, option + ".") if dataclasses.is_dataclass(value) else [option]
    return names


def shallow(config: Any) -> dict[str, Any]:
    """A dataclass' own fields."""
    return {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}


@command
def main() -> None:
    """Entry point."""
    directory, config, resumed, execution, init_from = parse_arguments(sys.argv[1:])
    if resumed and directory.is_finished and config.epochs == directory.config().epochs:
        console.print(
            f"{directory.path} is finished: its {config.epochs} epochs are done; see summary.json, or train it longer "
            f"with --resume {directory.path} --epochs {2 * config.epochs}"
        )
        return
    with phase("starting jax"):
        from hdlif_jax.commands.support.run import run

        execution.start()
    run(directory, config, resumed, execution, init_from)


if __name__ == "__main__":
    main()
