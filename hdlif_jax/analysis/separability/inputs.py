"""What single-neuron analyses take: a step function, its parameters over time, and currents; and why not."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax.neurons import NeuronState

# `step(params_t, state, current [...]) -> (state, spikes [...])`, as every step in `hdlif_jax.neurons`.
StepFunction = Callable[[Any, NeuronState, jax.Array], tuple[NeuronState, jax.Array]]


def params_at(params: Any, t: int) -> Any:
    """The entry t of parameters over time `[T, ...]`."""
    return jax.tree.map(lambda leaf: leaf[t], params)


def check_neuron(step: StepFunction, params: Any, currents: jax.Array) -> None:
    """Raises TypeError or ValueError for a step function, parameters or currents that cannot be analysed."""
    check_currents(currents)
    num_steps = currents.shape[0]
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if jnp.ndim(leaf) == 0 or leaf.shape[0] != num_steps:
            raise ValueError(
                f"parameter {_name(path)} has shape {jnp.shape(leaf)} but the currents have {num_steps} steps; "
                f"give it one entry per step, shape ({num_steps}, ...)"
            )
    check_params(params)
    check_step(step, params_at(params, 0), currents[0])


def check_params(params: Any) -> None:
    """Raises ValueError for parameters that are not finite, arrays `[...]` or scalars in any structure."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            check_finite(f"parameter {_name(path)}", leaf)


def check_currents(currents: jax.Array) -> None:
    """Raises TypeError for what is not an array, ValueError for currents not float `[T ≥ 2, ...]` or not finite."""
    if not isinstance(currents, (jax.Array, np.ndarray)):
        raise TypeError(f"currents are a {type(currents).__name__}; expected an array, e.g. jnp.asarray(currents)")
    if jnp.ndim(currents) == 0 or currents.shape[0] < 2:
        raise ValueError(
            f"currents have shape {jnp.shape(currents)}; expected [T, ...] with T ≥ 2 time-steps, "
            "as at T = 1 online and STBP gradients are the same"
        )
    check_finite("currents", currents)


def check_finite(name: str, values: jax.Array) -> None:
    """Raises ValueError for values `[...]` that are not finite floats; inside `jax.jit` it sees only their type."""
    if not jnp.issubdtype(jnp.result_type(values), jnp.floating):
        raise ValueError(f"{name}: {values.dtype} values; expected a float type, e.g. values.astype(jnp.float32)")
    if isinstance(values, jax.core.Tracer):
        return
    array = np.asarray(values)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        where = tuple(int(index) for index in bad[0])
        raise ValueError(
            f"{name}: {len(bad)} of {array.size} values are not finite, the first, {array[where]}, at index {where}; "
            "replace or remove them before the analysis"
        )


def check_step(step: StepFunction, params_t: Any, current: jax.Array) -> None:
    """Calls `step` once to see that it has the signature of `hdlif_jax.neurons.*.step` and reads the perturbation."""
    expected = "expected step(params_t, state, current) -> (state, spikes), as hdlif_jax.neurons.lif.step"
    state = NeuronState(jnp.zeros_like(current), jnp.zeros_like(current))
    try:
        inspect.signature(step).bind(params_t, state, current)
        outputs = jax.eval_shape(step, params_t, state, current)
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TypeError(f"the step function cannot be called ({first_line}); {expected}") from error
    if not (isinstance(outputs, tuple) and len(outputs) == 2 and hasattr(outputs[0], "perturbation")):
        raise TypeError(f"the step function returns {_describe(outputs)}; {expected} with a NeuronState")
    new_state, spikes = outputs
    parts = {"spikes": spikes} | ({} if new_state.residual is None else {"residual": new_state.residual})
    for name, part in parts.items():
        if getattr(part, "shape", None) != current.shape:
            raise TypeError(
                f"the step function returns as {name} {_describe(part)} for a current of shape {current.shape}; "
                f"{expected}"
            )
        if not jnp.issubdtype(part.dtype, jnp.floating):
            raise TypeError(f"the step function returns {name} of {part.dtype}, which have no gradient; {expected}")
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((params_t, current))):
        return

    def answer(perturbation):
        new_state, spikes = step(params_t, state._replace(perturbation=perturbation), current)
        return jax.tree.leaves((new_state.residual, spikes))

    # No neuron can answer alike to a membrane far below and one far above every threshold.
    far = jnp.full_like(current, 1e4)
    first = jnp.zeros_like(current).reshape(-1).at[:1].set(1e4).reshape(current.shape)
    with jax.ensure_compile_time_eval():
        low, high, first_low, first_high = (answer(perturbation) for perturbation in (-far, far, -first, first))
    if any(isinstance(leaf, jax.core.Tracer) for leaf in low):
        return  # the step closes over values that are not known yet
    if current.size and all(np.array_equal(a, b) for a, b in zip(low, high, strict=True)):
        raise TypeError(
            "the step function ignores state.perturbation, through which gradients are read; add it to the membrane, "
            "e.g. with hdlif_jax.neurons.state.perturb(state, membrane)"
        )
    others = ((np.ravel(a)[1:], np.ravel(b)[1:]) for a, b in zip(first_low, first_high, strict=True))
    if any(not np.array_equal(a, b) for a, b in others):
        raise TypeError(
            "the step function lets neurons influence each other; ε is defined for one neuron, so treat every entry of "
            "the current alone (a batch-normalised membrane: use its inference form)"
        )


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path).lstrip(".") or "array"


def _describe(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} values" if type(value) is tuple else type(value).__name__
    return f"an array of shape {value.shape}" if hasattr(value, "shape") else type(value).__name__
