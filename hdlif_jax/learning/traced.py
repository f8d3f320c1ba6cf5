"""Online learning by presynaptic traces: a transformation of the network, after which every online rule goes by them.

Forward nothing changes. Backward, what a layer of weights passes on to its input is as before, and the gradient of its
own parameters is taken as if its input had been the trace â_t of the spikes that it reads: ∂L_t/∂W = g_t ⊗ â_t (OTTT:
Xiao et al., NeurIPS 2022). Without a trace the same rules are SLTT.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.learning.base import Batch, Gradient, Learned, Learner, Loss, Rule, Update, check_rule
from hdlif_jax.learning.local import layer_local
from hdlif_jax.learning.online import accumulate
from hdlif_jax.learning.stbp import stbp
from hdlif_jax.learning.traces import Trace, check_trace, decay_trace
from hdlif_jax.nn import Dropout, Network, NeuronCell, Params, StepOutput, Synapse, Tick, Variables
from hdlif_jax.nn.cell import has_running_statistics
from hdlif_jax.nn.forms import network_of
from hdlif_jax.nn.intercept import Interceptor, modules, original, release
from hdlif_jax.nn.needs import check_network


def with_traces(network: Network, trace: Trace) -> Network:
    """The same network, whose layers of weights learn from the traces of the spikes that they read.

    A trace goes where the spikes go: through pooling, flattening and other linear layers without parameters, and
    through `nn.Dropout`. A layer of weights that reads what anything else made of spikes, such as a maximum, is refused
    by name when the network runs. Layers that read currents or inputs, as the stem does, learn from those as they are.

    Args:
      network: in training form, of a model.
      trace: such as `learning.decay_trace()`.

    Returns:
      A network whose state also holds the traces; it runs step by step alone.

    Raises:
      TypeError: what is no network, or one that was made of no model; or no trace.
      ValueError: neurons that have no such trace, and what drops other spikes at every step; names them.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from hdlif_jax import learning, losses, nn
      >>> model = nn.mlp((8,), 3, widths=(16,), spec=nn.Spec(num_steps=4, neuron=nn.lif()), rngs=nnx.Rngs(0))
      >>> network = learning.with_traces(nn.training_form(model), learning.decay_trace())
      >>> batch = learning.Batch(jnp.ones((6, 8)), jnp.arange(6) % 3)
      >>> rule, variables = learning.accumulate(), nn.variables_of(model)
      >>> gradient = rule.gradient(network, losses.cross_entropy(), variables, batch)  # OTTT
      >>> gradient.grads["layers"][2]["kernel"].shape
      (16, 3)
    """
    check_network(network)
    check_trace(trace)
    model, form = network.model, network.form
    if model is None:
        raise TypeError("a network of functions of your own has no layers to trace; give nn.training_form(model)")
    for path, module in modules(model):
        reason = trace.refusal(module) if isinstance(module, NeuronCell) else None
        if isinstance(module, Dropout) and module.per == "step" and module.rate and form.train:
            reason = "drops others at every step, and a trace is of one pattern; use nn.Dropout(rate, per='sequence')"
        if reason is not None:
            raise ValueError(f"{path}: {reason}")

    def start(params: Params, batch_stats: Params, x: jax.Array) -> Any:
        def first_step() -> dict[str, jax.Array]:
            flow = _Flow(trace, None)
            current, stats = network.encode(params, batch_stats, x)
            network_of(model, form, flow.choose).step(params, stats, None, current, Tick(0, jax.random.key(0)))
            return flow.spikes

        spikes = jax.eval_shape(first_step)
        memory = {path: trace.start(jnp.zeros(like.shape, like.dtype)) for path, like in spikes.items()}
        return network.start(params, batch_stats, x), memory

    def step(
        params: Params, batch_stats: Params, state: Any, current: jax.Array, tick: Tick, offsets: Any = None
    ) -> StepOutput:
        inner, memory = (None, None) if state is None else state
        flow = _Flow(trace, memory)
        output = network_of(model, form, flow.choose).step(params, batch_stats, inner, current, tick, offsets)
        return output._replace(state=(output.state, flow.memory))

    def sequence(*arguments: Any) -> Any:
        raise ValueError("a network with traces runs step by step alone, and not all steps of a layer at once")

    return network._replace(start=start, step=step, sequence=sequence, model=None)


@dataclasses.dataclass(frozen=True)
class traced:  # noqa: N801 - a class that is called as a function
    """An online rule whose weights learn from presynaptic traces.

    With `accumulate` and `decay_trace` it is OTTT-A, with `every_step` OTTT-O; with `ratio_trace` NDOT.

    Attributes:
      rule: an online rule, such as `learning.accumulate()`.
      trace: such as `learning.decay_trace()`.

    Raises:
      TypeError: what is no rule, or no trace.
      ValueError: the full gradient through time, which has no need of a trace, or layer-local learning.

    Example:
      >>> from hdlif_jax import learning
      >>> ottt_o = learning.traced(learning.every_step(), learning.decay_trace())
      >>> ottt_o.updates_per_batch(6)
      6
    """

    rule: Rule = accumulate()
    trace: Trace = decay_trace()

    def __post_init__(self) -> None:
        check_rule(self.rule)
        check_trace(self.trace)
        if isinstance(self.rule, layer_local):
            raise ValueError("layer_local has no gradient between layers for a trace to go with; leave the trace out")
        if isinstance(self.rule, stbp) or self.layerwise:
            raise ValueError(
                f"{self.rule} goes back through all time-steps, for which a trace stands in; trace an online rule such "
                "as learning.accumulate()"
            )

    @property
    def layerwise(self) -> bool:
        """As the rule."""
        return self.rule.layerwise

    def updates_per_batch(self, num_steps: int) -> int:
        """As the rule."""
        return self.rule.updates_per_batch(num_steps)

    def gradient(
        self, network: Network, loss: Loss, variables: Variables, batch: Batch, key: jax.Array | None = None
    ) -> Gradient:
        """See `GradientRule`; of rules that have one gradient a batch."""
        rule: Any = self.rule
        gradient: Gradient = rule.gradient(with_traces(network, self.trace), loss, variables, batch, key)
        return gradient

    def __call__(
        self, network: Network, loss: Loss, update: Update, learner: Learner, batch: Batch, key: jax.Array | None
    ) -> tuple[Learner, Learned]:
        """See `learning.Rule`."""
        return self.rule(with_traces(network, self.trace), loss, update, learner, batch, key)


class _Flow:
    """The traces within one call of a network: where they are made, what they go through, and who learns from them.

    Args:
      trace: how they follow the spikes.
      memory: of the step before, by path of the cell; None starts a sequence.

    Attributes:
      memory: after the step, by path of the cell.
      spikes: float32, by path of the cell.

    Values that were made of spikes by what no trace goes through stand among the attached ones with None.
    """

    def __init__(self, trace: Trace, memory: dict[str, Any] | None):
        self.memory: dict[str, Any] = {}
        self.spikes: dict[str, jax.Array] = {}
        self._trace, self._before = trace, memory
        self._attached: dict[int, tuple[Any, jax.Array | None]] = {}  # by identity of the values, which it keeps alive

    def choose(self, path: str, module: nnx.Module) -> Interceptor | None:
        """What calls of a module go through, see `nn.intercept`."""
        if isinstance(module, NeuronCell):
            return lambda call, state, x, tick: self._fire(path, module, tick, call(state, x, tick))
        if original(type(module)) is Dropout:
            return self._through_dropout
        if isinstance(module, Synapse):
            return lambda call, x: self._weigh(path, module, call, x)
        is_leaf = callable(module) and sum(1 for _ in modules(module)) == 1
        return functools.partial(self._through, path, module) if is_leaf else None

    def _fire(self, path: str, cell: NeuronCell, tick: Tick, result: tuple[Any, jax.Array]) -> tuple[Any, jax.Array]:
        if path in self.memory:
            raise ValueError(f"{path} is called more than once in a time-step; give every call its own cell")
        state, spikes = jax.lax.stop_gradient(result)
        spikes = self.spikes[path] = spikes.astype(jnp.float32)  # traces add up over the steps, as membranes do
        before = self._trace.start(spikes) if self._before is None else self._before[path]
        advanced = self._trace.advance(cell, before, state, spikes, tick)
        self.memory[path], trace = jax.lax.stop_gradient(advanced)
        self._attach(result[1], trace.astype(result[1].dtype))
        return result

    def _through_dropout(self, call: Callable[..., Any], state: Any, x: jax.Array, tick: Tick) -> Any:
        def drop(x: jax.Array) -> tuple[jax.Array, Any]:
            left, y = call(state, x, tick)
            return y, left

        trace = self._trace_of(x)
        if trace is None:
            left, y = call(state, x, tick)
            if self._is_of_spikes(x):
                self._attach(y, None)
            return left, y
        y, dropped, left = jax.jvp(drop, (x,), (trace,), has_aux=True)
        self._attach(y, dropped)
        return left, y

    def _through(
        self, path: str, module: nnx.Module, call: Callable[..., Any], *arguments: Any, **keywords: Any
    ) -> Any:
        if not any(self._is_of_spikes(leaf) for leaf in jax.tree.leaves((arguments, keywords))):
            return call(*arguments, **keywords)
        learns = bool(nnx.to_flat_state(nnx.state(module, nnx.Param)))
        if learns and not has_running_statistics(module):
            raise ValueError(
                f"{path} is a {original(type(module)).__name__} that learns from spikes, and a trace is only for the "
                "library's layers of weights; use nn.Conv or nn.Linear"
            )
        trace = self._trace_of(arguments[0]) if len(arguments) == 1 and not keywords else None
        if trace is None or learns or not _is_linear(call, trace):
            result = call(*arguments, **keywords)
            for leaf in filter(lambda leaf: isinstance(leaf, jax.Array), jax.tree.leaves(result)):
                self._attach(leaf, None)
            return result
        y, passed = jax.jvp(call, arguments, (trace,))
        self._attach(y, passed)
        return y

    def _weigh(self, path: str, layer: Synapse, call: Callable[..., Any], x: jax.Array) -> Any:
        trace = self._trace_of(x)
        if trace is not None:
            return taught_by(layer, x, trace)
        if layer.spikes is not None or self._is_of_spikes(x):
            raise ValueError(
                f"{path} reads spikes whose trace got lost on the way: something between the neurons and it is no "
                "linear layer without parameters; make it one, as nn.AvgPool2x2 is, or give the spikes a height"
            )
        return call(x)

    def _attach(self, values: Any, trace: jax.Array | None) -> None:
        self._attached[id(values)] = values, None if trace is None else jax.lax.stop_gradient(trace)

    def _is_of_spikes(self, values: Any) -> bool:
        return id(values) in self._attached

    def _trace_of(self, values: Any) -> jax.Array | None:
        return self._attached.get(id(values), (None, None))[1]


def taught_by(layer: Synapse, x: jax.Array, trace: jax.Array) -> jax.Array:
    """What a layer gives for x, with the gradient of its parameters as if it had read the trace.

    Args:
      layer: in a form.
      x: `[B, ...]`, whose gradient is the layer's own.
      trace: â of the same shape and type, a constant.
    """
    parts: Any = nnx.split(layer, nnx.Param, ...)
    graphdef, params, others = parts
    leaves, structure = jax.tree.flatten(params)

    def run(leaves: list[jax.Array], others: Any, x: jax.Array, *, integer: bool | None) -> jax.Array:
        copy: Any = nnx.merge(graphdef, jax.tree.unflatten(structure, leaves), others, copy=True)
        release(copy)
        copy.form = layer.form if layer.form is None or integer is None else layer.form._replace(integer=integer)
        output: jax.Array = copy(x)
        return output

    @jax.custom_vjp
    def weigh(leaves: list[jax.Array], others: Any, x: jax.Array, trace: jax.Array) -> jax.Array:
        return run(leaves, others, x, integer=None)

    def forward(leaves: list[jax.Array], others: Any, x: jax.Array, trace: jax.Array) -> Any:
        return weigh(leaves, others, x, trace), (leaves, others, x, trace)

    def backward(kept: Any, cotangent: jax.Array) -> Any:
        leaves, others, x, trace = kept
        (of_x,) = jax.vjp(lambda x: run(leaves, others, x, integer=None), x)[1](cotangent)
        # A trace is on no grid of levels, and so in no layer that computes in integers.
        (of_leaves,) = jax.vjp(lambda leaves: run(leaves, others, trace, integer=False), leaves)[1](cotangent)
        return of_leaves, None, of_x, None

    weigh.defvjp(forward, backward)
    return weigh(leaves, others, x, trace)


def _is_linear(function: Callable[[jax.Array], Any], x: jax.Array) -> bool:
    """Whether a function is linear, but for a constant: what is not, JAX cannot transpose."""
    like = jax.ShapeDtypeStruct(x.shape, x.dtype)
    try:
        jax.eval_shape(jax.linear_transpose(function, like), jax.eval_shape(function, like))
    except (NotImplementedError, TypeError, ValueError, AssertionError):
        return False
    return True
