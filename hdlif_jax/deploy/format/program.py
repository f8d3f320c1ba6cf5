"""Exported programs: StableHLO of fixed operations on arrays, checked against the signature that the manifest gives.

`jax.export`'s own container needs one more package to be read. The StableHLO alone does not: the rest of an `Exported`
follows from the signature, so it is rebuilt by exporting a function of that signature and putting the StableHLO in.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export
from jax.extend.mlir import ir, passmanager
from jax.extend.mlir.dialects import stablehlo

from hdlif_jax.deploy.format.errors import ArtifactError, require

PLATFORMS = ("cpu", "cuda", "tpu")
MAX_ELEMENTS = 2**31  # of one tensor with the batch size left out
MAX_OPERATIONS = 1_000_000  # of a program with its calls written out, which is what a compiler does
MAX_DEPTH = 50  # of calls
ALLOWED_CUSTOM_CALLS = {"shape_assertion"}  # jax.export's check of symbolic dimensions; compiled away
# Elementwise, moving and reducing: no loop, and no call to the outside but jax.export's check of symbolic dimensions.
ALLOWED_OPERATIONS = frozenset(
    """
    builtin.module func.call func.func func.return
    stablehlo.abs stablehlo.add stablehlo.and stablehlo.broadcast_in_dim stablehlo.case stablehlo.ceil stablehlo.clamp
    stablehlo.compare stablehlo.concatenate stablehlo.constant stablehlo.convert stablehlo.convolution
    stablehlo.custom_call stablehlo.divide stablehlo.dot_general stablehlo.dynamic_broadcast_in_dim
    stablehlo.dynamic_conv stablehlo.dynamic_gather stablehlo.dynamic_iota stablehlo.dynamic_pad
    stablehlo.dynamic_reshape stablehlo.dynamic_slice stablehlo.exponential stablehlo.floor stablehlo.gather
    stablehlo.get_dimension_size stablehlo.iota stablehlo.log stablehlo.log_plus_one stablehlo.logistic
    stablehlo.maximum stablehlo.minimum stablehlo.multiply stablehlo.negate stablehlo.not stablehlo.or stablehlo.pad
    stablehlo.power stablehlo.real_dynamic_slice stablehlo.reduce stablehlo.reduce_window stablehlo.remainder
    stablehlo.reshape stablehlo.return stablehlo.reverse stablehlo.round_nearest_even stablehlo.rsqrt stablehlo.select
    stablehlo.sign stablehlo.slice stablehlo.sqrt stablehlo.subtract stablehlo.tanh stablehlo.transpose stablehlo.xor
    """.split()  # noqa: SIM905 - readable
)


class Signature(NamedTuple):
    """What a program takes and gives: trees of `jax.ShapeDtypeStruct`, the batch axis symbolic."""

    arguments: tuple[Any, ...]
    result: Any


def export_program(function: Callable[..., Any], signature: Signature) -> export.Exported:
    """Lowers a function for all platforms; equal functions give equal programs, without names of source files.

    Raises:
      ValueError: the function uses operations that an artifact may not have.
    """
    exported = export.export(jax.jit(function, keep_unused=True), platforms=PLATFORMS)(*signature.arguments)
    exported = dataclasses.replace(exported, mlir_module_serialized=_compact(exported.mlir_module_serialized))
    try:
        _check(exported.mlir_module_serialized, exported)
    except ArtifactError as error:
        raise ValueError(f"the program cannot be part of an artifact: {error}") from None
    return exported


def _compact(program: bytes) -> bytes:
    """Without the names of source files, and with each shape computed once: a program has many of a batch's size."""
    version = program[4 : program.index(b"\0")].decode().rpartition("_v")[2]  # ML\xefR, a byte, StableHLO_v1.2.3, 0
    with ir.Context() as context:
        stablehlo.register_dialect(context)
        module = stablehlo.deserialize_portable_artifact(context, program)
        text = module.operation.get_asm(enable_debug_info=False, print_generic_op_form=True)
        module = ir.Module.parse(str(text))
        passmanager.PassManager.parse("builtin.module(cse)").run(module.operation)
        return stablehlo.serialize_portable_artifact(module, version)


