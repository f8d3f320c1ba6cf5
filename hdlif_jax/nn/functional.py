"""The one bridge from NNX modules to pure functions.

`jax.jit` over a module silently loses BatchNorm updates. Behind this bridge there are only functions of explicit
parameters, statistics and state, which jit, grad and scan treat as they treat any other.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, cast

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.nn.cells import PerStepParam
from hdlif_jax.nn.synapses import Synapse
from hdlif_jax.quantize import weight_quantizer

Params = dict[Any, Any]  # nested dicts of arrays, by module path


class Variables(NamedTuple):
    """The arrays of a network that outlive a sequence, as nested dicts by module path.

    Attributes:
      params: what the optimiser moves.
      batch_stats: running statistics of BatchNorm and Mem-BN.
    """

    params: Params
    batch_stats: Params


class Network(NamedTuple):
    """A spiking network in one form (training or inference) as pure functions.

    Attributes:
      num_steps: T.
      input_shape: of one input at one time-step, such as (H, W, C).
      num_classes: width of the logits.
      per_step: True at the parameters that are indexed by time (leading axis T), the shape of `params`.
      quantize: `params -> params`, the kernels replaced by Ŵ; differentiable by the straight-through rules. The other
        functions expect its result, so that kernels are quantised once per batch.
      encode: `(params, batch_stats, x [B, ...]) -> (current, batch_stats)`, the memoryless stem.
      step: `(params, batch_stats, state, current, t) -> (state, logits [B, K], batch_stats)`; a state of None starts
        a sequence.
    """

    num_steps: int
    input_shape: tuple[int, ...]
    num_classes: int
    per_step: Params
    quantize: Callable[[Params], Params]
    encode: Callable[[Params, Params, jax.Array], tuple[jax.Array, Params]]
    step: Callable[[Params, Params, Any, jax.Array, Any], tuple[Any, jax.Array, Params]]


class SpikingNetwork(Protocol):
    """What a network module has; see `SpikingResNet`."""

    num_steps: int
    input_shape: tuple[int, ...]
    num_classes: int

    def encode(self, x: jax.Array) -> jax.Array:
        """The memoryless stem, `[B, H, W, C]` to a current."""

    def __call__(self, state: Any, current: jax.Array, t: jax.Array | int) -> tuple[Any, jax.Array]:
        """One time-step, from the stem's current to logits `[B, K]`."""


def variables_of(model: SpikingNetwork) -> Variables:
    """Copies of the parameters and statistics of a model."""
    params, batch_stats = (nnx.to_pure_dict(nnx.state(model, kind)) for kind in (nnx.Param, nnx.BatchStat))
    return jax.tree.map(jnp.copy, Variables(params, batch_stats))


def with_variables(model: SpikingNetwork, variables: Variables) -> SpikingNetwork:
    """A copy of a model that holds these parameters and statistics.

    Raises:
      ValueError: they have another structure than the model's.
    """
    graphdef, *templates = nnx.split(model, nnx.Param, nnx.BatchStat)
    return nnx.merge(graphdef, *_filled(variables, templates), copy=True)


def training_form(
    model: SpikingNetwork,
    *,
    record: bool = False,
    integer_forward: bool | None = None,
    compute_dtype: jax.typing.DTypeLike = jnp.float32,
) -> Network:
    """The network with normalisation by the batch, which also moves the running statistics.

    Args:
      model: any network of the library.
      record: whether the state that a step returns holds each layer's spikes.
      integer_forward: whether convolutions of quantised spikes with quantised kernels compute in integers; other layers
        are not concerned, and gradients stay float. None chooses for each layer what was measured to be faster.
      compute_dtype: of convolutions, and of the currents and spikes between them. Parameters, statistics, membranes,
        attention weights, linear layers and logits are float32 in any case.
    """
    return _functional(
        model, use_running_average=False, record=record, integer_forward=integer_forward, compute_dtype=compute_dtype
    )


def inference_form(
    model: SpikingNetwork,
    *,
    record: bool = False,
    integer_forward: bool | None = None,
    compute_dtype: jax.typing.DTypeLike = jnp.float32,
) -> Network:
    """The network with normalisation by the running statistics, which come back unchanged; arguments as above."""
    return _functional(
        model, use_running_average=True, record=record, integer_forward=integer_forward, compute_dtype=compute_dtype
    )


