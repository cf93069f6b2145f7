"""Sixteen patterns side by side: the vector type that the compiled kernels calculate with.

The kernels lay sixteen patterns out so that the sixteen values of a detector pixel are neighbours in memory. Each
step of a look-up table is then one vector operation for sixteen patterns, where a gather per pattern would not
vectorise at all. LLVM splits the vectors to whatever the processor has. Numba's auto-vectoriser does not find this by
itself (it took three times as long), so the type is declared here, with the few operations that are needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

LANES = 16
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_SHORTS = ir.VectorType(ir.IntType(16), LANES)
_Generator = Callable[[Any, Any, Any, Any], Any]
_CONTRACT = ("contract",)  # multiply and add may become one instruction


class SimdType(types.Type):
    """The Numba type of sixteen float32 values, one per pattern."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


simd = SimdType()


@register_model(SimdType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)


def _operation(define: Callable[..., tuple[Any, _Generator]]) -> Any:
    """Numba's `intrinsic`, for a type checker that reads the definition's own signature otherwise."""
    return intrinsic(define)


def _address(context: Any, builder: Any, array_type: Any, array: Any, row: Any, vector: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    start = builder.gep(data, [builder.mul(row, ir.Constant(row.type, LANES))])
    return builder.bitcast(start, vector.as_pointer())


@_operation
def load(typing_context: Any, array: Any, row: Any) -> tuple[Any, _Generator]:
    """``array[row]`` as floats, of a C-ordered float32 or uint16 array of shape (rows, 16)."""
    short = array.dtype == types.uint16
    vector = _SHORTS if short else _FLOATS

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, signature.args[0], args[0], args[1], vector)
        values = builder.load(address, align=2 if short else 4)
        return builder.uitofp(values, _FLOATS) if short else values

    return simd(array, types.intp), generate


@_operation
def store(typing_context: Any, array: Any, row: Any, values: Any) -> tuple[Any, _Generator]:
    """``array[row] = values`` for a C-ordered float32 array of shape (rows, 16)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _address(context, builder, signature.args[0], args[0], args[1], _FLOATS), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, simd), generate


@_operation
def splat(typing_context: Any, value: Any) -> tuple[Any, _Generator]:
    """One float32 value in all sixteen simd."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = ir.IntType(32)
        first = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), args[0], ir.Constant(index, 0))
        spread = ir.Constant(ir.VectorType(index, LANES), [0] * LANES)
        return builder.shuffle_vector(first, ir.Constant(_FLOATS, ir.Undefined), spread)

    return simd(types.float32), generate


@_operation
def add(typing_context: Any, a: Any, b: Any) -> tuple[Any, _Generator]:
    """``a + b``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fadd(*args)

    return simd(simd, simd), generate


@_operation
def subtract(typing_context: Any, a: Any, b: Any) -> tuple[Any, _Generator]:
    """``a - b``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fsub(*args)

    return simd(simd, simd), generate


@_operation
def multiply(typing_context: Any, a: Any, b: Any) -> tuple[Any, _Generator]:
    """``a * b``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fmul(*args)

    return simd(simd, simd), generate


@_operation
def multiply_add(typing_context: Any, a: Any, b: Any, c: Any) -> tuple[Any, _Generator]:
    """``a * b + c``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fadd(builder.fmul(args[0], args[1], flags=_CONTRACT), args[2], flags=_CONTRACT)

    return simd(simd, simd, simd), generate
