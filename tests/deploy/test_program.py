import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.extend.mlir import ir
from jax.extend.mlir.dialects import stablehlo

from hdlif_jax.deploy import ArtifactError
from hdlif_jax.deploy.format.program import PLATFORMS, Signature, export_program, rebuild


def signature():
    (batch,) = export.symbolic_shape("b")
    return Signature(
        ({"scale": jax.ShapeDtypeStruct((3,), jnp.float32)}, jax.ShapeDtypeStruct((batch, 3), jnp.float32)),
        jax.ShapeDtypeStruct((batch, 3), jnp.float32),
    )


def scaled(arrays, x):
    return x * arrays["scale"][None, :]


def exported(function):
    """StableHLO of a function that is not checked."""
    return export.export(jax.jit(function, keep_unused=True), platforms=PLATFORMS)(*signature().arguments)


def test_round_trip():
    program = export_program(scaled, signature())
    again = rebuild(program.mlir_module_serialized, signature(), program.calling_convention_version, "the program")
    assert again.platforms == PLATFORMS == ("cpu", "cuda", "tpu")
    arrays = {"scale": jnp.float32([1, 2, 3])}
    for batch in (1, 4):
        np.testing.assert_array_equal(again.call(arrays, jnp.ones((batch, 3))), np.tile([1, 2, 3], (batch, 1)))


def test_no_source_file_is_named_and_equal_functions_are_equal_programs():
    first, second = (export_program(scaled, signature()).mlir_module_serialized for _ in range(2))
    assert first == second
    assert b".py" not in first


def loops(arrays, x):
    return jax.lax.while_loop(lambda x: jnp.max(x) < 0, lambda x: x - 1, x) * arrays["scale"][None, :]


def calls_out(arrays, x):
    return jax.lax.approx_max_k(x, 3)[0] * arrays["scale"][None, :]


def huge(arrays, x):
    ones = jnp.full((2**16, 2**16), 1, jnp.int8)
    return x * arrays["scale"][None, :] + jnp.sum(ones, dtype=jnp.int32).astype(jnp.float32)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (loops, "has the operation stablehlo.while"),
        (calls_out, "calls 'ApproxTopK'"),
        (huge, "has a tensor of 4294967296 elements"),
    ],
)
def test_programs_that_loop_call_out_or_grow_are_refused(function, message):
    program = exported(function)
    with pytest.raises(ArtifactError, match=message):
        rebuild(program.mlir_module_serialized, signature(), program.calling_convention_version, "the program")
    with pytest.raises(ValueError, match="cannot be part of an artifact"):
        export_program(function, signature())


def with_calls(*calls):
    """A program that calls the first of `calls`, which are functions with the functions that they call."""
    program = exported(scaled).mlir_module_serialized
    with ir.Context() as context:
        stablehlo.register_dialect(context)
        module = str(stablehlo.deserialize_portable_artifact(context, program))
        functions = ""
        for name, callees in calls:
            lines = "\n".join(f"func.call @{callee}() : () -> ()" for callee in callees)
            functions += f"func.func private @{name}() {{\n{lines}\nreturn\n}}\n"
        body, brace, rest = module.rpartition("}")
        text = body.replace("return", f"func.call @{calls[0][0]}() : () -> ()\n return", 1) + functions + brace + rest
        return stablehlo.serialize_portable_artifact(ir.Module.parse(text), "1.0.0")


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        ([("f", ["g"]), ("g", ["f"])], "has calls without end"),
        ([(f"f{index}", [f"f{index + 1}"]) for index in range(60)] + [("f60", [])], "has calls without end"),
        ([(f"f{index}", [f"f{index + 1}"] * 8) for index in range(20)] + [("f20", [])], "more than 1000000 operations"),
    ],
    ids=["recursion", "depth", "growth"],
)
def test_calls_without_end_are_refused(calls, message):
    with pytest.raises(ArtifactError, match=message):
        rebuild(with_calls(*calls), signature(), 10, "the program")


def test_another_signature_is_refused():
    program = exported(lambda arrays, x: scaled(arrays, x)[:, :2])
    with pytest.raises(ArtifactError, match="another signature than the manifest"):
        rebuild(program.mlir_module_serialized, signature(), program.calling_convention_version, "the program")
