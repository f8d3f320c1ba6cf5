"""Losses as values: of one time-step's logits, and of a whole sequence's, built from one another.

A step loss is any function `(logits [B, K], labels) -> scalar`; your own is as good as one of these. A sequence loss
sees all steps at once, so only the full gradient through time can use it. Labels are integers `[B]`, or distributions
`[B, K]` where images were mixed. Logits of another rank than `[B, K]` are an AssertionError of a step loss. A label of
no class is a ValueError where its value can be seen, and else makes the loss NaN.
"""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from hdlif_jax.checks import Positive, Probability, Share, check_arguments, check_fields

# Classes that are called as functions and named as such.
# ruff: noqa: N801

StepLoss = Callable[[jax.Array, jax.Array], jax.Array]  #: `(logits [B, K], labels) -> scalar`


@dataclasses.dataclass(frozen=True)
class SequenceLoss:
    """A loss of all time-steps.

    Attributes:
      function: `(logits [T, B, K], labels) -> scalar`.
      name: in messages.
    """

    function: Callable[[jax.Array, jax.Array], jax.Array]
    name: str = "sequence loss"

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        """Logits `[T, B, K]` and labels to the loss, scalar.

        Raises:
          ValueError: logits of another rank.
        """
        if logits.ndim != 3:
            raise ValueError(f"{self.name} got {logits.shape}; expected [T, B, K], the logits of all time-steps")
        return self.function(logits, labels)


@dataclasses.dataclass(frozen=True)
class cross_entropy:
    """Softmax cross-entropy, mean over the batch.

    Attributes:
      label_smoothing: share of the target that is spread over all classes.

    Raises:
      ValueError: a share out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> from hdlif_jax import losses
      >>> round(float(losses.cross_entropy()(jnp.zeros((2, 4)), jnp.array([0, 3]))), 4)  # log 4
      1.3863
    """

    label_smoothing: Share = 0.0

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        """Logits `[B, K]` and labels to the loss, scalar."""
        targets = optax.smooth_labels(as_distribution(logits, labels), self.label_smoothing)
        return jnp.mean(optax.softmax_cross_entropy(logits, targets))


@dataclasses.dataclass(frozen=True)
class mean_squared_error:
    """Squared distance of the logits from `height` times the target distribution, mean over batch and classes."""

    height: Positive = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        """Logits `[B, K]` and labels to the loss, scalar."""
        return jnp.mean(jnp.square(logits - self.height * as_distribution(logits, labels)))


@dataclasses.dataclass(frozen=True)
class distance_to:
    """Squared distance of all logits from a constant, mean over batch and classes; TET's regulariser."""

    constant: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        """Logits `[B, K]` to the loss, scalar; the labels do not matter."""
        _check_step(logits)
        return jnp.mean(jnp.square(logits - self.constant))


