"""What is set before each epoch and not learned, such as the temperature of a surrogate or thresholds."""

from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp

from hdlif_jax import nn
from hdlif_jax.learning import Batch


class Adjust(Protocol):
    """Sets what is set and not learned (`nn.Setting`) before each epoch of a `Trainer`'s run.

    It must give the same for the same arguments, so that a resumed run goes on exactly. A run that resumes within an
    epoch does not call it before the next.
    """

    def __call__(self, epoch: int, variables: nn.Variables, batch: Batch, /) -> nn.Variables:
        """The epoch, from 0, what was learned, and a training batch as the network reads it, not augmented."""


def adjusted(
    adjust: Adjust,
    epoch: int,
    model: nn.SpikingNetwork,
    variables: nn.Variables,
    batch: Batch,
    normalize: Callable[[jax.Array], jax.Array],
) -> nn.Variables:
    """What `adjust` gives for a batch of the dataset, as arrays that may be given away.

    Raises:
      TypeError: it gave no variables.
      ValueError: it gave variables of another network.
    """
    new = adjust(epoch, variables, Batch(normalize(batch.inputs), batch.labels))
    nn.with_variables(model, new)  # compares them
    copies: nn.Variables = jax.tree.map(jnp.copy, new)  # one array may stand for several leaves
    return copies
