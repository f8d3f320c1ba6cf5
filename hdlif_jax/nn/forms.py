"""The one bridge from NNX modules to pure functions.

`jax.jit` over a module silently loses BatchNorm updates. Behind this bridge there are only functions of explicit
parameters, statistics and state, which jit, grad and scan treat as they treat any other.
"""

import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.checks import Count, check
from hdlif_jax.nn.arrays import cells_of, check_arrays, check_num_steps, fill, split
from hdlif_jax.nn.calls import Calls
from hdlif_jax.nn.cell import Cell, PerStepParam
from hdlif_jax.nn.intercept import Choose, Interceptor, intercept
from hdlif_jax.nn.module import Form, Tick
from hdlif_jax.nn.needs import check_key, check_model, check_network, check_tick, check_variables
from hdlif_jax.nn.network import Network, Params, SequenceOutput, SpikingNetwork, StepOutput, Variables
from hdlif_jax.nn.synapses import Synapse
from hdlif_jax.quantize import weight_quantizer

DTYPES = ("float32", "bfloat16", "float16", "float64")  # of what flows


def training_form(
    model: SpikingNetwork,
    *,
    record: bool = False,
    integer: bool | None = None,
    dtype: jax.typing.DTypeLike = jnp.float32,
) -> Network:
    """The network with normalisation by the batch, which also moves the running statistics.

    Args:
      model: any network of the library, or your own of its modules.
      record: whether the spikes of every neuron cell come back from a step.
      integer: whether convolutions of quantised spikes with quantised kernels compute in integers; other layers are not
        concerned, and gradients stay float. None chooses for each layer what was measured to be faster.
      dtype: of convolutions, and of the currents and spikes between them. Parameters, statistics, membranes, attention
        weights, linear layers and logits are float32 in any case.

    Example:
      Two time-steps of four inputs, by hand; `hdlif_jax.rollout` and `hdlif_jax.learning` have the loops.

      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from hdlif_jax import nn
      >>> model = nn.mlp((8,), 3, widths=(16,), rngs=nnx.Rngs(0))
      >>> network, variables = nn.training_form(model), nn.variables_of(model)
      >>> params, batch_stats = network.quantize(variables.params), variables.batch_stats
      >>> current, batch_stats = network.encode(params, batch_stats, jnp.ones((4, 8)))
      >>> first = network.step(params, batch_stats, None, current, nn.Tick(0))
      >>> second = network.step(params, first.batch_stats, first.state, current, nn.Tick(1))
      >>> current.shape, second.logits.shape
      ((4, 16), (4, 3))
    """
    return network_of(model, Form(True, record, integer, _name_of_dtype(dtype)))


def inference_form(
    model: SpikingNetwork,
    *,
    record: bool = False,
    integer: bool | None = None,
    dtype: jax.typing.DTypeLike = jnp.float32,
) -> Network:
    """The network with normalisation by the running statistics, which come back unchanged; arguments as above."""
    return network_of(model, Form(False, record, integer, _name_of_dtype(dtype)))


def in_form(model: SpikingNetwork, form: Form) -> Any:
    """A copy of a model or cell whose modules know the form, Flax's own modules by their own attributes.

    Raises:
      TypeError: what is neither, such as a network.
      ValueError: cells of another number of time-steps than the model's.
    """
    if not isinstance(model, nnx.Module):
        check_model(model)  # says what it is
    if hasattr(model, "num_steps"):  # a cell alone has no time
        check_num_steps(model, model.num_steps)
    copy = cast(nnx.Module, nnx.clone(model))  # the caller's model keeps none
    module: Any
    for _, module in nnx.iter_modules(copy):
        module.form = form
    copy.set_attributes(use_running_average=not form.train, deterministic=not form.train, raise_if_not_found=False)
    return copy


