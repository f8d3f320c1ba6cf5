"""A whole run."""

import dataclasses
import pathlib
from typing import Literal

from hdlif_jax.checks import Amount, Count, Recalibrate, Seed, check_fields
from hdlif_jax.commands import registry
from hdlif_jax.commands.config.data import DataConfig
from hdlif_jax.commands.config.fields import require
from hdlif_jax.commands.config.first import FirstConfig
from hdlif_jax.commands.config.learning import LearningConfig, OptimizerConfig
from hdlif_jax.commands.config.model import ModelConfig


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the result of a run, together with the package versions."""

    preset: str = "custom"
    """Name of the preset that this began as; custom where it began as none."""
    recipe: Literal["own", "common"] = "own"
    """Of the preset: own is how its paper trains; common has the augmentation, optimiser and epochs of HD-LIF, the same
    for all systems, so that they can be compared."""
    epochs: Count = 300
    """Passes over the training set."""
    batch_size: Count = 64
    """Images per update."""
    seed: Seed = 0
    """Of the initial kernels, the data order and the drawn time-steps."""
    first: FirstConfig = FirstConfig()
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    learning: LearningConfig = LearningConfig()
    recalibrate: Recalibrate = "auto"
    """Whether running statistics are estimated anew at the end, over all time-steps of training images: random_step
    moves those of early steps more often. auto: where that is better on the validation split, and not without one."""
    checkpoint_every_epochs: Count = 1
    """Epochs between checkpoints."""
    checkpoint_every_steps: Amount = 0
    """Batches between checkpoints within an epoch; 0 for none."""
    keep_checkpoints: Count = 2
    """How many of the newest checkpoints are kept; the one with the best validation accuracy is kept besides."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of convolutions and the currents and spikes between them while training. Parameters, statistics and membranes are
    float32 with either, and so is evaluation."""
    coherence_every: Amount = 0
    """Batches between comparisons of the online with the STBP gradient, on one batch; 0 for none."""

    @property
    def title(self) -> str:
        """What a run of this is called: its preset, or its own data."""
        if not self.data.is_own:
            return self.preset
        path = pathlib.Path(self.data.dir).resolve()
        is_version = path.name.replace(".", "").isdigit()  # of a dataset of tensorflow-datasets
        return f"{path.parent.name}-{path.name}" if is_version else path.name.removesuffix(".npz")

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for values that are none of a field, or do not go together."""
        check_fields(self)
        require(
            self.coherence_every == 0 or self.model.num_steps >= 2,
            f"coherence_every={self.coherence_every} with model.num_steps={self.model.num_steps}: at one time-step "
            "online and STBP gradients are the same; choose coherence_every=0 or model.num_steps ≥ 2",
        )
        require(
            self.coherence_every == 0 or not self.learning.is_of_sequences,
            f"coherence_every={self.coherence_every} with learning.loss={self.learning.loss}: online learning has no "
            "loss of whole sequences; choose coherence_every=0 or learning.loss=cross-entropy",
        )
        require(
            self.model.num_steps % (self.learning.stbp_segment or 1) == 0,
            f"learning.stbp_segment={self.learning.stbp_segment} does not divide "
            f"model.num_steps={self.model.num_steps}; choose a divisor",
        )
        rule = registry.RULES[self.learning.rule]
        require(
            not rule.has_teacher or self.first.use == "teacher",
            f"learning.rule={self.learning.rule} learns from a teacher, a network without spikes that is trained "
            "first; name it with first.preset, e.g. digits-ltl-teacher, and first.use=teacher",
        )
        require(
            rule.has_teacher or self.first.use != "teacher",
            f"first.use=teacher with learning.rule={self.learning.rule}, which learns from no teacher; choose "
            "first.use=weights, or learning.rule=layer-local",
        )
        if not self.data.is_own:
            self.check_kind(registry.DATASETS[self.data.name].is_sequence)
        require(
            self.learning.local_warmup < self.model.num_steps,
            f"learning.local_warmup={self.learning.local_warmup} leaves none of model.num_steps="
            f"{self.model.num_steps} to teach; choose fewer",
        )
        in_blocks = registry.NETWORKS[self.model.architecture].has_blocks
        for neuron in (self.model.neuron, self.model.second_neuron if in_blocks else self.model.neuron):
            traces = registry.NEURONS[neuron].traces(self.model)
            require(
                self.learning.trace == "none" or self.learning.trace in traces,
                f"learning.trace={self.learning.trace} is not of model.neuron={neuron} as it is, which has "
                f"{', '.join(traces) or 'no trace'}; choose learning.trace={(*traces, 'none')[0]}, or model.neuron=lif "
                "with model.lif.reset=soft and model.lif.order=charge-fire, which has all",
            )
        over_sequence = registry.NORMS[self.model.norm].over_sequence
        require(
            not over_sequence or (self.learning.rule == "stbp" and self.learning.stbp_segment is None),
            f"model.norm={self.model.norm} normalises all time-steps together, and learning.rule={self.learning.rule} "
            "sees them one by one; choose learning.rule=stbp without segments, or model.norm=batch-norm",
        )
        require(
            not over_sequence or self.coherence_every == 0,
            f"coherence_every={self.coherence_every} with model.norm={self.model.norm}: there is no online gradient "
            "through a norm over all time-steps; choose coherence_every=0 or model.norm=batch-norm",
        )
        if self.learning.rule == "random_k":
            require(
                self.learning.k <= self.model.num_steps,
                f"learning.k={self.learning.k} exceeds model.num_steps={self.model.num_steps}; choose k ≤ num_steps",
            )

    def check_kind(self, is_sequence: bool) -> None:
        """Checks all that depends on what inputs are, which of own data is known when it is opened.

        Raises:
          ValueError: frames, and what is for images.
        """
        self.data.check_kind(is_sequence)
        require(
            not (registry.RULES[self.learning.rule].has_teacher and is_sequence),
            f"learning.rule={self.learning.rule} compares rates with a teacher's activations of one image, and "
            f"{self.data.name} is made of sequences; choose another rule, or images",
        )
