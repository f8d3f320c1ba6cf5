"""What a preset is: a named configuration, what it is for, and the figures that a paper reports for it."""

from typing import NamedTuple

from hdlif_jax.commands.config import TrainConfig


class PaperFigures(NamedTuple):
    """What the paper reports for a configuration; None where it reports nothing.

    Attributes:
      source: the table, and the row where it has a name.
      accuracy: test accuracy in %.
      param_mb: memory of convolution and linear weights in 10⁶ bytes.
      sops_m: synaptic operations per image in millions.
      nops_m: neural operations per image in millions.
      power_mj: energy per image in millijoules.
    """

    source: str
    accuracy: float | None = None
    param_mb: float | None = None
    sops_m: float | None = None
    nops_m: float | None = None
    power_mj: float | None = None

    def __str__(self) -> str:
        figures = {
            "{:.2f} %": self.accuracy,
            "{:.2f} MB": self.param_mb,
            "{:.2f} M SOPs": self.sops_m,
            "{:.2f} M NOPs": self.nops_m,
            "{:.2f} mJ": self.power_mj,
        }
        reported = [text.format(value) for text, value in figures.items() if value is not None]
        return f"paper, {self.source}: {', '.join(reported) or 'no figure'}"


class Preset(NamedTuple):
    """A configuration, what it is for, and what the paper reports for it.

    Attributes:
      description: in a line or two.
      config: its own recipe.
      paper: what the paper at hand reports for it.
      common: the same network, neurons, loss and rule by the recipe that all systems are compared with; None for none.
      param_mb: memory of convolution and linear weights in 10⁶ bytes, where it is not what the paper prints.
      source: what the system's own paper or code reports; None for nothing that is known.
      note: where the paper's figure is not one of this system, or this configuration not known to be the system's.
    """

    description: str
    config: TrainConfig
    paper: PaperFigures | None = None
    common: TrainConfig | None = None
    param_mb: float | None = None
    source: str | None = None
    note: str | None = None

    def recipe(self, name: str) -> TrainConfig:
        """The configuration of a recipe.

        Raises:
          ValueError: it has no such recipe.
        """
        if name == "own":
            return self.config
        if name != "common" or self.common is None:
            raise ValueError(f"preset {self.config.preset} has no recipe {name!r}; leave out --recipe for its own")
        return self.common
