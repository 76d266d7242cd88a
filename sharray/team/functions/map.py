"""`map`: a new array of what the calls of a function return.

Nobody knows the shape and dtype of the result before the first call. So the first chunk
is a run of its own, and what it returns decides::

    as many rows as the chunk      an array for all rows: members store the values of
                                   the other chunks in their rows
    anything else, and chunk=      the values come back: numbers and arrays are joined,
    was given                      and others are in a list
    anything else                  an error: the number of chunks is not fixed, so the
                                   result would be another one in each run
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...arrays.core import AnyArray, SharedArray
from ...arrays.creation import array as shared_copy
from ...arrays.creation import empty
from ...kernels.argument_keys import WHOLE
from ..arguments import Whole, overlaps
from ..options import RunOptions
from . import arguments, ufuncs
from .arguments import Found, as_shared, name_of
from .plan import Chunks
from .prepared import Prepared
from .values import Ignored, Listed, Part, Stored

Execute = Callable[[Prepared], Any]
_ARRAYS = (np.ndarray, SharedArray)
_NUMBERS = (bool, int, float, complex, np.generic)


def map_rows(
    execute: Execute,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: RunOptions,
    out: Any,
    taken: tuple[str, ...],
) -> Any:
    """Execute a function on all chunks, and return what the calls return.

    Parameters
    ----------
    execute : callable
        Execute a prepared function, and return the value of the run.
    function, args, kwargs, options, out : object
        See `sharray.map`.
    taken : tuple of str
        See `arguments.taken_names`.
    """
    if isinstance(function, np.ufunc):
        return _map_ufunc(execute, function, args, kwargs, options, out)
    found = arguments.look_at(
        function, args, kwargs, options.axis, copies=True, taken=taken
    )
    name = name_of(function)
    if found.length is None:
        raise TypeError(
            f"expected an array to split as an argument of {name!r}; pass "
            "numpy.asarray(x), or call the function itself"
        )
    axis = found.split_arrays[0][1]
    first = Prepared(function, found, options, Listed(name), Chunks.FIRST)
    if out is not None:
        stored = Stored(name, _checked(out, name, found, axis), axis, "same_kind")
        execute(first._replace(taker=stored, part=Chunks.ALL))
        return out
    [part] = execute(first)
    rest = first._replace(part=Chunks.REST)
    if _has_rows(part, axis):
        value = part.value
        shape = (*value.shape[:axis], found.length, *value.shape[axis + 1 :])
        result = empty(shape, value.dtype)
        size = options.schedule.chunk
        stored = Stored(name, result, axis, "equiv", keeps_others=size is not None)
        stored.take(part)
        others = execute(rest._replace(taker=stored))
        if not others or size is None:
            return result
        chunks = [(begin, begin + size) for begin in range(0, found.length, size)]
        return _joined([others.get(one[0], stored.rows(*one)) for one in chunks], axis)
    if options.schedule.chunk is None:
        raise TypeError(
            f"{name!r} returned {type(part.value).__name__} for a chunk of "
            f"{part.end - part.begin}, and the number of chunks is not fixed; return "
            "an array with as many rows as the chunk has, pass chunk= to get a value "
            "for each chunk, or combine the values by sharray.run with reduce="
        )
    values = [one.value for one in (part, *execute(rest))]
    return _joined(values, axis)


def _has_rows(part: Part, axis: int) -> bool:
    value = part.value
    return (
        isinstance(value, np.ndarray)
        and value.ndim > axis
        and value.shape[axis] == part.end - part.begin
    )


def _checked(out: Any, name: str, found: Found, axis: int) -> AnyArray:
    """Return the output that the user has passed, if it fits."""
    if not isinstance(out, np.ndarray):
        raise TypeError(
            f"expected a shared array as out=, got {type(out).__name__}; make it with "
            "sharray.empty"
        )
    array = as_shared(out, name, "out", copies=False)
    if array.ndim <= axis or array.shape[axis] != found.length:
        raise ValueError(
            f"expected out= with {found.length} rows along axis {axis}, got shape "
            f"{array.shape}; make it with as many rows as the arguments have"
        )
    values = *found.args, *found.kwargs.values()
    axes = *found.axes, *found.axes_by_name.values()
    for one, its_axis in zip(values, axes, strict=True):
        if not isinstance(one, SharedArray):
            continue
        has_same_rows = its_axis != WHOLE and _place(one) == _place(array)
        if not has_same_rows and overlaps(one, array):
            raise ValueError(
                f"out= shares memory with other rows of an argument of {name!r}, which "
                "one member would read while another writes it; use another output, "
                "or exactly the same array"
            )
    return array


def _place(array: AnyArray) -> tuple[Any, ...]:
    return array.strides, array.__array_interface__["data"], array.shape


def _joined(values: list[Any], axis: int) -> Any:
    """Return a shared array of numbers or arrays, or the list of other values."""
    if all(isinstance(value, _NUMBERS) for value in values):
        numbers = np.array(values)
        return shared_copy(numbers) if _are_equal(numbers, values) else values
    if all(type(value) in _ARRAYS and value.ndim > axis for value in values):
        outer = {
            (value.dtype, value.shape[:axis], value.shape[axis + 1 :])
            for value in values
        }
        if len(outer) == 1 and not values[0].dtype.hasobject:
            return shared_copy(np.concatenate(values, axis))
    return values


def _are_equal(numbers: np.ndarray[Any, Any], values: list[Any]) -> bool:
    """Return whether an array has the values of a list, and all their digits.

    NumPy makes float64 of 2**63 + 1 and -1, or of 2**60 + 1 and 0.5.
    """
    if numbers.dtype.kind not in "biufc":  # dates, and Python's objects
        return not numbers.dtype.hasobject
    # As Python's numbers, which compare exactly.
    pairs = zip(numbers.tolist(), values, strict=True)
    return all(one == other or (one != one and other != other) for one, other in pairs)


def _map_ufunc(
    execute: Execute,
    ufunc: np.ufunc,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: RunOptions,
    out: Any,
) -> Any:
    """Execute a ufunc on its inputs, and return new outputs."""
    name = name_of(ufunc)
    args = tuple(one.value if isinstance(one, Whole) else one for one in args)
    if out is None:
        where = kwargs.get("where", True)
        options_of_dtype = {k: v for k, v in kwargs.items() if k != "where"}
        found = ufunc(*map(_without_elements, args), **options_of_dtype)
        found = found if isinstance(found, tuple) else (found,)
        shape = np.broadcast_shapes(*map(np.shape, args), np.shape(where))
        outputs = tuple(empty(shape, one.dtype) for one in found)
    else:
        outputs = out if isinstance(out, tuple) else (out,)
    checked = ufuncs.look_at(ufunc, (*args, *outputs), kwargs, options.axis)
    execute(Prepared(ufunc, checked, options, Ignored(name)))
    return outputs if len(outputs) > 1 else outputs[0]


def _without_elements(value: Any) -> Any:
    """Return an input of a ufunc that shows its dtype, and costs nothing."""
    if np.ndim(value) == 0 and not isinstance(value, np.ndarray):
        return value
    return np.empty(0, np.asanyarray(value).dtype)
