"""From a folded network to an artifact: programs for every platform, and a manifest."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from hdlif_jax.deploy import execute
from hdlif_jax.deploy import graph as ops
from hdlif_jax.deploy.artifact import Artifact, encode_arrays
from hdlif_jax.deploy.execute import Arithmetic
from hdlif_jax.deploy.fold import Folded
from hdlif_jax.deploy.manifest import InputKind, Manifest, ProgramSpec
from hdlif_jax.deploy.program import PLATFORMS, export_program
from hdlif_jax.deploy.signatures import signature_of

PrepareInputs = Callable[[jax.Array], jax.Array]


def make_artifact(
    folded: Folded,
    prepare_inputs: PrepareInputs,
    *,
    input_kind: InputKind,
    class_names: tuple[str, ...],
    config: dict[str, Any] | None = None,
) -> Artifact:
    """Exports a folded network.

    The arrays are arguments of the programs, not constants in them, so that every weight is stored once, packed.

    Args:
      folded: from `fold`.
      prepare_inputs: uint8 frames `[..., H, W, C]` to what the network was trained on, such as a normalisation; it
        becomes part of the programs.
      input_kind: "image", shown at every step, or "sequence" of event frames.
      class_names: one per class.
      config: of the run, for the reader.

    Returns:
      The artifact, ready for `artifact.write`.

    Raises:
      ValueError: class names that do not fit, or a `prepare_inputs` that cannot be exported.
    """
    graph = folded.graph
    if len(class_names) != graph.num_classes:
        raise ValueError(f"{len(class_names)} class names for {graph.num_classes} classes; name each class once")
    specs, _ = encode_arrays(folded.arrays)
    state = _state_shapes(folded)
    synapses = [node for node in graph.encoder + graph.body if isinstance(node, ops.Conv | ops.Linear)]
    integer_layers = sum(node.integer for node in synapses)
    programs, descriptions = {}, {}
    for arithmetic in ("integer", "float") if integer_layers else ("float",):
        for kind, function in (
            ("rollout", _rollout(folded, arithmetic, prepare_inputs, input_kind)),
            ("step", _step(folded, arithmetic, prepare_inputs)),
        ):
            name = f"{kind}-{arithmetic}"
            signature = signature_of(
                name,
                num_steps=graph.num_steps,
                num_classes=graph.num_classes,
                input_kind=input_kind,
                input_shape=graph.input_shape,
                state=state,
                arrays=specs,
            )
            exported = export_program(function, signature)
            programs[name] = exported.mlir_module_serialized
            descriptions[name] = ProgramSpec(len(programs[name]), exported.calling_convention_version, jax.__version__)
    manifest = Manifest(
        num_steps=graph.num_steps,
        input_kind=input_kind,
        input_shape=graph.input_shape,
        class_names=tuple(class_names),
        state=state,
        arrays=specs,
        programs=descriptions,
        files={},
        platforms=PLATFORMS,
        integer_layers=integer_layers,
        config=config or {},
    )
    return Artifact(manifest, folded.arrays, programs)


def _rollout(folded: Folded, arithmetic: Arithmetic, prepare_inputs: PrepareInputs, input_kind: InputKind):
    def rollout(arrays, inputs):
        by_time = inputs[None] if input_kind == "image" else jnp.moveaxis(inputs, 1, 0)
        return execute.rollout(folded.graph, arithmetic, arrays, prepare_inputs(by_time))

    return rollout


def _step(folded: Folded, arithmetic: Arithmetic, prepare_inputs: PrepareInputs):
    def step(arrays, state, t, x_t):
        current = execute.encode(folded.graph, arithmetic, arrays, prepare_inputs(x_t)[None])
        state, values = execute.advance(folded.graph, arithmetic, arrays, state, current, t, 1)
        return state, execute.logits_of(folded.graph, values)[0]

    return step


def _state_shapes(folded: Folded) -> dict[str, tuple[int, ...]]:
    def first_step(arrays, x):
        current = execute.encode(folded.graph, "float", arrays, x)
        return execute.advance(folded.graph, "float", arrays, {}, current, 0, 1)[0]

    x = jax.ShapeDtypeStruct((1, 1, *folded.graph.input_shape), jnp.float32)
    return {name: leaf.shape[1:] for name, leaf in jax.eval_shape(first_step, folded.arrays, x).items()}