@dataclasses.dataclass(frozen=True)
class weighted:
    """A weighted sum of step losses, such as `weighted((0.95, cross_entropy()), (0.05, mean_squared_error()))`."""

    parts: tuple[tuple[float, StepLoss], ...]

    def __init__(self, *parts: tuple[float, StepLoss]):
        if not parts:
            raise ValueError("a weighted loss needs at least one (weight, loss)")
        for part in parts:
            if not isinstance(part, tuple) or len(part) != 2:
                raise TypeError(f"{part!r} is no part of a weighted loss; give pairs such as (0.95, cross_entropy())")
            check_loss(part[1])
        object.__setattr__(self, "parts", parts)
        check_fields(self)

    def __call__(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        """Logits `[B, K]` and labels to the loss, scalar."""
        _check_step(logits)
        return sum((weight * loss(logits, labels) for weight, loss in self.parts), jnp.zeros((), logits.dtype))


@check_arguments
def of_mean_output(loss: StepLoss) -> SequenceLoss:
    """The loss of the mean of all steps' logits.

    Example:
      >>> import jax.numpy as jnp
      >>> from hdlif_jax import losses
      >>> loss = losses.of_mean_output(losses.mean_squared_error())
      >>> logits = jnp.float32([[[0, 2]], [[2, 0]]])  # [T, B, K], of mean (1, 1)
      >>> float(loss(logits, jnp.array([1])))
      0.5
    """
    check_loss(loss)
    return SequenceLoss(_MeanOutput(loss), f"of_mean_output({loss})")


@check_arguments
def of_each_step(loss: StepLoss) -> SequenceLoss:
    """The mean over the steps of each step's loss."""
    check_loss(loss)
    return SequenceLoss(_EachStep(loss), f"of_each_step({loss})")


@dataclasses.dataclass(frozen=True)
class _MeanOutput:
    loss: StepLoss

    def __call__(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        return self.loss(jnp.mean(logits, 0), labels)


@dataclasses.dataclass(frozen=True)
class _EachStep:
    loss: StepLoss

    def __call__(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        return jnp.mean(jnp.stack([self.loss(step_logits, labels) for step_logits in logits]))


@check_arguments
def tet(loss: StepLoss = cross_entropy(), *, weight: Probability = 0.05, constant: float = 1.0) -> SequenceLoss:
    """TET: (1 − λ) times the mean of each step's loss, plus λ times the distance of all logits from a constant.

    Deng et al., "Temporal Efficient Training of Spiking Neural Network via Gradient Re-weighting" (ICLR 2022).

    Args:
      loss: of a step.
      weight: λ in [0, 1].
      constant: φ.

    Raises:
      ValueError: a weight out of range.
    """
    return of_each_step(weighted((1 - weight, loss), (weight, distance_to(constant))))


def as_distribution(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Labels as distributions `[B, K]` in the type of the logits `[B, K]`; a traced label of no class is NaN.

    Raises:
      TypeError: labels `[B]` that are no integers.
      ValueError: labels of another shape, or of no class.
    """
    _check_step(logits)
    check_labels(logits.shape, labels)
    if labels.ndim == 2:
        return labels.astype(logits.dtype)
    return one_hot(labels, logits.shape[-1], logits.dtype)


def one_hot(labels: jax.Array, num_classes: int, dtype: jax.typing.DTypeLike = jnp.float32) -> jax.Array:
    """Integer labels `[B]` as distributions `[B, K]`; a traced label of no class is NaN, not zeros as in JAX.

    Raises:
      TypeError: labels that are no integers.
      ValueError: labels of no class, where they can be seen.
    """
    check_classes(labels, num_classes)
    known = ((labels >= 0) & (labels < num_classes))[:, None]
    return jnp.where(known, jax.nn.one_hot(labels, num_classes, dtype=dtype), jnp.nan)


def check_classes(labels: Any, num_classes: int, *, lowest: int = 0) -> None:
    """Looks at the values of integer labels where that takes no waiting.

    Those are arrays of numpy, and of JAX on CPUs once they are computed; a copy from another device would make every
    step wait.

    Args:
      labels: `[B]`.
      num_classes: K.
      lowest: the lowest that is allowed.

    Raises:
      TypeError: they are no integers, or no array.
      ValueError: one is not in `lowest`…K−1; names the first.
    """
    _check_array(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels are {labels.dtype}; give integers 0…{num_classes - 1}, or distributions [B, K]")
    if not _is_at_hand(labels):
        return
    values = np.asarray(labels)
    wrong = (values < lowest) | (values >= num_classes)
    if wrong.any():
        place = int(np.argmax(wrong))
        raise ValueError(
            f"label {values[place]} at place {place} of the batch is no class of {num_classes}; labels are integers "
            f"from 0 to {num_classes - 1}"
        )


def _check_array(labels: Any) -> None:
    if not hasattr(labels, "shape"):
        raise TypeError(f"labels are a {type(labels).__name__}; give an array, e.g. jax.numpy.asarray(labels)")


def _is_at_hand(array: Any) -> bool:
    if isinstance(array, np.ndarray):
        return True
    if isinstance(array, jax.core.Tracer) or not isinstance(array, jax.Array):
        return False
    computed: Any = array
    return all(device.platform == "cpu" for device in array.devices()) and bool(computed.is_ready())


def check_loss(loss: Any) -> None:
    """Raises TypeError for what is no loss, such as its class."""
    if inspect.isclass(loss):
        raise TypeError(f"loss={loss.__name__} is not called yet; write {loss.__name__}()")
    if not callable(loss):
        raise TypeError(f"loss={loss!r} is no function of logits and labels; give one such as losses.cross_entropy()")


def check_labels(logits_shape: tuple[int, ...], labels: jax.Array) -> None:
    """Checks the shape of integer labels `[B]` or label distributions `[B, K]` against logits `[B, K]`.

    Raises:
      TypeError: labels that are no array.
      ValueError: they do not fit.
    """
    _check_array(labels)
    if labels.shape not in (logits_shape[:1], logits_shape):
        raise ValueError(f"labels have shape {labels.shape}; expected {logits_shape[:1]} integers or {logits_shape}")


def _check_step(logits: jax.Array) -> None:
    chex.assert_rank(logits, 2, custom_message="a step loss takes [B, K], the logits of one time-step")
    chex.assert_type(logits, float, custom_message="logits are floating")
