"""`prange` for numba, and the functions that replace it in a part of a kernel.

`prange` itself is a `range` of int64. `prange_pass` replaces the one that a team splits
by `part_of`. It replaces the start values of sums and products by `start_sum` and
`start_product`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin

from ..prange import prange

_INT64 = ir.IntType(64)
_LONGEST = (1 << 60) - 1  # more elements than memory can hold
_INTEGERS = (types.Integer, types.Boolean)
_RANGES = {
    types.int32: types.range_state32_type,
    types.int64: types.range_state64_type,
    types.uint64: types.unsigned_range_state64_type,
}


@infer_global(prange)
class _Prange(AbstractTemplate):
    def generic(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        if 1 <= len(args) <= 3 and all(isinstance(one, _INTEGERS) for one in args):
            return signature(types.range_state64_type, *[types.int64] * len(args))
        return None


def _whole(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    if len(args) == 3:
        check = signature(types.none, types.int64)
        context.compile_internal(builder, _check_step, check, args[2:])
    return context.get_function(range, sig)(builder, args)


def _check_step(step: int) -> None:
    if step == 0:
        raise ValueError("prange() arg 3 must not be zero")


def _length(start: int, stop: int, step: int) -> int:
    if step == 0:
        raise ValueError("prange() arg 3 must not be zero")
    if step > 0:
        return (stop - start - 1) // step + 1 if stop > start else 0
    return (start - stop - 1) // -step + 1 if start > stop else 0


# -- functions that the pass puts into a kernel ------------------------------


def part_of(begin: int, end: int, *bounds: int) -> range:
    """Return a part of ``range(*bounds)``: all of it if `end` is negative."""
    return range(*bounds) if end < 0 else range(*bounds)[begin:end]


def length_of(*bounds: int) -> int:
    """Return the length of ``range(*bounds)``."""
    return len(range(*bounds))


def start_sum(begin: int, end: int, value: Any) -> Any:
    """Return the start value of a sum in a part, which counts in the first only."""
    return value if begin == 0 or end < 0 else 0


def start_product(begin: int, end: int, value: Any) -> Any:
    """Return the start value of a product in a part."""
    return value if begin == 0 or end < 0 else 1


@infer_global(part_of)
class _PartOf(AbstractTemplate):
    def generic(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        return signature(_RANGES[args[2]], *args)


@infer_global(length_of)
class _LengthOf(AbstractTemplate):
    def generic(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        return signature(types.int64, *args)


class _Start(AbstractTemplate):
    def generic(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        return signature(args[2], *args)


infer_global(start_sum)(type("_StartSum", (_Start,), {}))
infer_global(start_product)(type("_StartProduct", (_Start,), {}))


def _bounds(context: Any, builder: Any, kinds: Any, args: Any) -> list[ir.Value]:
    """Return start, stop and step as int64."""
    values = [
        context.cast(builder, value, kind, types.int64)
        for value, kind in zip(args, kinds, strict=True)
    ]
    if len(values) == 1:
        values.insert(0, _INT64(0))
    return values if len(values) == 3 else [*values, _INT64(1)]


def _lower_length(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    bounds = _bounds(context, builder, sig.args, args)
    three = signature(*[types.int64] * 4)
    return context.compile_internal(builder, _length, three, bounds)


def _lower_part(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    begin, end, *given = args
    kinds = sig.args[2:]
    start, stop, step = _bounds(context, builder, kinds, given)
    length = _lower_length(context, builder, signature(types.int64, *kinds), given)
    whole = builder.icmp_signed("<", end, _INT64(0))
    # Limit the part to the length that it computes itself. Another process may have
    # lowered the bounds since they were counted. Without the limit, indices could go
    # beyond the end of an array.
    end = builder.select(whole, length, _least(builder, end, length))
    begin = builder.select(whole, _INT64(0), _least(builder, begin, length))
    # LLVM must know that indices are not negative. Otherwise it keeps the code for
    # x[-1], and loops are six times slower. It forgets what llvm.assume tells it, but
    # not that these bits are zero.
    begin = builder.and_(begin, _INT64(_LONGEST))
    end = builder.and_(end, _INT64(_LONGEST))
    if len(given) < 3:
        found = [builder.add(start, bound, flags=["nsw"]) for bound in (begin, end)]
    else:
        # The end of the last step may overflow, so use `stop` itself there.
        first = builder.add(start, builder.mul(begin, step))
        last = builder.add(start, builder.mul(end, step))
        all_of_it = builder.icmp_signed("==", end, length)
        found = [first, builder.select(all_of_it, stop, last), step]
    kind = kinds[0]
    found = [context.cast(builder, value, types.int64, kind) for value in found]
    made = signature(sig.return_type, *[kind] * len(found))
    return context.get_function(range, made)(builder, found)


def _lower_start(neutral: int) -> Any:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        # Exactly one part begins at 0, even in an empty range. Without such a part, the
        # start value would be lost; with two, it would count twice.
        begin, end, value = args
        first = builder.icmp_signed("==", begin, _INT64(0))
        whole = builder.icmp_signed("<", end, _INT64(0))
        kind = sig.return_type
        other = context.cast(builder, _INT64(neutral), types.int64, kind)
        return builder.select(builder.or_(first, whole), value, other)

    return lower


def _least(builder: Any, left: ir.Value, right: ir.Value) -> ir.Value:
    return builder.select(builder.icmp_signed("<", left, right), left, right)


_TWO = [types.int64] * 2
for _count in (1, 2, 3):
    lower_builtin(prange, *[types.int64] * _count)(_whole)
    for _kind in _RANGES:
        lower_builtin(part_of, *_TWO, *[_kind] * _count)(_lower_part)
        lower_builtin(length_of, *[_kind] * _count)(_lower_length)
lower_builtin(start_sum, *_TWO, types.Number)(_lower_start(0))
lower_builtin(start_product, *_TWO, types.Number)(_lower_start(1))
