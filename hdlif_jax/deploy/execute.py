"""Running a folded network: pure functions of arrays, whole sequences or one time-step at a time.

Every value has a window of time-steps in front, `[W, B, ...]`. With W = T a layer computes all time-steps before the
next layer begins, which makes one large convolution of T small ones; with W = 1 it is the streaming form. A static
input's current has W = 1 in either case.
"""

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from hdlif_jax import conv_forms, ops, xla_cpu
from hdlif_jax.deploy.format.manifest import Arithmetic
from hdlif_jax.deploy.graph import Add, Conv, Fields, Function, Graph, Linear, Neuron, NeuronState, Node
from hdlif_jax.deploy.runtime import fastest_arithmetic

Arrays = Mapping[str, Fields]  #: by node and field
States = dict[str, NeuronState]  #: by neuron
Values = dict[str, jax.Array]  #: [W, B, ...] by name


def encode(graph: Graph, arithmetic: Arithmetic, arrays: Arrays, x: jax.Array) -> jax.Array:
    """The stem: inputs `[W, B, ...]` to the current `[W, B, ...]` of the network's body."""
    values, _ = run_nodes(graph.encoder, arithmetic, arrays, {}, {"input": x}, x.shape[0])
    return values[graph.current]


def advance(
    graph: Graph,
    arithmetic: Arithmetic,
    arrays: Arrays,
    states: States,
    current: jax.Array,
    t: jax.Array | int,
    window: int,
) -> tuple[States, Values]:
    """The body over the time-steps t…t+window−1.

    Args:
      graph: the network.
      arithmetic: "integer" convolves int8 levels into int32 where a layer is wide enough for that to be faster on a CPU
        (`xla_cpu.has_fast_integers`), whatever machine this runs on; "float" does the same sums in float32. Both are
        exact, and all else is float32 in either case.
      arrays: of the folded network.
      states: of the neurons after step t−1; an empty dict starts a sequence.
      current: `[W, B, ...]` with W = `window`, or W = 1 for the same current at every step.
      t: first time-step, from 0.
      window: W.

    Returns:
      The states after the last step, and all values by name, `[W, B, ...]`.

    Raises:
      ValueError: arrays of another number of time-steps.
    """
    for node in graph.body:
        _check_steps(node, arrays, graph.num_steps)
    if window < graph.num_steps:
        arrays = {**arrays, **{node.name: _rows(node, arrays, graph.num_steps, t, window) for node in graph.body}}
    values, states = run_nodes(graph.body, arithmetic, arrays, states, {graph.current: current}, window)
    return states, values


def rollout(graph: Graph, arithmetic: Arithmetic, arrays: Arrays, x: jax.Array) -> jax.Array:
    """Logits `[T, B, K]` of static inputs `[1, B, ...]` or sequences `[T, B, ...]`, all steps of a layer at once."""
    current = encode(graph, arithmetic, arrays, x)
    _, values = advance(graph, arithmetic, arrays, {}, current, 0, graph.num_steps)
    logits = values[graph.logits]
    return jnp.broadcast_to(logits, (graph.num_steps, *logits.shape[1:]))


def logits_function(graph: Graph) -> Callable[[Arrays, jax.Array], jax.Array]:
    """`(arrays, inputs) -> logits [T, B, K]` of static inputs `[B, ...]` or sequences `[T, B, ...]`, for jit.

    In the arithmetic that a loaded artifact takes on this backend.
    """
    integer = any(layer.integer for layer in graph.synapses)
    arithmetic = fastest_arithmetic(jax.default_backend()) if integer else "float"

    def logits(arrays: Arrays, inputs: jax.Array) -> jax.Array:
        is_sequence = inputs.ndim == len(graph.input_shape) + 2
        return rollout(graph, arithmetic, arrays, inputs if is_sequence else inputs[None])

    return logits


def run_nodes(
    nodes: tuple[Node, ...],
    arithmetic: Arithmetic,
    arrays: Arrays,
    states: States,
    values: Mapping[str, jax.Array],
    window: int,
) -> tuple[Values, States]:
    """Computes nodes in order.

    Args:
      nodes: each after those that it reads.
      arithmetic: see `advance`.
      arrays: of the nodes, those with a row per time-step with the rows of the window.
      states: of the neurons before the window.
      values: what the nodes read and do not compute.
      window: W, the number of time-steps.

    Returns:
      All values by name, `[W, B, ...]` (W = 1 where a value is the same at every step), and the neurons' new states.
    """
    values, states = dict(values), dict(states)
    for node in nodes:
        fields = arrays.get(node.name, {})
        if isinstance(node, Add):
            values[node.name] = values[node.source] + values[node.other]
        elif isinstance(node, Function):
            values[node.name] = _over_window(functools.partial(node.apply, fields), values[node.source])
        elif isinstance(node, Neuron):
            state, spikes = _neuron(node, fields, states.get(node.name), values[node.source], window)
            values[node.name] = _levels(node, spikes)
            if jax.tree.leaves(state):
                states[node.name] = state
        else:
            values[node.name] = _synapse(node, arithmetic, fields, values[node.source])
    return values, states


