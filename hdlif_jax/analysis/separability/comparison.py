"""Online gradients of a whole network against STBP: layer by layer, parameter by parameter, step by step."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax import xla_cpu
from hdlif_jax.analysis.separability.agreement import Agreement, AgreementSums, agreement, agreement_sums, relative
from hdlif_jax.analysis.separability.gradients import online_gradients, stbp_gradients
from hdlif_jax.learning import Batch, Loss
from hdlif_jax.learning.base import check_step_loss
from hdlif_jax.nn import Network, Params, Variables
from hdlif_jax.nn.needs import check_key, check_network


class Estimator(NamedTuple):
    """T·g_{t*}, the gradient of one random step scaled up, as an estimator; float64 scalars.

    Attributes:
      bias_accumulate: ‖E[T g_{t*}] − A‖ / ‖A‖ for the sum A of all steps' online gradients. Zero up to rounding, as t*
        is uniform: E[T g_{t*}] = Σ_t g_t = A.
      bias_stbp: ‖E[T g_{t*}] − S‖ / ‖S‖ for the STBP gradient S; what online learning leaves out.
      variance: E‖T g_{t*} − A‖² / ‖A‖².
      squared_error_stbp: E‖T g_{t*} − S‖² / ‖S‖², that is, bias² and variance together.
    """

    bias_accumulate: np.ndarray
    bias_stbp: np.ndarray
    variance: np.ndarray
    squared_error_stbp: np.ndarray


class RuleComparison(NamedTuple):
    """The learning rules against STBP for one parameter, one layer, or the network.

    Attributes:
      accumulate: of the sum of all steps' online gradients.
      random_step: of T times the gradient of one step t*, each measure averaged over t* = 1…T.
      random_step_estimator: the same gradient as an estimator.
    """

    accumulate: Agreement
    random_step: Agreement
    random_step_estimator: Estimator


class Comparison(NamedTuple):
    """The online gradients of a batch against the STBP gradient.

    Attributes:
      network: all parameters together.
      layers: by module path, such as "stem" or "blocks.0.conv1".
      parameters: by parameter path, such as "blocks.0.conv1.kernel".
      membrane: by path of the neuron layer, ∂L_t/∂m_t against ∂L/∂m_t; every measure is `[T]`.
    """

    network: RuleComparison
    layers: dict[str, RuleComparison]
    parameters: dict[str, RuleComparison]
    membrane: dict[str, Agreement]


class ParameterSums(NamedTuple):
    """Of one parameter, or of several together, the scaled random steps T g_1, …, T g_T and, last, their mean.

    Attributes:
      stbp: against the STBP gradient S; each `[T + 1]`.
      accumulate: ‖· − A‖², the squared distances from the sum A of all steps' gradients `[T + 1]`.
    """

    stbp: AgreementSums
    accumulate: jax.Array


class GradientSums(NamedTuple):
    """What `Comparison` is made of, as it leaves the device.

    Attributes:
      params: by parameter path.
      membrane: of ∂L_t/∂m_t against ∂L/∂m_t by path of the neuron layer, each `[T]`.
    """

    params: dict[str, ParameterSums]
    membrane: dict[str, AgreementSums]


def gradient_sums(
    network: Network,
    loss: Loss,
    variables: Variables,
    batch: Batch,
    *,
    key: jax.Array | None = None,
    unroll: bool | None = None,
) -> GradientSums:
    """All gradients of a batch, reduced to the sums that measure their agreement; arguments as `make_comparison`."""
    _check_steps(network)
    _check_inputs(batch.inputs)
    step_loss = check_step_loss("a comparison with online learning", loss)
    options: dict[str, Any] = {"key": key, "unroll": unroll}
    reference = stbp_gradients(network, step_loss, variables, batch, **options)
    # The barriers keep XLA from running both at once, and from computing gradients again for each sum over them.
    variables, reference = xla_cpu.barrier((variables, reference))
    online = online_gradients(network, step_loss, variables, batch, **options)
    reference, online = xla_cpu.barrier((reference, online))

    def of_parameter(per_step: jax.Array, stbp: jax.Array) -> ParameterSums:
        per_step = per_step.reshape(network.num_steps, -1)
        estimates = network.num_steps * per_step  # all that the scaled random step can be
        estimates = jnp.concatenate([estimates, jnp.mean(estimates, axis=0, keepdims=True)])
        accumulated = jnp.sum(per_step, axis=0, keepdims=True)
        distances = jnp.sum((estimates - accumulated) ** 2, axis=1)
        return ParameterSums(agreement_sums(estimates, stbp.reshape(1, -1)), distances)

    def of_membrane(estimates: jax.Array, stbp: jax.Array) -> AgreementSums:
        return agreement_sums(estimates.reshape(network.num_steps, -1), stbp.reshape(network.num_steps, -1))

    return GradientSums(
        _by_path(of_parameter, online.params, reference.params),
        {path: of_membrane(online.membrane[path], reference.membrane[path]) for path in reference.membrane},
    )


class Compare(Protocol):
    """A comparison, compiled once for all batches of a shape."""

    def __call__(self, variables: Variables, batch: Batch, key: jax.Array | None = None) -> Comparison:
        """Compares the gradients of a batch; `key` is for cells that draw.

        Raises:
          ValueError: a network that does not record, inputs that are not finite, or inputs or labels that do not fit
            the network.
        """


def make_comparison(network: Network, loss: Loss, *, unroll: bool | None = None) -> Compare:
    """Builds `(variables, batch, key=None) -> Comparison`, one jitted computation for all batches of a shape.

    The rules share their per-step gradients g_t: on a fixed batch `accumulate` is Σ g_t, and `random_step` has only T
    possible values, g_1…g_T, equally likely. So its mean, bias and variance are computed exactly from the g_t instead
    of sampled. BatchNorm does not disturb this: in training form it normalises with the batch's moments, whichever
    steps learn, and the parameters stay fixed within the batch.

    A comparison costs one STBP step, one `accumulate` step and sums: less than three STBP steps. It changes nothing:
    the running statistics that the steps would move are dropped.

    Args:
      network: in training form, recording (`training_form(model, record=True)`), T ≥ 2.
      loss: `(logits [B, K], labels) -> scalar` of one step; the loss is the sum over the steps.
      unroll: None unrolls the time loops on CPU, which takes long to compile for large T but runs fast; see
        `rollout.over_steps`.

    Returns:
      A function of the variables and of a batch: static inputs `[B, ...]` or sequences `[T, B, ...]`, and labels, `[B]`
      integers or `[B, K]` distributions.

    Raises:
      TypeError: a loss of the whole sequence, which online learning does not have, or what is no network or loss.
      ValueError: T = 1, or a network that does not record.
    """
    _check_steps(network)
    check_step_loss("a comparison with online learning", loss)

    @jax.jit
    def compute(variables: Variables, batch: Batch, key: jax.Array | None) -> GradientSums:
        return gradient_sums(network, loss, variables, batch, key=key, unroll=unroll)

    def compare(variables: Variables, batch: Batch, key: jax.Array | None = None) -> Comparison:
        check_key(key)
        _check_inputs(batch.inputs)  # here, where the values can still be seen
        sums = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), compute(variables, batch, key))
        by_layer: dict[str, list[ParameterSums]] = {}
        for path, parameter_sums in sums.params.items():
            by_layer.setdefault(path.rpartition(".")[0], []).append(parameter_sums)
        return Comparison(
            _compare(list(sums.params.values())),
            {path: _compare(parts) for path, parts in by_layer.items()},
            {path: _compare([part]) for path, part in sums.params.items()},
            {path: agreement(membrane_sums) for path, membrane_sums in sums.membrane.items()},
        )

    return compare


def _check_steps(network: Network) -> None:
    check_network(network, records=True)
    if network.num_steps < 2:
        raise ValueError(
            "the network has num_steps=1, where online and STBP gradients are the same; build it with num_steps ≥ 2"
        )


def _check_inputs(inputs: jax.Array) -> None:
    if not isinstance(inputs, jax.core.Tracer) and not np.all(np.isfinite(np.asarray(inputs))):
        raise ValueError(f"inputs of shape {inputs.shape} are not all finite; remove what is not before the comparison")


def _by_path(
    function: Callable[[jax.Array, jax.Array], ParameterSums], estimates: Params, references: Params
) -> dict[str, ParameterSums]:
    return {
        ".".join(str(entry.key) for entry in path): function(estimate, reference)
        for (path, estimate), reference in zip(
            jax.tree_util.tree_leaves_with_path(estimates), jax.tree.leaves(references), strict=True
        )
    }


def _compare(parts: list[ParameterSums]) -> RuleComparison:
    """The comparison of some parameters together."""
    sums = jax.tree.map(lambda *leaves: np.sum(leaves, axis=0), *parts)
    measures = agreement(sums.stbp)
    accumulated_square, stbp_square = sums.stbp.estimate_square[-1], sums.stbp.reference_square[-1]
    return RuleComparison(
        Agreement(*(measure[-1] for measure in measures)),
        Agreement(*(np.mean(measure[:-1]) for measure in measures)),
        Estimator(
            relative(np.sqrt(sums.accumulate[-1]), np.sqrt(accumulated_square)),
            measures.relative_error[-1],
            relative(np.mean(sums.accumulate[:-1]), accumulated_square),
            relative(np.mean(sums.stbp.error_square[:-1]), stbp_square),
        ),
    )
