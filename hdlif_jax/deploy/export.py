"""From a folded network to an artifact: programs for every platform, and a manifest."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from hdlif_jax import ops
from hdlif_jax.checks import check_arguments
from hdlif_jax.deploy import execute
from hdlif_jax.deploy.fold import Folded
from hdlif_jax.deploy.format.artifact import Artifact, encode_arrays
from hdlif_jax.deploy.format.manifest import Arithmetic, InputKind, InputType, Manifest, ProgramSpec
from hdlif_jax.deploy.format.program import PLATFORMS, export_program
from hdlif_jax.deploy.format.signatures import signature_of
from hdlif_jax.deploy.states import Layout, layout, named

Preprocess = Callable[[jax.Array], jax.Array]  # inputs [..., *input_shape] to what the network was trained on
Flat = dict[str, jax.Array]  # by "<node>.<field>", as a file has them


def normalization(mean: tuple[float, ...], std: tuple[float, ...], input_type: InputType = "uint8") -> Preprocess:
    """The function of inputs `[..., C]` to float32 of zero mean and unit variance per channel.

    Args:
      mean: per channel: of uint8 inputs in [0, 1], of floats in their own unit.
      std: per channel, likewise.
      input_type: of the inputs.

    Raises:
      ValueError: a mean that uint8 inputs in [0, 1] do not have, such as that of floats in another unit.
    """
    if input_type == "uint8" and not all(0 <= value <= 1 for value in mean):
        raise ValueError(
            f"mean={mean} is that of other inputs than uint8 levels as values in [0, 1]; say input_type='float32' if "
            "the network was trained on floats, or give make_artifact what makes of levels what it was trained on"
        )
    return lambda inputs: ops.normalize(inputs, mean, std)


@check_arguments
def make_artifact(
    folded: Folded,
    preprocess: Preprocess,
    *,
    input_kind: InputKind,
    class_names: tuple[str, ...],
    config: dict[str, Any] | None = None,
    input_type: InputType = "uint8",
) -> Artifact:
    """Exports a folded network.

    The arrays are arguments of the programs, not constants in them, so that every weight is stored once, packed.

    Args:
      folded: from `fold`.
      preprocess: inputs `[..., *input_shape]` to what the network was trained on, such as a normalisation; it
        becomes part of the programs.
      input_kind: "image", shown at every step, or "sequence" of frames.
      class_names: one per class.
      config: of the run, for the reader.
      input_type: of the inputs.

    Returns:
      The artifact, ready for `write`.

    Raises:
      ValueError: class names that do not fit, or a neuron or `preprocess` that cannot be exported.
    """
    graph = folded.graph
    if len(class_names) != graph.num_classes:
        raise ValueError(f"{len(class_names)} class names for {graph.num_classes} classes; name each class once")
    arrays = {f"{node}.{field}": array for node, fields in folded.arrays.items() for field, array in fields.items()}
    specs, _ = encode_arrays(arrays)
    carried = layout(folded)
    integer_layers = sum(node.integer for node in graph.synapses)
    programs, descriptions = {}, {}
    arithmetics: tuple[Arithmetic, ...] = ("integer", "float") if integer_layers else ("float",)
    for arithmetic in arithmetics:
        for kind, function in (
            ("rollout", _rollout(folded, arithmetic, preprocess, input_kind)),
            ("step", _step(folded, arithmetic, preprocess, carried)),
        ):
            name = f"{kind}-{arithmetic}"
            signature = signature_of(
                name,
                num_steps=graph.num_steps,
                num_classes=graph.num_classes,
                input_kind=input_kind,
                input_shape=graph.input_shape,
                state=carried.shapes,
                arrays=specs,
                input_type=input_type,
            )
            exported = export_program(function, signature)
            programs[name] = exported.mlir_module_serialized
            descriptions[name] = ProgramSpec(len(programs[name]), exported.calling_convention_version, jax.__version__)
    manifest = Manifest(
        num_steps=graph.num_steps,
        input_kind=input_kind,
        input_shape=graph.input_shape,
        class_names=tuple(class_names),
        state=carried.shapes,
        arrays=specs,
        programs=descriptions,
        files={},
        platforms=PLATFORMS,
        integer_layers=integer_layers,
        config=config or {},
        input_type=input_type,
    )
    return Artifact(manifest, arrays, programs)


def _rollout(
    folded: Folded, arithmetic: Arithmetic, preprocess: Preprocess, input_kind: InputKind
) -> Callable[[Flat, jax.Array], jax.Array]:
    def rollout(arrays: Flat, inputs: jax.Array) -> jax.Array:
        by_time = inputs[None] if input_kind == "image" else jnp.moveaxis(inputs, 1, 0)
        return execute.rollout(folded.graph, arithmetic, _nested(folded, arrays), preprocess(by_time))

    return rollout


def _step(
    folded: Folded, arithmetic: Arithmetic, preprocess: Preprocess, carried: Layout
) -> Callable[[Flat, Flat, jax.Array, jax.Array], tuple[Flat, jax.Array]]:
    graph = folded.graph

    def step(arrays: Flat, state: Flat, t: jax.Array, x_t: jax.Array) -> tuple[Flat, jax.Array]:
        fields = _nested(folded, arrays)
        states = carried.begun(carried.unnamed(state), t, x_t.shape[0])
        current = execute.encode(graph, arithmetic, fields, preprocess(x_t)[None])
        states, values = execute.advance(graph, arithmetic, fields, states, current, t, 1)
        return named(states), values[graph.logits][0]

    return step


def _nested(folded: Folded, arrays: Flat) -> dict[str, Flat]:
    return {node: {field: arrays[f"{node}.{field}"] for field in fields} for node, fields in folded.arrays.items()}