def _rows(node: Node, arrays: Arrays, num_steps: int, t: jax.Array | int, window: int) -> Fields:
    """A node's arrays with the rows of the window, where they have one for every time-step."""

    def has_steps(field: str, array: jax.Array) -> bool:
        return _is_by_step(node, field) and len(array) == num_steps

    return {
        field: jax.lax.dynamic_slice_in_dim(array, t, window) if has_steps(field, array) else array
        for field, array in arrays.get(node.name, {}).items()
    }


def _is_by_step(node: Node, field: str) -> bool:
    """Whether a field of a node is `[1 or T, ...]`."""
    return isinstance(node, Neuron) or (isinstance(node, Conv | Linear) and field in ("scale", "bias"))


def _check_steps(node: Node, arrays: Arrays, num_steps: int) -> None:
    """Raises ValueError for arrays of another number of time-steps, of which steps would read those of others."""
    for field, array in arrays.get(node.name, {}).items():
        if _is_by_step(node, field) and len(array) not in (1, num_steps):
            raise ValueError(
                f"{node.name}: {field} is of {len(array)} time-steps and the graph of {num_steps}; give the arrays "
                "that were folded with it"
            )


def _over_window(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """A function of `[N, ...]` applied to `[W, B, ...]`."""
    y = function(x.reshape(-1, *x.shape[2:]))
    return y.reshape(*x.shape[:2], *y.shape[1:])


def _synapse(node: Conv | Linear, arithmetic: Arithmetic, fields: Fields, x: jax.Array) -> jax.Array:
    kernel = fields["kernel"]
    integer = arithmetic == "integer" and node.integer and xla_cpu.has_fast_integers(kernel.shape)
    operand, accumulator = (jnp.int8, jnp.int32) if integer else (jnp.float32, jnp.float32)
    convolve = ops.convolve if arithmetic == "integer" else conv_forms.plain  # that is for CPUs, this for any machine

    def product(x: jax.Array) -> jax.Array:
        x, weights = x.astype(operand), kernel.astype(operand)
        if isinstance(node, Conv):
            return convolve(x, weights, node.stride, node.padding, accumulator)
        return jnp.matmul(x, weights, preferred_element_type=accumulator)

    sums = _over_window(product, x).astype(jnp.float32)
    scaled = sums * _over_channels(fields["scale"], sums) if "scale" in fields else sums
    return scaled + _over_channels(fields["bias"], sums)


def _over_channels(per_step: jax.Array, value: jax.Array) -> jax.Array:
    """`[W, C]` shaped to broadcast against `[W, B, ..., C]`."""
    window, channels = per_step.shape
    return per_step.reshape(window, *(1,) * (value.ndim - 2), channels)


def _neuron(
    node: Neuron, fields: Fields, state: NeuronState | None, current: jax.Array, window: int
) -> tuple[NeuronState, jax.Array]:
    """The state after the window, and spikes `[W, B, ...]`."""

    def step(fields_t: Fields, state: NeuronState, current_t: jax.Array) -> tuple[NeuronState, jax.Array]:
        rows = {field: _broadcastable(row, current_t.ndim) for field, row in fields_t.items()}
        return node.step(rows, state, current_t)

    if state is None:
        state = node.start(current[0])
    inputs = (dict(fields), current)
    if not jax.tree.leaves(state):  # without memory, all steps at once
        length = max(len(array) for array in jax.tree.leaves(inputs))
        repeated = jax.tree.map(lambda array: jnp.broadcast_to(array, (length, *array.shape[1:])), inputs)
        return state, jax.vmap(lambda fields_t, current_t: step(fields_t, state, current_t)[1])(*repeated)
    spikes = []
    for index in range(window):
        fields_t, current_t = jax.tree.map(functools.partial(_at, index), inputs)
        state, spikes_t = step(fields_t, state, current_t)
        spikes.append(spikes_t)
    return state, jnp.stack(spikes)


def _at(index: int, array: jax.Array) -> jax.Array:
    return jax.lax.index_in_dim(array, index % len(array), keepdims=False)


def _broadcastable(row: jax.Array, rank: int) -> jax.Array:
    """An array's row at a time-step as a neuron's step reads it, see `graph.Neuron.step`."""
    if row.shape == (1,):
        return row.reshape(())
    return row.reshape((1,) * (rank - 1) + row.shape) if row.ndim == 1 else row


def _levels(node: Neuron, spikes: jax.Array) -> jax.Array:
    """Spikes as the levels of Q (Eq. 4)."""
    if node.max_level is None:
        return spikes
    size = node.level_size or 1.0  # spikes of height 0 are at level 0
    return jnp.clip(jnp.round(spikes / size), 0, node.max_level).astype(jnp.uint8)
