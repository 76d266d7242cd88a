"""`prange` for numba: a range between bounds that the kernel's entry has set.

The bounds are in a variable of the machine code that belongs to the function being
compiled, so that a kernel called by another one goes through all of its range: begin,
end, and a place for the length. The length is asked for by leaving the kernel at the
loop. An entry is used by one thread at a time, since a variable of each thread would
need what LLVM's linker does not have.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin

from .prange import ALL, COUNT, COUNTED, prange

_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)
_LONGEST = (1 << 60) - 1  # more elements than memory can hold


def bounds_name(function: str) -> str:
    """Name of the variable that holds the bounds for a compiled function."""
    return f"sharray_bounds.{function}"


def bounds_variable(module: ir.Module, function: str) -> ir.GlobalVariable:
    """The variable that holds the bounds for a compiled function."""
    name = bounds_name(function)
    if name in module.globals:
        return module.globals[name]
    kind = ir.ArrayType(_INT64, 3)
    variable = ir.GlobalVariable(module, kind, name)
    # As an entry has the same variable: the linker makes one of both.
    variable.linkage = "linkonce_odr"
    variable.initializer = ir.Constant(kind, [0, ALL, 0])
    return variable


def item(builder: ir.IRBuilder, variable: ir.Value, number: int) -> ir.Value:
    """Pointer to begin, end or length."""
    return builder.gep(variable, [_INT32(0), _INT32(number)], inbounds=True)


_INTEGERS = (types.Integer, types.Boolean)


@infer_global(prange)
class _Prange(AbstractTemplate):
    def generic(self, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        if 1 <= len(args) <= 3 and all(isinstance(one, _INTEGERS) for one in args):
            return signature(types.range_state64_type, *[types.int64] * len(args))
        return None


def _length(start: int, stop: int, step: int) -> int:
    if step == 0:
        raise ValueError("prange() arg 3 must not be zero")
    if step > 0:
        return (stop - start - 1) // step + 1 if stop > start else 0
    return (start - stop - 1) // -step + 1 if start > stop else 0


@lower_builtin(prange, types.int64)
def _lower_stop(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _lower(context, builder, _INT64(0), args[0], None)


@lower_builtin(prange, types.int64, types.int64)
def _lower_start_stop(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _lower(context, builder, args[0], args[1], None)


@lower_builtin(prange, types.int64, types.int64, types.int64)
def _lower_all(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _lower(context, builder, *args)


def _lower(
    context: Any, builder: Any, start: ir.Value, stop: ir.Value, step: ir.Value | None
) -> ir.Value:
    by = _INT64(1) if step is None else step
    length = context.compile_internal(
        builder, _length, signature(*[types.int64] * 4), (start, stop, by)
    )
    variable = bounds_variable(builder.module, builder.function.name)
    begin = builder.load(item(builder, variable, 0))
    end = builder.load(item(builder, variable, 1))
    with builder.if_then(builder.icmp_signed("==", end, _INT64(COUNT)), likely=False):
        builder.store(length, item(builder, variable, 2))
        builder.ret(_INT32(COUNTED))
    whole = builder.icmp_signed("<", end, _INT64(0))
    end = builder.select(whole, length, _least(builder, end, length))
    begin = builder.select(whole, _INT64(0), _least(builder, begin, length))
    # That indices are not negative, and stay so while they grow, must be plain to LLVM:
    # x[-1] is the last element, and loops that may mean it are six times slower. LLVM
    # forgets what it was told by llvm.assume, but not that bits were cleared.
    begin = builder.and_(begin, _INT64(_LONGEST))
    end = builder.and_(end, _INT64(_LONGEST))
    if step is None:
        bounds = [builder.add(start, bound, flags=["nsw"]) for bound in (begin, end)]
    else:
        # The last step may lead beyond what an integer holds.
        first = builder.add(start, builder.mul(begin, by))
        last = builder.add(start, builder.mul(end, by))
        all_of_it = builder.icmp_signed("==", end, length)
        bounds = [first, builder.select(all_of_it, stop, last), by]
    kind = signature(types.range_state64_type, *[types.int64] * len(bounds))
    return context.get_function(range, kind)(builder, bounds)


def _least(builder: Any, left: ir.Value, right: ir.Value) -> ir.Value:
    return builder.select(builder.icmp_signed("<", left, right), left, right)
