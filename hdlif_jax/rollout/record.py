"""Looking inside: what chosen layers of a network read, hold and give, step by step."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import nnx

from hdlif_jax.nn import Network, NeuronCell, Tick, Variables, init_state
from hdlif_jax.nn.cell import Cell
from hdlif_jax.nn.declared import holds
from hdlif_jax.nn.forms import network_of
from hdlif_jax.nn.intercept import Interceptor
from hdlif_jax.nn.needs import check_key, check_network, check_variables
from hdlif_jax.rollout.steps import batch_size, is_static

QUANTITIES = ("current", "membrane", "state", "spikes", "rate")  # of a cell

# (path, module, arguments of a call, what it gave) -> any pytree of arrays
Observe = Callable[[str, nnx.Module, tuple[Any, ...], Any], Any]


def record(
    network: Network,
    variables: Variables,
    inputs: jax.Array,
    *,
    layers: Sequence[str] | str | None = None,
    what: Sequence[str] | str = ("current", "membrane", "spikes"),
    key: jax.Array | None = None,
) -> dict[str, dict[str, Any]]:
    """What layers compute for given inputs.

    Of a cell there are its

    - current: I_t, what it reads, `[T, B, ...]`;
    - membrane: m_t before it fires and resets, `[T, B, ...]`, of cells that say it (`NeuronCell.membrane`);
    - state: what a step left, such as the potential after the reset, any pytree of `[T, B, ...]`;
    - spikes: s_t, what it gives, `[T, B, ...]`;
    - rate: the share of steps and inputs for which each neuron fires, `[...]`.

    Of any other layer there is its output, `[T, B, ...]`.

    Args:
      network: in either form.
      variables: its parameters and statistics.
      inputs: static inputs `[B, ...]` or sequences `[T, B, ...]`.
      layers: their paths, such as "blocks.0.neuron1"; None is every layer of neurons. Only what they give is kept.
      what: of cells, one or several of the five.
      key: for cells that draw, in training form.

    Returns:
      By path in the order of the calls, the quantities by name.

    Raises:
      TypeError: what is no network, such as a model, or no key.
      ValueError: unknown layers or quantities, layers that are called several times a step, or variables or inputs that
        do not fit the network.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from hdlif_jax import nn, rollout
      >>> model = nn.mlp((8,), 3, widths=(16,), spec=nn.Spec(num_steps=5, neuron=nn.lif()), rngs=nnx.Rngs(0))
      >>> network, variables = nn.inference_form(model), nn.variables_of(model)
      >>> seen = rollout.record(network, variables, jnp.ones((4, 8)))
      >>> {path: sorted(quantities) for path, quantities in seen.items()}
      {'layers.1': ['current', 'membrane', 'spikes']}
      >>> neurons = seen["layers.1"]
      >>> bool(jnp.all((neurons["membrane"] >= 1) == (neurons["spikes"] > 0)))  # of threshold 1
      True
      >>> rollout.record(network, variables, jnp.ones((4, 8)), layers="layers.2")["layers.2"]["output"].shape
      (5, 4, 3)
    """
    quantities = (what,) if isinstance(what, str) else tuple(what)
    wanted = (layers,) if isinstance(layers, str) else layers
    for name in quantities:
        if name not in QUANTITIES:
            raise ValueError(f"what={name!r} is unknown; choose of {', '.join(QUANTITIES)}")
    paths: list[str] = []

    def choose(path: str, module: nnx.Module) -> bool:
        paths.append(path)
        return isinstance(module, NeuronCell) if wanted is None else path in wanted

    def observe(path: str, module: nnx.Module, arguments: tuple[Any, ...], result: Any) -> dict[str, Any]:
        if not isinstance(module, Cell):
            return {"output": result[1] if isinstance(result, tuple) else result}
        return _of_cell(module, arguments, result, quantities)

    seen: dict[str, dict[str, Any]] = observed(network, variables, inputs, choose, observe, key=key)
    for path in wanted or ():
        if path not in seen:
            near = difflib.get_close_matches(path, [known for known in dict.fromkeys(paths) if known], 3, 0)
            why = "is not called in a time-step" if path in paths else f"is no layer; there are {', '.join(near)}"
            raise ValueError(f"{path!r} {why}")
    for of_layer in seen.values():
        if "rate" in of_layer:
            of_layer["rate"] = jnp.mean(of_layer["rate"], 0)
    return seen


def observed(
    network: Network,
    variables: Variables,
    inputs: jax.Array,
    choose: Callable[[str, nnx.Module], bool],
    observe: Observe,
    *,
    key: jax.Array | None = None,
) -> dict[str, Any]:
    """What is observed of calls of modules, `{path: [T, ...]}` in the order in which the calls end.

    The stem runs at every step, also of static inputs, so that all that is observed has a time axis.

    Args:
      network: in either form.
      variables: its parameters and statistics.
      inputs: static inputs `[B, ...]` or sequences `[T, B, ...]`.
      choose: `(path, module)` to whether its calls are observed.
      observe: of a call, `(path, module, arguments, result)` to a pytree of arrays.
      key: for cells that draw, in training form.

    Raises:
      TypeError: what is no network, such as a model, or one that was made of no model; or no key.
      ValueError: modules that are called several times a step, or variables or inputs that do not fit the network.
    """
    check_network(network)
    check_variables(variables)
    check_key(key)
    if network.model is None:
        raise TypeError("a network of functions of your own has no layers to look into; record within your functions")
    seen: dict[str, Any] = {}
    order: list[str] = []

    def intercepting(path: str, module: nnx.Module) -> Interceptor | None:
        if not callable(module) or not choose(path, module):
            return None

        def run(call: Callable[..., Any], *arguments: Any) -> Any:
            result = call(*arguments)
            if path in seen:
                raise ValueError(f"{path} is called more than once in a time-step; give every call its own module")
            seen[path] = observe(path, module, arguments, result)
            return result

        return run

    watched, params = network_of(network.model, network.form, intercepting), network.quantize(variables.params)
    static, frames = is_static(network, inputs), jnp.asarray(inputs)

    def body(state: Any, t: jax.Array) -> tuple[Any, Mapping[str, Any]]:
        seen.clear()
        current, batch_stats = watched.encode(params, variables.batch_stats, frames if static else frames[t])
        output = watched.step(params, batch_stats, state, current, Tick(t, key))
        order[:] = seen
        return output.state, dict(seen)

    state = init_state(network, variables, batch_size(network, inputs))
    _, over_time = jax.lax.scan(body, state, jnp.arange(network.num_steps, dtype=jnp.int32))
    return {path: over_time[path] for path in order}  # a scan sorts what it hands back


def _of_cell(cell: Cell, arguments: tuple[Any, ...], result: Any, what: Sequence[str]) -> dict[str, Any]:
    (state, current, tick), (left, spikes) = arguments, result
    found = {"current": current, "state": left, "spikes": spikes}
    if "membrane" in what and isinstance(cell, NeuronCell) and holds(cell, "membrane", "advance"):
        current = current.astype(jnp.float32)
        found["membrane"] = cell.membrane(cell.start(current) if state is None else state, current, tick)
    if "rate" in what:
        found["rate"] = jnp.mean(cast(jax.Array, spikes) != 0, 0)
    return {name: found[name] for name in what if name in found}
