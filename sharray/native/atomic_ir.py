"""The LLVM instruction of each atomic operation.

Both compilers use it: numba's, for kernels, and `sharray.native.atomic_native`,
for calls from Python. All are sequentially consistent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from .atomic_operations import OPERATIONS

# Nothing weaker. At the bell and the gate of a team, each side writes one word and then
# reads the other's. With acquire and release alone, both may read old values.
_ORDER = "seq_cst"


def scalar_type(kind: str, nbytes: int) -> ir.Type:
    """Return LLVM's type of an element of this kind (i, u, f) and size."""
    if kind == "f":
        return ir.FloatType() if nbytes == 4 else ir.DoubleType()
    return ir.IntType(8 * nbytes)


def emit(
    builder: Any, operation: str, kind: str, pointer: Any, values: Sequence[Any]
) -> tuple[Any, ...]:
    """Append an operation on the element that `pointer` points to.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
        The builder to append to.
    operation : str
        Name of a function of `sharray.native.atomic`.
    kind : {'i', 'u', 'f'}
        Kind of the element.
    pointer : llvmlite.ir.Value
        Pointer to a scalar in memory, aligned to its size.
    values : sequence of llvmlite.ir.Value
        Values of the element's type.

    Returns
    -------
    tuple of llvmlite.ir.Value
        The old value; for ``compare_exchange`` also whether it was replaced; empty
        for ``store``.
    """
    instruction = OPERATIONS[operation].instructions.get(kind)
    if instruction is not None:
        return (builder.atomic_rmw(instruction, pointer, values[0], _ORDER),)
    # Other instructions do not take reals: use integers with the same bits.
    real = pointer.type.pointee
    nbytes = 4 if isinstance(real, ir.FloatType) else 8
    if kind == "f":
        bits = ir.IntType(8 * nbytes)
        pointer = builder.bitcast(pointer, bits.as_pointer())
        values = [builder.bitcast(value, bits) for value in values]
    results = _emit_on_bits(builder, operation, pointer, values)
    if kind == "f" and results:
        return (builder.bitcast(results[0], real), *results[1:])
    return results


def _emit_on_bits(
    builder: Any, operation: str, pointer: Any, values: Sequence[Any]
) -> tuple[Any, ...]:
    nbytes = pointer.type.pointee.width // 8
    if operation == "load":
        return (builder.load_atomic(pointer, _ORDER, nbytes),)
    if operation == "store":
        builder.store_atomic(values[0], pointer, _ORDER, nbytes)
        return ()
    pair = builder.cmpxchg(pointer, values[0], values[1], _ORDER, _ORDER)
    return builder.extract_value(pair, 0), builder.extract_value(pair, 1)
