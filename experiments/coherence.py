"""How coherent online and STBP gradients are while a run trains: `--coherence-every N`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax import nn
from hdlif_jax.analysis.separability import make_comparison
from hdlif_jax.training import Trainer, build_model, normalize, smoothed_cross_entropy
from hdlif_jax.training.feeds import time_major

COMPARED_IMAGES = 64


def comparison_batch(trainer: Trainer) -> tuple[jax.Array, jax.Array]:
    """The first training images `[B, H, W, C]` or sequences `[T, B, H, W, C]`, not augmented, and their labels."""
    images, labels = trainer.train.read(np.arange(min(COMPARED_IMAGES, trainer.train.shape[0])))
    inputs = normalize(jnp.asarray(images), trainer.dataset.mean, trainer.dataset.std)
    return time_major(inputs), jnp.asarray(labels)


def coherence_observer(
    trainer: Trainer, write: Callable[[dict[str, Any]], None]
) -> Callable[[int, nn.Variables], None]:
    """Builds what `Events.on_state` wants: every N batches a comparison on one fixed batch, given to `write`.

    Where one call to the device runs many batches, the comparison comes after the call that completes N of them.

    A record has the step and, between the accumulated online gradient and STBP, `cosine` of the whole network and
    `cosine_per_layer`; and `random_step_variance` and `bias_stbp` of the random step as an estimator.

    Args:
      trainer: the run; its configuration says how often. Nothing is compiled before the first comparison.
      write: takes the records.
    """
    config, dataset = trainer.config, trainer.dataset
    if not config.coherence_every:
        return lambda step, variables: None
    model = build_model(config.model, dataset.input_shape, dataset.num_classes, config.seed)
    loss_function = smoothed_cross_entropy(config.learning.label_smoothing)
    compare = make_comparison(nn.training_form(model, record=True), loss_function)
    inputs, labels = comparison_batch(trainer)

    observed = -1  # how many times N batches had been seen at the last comparison

    def observe(step: int, variables: nn.Variables) -> None:
        nonlocal observed
        seen = step // config.coherence_every
        resumed_between = observed < 0 and step % config.coherence_every
        if seen == observed or resumed_between:
            observed = seen
            return
        observed = seen
        result = compare(variables, inputs, labels)
        write(
            {
                "step": step,
                "epoch": step / trainer.steps_per_epoch,
                "cosine": float(result.network.accumulate.cosine),
                "cosine_per_layer": {
                    layer: float(comparison.accumulate.cosine) for layer, comparison in result.layers.items()
                },
                "random_step_variance": float(result.network.random_step_estimator.variance),
                "bias_stbp": float(result.network.random_step_estimator.bias_stbp),
            }
        )

    return observe
