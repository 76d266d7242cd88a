"""The code of an entry that keeps the arrays that a kernel returns, and combines them.

These functions are Python for numba. The first array of a run is copied into a block
(`sharray.kernels.blocks`), even if nobody else refers to it: it may be an argument, or
a part of one, which must not change. Later arrays are combined with it in place.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.numpy_support import as_dtype
from numba.np.unsafe.ndarray import to_fixed_tuple

from ...errors import KernelError
from ..blocks import HEADER, MOST_DIMENSIONS, ShapesDifferError
from ..outcome import BLOCK, USED
from ..reductions import ITEMWISE
from .entry_values import INT32, MERGE, call, return_error

_USED, _BLOCK = USED // 8, BLOCK // 8
_POINTER = ir.IntType(64).as_pointer()
_WORDS = types.CPointer(types.int64)
_ELEMENTS = (types.Number, types.Boolean, types.NPDatetime, types.NPTimedelta)
_malloc = types.ExternalFunction("malloc", types.int64(types.int64))
_free = types.ExternalFunction("free", types.void(types.int64))


class Accumulator(NamedTuple):
    """The functions that combine the arrays of a kernel, compiled.

    Attributes
    ----------
    add, merge : CompileResult
        Combine an outcome with an array, and with another outcome.
    kept : numba type
        The type of the combined array.
    """

    add: Any
    merge: Any
    kept: Any

    @property
    def compiled(self) -> list[Any]:
        """Return both functions, for the linker."""
        return [self.add, self.merge]


def check_elements(name: str, returned: Any) -> None:
    """Refuse arrays that a kernel cannot return to other processes.

    Raises
    ------
    KernelError
        `returned`, the type of the kernel `name`, is no array of numbers or dates.
    """
    known = isinstance(returned.dtype, _ELEMENTS)
    if not known or not 1 <= returned.ndim <= MOST_DIMENSIONS:
        raise KernelError(
            f"kernel {name!r} returns {returned}; expected an array of numbers or "
            "dates with at least one dimension; return such an array, or write into "
            "an argument"
        )


def accumulator(returned: Any, kept: Any, reducer: Any | None) -> Accumulator:
    """Compile the functions for the arrays that a kernel returns.

    Parameters
    ----------
    returned, kept : types.Array
        Types of the arrays, and of the combined array.
    reducer : str or Dispatcher, optional
        A reduction of elements, by its name, or a function of two arrays.
    """
    if reducer is None or isinstance(reducer, str):
        return _of_elements(returned, kept, reducer)
    return _compile(returned, kept, _array_fold(kept, reducer))


@functools.lru_cache(64)  # compiling takes 0.5 s
def _of_elements(returned: Any, kept: Any, reducer: str | None) -> Accumulator:
    fold = _no_fold if reducer is None else _element_fold(kept, ITEMWISE[reducer])
    return _compile(returned, kept, fold)


def _compile(returned: Any, kept: Any, fold: Any) -> Accumulator:
    keep, view = _keep(kept), _view(kept)

    @numba.njit
    def add(words: Any, value: Any) -> None:
        if words[_USED] == 0:
            keep(words, value)
        else:
            fold(words, value)

    @numba.njit
    def merge(words: Any, others: Any) -> None:
        # A late member may have done no chunk, and stored nothing.
        if others[_USED] != 0:
            add(words, view(others[_BLOCK]))

    compiled = []
    for function, kinds in (add, (_WORDS, returned)), (merge, (_WORDS, _WORDS)):
        function.compile(kinds)
        compiled.append(function.overloads[kinds])
    added, merged = compiled
    return Accumulator(added, merged, kept)


# -- Python for numba --------------------------------------------------------


@intrinsic
def _pointer(_: Any, address: Any) -> Any:
    """Turn an address into a pointer."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(signature.return_type)
        return builder.inttoptr(args[0], kind)

    return types.voidptr(types.int64), generate


def _view(kept: Any) -> Any:
    """Return a function that returns the array in a block."""
    ndim, dtype = kept.ndim, as_dtype(kept.dtype)

    @numba.njit
    def view(block: int) -> Any:
        head = numba.carray(_pointer(block), (ndim + 1,), np.int64)
        shape = to_fixed_tuple(head[1:], ndim)
        return numba.carray(_pointer(block + HEADER), shape, dtype)

    return view


def _keep(kept: Any) -> Any:
    """Return a function that copies an array into a new block of an outcome."""
    ndim, dtype = kept.ndim, as_dtype(kept.dtype)
    itemsize = dtype.itemsize

    @numba.njit
    def keep(words: Any, value: Any) -> None:
        count = value.size
        nbytes = HEADER + count * itemsize
        block = _malloc(nbytes)
        if block == 0:
            raise MemoryError("no memory for the array that a kernel returned")
        head = numba.carray(_pointer(block), (ndim + 1,), np.int64)
        head[0] = nbytes
        for dimension in range(ndim):
            head[dimension + 1] = value.shape[dimension]
        elements = numba.carray(_pointer(block + HEADER), (count,), dtype)
        source = value.ravel()
        for index in range(count):
            elements[index] = source[index]
        # Only now, since `value` may be in the old block.
        _free(words[_BLOCK])
        words[_BLOCK] = block
        words[_USED] = 1

    return keep


@numba.njit
def _no_fold(words: Any, value: Any) -> None:
    """Combine nothing: without a reducer, a kernel runs once."""


def _element_fold(kept: Any, function: Callable[[Any, Any], Any]) -> Any:
    """Return a function that combines the stored array with one of the same shape."""
    view, operate = _view(kept), numba.njit(function)

    @numba.njit
    def fold(words: Any, value: Any) -> None:
        stored = view(words[_BLOCK])
        if stored.shape != value.shape:
            raise ShapesDifferError(stored.shape, value.shape)
        target, source = stored.ravel(), value.ravel()
        for index in range(target.size):
            target[index] = operate(target[index], source[index])

    return fold


def _array_fold(kept: Any, reducer: Any) -> Any:
    """Return a function that stores what the reducer makes of two arrays."""
    view, keep, dtype = _view(kept), _keep(kept), as_dtype(kept.dtype)

    @numba.njit
    def fold(words: Any, value: Any) -> None:
        other = np.empty(value.shape, dtype)
        target, source = other.ravel(), value.ravel()
        for index in range(target.size):
            target[index] = source[index]
        keep(words, reducer(view(words[_BLOCK]), other))

    return fold


# -- code of the entry -------------------------------------------------------


def store_array(
    context: Any,
    builder: ir.IRBuilder,
    kind: Any,
    value: ir.Value,
    combining: Accumulator,
    out: ir.Value,
    error: ir.Value,
) -> None:
    """Emit the code that combines the kernel's array with the stored one."""
    words = builder.bitcast(out, _POINTER)
    status, _ = call(context, builder, combining.add, [words, value])
    # Before the status is looked at, since the function may return then.
    context.subtarget(enable_nrt=True).nrt.decref(builder, kind, value)
    return_error(builder, status, error)


def write_array_merge(
    module: ir.Module, name: str, context: Any, combining: Accumulator
) -> None:
    """Emit the function that combines one outcome with another."""
    function = ir.Function(module, MERGE, name)
    builder = ir.IRBuilder(function.append_basic_block())
    out, other, error = function.args
    words = [builder.bitcast(one, _POINTER) for one in (out, other)]
    status, _ = call(context, builder, combining.merge, words)
    return_error(builder, status, error)
    builder.ret(INT32(0))