def network_of(model: SpikingNetwork, form: Form, watch: Choose | None = None) -> Network:
    """The pure functions of a model in a form.

    Args:
      model: any network.
      form: how it runs.
      watch: chooses functions that calls of its modules go through first, as in `intercept`.

    Raises:
      TypeError: what is no model, no truth value, or no type of floating numbers.
      ValueError: cells of another number of time-steps, or arrays that are neither parameters nor statistics.
    """
    check_model(model)
    check("record", form.record, bool)
    check("integer", form.integer, bool | None)
    if form.dtype not in DTYPES:
        raise TypeError(f"dtype={form.dtype} is none that currents flow in; choose one of {', '.join(DTYPES)}")
    module = in_form(model, form)
    synapses = {path: child for path, child in nnx.iter_modules(module) if isinstance(child, Synapse)}
    cells = cells_of(module)
    graphdef, *templates = split(module)
    per_step = nnx.to_pure_dict(
        jax.tree.map(
            lambda variable: isinstance(variable, PerStepParam),
            templates[0],
            is_leaf=lambda node: isinstance(node, nnx.Variable),
        )
    )

    def quantize(params: Params) -> Params:
        def effective(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
            *layer, name = (entry.key for entry in path)
            synapse = synapses.get(tuple(layer)) if name == "kernel" else None
            if synapse is None:
                return leaf
            gains = (_at(params, [*layer, "gain"]),) if synapse.weights == "standardized" else ()
            return weight_quantizer(synapse.weights)(leaf, *gains)

        check_arrays("params", params, nnx.to_pure_dict(templates[0]))
        quantized: Params = jax.tree_util.tree_map_with_path(effective, params)
        return quantized

    def apply(params: Params, batch_stats: Params, choose: Any, run: Callable[[Any], Any]) -> tuple[Any, Params]:
        states = fill(Variables(params, batch_stats), templates)
        merged = nnx.merge(graphdef, *states, copy=True)  # without copy, merge writes into the caller's states
        for function in (choose, watch):
            if function is not None:
                intercept(merged, function)
        outputs = run(merged)
        return outputs, nnx.to_pure_dict(nnx.state(merged, nnx.BatchStat))

    def encode(params: Params, batch_stats: Params, x: jax.Array) -> tuple[jax.Array, Params]:
        return apply(params, batch_stats, None, lambda module: module.encode(_numbers(x)))

    @jax.jit  # compiled, so that what only gives shapes costs nothing
    def start(params: Params, batch_stats: Params, x: jax.Array) -> Any:
        def choose(path: str, cell: nnx.Module) -> Interceptor | None:
            if not isinstance(cell, Cell):
                return None
            return lambda call, state, x, tick: (cell.start(x.astype(jnp.float32)), call(state, x, tick)[1])

        def first_step(module: Any) -> Any:
            state, _ = module(None, module.encode(_numbers(x)), Tick(0, jax.random.key(0)))
            return state

        return apply(params, batch_stats, choose, first_step)[0]

    def step(
        params: Params,
        batch_stats: Params,
        state: Any,
        current: jax.Array,
        tick: Tick,
        offsets: Mapping[str, jax.Array] | None = None,
    ) -> StepOutput:
        check_tick(tick.t, model.num_steps)
        check_key(tick.key)
        calls = Calls(cells, form, offsets)
        (state, logits), batch_stats = apply(
            params, batch_stats, calls.at_a_step, lambda module: module(state, current, tick)
        )
        return StepOutput(state, logits, batch_stats, calls.records)

    def sequence(
        params: Params,
        batch_stats: Params,
        inputs: jax.Array,
        key: jax.Array | None = None,
        offsets: Mapping[str, jax.Array] | None = None,
    ) -> SequenceOutput:
        check_key(key)
        calls = Calls(cells, form, offsets)
        # A static input is one frame for all time-steps, whose stem runs once.
        frames = _numbers(inputs[None] if inputs.ndim == len(model.input_shape) + 1 else inputs)
        currents, batch_stats = apply(params, batch_stats, calls.over_time, lambda module: module.encode(frames))
        currents = jnp.broadcast_to(currents, (model.num_steps, *currents.shape[1:]))
        (state, logits), batch_stats = apply(
            params, batch_stats, calls.over_time, lambda module: module(None, currents, Tick(0, key))
        )
        calls.check_state(state)
        return SequenceOutput(logits, batch_stats, calls.records)

    return Network(
        model.num_steps,
        model.input_shape,
        model.num_classes,
        form,
        per_step,
        quantize,
        encode,
        start,
        step,
        sequence,
        module,
    )


def init_state(network: Network, variables: Variables, batch_size: int) -> Any:
    """The state before the first step, for `batch_size` inputs: any pytree of arrays.

    Raises:
      TypeError: what is no network, such as a model, or no size.
      ValueError: variables of another network, or a size below one.

    Example:
      >>> import jax
      >>> from flax import nnx
      >>> from hdlif_jax import nn
      >>> model = nn.mlp((8,), 3, widths=(16, 32), rngs=nnx.Rngs(0))
      >>> state = nn.init_state(nn.inference_form(model), nn.variables_of(model), batch_size=4)
      >>> jax.tree.map(lambda potential: potential.shape, state)
      ((4, 16), (4, 32))
    """
    check_network(network)
    check_variables(variables)
    batch_size = check("batch_size", batch_size, Count)
    x = jnp.zeros((batch_size, *network.input_shape), jnp.float32)
    return network.start(*variables, x)


def _name_of_dtype(dtype: jax.typing.DTypeLike) -> str:
    if dtype is None:  # which numpy takes for float64
        raise TypeError(f"dtype=None is none that currents flow in; choose one of {', '.join(DTYPES)}")
    return jnp.dtype(dtype).name


def _at(tree: Params, path: list[Any]) -> jax.Array:
    """The leaf at a path."""
    leaf: Any = functools.reduce(operator.getitem, path, tree)
    array: jax.Array = leaf
    return array


def _numbers(x: jax.Array) -> jax.Array:
    """Pixels and counts of events as floats of at most 32 bits; what a layer gives is of the type that it reads."""
    x = jnp.asarray(x)  # numpy's arrays do not know traced time-steps
    return x if jnp.issubdtype(x.dtype, jnp.floating) and x.dtype.itemsize <= 4 else x.astype(jnp.float32)
