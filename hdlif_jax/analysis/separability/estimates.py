"""The gradient of any learning rule as an estimate of the full one: by what the rule hands to the optimiser."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hdlif_jax import xla_cpu
from hdlif_jax.analysis.separability.agreement import cosine, norm_ratio, relative
from hdlif_jax.learning import Batch, Learner, Loss, Rule, stbp
from hdlif_jax.learning.base import as_batch, check_rule, check_trains
from hdlif_jax.losses import SequenceLoss, check_loss
from hdlif_jax.nn import Network, Params, SpikingNetwork, Variables
from hdlif_jax.nn.forms import network_of
from hdlif_jax.nn.intercept import modules
from hdlif_jax.nn.needs import check_key, check_model

ALIKE = 8  # draws that are the same to the last bit: what draws nothing needs no more of them


Gradients = tuple[Params, Params]  # of the rule, and the full one


class GradientEstimate(NamedTuple):
    """A rule's gradient g against the full gradient S, for one parameter, one layer, or the network; floats.

    What is drawn, such as time-steps, is averaged over: E[g] is estimated from independent draws, and each square of
    it without the bias that the square of a mean has.

    Attributes:
      cosine: of the angle between E[g] and S; 1 if both are zero, 0 if one is.
      bias: ‖E[g] − S‖ / ‖S‖.
      variance: E‖g − E[g]‖² / ‖E[g]‖²; 0 where nothing is drawn, or only once.
      norm_ratio: ‖E[g]‖ / ‖S‖.
      draw_cosine: of the angle between one g and S, mean over the draws.
    """

    cosine: float
    bias: float
    variance: float
    norm_ratio: float
    draw_cosine: float


class RuleEstimates(NamedTuple):
    """The gradient of a rule on a batch against the full gradient.

    Attributes:
      network: all parameters together.
      layers: by module path, such as "stem" or "blocks.0.conv1".
      parameters: by parameter path, such as "blocks.0.conv1.kernel".
      draws: how many gradients were taken; 1 where nothing is drawn.
    """

    network: GradientEstimate
    layers: dict[str, GradientEstimate]
    parameters: dict[str, GradientEstimate]
    draws: int


class Sums(NamedTuple):
    """Squares and products of a rule's gradient g and the full gradient S, which add up from parameters to layers."""

    own: Any
    full: Any
    product: Any
    error: Any


def own_gradient(
    rule: Rule, network: Network, loss: Loss, variables: Variables, batch: Batch, key: jax.Array | None = None
) -> Params:
    """What a rule hands to the optimiser for a batch, at parameters that do not move.

    Of a rule with several updates it is their sum. Of a step loss it is a mean over the steps that teach, so that rules
    that take one step, some or all of them are of one size.

    Args:
      rule: of `learning`, or your own.
      network: in training form.
      loss: that the rule takes.
      variables: parameters and statistics.
      batch: inputs and labels.
      key: decides everything random.

    Raises:
      TypeError: a loss that the rule cannot use, or what is no rule, network, loss or key.
      ValueError: variables, inputs or labels that do not fit the network, or no key where one is needed.
    """
    check_rule(rule)
    check_trains(network, key)
    check_loss(loss)

    def collect(grads: Params, collected: Any, params: Params, learned: jax.Array) -> tuple[Params, Any]:
        total, steps = collected
        return params, (jax.tree.map(jnp.add, total, grads), steps + jnp.sum(learned, dtype=jnp.float32))

    nothing = jax.tree.map(jnp.zeros_like, variables.params)
    learner, _ = rule(network, loss, collect, Learner(variables, (nothing, jnp.float32(0))), as_batch(batch), key)
    total, steps = learner.opt_state
    return _mean_over_steps(total, loss, steps)


def with_reset_gradient(model: SpikingNetwork) -> SpikingNetwork:
    """A copy whose neurons have the reset in their gradient: those with an option `detach` have it off.

    Parameters and spikes are the same. A neuron of your own that cuts its reset in its code stays as it is.

    Raises:
      TypeError: what is no model.
    """
    check_model(model)
    copy: Any = nnx.clone(cast(nnx.Module, model))
    module: Any
    for _, module in modules(copy):
        options: Any = getattr(module, "options", None)
        if getattr(options, "detach", False):
            module.options = dataclasses.replace(options, detach=False)
    whole: SpikingNetwork = copy
    return whole


class CompareRule(Protocol):
    """A comparison of a rule, compiled once for all batches of a shape."""

    def __call__(self, variables: Variables, batch: Batch, keys: Sequence[jax.Array | None] = (None,)) -> RuleEstimates:
        """Compares the rule's gradient of a batch with the full one; one draw for each key, which cells draw by, too.

        Raises:
          TypeError: what is no key.
          ValueError: no keys, or variables, inputs or labels that do not fit the network.
        """


