"""From NIR graphs to our networks."""

import itertools
import pathlib
from typing import Any, NamedTuple

import nir
import numpy as np

from hdlif_jax import nn, show
from hdlif_jax.checks import Count, Positive, check, check_arguments, shown
from hdlif_jax.interop.nir import files
from hdlif_jax.interop.nir.arrays import channels_last, numbers
from hdlif_jax.interop.nir.chain import chain_of
from hdlif_jax.interop.nir.layers import Options, Value, read_node
from hdlif_jax.interop.nir.lif import Reset
from hdlif_jax.interop.nir.report import Line, Report
from hdlif_jax.neurons.lif import Tie

FIXED = nn.lif(learn_decay=False, learn_threshold=False)


class Imported(NamedTuple):
    """A network that was read.

    Attributes:
      model: holds what was read.
      report: what became of each node; `print(report)`.
    """

    model: nn.Sequential
    report: Report

    @property
    def variables(self) -> nn.Variables:
        """Its parameters and statistics."""
        return nn.variables_of(self.model)

    def __repr__(self) -> str:
        return show.line("Imported", {"model": type(self.model).__name__, "report": repr(self.report)})


@check_arguments
def from_nir(
    graph: nir.NIRGraph | pathlib.Path,
    *,
    num_steps: Count | None = None,
    dt: Positive | None = None,
    reset: Reset | None = None,
    tie: Tie | None = None,
    neuron: nn.lif = FIXED,
) -> Imported:
    """Reads a graph of LIF or IF neurons that is one layer after the other.

    Neurons are discretised by the forward Euler method, as `to_nir` writes them: see `interop.nir.lif`. Weights keep
    their numbers; what their gain dt·R/τ is, the thresholds take in. Images are channels last here: an input of
    `(C, H, W)` in the graph is one of `[B, H, W, C]`, and a spike is 1.

    Args:
      graph: a `nir.NIRGraph`, or the path of a file.
      num_steps: T; by default what the metadata of the graph say.
      dt: seconds of a time-step; by default what the metadata of the graph say. Exporters have their own: that of
        snnTorch and, unless it is told otherwise, of SpikingJelly is 1e-4.
      reset: of neurons whose metadata do not say it; by default NIR's own, "hard".
      tie: whether a neuron whose metadata do not say it fires at its threshold; by default NIR's own, ">".
      neuron: its surrogate, and what of it is learned; the graph says the rest. A learned λ is held as the sigmoid of
        a number, and not to the last bit. Its order may be "charge-reset-fire", where an exporter wrote such neurons
        as NIR's: snnTorch does so with its default, which with `reset="soft"` is then read as it was.

    Raises:
      ValueError: a file that is none, or one line with the name of the node that cannot be said, or of what the graph
        does not say and was not given.
      TypeError: what is no graph.
      OSError: the file cannot be read.

    Example:
      >>> import nir
      >>> import numpy as np
      >>> from hdlif_jax.interop.nir import from_nir
      >>> ones = np.ones(3)
      >>> lif = nir.LIF(tau=2e-3 * ones, r=2 * ones, v_leak=0 * ones, v_threshold=ones)
      >>> graph = nir.NIRGraph.from_list(nir.Linear(np.eye(3)), lif)
      >>> model, report = from_nir(graph, dt=1e-3, num_steps=4)
      >>> print(report)
      NIR graph read with time-steps of 1 ms, by the forward Euler method
      node    kind    layer     note
      linear  Linear  layers.0  kernel (3, 3)
      lif     LIF     layers.1  λ = 0.5, θ = 1, hard reset, fires at m > θ
    """
    if isinstance(graph, pathlib.Path):
        graph = files.read(graph)
    if neuron.order == "fire-charge":
        raise ValueError("neuron.order='fire-charge': NIR's neurons charge before they fire; leave it at its default")
    num_steps = _from_metadata(graph, "num_steps", num_steps, Count, "the number of time-steps, e.g. num_steps=4")
    dt = _from_metadata(
        graph, "dt", dt, Positive, "the seconds of a time-step, which for snnTorch's graphs are dt=1e-4"
    )
    (first, start), *chain, (last, end) = chain_of(graph)
    input_shape = _shape_of(first, start.input_type)
    value, layers, lines = Value(input_shape), list[Any](), list[Line]()
    for (name, node), (_, following) in itertools.pairwise([*chain, (last, end)]):
        kind = type(node).__name__
        try:
            layer, value, note = read_node(node, value, following, Options(dt, reset, tie, neuron))
        except (ValueError, TypeError) as error:
            raise ValueError(f"node {name!r} ({kind}) cannot be read: {error}") from None
        lines.append(Line(name, kind, f"layers.{len(layers)}" if layer is not None else "", note))
        layers += [layer] if layer is not None else []
    _check_end(value, _shape_of(last, end.output_type))
    if value.factor != 1:
        layers.append(nn.Scale(value.factor))
    if not any(isinstance(layer, nn.lif) for layer in layers):
        raise ValueError("the graph has no LIF and no IF node; a spiking network has at least one")
    model = nn.Sequential(*layers, num_steps=num_steps, input_shape=channels_last(input_shape))
    return Imported(model, Report(dt, tuple(lines)))


def _from_metadata(graph: nir.NIRGraph, field: str, given: Any, kind: Any, what: str) -> Any:
    """What was given, or what the graph says."""
    if given is not None:
        return given
    if field not in graph.metadata:
        raise ValueError(f"the graph does not say its {field}; give {what}")
    return check(f"the graph's {field}", graph.metadata[field], kind)


def _shape_of(name: str, types: Any) -> tuple[int, ...]:
    """The shape that an Input or Output says, `(F,)` or `(C, H, W)`."""
    (found,) = types.values() if isinstance(types, dict) and len(types) == 1 else (None,)
    try:
        shape = numbers("shape", found)
    except ValueError as error:
        raise ValueError(f"node {name!r} cannot be read: {error}") from None
    if shape.shape not in ((1,), (3,)) or (shape < 1).any() or (shape != np.round(shape)).any():
        raise ValueError(
            f"node {name!r} has the shape {shown(shape.tolist())}; expected [features] or [channels, height, width], "
            "without the batch"
        )
    return tuple(int(size) for size in shape)


def _check_end(value: Value, shape: tuple[int, ...]) -> None:
    if value.shape != shape:
        raise ValueError(f"the graph says that it ends in {shape}, and its nodes give {value.shape}")
    if len(shape) != 1 or (value.image is not None and min(value.image[0], int(np.prod(value.image[1:]))) > 1):
        raise ValueError(f"the graph ends in {value.image or shape}; expected classes (K,), e.g. behind an Affine node")
