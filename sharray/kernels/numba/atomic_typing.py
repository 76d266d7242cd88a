"""Atomic operations in numba kernels: check types, and emit instructions."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

from ...native import atomic, atomic_ir
from ...native.atomic_elements import misaligned
from ...native.atomic_operations import ON_ELEMENTS, OPERATIONS


def check_element(operation: str, array: Any, index: Any) -> None:
    """Refuse types of arrays and indices that `operation` does not support.

    numba's types do not tell whether an element is aligned: every array argument
    counts as aligned, and no field of a structured array without ``align=True`` does.
    So the kernel checks the address.
    """
    if not isinstance(array, types.Array):
        raise TypingError(
            f"{operation}: expected an array, got {array}; pass the array and the "
            "index of an element"
        )
    known = ON_ELEMENTS[operation]
    if not _is_number(array.dtype) or not known.takes(*_element(array.dtype)):
        raise TypingError(
            f"{operation}: expected {known.elements} as elements, "
            f"got {array.dtype}; use another dtype, or a field: records['count']"
        )
    if known.writes and not array.mutable:
        raise TypingError(
            f"{operation}: expected a writable array, got {array}; open it with "
            "mode='r+'"
        )
    indices = tuple(index) if isinstance(index, types.BaseTuple) else (index,)
    integers = all(isinstance(one, types.Integer) for one in indices)
    if len(indices) != array.ndim or not integers:
        raise TypingError(
            f"{operation}: expected an integer for each of {array.ndim} dimensions "
            f"as index, got {index}; pass a tuple of integers"
        )


def check_value(operation: str, array: Any, value: Any) -> None:
    """Refuse a value that would have to be truncated to become an element."""
    integral = isinstance(value, (types.Integer, types.Boolean))
    real = isinstance(value, types.Float) and isinstance(array.dtype, types.Float)
    if not integral and not real:
        expected = (
            "a real number" if isinstance(array.dtype, types.Float) else "an integer"
        )
        raise TypingError(
            f"{operation}: expected {expected} for elements of {array.dtype}, got "
            f"{value}; convert it"
        )


def _is_number(dtype: Any) -> bool:
    return isinstance(dtype, (types.Integer, types.Float))


def _element(dtype: Any) -> tuple[str, int]:
    """Return kind and size of a number, as in `sharray.native.atomic_operations`."""
    kind = "f" if isinstance(dtype, types.Float) else "i" if dtype.signed else "u"
    return kind, dtype.bitwidth // 8


def element_pointer(
    context: Any, builder: Any, operation: str, types_: Any, values: Any
) -> Any:
    """Emit the pointer to an element, with checks of its index and alignment.

    Parameters
    ----------
    context, builder
        numba's context and LLVM's builder.
    operation : str
        Name for messages.
    types_, values : sequence
        Types and values of the array and of the index, after `check_element`.
    """
    array_type, index_type = types_[:2]
    if isinstance(index_type, types.BaseTuple):
        indices = cgutils.unpack_tuple(builder, values[1], len(index_type))
        kinds = tuple(index_type)
    else:
        indices, kinds = [values[1]], (index_type,)
    pointer = cgutils.get_item_pointer(
        context,
        builder,
        array_type,
        make_array(array_type)(context, builder, values[0]),
        [
            context.cast(builder, one, kind, types.intp)
            for one, kind in zip(indices, kinds, strict=True)
        ],
        wraparound=True,
        boundscheck=True,  # always: numba's option does not reach overloads
    )
    _check_alignment(context, builder, operation, array_type.dtype, pointer)
    return pointer


def _check_alignment(
    context: Any, builder: Any, operation: str, dtype: Any, pointer: Any
) -> None:
    word = ir.IntType(types.intp.bitwidth)
    address = builder.ptrtoint(pointer, word)
    odd = builder.and_(address, word(dtype.bitwidth // 8 - 1))
    with cgutils.if_unlikely(builder, builder.icmp_unsigned("!=", odd, word(0))):
        message = misaligned(operation)
        context.call_conv.return_user_exc(builder, ValueError, (message,))


def _intrinsic(operation: str) -> Any:
    """Return an intrinsic of an array, an index and a tuple of values."""

    def type_operation(typing_context: Any, array: Any, index: Any, values: Any) -> Any:
        dtype = array.dtype
        results: dict[str, Any] = {
            "compare_exchange": types.Tuple((dtype, types.boolean)),
            "store": types.void,
        }
        signature = results.get(operation, dtype)(array, index, values)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = element_pointer(context, builder, operation, signature.args, args)
            given = cgutils.unpack_tuple(builder, args[2], len(values))
            elements = [
                context.cast(builder, value, kind, dtype)
                for value, kind in zip(given, values, strict=True)
            ]
            kind, _ = _element(dtype)
            found = atomic_ir.emit(builder, operation, kind, pointer, elements)
            if len(found) == 2:
                return context.make_tuple(builder, signature.return_type, found)
            return found[0] if found else context.get_dummy_value()

        return signature, generate

    return intrinsic(type_operation)


def _overload_reading(operation: str) -> None:
    operate = _intrinsic(operation)

    def type_reading(array: Any, index: Any) -> Any:
        check_element(operation, array, index)

        def read(array: Any, index: Any) -> Any:
            return operate(array, index, ())

        return read

    overload(getattr(atomic, operation))(type_reading)


def _overload_update(operation: str) -> None:
    operate = _intrinsic(operation)

    def type_update(array: Any, index: Any, value: Any) -> Any:
        check_element(operation, array, index)
        check_value(operation, array, value)

        def update(array: Any, index: Any, value: Any) -> Any:
            return operate(array, index, (value,))

        return update

    overload(getattr(atomic, operation))(type_update)


def _overload_exchange(operation: str) -> None:
    operate = _intrinsic(operation)

    def type_exchange(array: Any, index: Any, expected: Any, desired: Any) -> Any:
        check_element(operation, array, index)
        check_value(operation, array, expected)
        check_value(operation, array, desired)

        def exchange(array: Any, index: Any, expected: Any, desired: Any) -> Any:
            return operate(array, index, (expected, desired))

        return exchange

    overload(getattr(atomic, operation))(type_exchange)


_BY_VALUES = [_overload_reading, _overload_update, _overload_exchange]
for _name, _operation in OPERATIONS.items():
    _BY_VALUES[_operation.values](_name)