def rebuild(program: bytes, signature: Signature, calling_convention: int, name: str) -> export.Exported:
    """The inverse of exporting: a checked, callable program of a signature.

    Args:
      program: StableHLO, portable bytecode.
      signature: as it was exported.
      calling_convention: as it was exported.
      name: for messages.

    Raises:
      ArtifactError: the program is broken, of another signature, or has operations that no artifact has.
    """
    low, high = export.minimum_supported_calling_convention_version, export.maximum_supported_calling_convention_version
    require(
        low <= calling_convention <= high,
        f"{name} has calling convention {calling_convention}; jax {jax.__version__} supports {low} to {high}",
    )

    def of_this_signature(*arguments: Any) -> Any:
        batch = jax.tree.leaves(arguments)[-1].shape[0]
        return jax.tree.map(lambda leaf: _zeros(leaf, batch), signature.result)

    template = export.export(jax.jit(of_this_signature, keep_unused=True), platforms=PLATFORMS)(*signature.arguments)
    _check(program, template, name)
    return dataclasses.replace(template, mlir_module_serialized=program, calling_convention_version=calling_convention)


def _zeros(leaf: jax.ShapeDtypeStruct, batch: Any) -> jax.Array:
    return jnp.zeros(tuple(length if isinstance(length, int) else batch for length in leaf.shape), leaf.dtype)


def _check(program: bytes, template: export.Exported, name: str = "the program") -> None:
    require(program.startswith(b"ML\xefR"), f"{name} is not StableHLO bytecode")
    with ir.Context() as context:
        stablehlo.register_dialect(context)
        try:
            module = stablehlo.deserialize_portable_artifact(context, program)
        except Exception as error:  # whatever the parser raises
            raise ArtifactError(f"{name} is not readable StableHLO: {str(error)[:120]}") from None
        expected = stablehlo.deserialize_portable_artifact(context, template.mlir_module_serialized)
        has, needs = _main_type(module), _main_type(expected)
        require(has == needs, f"{name} has another signature than the manifest: {_difference(has, needs)}")
        _check_operations(module.operation, name)
        functions = {ir.StringAttr(inner.attributes["sym_name"]).value: inner for inner in module.body.operations}
        _check_calls("main", functions, (), {}, name)


def _main_type(module: Any) -> str:
    for operation in module.body.operations:
        if operation.operation.name == "func.func" and ir.StringAttr(operation.attributes["sym_name"]).value == "main":
            return str(operation.attributes["function_type"])
    raise ArtifactError("a program has no main function")


def _difference(has: str, needs: str) -> str:
    first = next((index for index, (one, other) in enumerate(zip(has, needs, strict=False)) if one != other), 0)
    return f"{has[max(first - 30, 0) : first + 30]!r} instead of {needs[max(first - 30, 0) : first + 30]!r}"


def _check_calls(
    function: str, functions: dict[str, Any], callers: tuple[str, ...], counted: dict[str, int], name: str
) -> int:
    """Number of operations of a function with its calls written out; refuses calls that never end, or grow."""
    require(function in functions, f"{name} calls a function that it does not have")
    require(function not in callers and len(callers) < MAX_DEPTH, f"{name} has calls without end")
    if function not in counted:
        counted[function] = 0
        for operation in _operations_in(functions[function].operation):
            counted[function] += 1
            if operation.name == "func.call":
                callee = ir.FlatSymbolRefAttr(operation.attributes["callee"]).value
                counted[function] += _check_calls(callee, functions, (*callers, function), counted, name)
            require(counted[function] <= MAX_OPERATIONS, f"{name} has more than {MAX_OPERATIONS} operations")
    return counted[function]


def _operations_in(operation: Any) -> Iterator[Any]:
    for region in operation.regions:
        for block in region.blocks:
            for inner in block.operations:
                yield inner.operation
                yield from _operations_in(inner.operation)


def _check_operations(operation: Any, name: str) -> None:
    require(operation.name in ALLOWED_OPERATIONS, f"{name} has the operation {operation.name}, which no artifact has")
    if operation.name == "stablehlo.custom_call":
        target = ir.StringAttr(operation.attributes["call_target_name"]).value
        require(target in ALLOWED_CUSTOM_CALLS, f"{name} calls {target!r}, which no artifact does")
    for result in operation.results:
        if isinstance(result.type, ir.RankedTensorType):
            tensor = result.type
            elements = 1
            for axis in range(tensor.rank):
                elements *= 1 if tensor.is_dynamic_dim(axis) else tensor.get_dim_size(axis)
            require(elements <= MAX_ELEMENTS, f"{name} has a tensor of {elements} elements")
    for region in operation.regions:
        for block in region.blocks:
            for inner in block.operations:
                _check_operations(inner.operation, name)
