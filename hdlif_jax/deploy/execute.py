"""Running a folded network: pure functions of arrays, whole sequences or one time-step at a time.

Every value has a window of time-steps in front, `[W, B, ...]`. With W = T a layer computes all time-steps before the
next layer begins, which makes one large convolution of T small ones; with W = 1 it is the streaming form. A static
image's current has W = 1 in either case.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import jax
import jax.numpy as jnp

from hdlif_jax.deploy import graph as ops
from hdlif_jax.deploy.graph import Graph, Node
from hdlif_jax.ops import MIN_OUT_CHANNELS

Arithmetic = Literal["integer", "float"]
Arrays = Mapping[str, jax.Array]
State = dict[str, jax.Array]  # residual potentials v_t [B, ...] by neuron
PER_STEP = ("threshold", "decay", "scale", "bias", "current_scale", "current_shift")


def encode(graph: Graph, arithmetic: Arithmetic, arrays: Arrays, x: jax.Array) -> jax.Array:
    """The stem: inputs `[W, B, H, W, C]` to the current `[W, B, ...]` of the network's body."""
    values, _ = run_nodes(graph.encoder, arithmetic, arrays, {}, {"input": x}, x.shape[0])
    return values[graph.current]


def advance(
    graph: Graph,
    arithmetic: Arithmetic,
    arrays: Arrays,
    state: State,
    current: jax.Array,
    t: jax.Array | int,
    window: int,
) -> tuple[State, dict[str, jax.Array]]:
    """The body over the time-steps t…t+window−1.

    Args:
      graph: the network.
      arithmetic: "integer" convolves int8 levels into int32 where a layer is wide enough for that to be faster (see
        `ops.prefers_integers`); "float" does the same sums in float32. Both are exact, and all else is float32 in
        either case.
      arrays: of the folded network.
      state: residual potentials v_{t−1}; an empty dict starts a sequence.
      current: `[W, B, ...]` with W = `window`, or W = 1 for the same current at every step.
      t: first time-step, from 0.
      window: W.

    Returns:
      The potentials after the last step, and all values by name, `[W, B, ...]`.
    """
    per_step = {
        name: array if window == graph.num_steps else jax.lax.dynamic_slice_in_dim(array, t, window)
        for name, array in arrays.items()
        if name.rpartition(".")[2] in PER_STEP and len(array) == graph.num_steps
    }
    values, state = run_nodes(graph.body, arithmetic, {**arrays, **per_step}, state, {graph.current: current}, window)
    return state, values


def logits_of(graph: Graph, values: Mapping[str, jax.Array]) -> jax.Array:
    """Logits `[W, B, K]` among the values of `advance`."""
    return values[graph.body[-1].name]


def rollout(graph: Graph, arithmetic: Arithmetic, arrays: Arrays, x: jax.Array) -> jax.Array:
    """Logits `[T, B, K]` of images `[1, B, H, W, C]` or sequences `[T, B, H, W, C]`, all steps of a layer at once."""
    current = encode(graph, arithmetic, arrays, x)
    return logits_of(graph, advance(graph, arithmetic, arrays, {}, current, 0, graph.num_steps)[1])


def run_nodes(
    nodes: tuple[Node, ...],
    arithmetic: Arithmetic,
    arrays: Arrays,
    state: State,
    values: Mapping[str, jax.Array],
    window: int,
) -> tuple[dict[str, jax.Array], State]:
    """Computes nodes in order: all values by name, `[W, B, ...]`, and the new state; arguments as in `advance`."""
    values, new_state = dict(values), dict(state)
    for node in nodes:
        fields = {
            name.rpartition(".")[2]: array for name, array in arrays.items() if name.rpartition(".")[0] == node.name
        }
        operands = [values[source] for source in ops.sources(node)]
        if isinstance(node, ops.Neuron):
            values[node.name], residual = _neuron(node, fields, operands[0], state.get(node.name), window)
            if residual is not None:
                new_state[node.name] = residual
        else:
            values[node.name] = OPERATIONS[type(node)](node, arithmetic, fields, *operands)
    return values, new_state


def _conv(node: ops.Conv, arithmetic: Arithmetic, fields: Arrays, x: jax.Array) -> jax.Array:
    def convolve(x, kernel, accumulator):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (node.stride, node.stride),
            ((node.padding, node.padding),) * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            preferred_element_type=accumulator,
        )

    return _affine(_accumulate(node, arithmetic, fields, x, convolve), fields)


