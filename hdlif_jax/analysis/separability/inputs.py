"""What single-neuron analyses take: a step function, its parameters over time, and currents; and why not."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hdlif_jax.neurons import NeuronStep

SIGNATURE = "expected step(params_t, state, current) -> (state, spikes), as hdlif_jax.neurons.lif.step"


def params_at(params: Any, t: int) -> Any:
    """The entry t of parameters over time `[T, ...]`."""
    return jax.tree.map(lambda leaf: leaf[t], params)


def start_of(currents: jax.Array, state: Any) -> Any:
    """The state before the first step: as given, else zeros like a current `[...]`, the library's v_0."""
    return jnp.zeros_like(currents) if state is None else state


def check_neuron(step: NeuronStep, params: Any, currents: jax.Array, state: Any = None) -> None:
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
    check_step(step, params_at(params, 0), currents[0], state)


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


def check_step(step: NeuronStep, params_t: Any, current: jax.Array, state: Any = None) -> None:
    """Calls `step` once to see that it is a `neurons.NeuronStep` whose neurons do not influence each other.

    Raises:
      TypeError: it is not.
    """
    hint = "; if its state is no array like the current, hand over the first one as state=" if state is None else ""
    state = start_of(current, state)
    try:
        inspect.signature(step).bind(params_t, state, current)
        outputs = jax.eval_shape(step, params_t, state, current)
    except (TypeError, ValueError, AttributeError, LookupError, AssertionError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TypeError(f"the step function cannot be called ({first_line}); {SIGNATURE}{hint}") from error
    if not (isinstance(outputs, tuple) and len(outputs) == 2):
        raise TypeError(f"the step function returns {_describe(outputs)}; {SIGNATURE}")
    new_state, spikes = outputs
    if _shapes(new_state) != _shapes(state):
        raise TypeError(
            f"the step function returns as state {_describe(new_state)} for {_describe(state)}; {SIGNATURE} with a "
            f"state of the same structure and shapes{hint}"
        )
    if getattr(spikes, "shape", None) != current.shape:
        raise TypeError(
            f"the step function returns as spikes {_describe(spikes)} for a current of shape {current.shape}; "
            f"{SIGNATURE}"
        )
    if not jnp.issubdtype(spikes.dtype, jnp.floating):
        raise TypeError(f"the step function returns spikes of {spikes.dtype}, which have no gradient; {SIGNATURE}")
    _check_independence(step, params_t, current, state)


def _check_independence(step: NeuronStep, params_t: Any, current: jax.Array, state: Any) -> None:
    """Raises TypeError if the first neuron's current changes the others; checks nothing where values are unknown."""
    unknown = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((params_t, current, state)))
    if unknown or current.size < 2:
        return

    def others(first: float) -> list[Any]:
        """What the other neurons do while the first has a membrane far below, or far above, every threshold."""
        driven = current.reshape(-1).at[:1].set(first).reshape(current.shape)
        return [_without_first(leaf, current.shape) for leaf in jax.tree.leaves(step(params_t, state, driven))]

    with jax.ensure_compile_time_eval():
        low, high = others(-1e4), others(1e4)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in low):
        return  # the step closes over values that are not known yet
    if not all(np.array_equal(a, b) for a, b in zip(low, high, strict=True)):
        raise TypeError(
            "the step function lets neurons influence each other; ε is defined for one neuron, so treat every entry of "
            "the current alone (a batch-normalised membrane: use its inference form)"
        )


def _without_first(leaf: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """A state or spikes without the first neuron's part: one entry, or several, for each neuron of `shape`."""
    size = int(np.prod(shape))
    if leaf.shape[: len(shape)] == shape:
        return leaf.reshape(size, -1)[1:]
    if leaf.shape[leaf.ndim - len(shape) :] == shape:
        return leaf.reshape(-1, size)[:, 1:]
    return leaf  # of no neuron in particular, so it must not follow any


def _shapes(tree: Any) -> tuple[Any, list[Any]]:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [getattr(leaf, "shape", None) for leaf in leaves]


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path).lstrip(".") or "array"


def _describe(value: Any) -> str:
    if hasattr(value, "shape"):
        return f"an array of shape {value.shape}"
    return f"{len(value)} values" if type(value) is tuple else f"a {type(value).__name__}"
