"""Signatures of the exported programs, as they follow from a manifest."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import export

from hdlif_jax.deploy.execute import Arithmetic
from hdlif_jax.deploy.manifest import ArraySpec, InputKind
from hdlif_jax.deploy.program import Signature


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
    input_shape: tuple[int, int, int],
    state: Mapping[str, tuple[int, ...]],
    arrays: Mapping[str, ArraySpec],
) -> Signature:
    """The signature of a program, with a symbolic batch size B.

    "rollout-*": `(arrays, inputs)` to logits `[T, B, K]`; inputs are uint8 images `[B, H, W, C]` or sequences
    `[B, T, H, W, C]`. "step-*": `(arrays, state, t, x_t [B, H, W, C])` to `(state, logits [B, K])`.

    Args:
      program: its name.
      num_steps: T.
      num_classes: K.
      input_kind: images or sequences.
      input_shape: (H, W, C).
      state: shapes of the residual potentials without the batch axis.
      arrays: of the network.
    """
    kind, _, arithmetic = program.partition("-")
    (batch,) = export.symbolic_shape("b")
    dtypes = array_dtypes(arrays, arithmetic)  # type: ignore[arg-type]
    structs = {name: jax.ShapeDtypeStruct(spec.shape, dtypes[name]) for name, spec in arrays.items()}
    frame = jax.ShapeDtypeStruct((batch, *input_shape), jnp.uint8)
    if kind == "step":
        residuals = {name: jax.ShapeDtypeStruct((batch, *shape), jnp.float32) for name, shape in state.items()}
        logits = jax.ShapeDtypeStruct((batch, num_classes), jnp.float32)
        return Signature((structs, residuals, jax.ShapeDtypeStruct((), jnp.int32), frame), (residuals, logits))
    logits = jax.ShapeDtypeStruct((num_steps, batch, num_classes), jnp.float32)
    sequence = jax.ShapeDtypeStruct((batch, num_steps, *input_shape), jnp.uint8)
    return Signature((structs, frame if input_kind == "image" else sequence), logits)