def init_state(network: Network, variables: Variables, batch_size: int) -> Any:
    """The state of v_0 = 0 for `batch_size` inputs: nested dicts of `NeuronState`."""
    x = jax.ShapeDtypeStruct((batch_size, *network.input_shape), jnp.float32)

    def first_step(variables, x):
        current, batch_stats = network.encode(variables.params, variables.batch_stats, x)
        state, _, _ = network.step(variables.params, batch_stats, None, current, 0)
        return carried(state)

    shapes = jax.eval_shape(first_step, variables, x)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def carried(state: Any) -> Any:
    """The state without its recordings: what the next step needs."""
    return map_neuron_states(lambda neuron_state: neuron_state._replace(perturbation=None, spikes=None), state)


def map_neuron_states(function: Callable, state: Any) -> Any:
    """Applies `function` to each layer's `NeuronState` in a network's nested state."""
    if isinstance(state, dict):
        return {name: map_neuron_states(function, child) for name, child in state.items()}
    return function(state)


def recorded_spikes(state: Any, path: str = "") -> dict[str, jax.Array]:
    """The spikes that a recording network left in its state, by module path (`"blocks.0.neuron1"`)."""
    if not isinstance(state, dict):
        return {path: state.spikes}
    spikes: dict[str, jax.Array] = {}
    for name, child in state.items():
        spikes |= recorded_spikes(child, f"{path}.{name}" if path else name)
    return spikes


def _functional(
    model: SpikingNetwork,
    *,
    use_running_average: bool,
    record: bool,
    integer_forward: bool | None,
    compute_dtype: jax.typing.DTypeLike,
) -> Network:
    form = cast(nnx.Module, nnx.clone(model))  # a copy: the caller's model keeps its own mode
    quantizers = {
        (*path, "kernel"): weight_quantizer(module.weights)
        for path, module in nnx.iter_modules(form)
        if isinstance(module, Synapse)
    }
    form.set_attributes(
        use_running_average=use_running_average,
        record=record,
        kernel_is_quantized=True,
        integer_forward=integer_forward,
        compute_dtype=compute_dtype,
        raise_if_not_found=False,
    )
    graphdef, *templates = nnx.split(form, nnx.Param, nnx.BatchStat)
    per_step = nnx.to_pure_dict(
        jax.tree.map(
            lambda variable: isinstance(variable, PerStepParam),
            templates[0],
            is_leaf=lambda node: isinstance(node, nnx.Variable),
        )
    )

    def quantize(params):
        def effective(path, leaf):
            quantizer = quantizers.get(tuple(entry.key for entry in path))
            return leaf if quantizer is None else quantizer(leaf)

        return jax.tree_util.tree_map_with_path(effective, params)

    def apply(params, batch_stats, function, *inputs):
        states = _filled(Variables(params, batch_stats), templates)
        module = nnx.merge(graphdef, *states, copy=True)  # without copy, merge writes into the caller's states
        outputs = function(module, *inputs)
        return outputs, nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))

    def encode(params, batch_stats, x):
        return apply(params, batch_stats, lambda module, x: module.encode(x), x)

    def step(params, batch_stats, state, current, t):
        outputs, batch_stats = apply(params, batch_stats, lambda module, *inputs: module(*inputs), state, current, t)
        return *outputs, batch_stats

    return Network(model.num_steps, model.input_shape, model.num_classes, per_step, quantize, encode, step)


def _filled(variables: Variables, templates: list[nnx.State]) -> list[nnx.State]:
    """NNX states with the structure of `templates` and the arrays of `variables`."""
    states = []
    for name, tree, template in zip(Variables._fields, variables, templates, strict=True):
        if _paths(tree) != _paths(nnx.to_pure_dict(template)):
            raise ValueError(f"{name} have another structure than the network; build both from the same model")
        states.append(jax.tree.unflatten(jax.tree.structure(template), jax.tree.leaves(tree)))
    return states


def _paths(tree: Params) -> list[tuple]:
    return [path for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
