"""How coherent online and STBP gradients are while a network trains."""

from collections.abc import Callable
from typing import Any

import jax

from hdlif_jax.analysis.separability.comparison import make_comparison
from hdlif_jax.learning import Batch, Loss
from hdlif_jax.nn import SpikingNetwork, Variables, training_form
from hdlif_jax.nn.needs import check_key

Observer = Callable[[int, Variables], None]


def coherence_observer(
    model: SpikingNetwork,
    loss: Loss,
    batch: Batch,
    write: Callable[[dict[str, Any]], None],
    *,
    every: int,
    steps_per_epoch: int,
    key: jax.Array | None = None,
) -> Observer:
    """Builds `(step, variables)`, to be called after every batch or several: every N batches it compares gradients.

    Where one call to the device runs many batches, the comparison comes after the call that completes N of them; and
    none comes before N more are complete where a run goes on between two comparisons.

    A record has the step and, between the accumulated online gradient and STBP, `cosine` of the whole network and
    `cosine_per_layer`; and `random_step_variance` and `bias_stbp` of the random step as an estimator.

    Args:
      model: the network that is trained; its parameters do not matter. Nothing is compiled before the first comparison.
      loss: `(logits [B, K], labels) -> scalar` of one step.
      batch: on which gradients are compared, the same at all times.
      write: takes the records.
      every: N ≥ 1.
      steps_per_epoch: number of batches, for the records.
      key: for cells that draw.

    Raises:
      TypeError: a loss of the whole sequence, which online learning does not have, or what is no model or key.
      ValueError: N < 1, or a network of one time-step.
    """
    if every < 1:
        raise ValueError(f"every={every} must be at least 1: it is the number of batches between two comparisons")
    check_key(key)
    compare = make_comparison(training_form(model, record=True), loss)
    observed = -1  # how many times N batches had been seen at the last comparison

    def observe(step: int, variables: Variables) -> None:
        nonlocal observed
        seen = step // every
        resumed_between = observed < 0 and step % every
        if seen == observed or resumed_between:
            observed = seen
            return
        observed = seen
        result = compare(variables, batch, key)
        estimator = result.network.random_step_estimator
        write(
            {
                "step": step,
                "epoch": step / steps_per_epoch,
                "cosine": float(result.network.accumulate.cosine),
                "cosine_per_layer": {
                    layer: float(comparison.accumulate.cosine) for layer, comparison in result.layers.items()
                },
                "random_step_variance": float(estimator.variance),
                "bias_stbp": float(estimator.bias_stbp),
            }
        )

    return observe