def make_rule_comparison(network: Network, rule: Rule, loss: Loss, *, full_loss: Loss | None = None) -> CompareRule:
    """Builds `(variables, batch, keys) -> RuleEstimates`, one jitted computation for all batches of a shape.

    The full gradient is that of `learning.stbp` on the same network with the reset in the gradient, as a mean over the
    steps. It runs layer by layer where the rule does, so that the numbers differ in nothing but the gradient.

    Args:
      network: in training form, such as `training_form(model)`.
      rule: of `learning`, or your own.
      loss: that the rule takes.
      full_loss: of the full gradient; the same by default, of a step loss summed over the steps. A rule whose own loss
        nobody could differentiate through the network, such as one of single layers, needs another.

    Raises:
      TypeError: what is no network, rule or loss.
      ValueError: a network of your own functions, whose neurons nobody can look at.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from hdlif_jax import learning, losses, nn
      >>> from hdlif_jax.analysis import separability
      >>> spec = nn.Spec(num_steps=3, neuron=nn.lif())
      >>> model = nn.mlp((8,), 3, widths=(16,), spec=spec, rngs=nnx.Rngs(0))
      >>> batch = learning.Batch(2 * jax.random.normal(jax.random.key(0), (6, 8)), jnp.arange(6) % 3)
      >>> network, loss = nn.training_form(model), losses.cross_entropy()
      >>> compare = separability.make_rule_comparison(network, learning.accumulate(), loss)
      >>> estimate = compare(nn.variables_of(model), batch)
      >>> estimate.draws, 0 < estimate.network.cosine < 1, estimate.layers["layers.2"].bias < 1e-6
      (1, True, True)
    """
    check_trains(network)
    check_rule(rule)
    check_loss(loss)
    if network.model is None:
        raise ValueError(
            "the network is of your own functions, and nobody can look at its neurons' reset; make it with "
            "training_form(model)"
        )
    full_loss = loss if full_loss is None else full_loss
    check_loss(full_loss)
    reference, full_rule = network_of(with_reset_gradient(network.model), network.form), stbp(layerwise=rule.layerwise)

    @jax.jit
    def draw(
        variables: Variables, batch: Batch, key: jax.Array | None
    ) -> tuple[tuple[Params, Params], dict[str, Sums]]:
        full = full_rule.gradient(reference, full_loss, variables, batch, key).grads
        # The barrier keeps XLA from running both at once, in the memory of both.
        variables, full = xla_cpu.barrier((variables, _mean_over_steps(full, full_loss, network.num_steps)))
        gradients = own_gradient(rule, network, loss, variables, batch, key), full
        return gradients, _sums(gradients)

    sums_of = jax.jit(_sums)

    def compare(variables: Variables, batch: Batch, keys: Sequence[jax.Array | None] = (None,)) -> RuleEstimates:
        if not len(keys):
            raise ValueError("keys is empty; give at least one, e.g. jax.random.split(jax.random.key(0), 32)")
        batch, total, drawn = as_batch(batch), None, list[dict[str, Sums]]()
        for key in keys:
            check_key(key)
            gradients, sums = draw(variables, batch, key)
            total = gradients if total is None else jax.tree.map(jnp.add, total, gradients)
            drawn.append(_on_host(sums))
            if len(drawn) == ALIKE and all(each == drawn[0] for each in drawn):
                drawn = drawn[:1]
                break
        draws = len(drawn)
        mean = drawn[0] if draws == 1 else _on_host(sums_of(jax.tree.map(lambda leaf: leaf / draws, total)))

        def of(paths: Sequence[str]) -> GradientEstimate:
            return _estimate([_total(each, paths) for each in drawn], _total(mean, paths))

        layers: dict[str, list[str]] = {}
        for path in mean:
            layers.setdefault(path.rpartition(".")[0], []).append(path)
        return RuleEstimates(
            of(list(mean)),
            {layer: of(paths) for layer, paths in layers.items()},
            {path: of([path]) for path in mean},
            draws,
        )

    return compare


def _mean_over_steps(grads: Params, loss: Loss, steps: Any) -> Params:
    if isinstance(loss, SequenceLoss):
        return grads
    mean: Params = jax.tree.map(lambda leaf: leaf / jnp.asarray(steps, leaf.dtype), grads)
    return mean


def _sums(gradients: Gradients) -> dict[str, Sums]:
    """By parameter path."""

    def of(own: jax.Array, full: jax.Array) -> Sums:
        return Sums(jnp.sum(own**2), jnp.sum(full**2), jnp.sum(own * full), jnp.sum((own - full) ** 2))

    own, full = gradients
    return {
        ".".join(str(entry.key) for entry in path): of(estimate, reference)
        for (path, estimate), reference in zip(
            jax.tree_util.tree_leaves_with_path(own), jax.tree.leaves(full), strict=True
        )
    }


def _on_host(sums: dict[str, Sums]) -> dict[str, Sums]:
    return {path: Sums(*map(float, part)) for path, part in jax.device_get(sums).items()}


def _total(sums: dict[str, Sums], paths: Sequence[str]) -> Sums:
    return Sums(*(sum(parts) for parts in zip(*(sums[path] for path in paths), strict=True)))


def _estimate(drawn: list[Sums], of_mean: Sums) -> GradientEstimate:
    """The estimate from the sums of each draw, and those of the mean of all draws."""
    draws, mean = len(drawn), Sums(*np.mean(drawn, axis=0))
    # E[x]·E[y] from the products of different draws alone: (n² x̄·ȳ − Σ x_k·y_k) / n(n − 1).
    expected = of_mean if draws == 1 else Sums(*((draws * np.array(of_mean) - mean) / (draws - 1)))
    own, full, error = (np.maximum(square, 0) for square in (expected.own, expected.full, expected.error))
    cosines = [cosine(*map(np.float64, (each.product, each.own, each.full))) for each in drawn]
    return GradientEstimate(
        float(cosine(np.float64(expected.product), own, full)),
        float(relative(np.sqrt(error), np.sqrt(full))),
        float(relative(np.maximum(mean.own - own, 0) if draws > 1 else np.float64(0), own)),
        float(norm_ratio(np.sqrt(own), np.sqrt(full))),
        float(np.mean(cosines)),
    )
