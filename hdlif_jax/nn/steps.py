"""A network with another number of time-steps than it was built for."""

from typing import Any, cast

from flax import nnx

from hdlif_jax.checks import Count, check
from hdlif_jax.nn.cell import PerStepParam, PerStepStat
from hdlif_jax.nn.intercept import modules
from hdlif_jax.nn.needs import check_model
from hdlif_jax.nn.network import SpikingNetwork


def with_num_steps(model: SpikingNetwork, num_steps: int) -> SpikingNetwork:
    """A copy of a model that runs for another number of time-steps.

    Parameters and statistics of each step are those of the first steps; others are shared over time and stay.

    Args:
      model: any network; its modules keep nothing else that depends on T than `PerStepParam`, `PerStepStat` and
        `num_steps`.
      num_steps: fewer than the model's, or more where all parameters are shared over time.

    Raises:
      TypeError: what is no model, or no integer.
      ValueError: more steps than a parameter has entries, or none.

    Example:
      >>> from flax import nnx
      >>> from hdlif_jax import nn
      >>> model = nn.mlp((8,), 3, widths=(16,), spec=nn.Spec(num_steps=6, neuron=nn.hd_lif()), rngs=nnx.Rngs(0))
      >>> shorter = nn.with_num_steps(model, 2)
      >>> shorter.num_steps, shorter.layers[1].raw_decay.shape
      (2, (2,))
    """
    check_model(model)
    num_steps = check("num_steps", num_steps, Count)
    copy: Any = nnx.clone(cast(nnx.Module, model))
    module: Any
    for path, module in modules(copy):
        for name, value in vars(module).items():
            if isinstance(value, PerStepParam | PerStepStat):
                entries = value[...]
                if num_steps > len(entries):
                    raise ValueError(
                        f"{path}.{name} has an entry for each of {len(entries)} time-steps and none for more; run at "
                        f"most {len(entries)}, or train with num_steps={num_steps}"
                    )
                value.set_value(entries[:num_steps])
        if getattr(module, "num_steps", None) == model.num_steps:
            module.num_steps = num_steps
    shorter_or_longer: SpikingNetwork = copy
    return shorter_or_longer