def _linear(node: ops.Linear, arithmetic: Arithmetic, fields: Arrays, x: jax.Array) -> jax.Array:
    def multiply(x, kernel, accumulator):
        return jnp.matmul(x, kernel, preferred_element_type=accumulator)

    return _affine(_accumulate(node, arithmetic, fields, x, multiply), fields)


def _accumulate(node, arithmetic, fields, x, product: Callable) -> jax.Array:
    flat = x.reshape(-1, *x.shape[2:])
    if arithmetic == "integer" and node.integer and fields["kernel"].shape[-1] >= MIN_OUT_CHANNELS:
        sums = product(flat.astype(jnp.int8), fields["kernel"], jnp.int32).astype(jnp.float32)
    else:
        sums = product(flat.astype(jnp.float32), fields["kernel"].astype(jnp.float32), jnp.float32)
    return sums.reshape(*x.shape[:2], *sums.shape[1:])


def _affine(sums: jax.Array, fields: Arrays) -> jax.Array:
    scaled = sums * _over_channels(fields["scale"], sums) if "scale" in fields else sums
    return scaled + _over_channels(fields["bias"], sums)


def _over_channels(per_step: jax.Array, value: jax.Array) -> jax.Array:
    """`[W, C]` shaped to broadcast against `[W, B, ..., C]`."""
    window, channels = per_step.shape
    return per_step.reshape(window, *(1,) * (value.ndim - 2), channels)


def _neuron(node, fields, current, residual, window) -> tuple[jax.Array, jax.Array | None]:
    per_step = {name: _over_channels(array, current) for name, array in fields.items()}
    if "current_scale" in per_step:
        current = per_step["current_scale"] * current + per_step["current_shift"]  # Î (Eq. 8)
    threshold = per_step["threshold"]
    if node.kind == "parallel":
        return _levels(node, jnp.maximum(current - threshold, 0)), None
    spikes = []
    for step in range(window):
        decay, theta, membrane = (
            jax.lax.index_in_dim(array, step % len(array), keepdims=False)
            for array in (per_step["decay"], threshold, current)
        )
        if residual is not None:
            membrane = decay * residual + membrane
        if node.kind == "lif":
            fires = membrane >= theta
            residual = jnp.where(fires, membrane - theta, membrane)
            spikes.append(fires.astype(jnp.uint8))
        else:
            residual = jnp.minimum(membrane, theta)
            spikes.append(_levels(node, jnp.maximum(membrane - theta, 0)))
    return jnp.stack(spikes), residual


def _levels(node: ops.Neuron, raw_spikes: jax.Array) -> jax.Array:
    if node.max_level is None:
        return raw_spikes
    return jnp.minimum(jnp.round(raw_spikes / node.level_size), node.max_level).astype(jnp.uint8)


def _attention(node: ops.Attention, arithmetic: Arithmetic, fields: Arrays, current: jax.Array) -> jax.Array:
    (size,), channels = fields["kernel"].shape, current.shape[-1]
    pooled = jnp.mean(current, (2, 3))
    padded = jnp.pad(pooled, ((0, 0), (0, 0), (size // 2, size // 2)))
    filtered = sum(fields["kernel"][offset] * padded[..., offset : offset + channels] for offset in range(size))
    return jax.nn.sigmoid(filtered + fields["bias"][None, None, :])[:, :, None, None, :] * current


def _add(node: ops.Add, arithmetic: Arithmetic, fields: Arrays, left: jax.Array, right: jax.Array) -> jax.Array:
    return left + right


def _pool(node: ops.Pool, arithmetic: Arithmetic, fields: Arrays, x: jax.Array) -> jax.Array:
    if node.kind == "flatten":
        return x.reshape(*x.shape[:2], -1)
    if node.kind == "global-average":
        return jnp.mean(x.astype(jnp.float32), (2, 3))
    if node.kind == "maximum":
        return jax.lax.reduce_window(
            x, -jnp.inf, jax.lax.max, (1, 1, 3, 3, 1), (1, 1, 2, 2, 1), ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0))
        )
    window, batch, height, width, channels = x.shape
    even = x[:, :, : height // 2 * 2, : width // 2 * 2]
    squares = even.reshape(window, batch, height // 2, 2, width // 2, 2, channels)
    if node.kind == "average":
        return jnp.mean(squares.astype(jnp.float32), (3, 5))
    return jnp.sum(squares, (3, 5), dtype=x.dtype)


OPERATIONS: dict[type[Node], Callable[..., jax.Array]] = {
    ops.Conv: _conv,
    ops.Linear: _linear,
    ops.Attention: _attention,
    ops.Add: _add,
    ops.Pool: _pool,
}
