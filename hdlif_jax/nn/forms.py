"""The one bridge from NNX modules to pure functions.

`jax.jit` over a module silently loses BatchNorm updates. Behind this bridge there are only functions of explicit
parameters, statistics and state, which jit, grad and scan treat as they treat any other.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.nn.calls import Calls
from hdlif_jax.nn.cell import Cell, PerStepParam
from hdlif_jax.nn.intercept import Interceptor, intercept, modules
from hdlif_jax.nn.module import Form, Tick
from hdlif_jax.nn.network import Network, Params, SequenceOutput, SpikingNetwork, StepOutput, Variables
from hdlif_jax.nn.synapses import Synapse
from hdlif_jax.quantize import weight_quantizer


def variables_of(model: SpikingNetwork) -> Variables:
    """Copies of the parameters and statistics of a model."""
    params, batch_stats = (nnx.to_pure_dict(nnx.state(model, kind)) for kind in (nnx.Param, nnx.BatchStat))
    copies: Variables = jax.tree.map(jnp.copy, Variables(params, batch_stats))
    return copies


def with_variables(model: SpikingNetwork, variables: Variables) -> SpikingNetwork:
    """A copy of a model that holds these parameters and statistics.

    Raises:
      ValueError: they have another structure than the model's, or arrays of other shapes.
    """
    graphdef, *templates = _split(model)
    filled: SpikingNetwork = nnx.merge(graphdef, *_filled(variables, templates), copy=True)
    return filled


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
    return network_of(model, Form(True, record, integer, jnp.dtype(dtype).name))


def inference_form(
    model: SpikingNetwork,
    *,
    record: bool = False,
    integer: bool | None = None,
    dtype: jax.typing.DTypeLike = jnp.float32,
) -> Network:
    """The network with normalisation by the running statistics, which come back unchanged; arguments as above."""
    return network_of(model, Form(False, record, integer, jnp.dtype(dtype).name))


def in_form(model: SpikingNetwork, form: Form) -> Any:
    """A copy of a model whose modules know the form, Flax's own modules by their own attributes."""
    copy = cast(nnx.Module, nnx.clone(model))  # the caller's model keeps none
    module: Any
    for _, module in nnx.iter_modules(copy):
        module.form = form
    copy.set_attributes(use_running_average=not form.train, deterministic=not form.train, raise_if_not_found=False)
    return copy


def network_of(model: SpikingNetwork, form: Form) -> Network:
    """The pure functions of a model in a form."""
    module = in_form(model, form)
    quantizers = {
        (*path, "kernel"): weight_quantizer(child.weights)
        for path, child in nnx.iter_modules(module)
        if isinstance(child, Synapse)
    }
    cells = [path for path, child in modules(module) if isinstance(child, Cell)]
    graphdef, *templates = _split(module)
    per_step = nnx.to_pure_dict(
        jax.tree.map(
            lambda variable: isinstance(variable, PerStepParam),
            templates[0],
            is_leaf=lambda node: isinstance(node, nnx.Variable),
        )
    )

    def quantize(params: Params) -> Params:
        def effective(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
            quantizer = quantizers.get(tuple(entry.key for entry in path))
            return leaf if quantizer is None else quantizer(leaf)

        quantized: Params = jax.tree_util.tree_map_with_path(effective, params)
        return quantized

    def apply(params: Params, batch_stats: Params, choose: Any, run: Callable[[Any], Any]) -> tuple[Any, Params]:
        states = _filled(Variables(params, batch_stats), templates)
        merged = nnx.merge(graphdef, *states, copy=True)  # without copy, merge writes into the caller's states
        if choose is not None:
            intercept(merged, choose)
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
        watch = Calls(cells, form, offsets)
        (state, logits), batch_stats = apply(
            params, batch_stats, watch.at_a_step, lambda module: module(state, current, tick)
        )
        return StepOutput(state, logits, batch_stats, watch.records)

    def sequence(
        params: Params,
        batch_stats: Params,
        inputs: jax.Array,
        key: jax.Array | None = None,
        offsets: Mapping[str, jax.Array] | None = None,
    ) -> SequenceOutput:
        watch = Calls(cells, form, offsets)
        # A static input is one frame for all time-steps, whose stem runs once.
        frames = _numbers(inputs[None] if inputs.ndim == len(model.input_shape) + 1 else inputs)
        currents, batch_stats = apply(params, batch_stats, watch.over_time, lambda module: module.encode(frames))
        currents = jnp.broadcast_to(currents, (model.num_steps, *currents.shape[1:]))
        (state, logits), batch_stats = apply(
            params, batch_stats, watch.over_time, lambda module: module(None, currents, Tick(0, key))
        )
        watch.check_state(state)
        return SequenceOutput(logits, batch_stats, watch.records)

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

    Example:
      >>> import jax
      >>> from flax import nnx
      >>> from hdlif_jax import nn
      >>> model = nn.mlp((8,), 3, widths=(16, 32), rngs=nnx.Rngs(0))
      >>> state = nn.init_state(nn.inference_form(model), nn.variables_of(model), batch_size=4)
      >>> jax.tree.map(lambda potential: potential.shape, state)
      ((4, 16), (4, 32))
    """
    x = jnp.zeros((batch_size, *network.input_shape))
    return network.start(*variables, x)


def _numbers(x: jax.Array) -> jax.Array:
    """Pixels and counts of events as floats; what a layer gives is of the type that it reads."""
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)


def _split(model: Any) -> tuple[Any, Any, Any]:
    """Structure, parameters and statistics.

    Raises:
      ValueError: the model holds arrays of another kind, such as the state of a random generator.
    """
    parts: Any = nnx.split(model, nnx.Param, nnx.BatchStat, ...)
    graphdef, params, batch_stats, others = parts
    for path, _ in nnx.to_flat_state(others):
        raise ValueError(
            f"{'.'.join(map(str, path))} is neither a parameter nor a running statistic; keep it in the state of a "
            "cell, and draw from the key of its tick as nn.Dropout does"
        )
    return graphdef, params, batch_stats


def _filled(variables: Variables, templates: list[Any]) -> list[Any]:
    """NNX states with the structure of `templates` and the arrays of `variables`."""
    states = []
    for name, tree, template in zip(Variables._fields, variables, templates, strict=True):
        expected = _shapes(nnx.to_pure_dict(template))
        found = _shapes(tree)
        if found.keys() != expected.keys():
            raise ValueError(f"{name} have another structure than the network; build both from the same model")
        for path, shape in found.items():
            if shape != expected[path]:
                raise ValueError(
                    f"{name}: {path} has shape {shape} but the network's has {expected[path]}; build both from the "
                    "same model, with the same widths and number of time-steps"
                )
        states.append(jax.tree.unflatten(jax.tree.structure(template), jax.tree.leaves(tree)))
    return states


def _shapes(tree: Params) -> dict[str, tuple[int, ...]]:
    return {
        ".".join(str(entry.key) for entry in path): jnp.shape(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }
