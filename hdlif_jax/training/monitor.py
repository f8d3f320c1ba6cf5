"""Warns of layers that cannot learn because they never fire, or always do."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import nnx

from hdlif_jax import nn, rollout
from hdlif_jax.learning import Rule
from hdlif_jax.neurons import surrogates


def make_firing_rates(
    model: nn.SpikingNetwork, rule: Rule, normalize: Callable[[jax.Array], jax.Array], seed: int
) -> Callable[[nn.Variables, jax.Array], dict[str, jax.Array]]:
    """Builds `(variables, inputs) -> rates`, the share of firing neurons by layer on inputs of a dataset, for jit."""
    # By the batch's own statistics, which are sound before any training.
    recording = nn.training_form(_without_noise(model), record=True)

    def firing_rates(variables: nn.Variables, inputs: jax.Array) -> dict[str, jax.Array]:
        key = jax.random.key(seed)
        return rollout.firing_rates(recording, variables, normalize(inputs), key=key, layerwise=rule.layerwise)

    return firing_rates


def _without_noise(model: nn.SpikingNetwork) -> nn.SpikingNetwork:
    """A copy in which what noise hands on in place of spikes does not count as firing."""
    copy = nnx.clone(model)
    module: Any
    for _, module in nn.modules(copy):
        surrogate = module.options.surrogate if isinstance(module, nn.LIFCell) else None
        if isinstance(surrogate, surrogates.smooth_step):
            quiet = dataclasses.replace(surrogate, noise=0.0)
            module.options = dataclasses.replace(module.options, surrogate=quiet)
    return copy


def firing_problems(firing_rates: Mapping[str, float]) -> list[str]:
    """One line for each layer that is silent or saturated, with its name and what to do.

    Args:
      firing_rates: share of firing neurons by layer, from `rollout.firing_rates`.
    """
    problems = []
    for layer, rate in firing_rates.items():
        if not rate > 0:
            problems.append(
                f"{layer} never fires on this batch, so nothing behind it learns: lower its threshold, "
                "put a BatchNorm before it, or lower the learning rate"
            )
        elif rate >= 1:
            problems.append(
                f"{layer} fires everywhere on this batch, so it passes no information by firing: raise its threshold, "
                "put a BatchNorm before it, or lower the learning rate"
            )
    return problems


def warn_of_firing(firing_rates: Mapping[str, float], tell: Callable[[str], None]) -> None:
    """Tells of each layer that is silent or saturated."""
    for problem in firing_problems(firing_rates):
        tell(problem)
