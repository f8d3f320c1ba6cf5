"""Folding: a trained network as small integers, a few scales, and a graph (Section 4.2, Eqs. 7-8; Algorithm 1, l. 11).

Each kind of leaf module has one rule (`deploy.rules`; register your own with `rule`). How they are connected is read
off the network itself (`symbols.py`).
"""

from typing import Any, NamedTuple

import numpy as np

from hdlif_jax import nn, show
from hdlif_jax.deploy import rules as _rules  # noqa: F401 - registers them
from hdlif_jax.deploy.folding import Folding, Value
from hdlif_jax.deploy.graph import Graph
from hdlif_jax.deploy.register import rule
from hdlif_jax.deploy.symbols import calls_of
from hdlif_jax.nn.arrays import check_num_steps
from hdlif_jax.nn.needs import check_model


class Folded(NamedTuple):
    """A network ready for inference: run it with `hdlif_jax.deploy.execute`.

    Attributes:
      graph: what is computed.
      arrays: by node and field; integer kernels are int8, all else float32.
    """

    graph: Graph
    arrays: dict[str, dict[str, np.ndarray]]

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a folded network holds functions that cannot be pickled; pickle the model and fold it again")

    def __deepcopy__(self, memo: Any) -> "Folded":
        return self

    def __repr__(self) -> str:
        return show.line("Folded", self._facts())

    def _repr_html_(self) -> str:
        return show.table("Folded", self._facts())

    def _facts(self) -> dict[str, Any]:
        graph = self.graph
        return {
            "steps": graph.num_steps,
            "input": graph.input_shape,
            "classes": graph.num_classes,
            "nodes": len(graph.nodes),
            "integer layers": sum(layer.integer for layer in graph.synapses),
            "arrays": show.entries(self.arrays),
        }


def fold(model: nn.SpikingNetwork, variables: nn.Variables | None = None) -> Folded:
    """Folds a network in inference mode.

    Kernels become levels −1, 0, 1; their scale, the size of a spike level and BatchNorm become one scale and one bias
    per output channel; Mem-BN becomes a per-step decay and an affine on the current (Eqs. 7-8), which moves on into
    the layer before where that layer feeds nothing else.

    Args:
      model: any network whose own code calls modules and adds values.
      variables: its trained parameters and statistics; those of the model by default.

    Raises:
      TypeError: what is no model, the network's own code computes something else, or a module has no rule.
      ValueError: a mix that has no folded form or `variables` or cells of another.
    """
    check_model(model)
    check_num_steps(model, model.num_steps)
    if variables is not None:
        model = nn.with_variables(model, variables)
    calls = calls_of(model)
    folding = Folding(model.num_steps, calls)
    folding.part(calls.encoder)
    current = folding.name_of(calls.current)
    if not folding.value(current).is_plain:
        raise ValueError("encode() must end in a current, but it ends in spikes; move the neuron into __call__()")
    folding.part(calls.body)
    logits = folding.current(folding.name_of(calls.logits))
    encoder, body = folding.parts
    graph = Graph(model.num_steps, model.input_shape, model.num_classes, encoder, body, current, logits)
    arrays = {
        node: {field: _stored(array) for field, array in fields.items()}
        for node, fields in folding.arrays.items()
        if fields
    }
    return Folded(graph, arrays)


def _stored(array: np.ndarray) -> np.ndarray:
    return array if array.dtype == np.int8 else np.asarray(array, np.float32, order="C")


__all__ = ["Folded", "Folding", "Value", "fold", "rule"]
