"""Sixteen patterns side by side: the few operations that the compiled kernels of `projection` calculate with.

The kernels lay sixteen patterns out so that the sixteen values of a detector pixel are neighbours in memory. Each step
of a look-up table is then one vector operation for sixteen patterns, where a gather per pattern would not vectorise at
all. Numba's auto-vectoriser does not find this by itself (it took three times as long), so a vector type is declared
here; LLVM splits the vectors to whatever the processor has.

What is compiled follows from the arrays: of two dimensions, (rows, 16), they are calculated with in vectors, of one
dimension, (rows,), in plain numbers. So the same kernel is written once, and serves one pattern at a time where the
vectors do not compile, with the same numbers in ten times the time.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from napari_stemnmf.compiled import njit

logger = logging.getLogger(__name__)
LANES = 16


def load(array: Any, row: Any) -> Any:
    """``array[row]`` as float32, of a C-ordered float32 or uint16 array."""
    raise NotImplementedError  # exists in compiled code only, as the others


def store(array: Any, row: Any, values: Any) -> None:
    """``array[row] = values`` for a C-ordered float32 array."""
    raise NotImplementedError


def splat(value: Any, like: Any) -> Any:
    """One float32 value in all lanes that `like` (an array) has."""
    raise NotImplementedError


def multiply_add(a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, which may become one instruction."""
    raise NotImplementedError


@cache
def is_available() -> bool:
    """Whether the vectors compile, and calculate, on this machine; tried once."""
    values = np.arange(2 * LANES, dtype=np.float32).reshape(2, LANES)
    found, expected = np.empty((1, LANES), np.float32), np.empty((1, LANES), np.float32)
    try:
        _try_all(values, found)
        for lane in range(LANES):
            _try_all(np.ascontiguousarray(values[:, lane]), expected[:, lane])
    except Exception:  # whatever Numba, llvmlite or LLVM raise
        logger.warning("Patterns are projected one at a time: vectors do not compile here.", exc_info=True)
        return False
    if not np.array_equal(found, expected):
        logger.warning("Patterns are projected one at a time: vectors give other numbers here.")
        return False
    return True


@njit(nogil=True, cache=True)
def _try_all(values: Any, out: Any) -> None:  # pragma: no cover - compiled
    a, b = load(values, 0), load(values, 1)
    store(out, 0, (multiply_add(a, splat(np.float32(0.5), values), b) - a) * a + b)


@overload(load, strict=False)
def _load(array: Any, row: Any) -> Any:
    if array.ndim == 1:
        return lambda array, row: np.float32(array[row])
    vectors = _vectors().load
    return lambda array, row: vectors(array, row)


@overload(store, strict=False)
def _store(array: Any, row: Any, values: Any) -> Any:
    if array.ndim == 1:

        def plain(array: Any, row: Any, values: Any) -> None:
            array[row] = values

        return plain
    vectors = _vectors().store
    return lambda array, row, values: vectors(array, row, values)


@overload(splat, strict=False)
def _splat(value: Any, like: Any) -> Any:
    if like.ndim == 1:
        return lambda value, like: value
    vectors = _vectors().splat
    return lambda value, like: vectors(value)


@overload(multiply_add, strict=False, jit_options={"fastmath": {"contract"}})
def _multiply_add(a: Any, b: Any, c: Any) -> Any:
    if isinstance(a, types.Float):
        return lambda a, b, c: a * b + c
    vectors = _vectors().multiply_add
    return lambda a, b, c: vectors(a, b, c)


@cache
def _vectors() -> SimpleNamespace:
    """The operations on sixteen float32 values, one per pattern; ``+``, ``-`` and ``*`` work on their type, too."""
    from llvmlite import ir
    from numba.core.datamodel import models
    from numba.extending import intrinsic, register_model

    floats, shorts = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.IntType(16), LANES)

    class Vector(types.Type):
        def __init__(self) -> None:
            super().__init__(name="Lanes")

    @register_model(Vector)
    class VectorModel(models.PrimitiveModel):
        def __init__(self, manager: Any, kind: Any) -> None:
            super().__init__(manager, kind, floats)

    vector = Vector()

    def address(context: Any, builder: Any, array_type: Any, array: Any, row: Any, kind: Any) -> Any:
        data = context.make_array(array_type)(context, builder, array).data
        start = builder.gep(data, [builder.mul(row, ir.Constant(row.type, LANES))])
        return builder.bitcast(start, kind.as_pointer())

    def load(typing_context: Any, array: Any, row: Any) -> Any:
        short = array.dtype == types.uint16
        kind, align = (shorts, 2) if short else (floats, 4)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            values = builder.load(address(context, builder, signature.args[0], args[0], args[1], kind), align=align)
            return builder.uitofp(values, floats) if short else values

        return vector(array, types.intp), generate

    def store(typing_context: Any, array: Any, row: Any, values: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            start = address(context, builder, signature.args[0], args[0], args[1], floats)
            builder.store(args[2], start, align=4)
            return context.get_dummy_value()

        return types.void(array, types.intp, vector), generate

    def splat(typing_context: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            index = ir.IntType(32)
            first = builder.insert_element(ir.Constant(floats, ir.Undefined), args[0], ir.Constant(index, 0))
            spread = ir.Constant(ir.VectorType(index, LANES), [0] * LANES)
            return builder.shuffle_vector(first, ir.Constant(floats, ir.Undefined), spread)

        return vector(types.float32), generate

    def multiply_add(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            contract = ("contract",)
            return builder.fadd(builder.fmul(args[0], args[1], flags=contract), args[2], flags=contract)

        return vector(vector, vector, vector), generate

    def elementwise(symbol: Callable[[Any, Any], Any], instruction: str) -> None:
        def define(typing_context: Any, a: Any, b: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                return getattr(builder, instruction)(*args)

            return vector(vector, vector), generate

        operation: Any = intrinsic(define)

        @overload(symbol, strict=False)
        def of_vectors(a: Any, b: Any) -> Any:
            return (lambda a, b: operation(a, b)) if isinstance(a, Vector) and isinstance(b, Vector) else None

    for symbol, instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
        elementwise(symbol, instruction)
    return SimpleNamespace(**{f.__name__: intrinsic(f) for f in (load, store, splat, multiply_add)})
