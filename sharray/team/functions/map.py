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

from ...array.core import AnyArray, SharedArray
from ...array.creation import array as shared_copy
from ...array.creation import empty
from ..arguments import overlaps
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
    rows = array.strides, array.__array_interface__["data"], array.shape
    for one, _ in found.split_arrays:
        same = one.strides, one.__array_interface__["data"], one.shape
        if same != rows and overlaps(one, array):  # type: ignore[arg-type]
            raise ValueError(
                f"out= shares memory with other rows of an argument of {name!r}, which "
                "one member would read while another writes it; use another output, "
                "or exactly the same array"
            )
    return array


def _joined(values: list[Any], axis: int) -> Any:
    """Return a shared array of numbers or arrays, or the list of other values."""
    if all(isinstance(value, _NUMBERS) for value in values):
        numbers = np.array(values)
        return values if numbers.dtype.hasobject else shared_copy(numbers)
    if all(type(value) in _ARRAYS and value.ndim > axis for value in values):
        outer = {
            (value.dtype, value.shape[:axis], value.shape[axis + 1 :])
            for value in values
        }
        if len(outer) == 1 and not values[0].dtype.hasobject:
            return shared_copy(np.concatenate(values, axis))
    return values


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
    if out is None:
        nothing = [_without_elements(value) for value in args]
        found = ufunc(*nothing, **kwargs)
        found = found if isinstance(found, tuple) else (found,)
        shape = np.broadcast_shapes(*map(np.shape, args))
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
