"""Signatures of the exported programs, as they follow from a manifest."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import export

from hdlif_jax.deploy.format.manifest import Arithmetic, ArraySpec, InputKind, InputType
from hdlif_jax.deploy.format.program import Signature


def array_dtypes(arrays: Mapping[str, ArraySpec], arithmetic: Arithmetic) -> dict[str, jnp.dtype]:
    """Types of the arrays that a program reads: packed kernels are int8, or float32 in float arithmetic."""
    return {
        name: jnp.dtype(jnp.float32 if spec.encoding == "float32" or arithmetic == "float" else jnp.int8)
        for name, spec in arrays.items()
    }


def signature_of(
    program: str,
    *,
    num_steps: int,
    num_classes: int,
    input_kind: InputKind,
    input_shape: tuple[int, ...],
    state: Mapping[str, tuple[int, ...]],
    arrays: Mapping[str, ArraySpec],
    input_type: InputType = "uint8",
) -> Signature:
    """The signature of a program, with a symbolic batch size B.

    "rollout-*": `(arrays, inputs)` to logits `[T, B, K]`; inputs are static `[B, ...]` or sequences
    `[B, T, ...]`. "step-*": `(arrays, state, t, x_t [B, ...])` to `(state, logits [B, K])`.

    Args:
      program: its name.
      num_steps: T.
      num_classes: K.
      input_kind: static inputs or sequences.
      input_shape: of one input at one time-step.
      state: shapes of what the neurons carry, without the batch axis.
      arrays: of the network.
      input_type: of the inputs.
    """
    kind, _, arithmetic = program.partition("-")
    (batch,) = export.symbolic_shape("b")
    dtypes = array_dtypes(arrays, arithmetic)  # type: ignore[arg-type]
    structs = {name: jax.ShapeDtypeStruct(spec.shape, dtypes[name]) for name, spec in arrays.items()}
    frame = jax.ShapeDtypeStruct((batch, *input_shape), jnp.dtype(input_type))
    if kind == "step":
        carried = {name: jax.ShapeDtypeStruct((batch, *shape), jnp.float32) for name, shape in state.items()}
        logits = jax.ShapeDtypeStruct((batch, num_classes), jnp.float32)
        return Signature((structs, carried, jax.ShapeDtypeStruct((), jnp.int32), frame), (carried, logits))
    logits = jax.ShapeDtypeStruct((num_steps, batch, num_classes), jnp.float32)
    sequence = jax.ShapeDtypeStruct((batch, num_steps, *input_shape), jnp.dtype(input_type))
    return Signature((structs, frame if input_kind == "image" else sequence), logits)
