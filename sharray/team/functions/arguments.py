"""Arguments of functions: decide which to split, and refuse unsuitable ones."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ...arrays.core import AnyArray, SharedArray
from ...arrays.creation import array as shared_copy
from ...errors import NotSharedError
from ...kernels.argument_keys import WHOLE
from ...sync.barrier import Barrier
from ..arguments import Whole, is_workable
from ..schedule import SplitArrays
from . import generators
from .call import Axis

_BY_NAME = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY


class Found(NamedTuple):
    """The checked arguments of a function.

    Attributes
    ----------
    args, kwargs : tuple, dict
        The plain values.
    axes, axes_by_name : tuple, dict
        The axis along which each value is split, or WHOLE.
    length : int or None
        Common length of the arrays along the axis; None if none is split.
    split_arrays : list of (ndarray, int)
        The arrays that are split, each with its axis.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    axes: tuple[Axis, ...]
    axes_by_name: dict[str, Axis]
    length: int | None
    split_arrays: SplitArrays


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function, for people.

    Examples
    --------
    >>> name_of(functools.partial(sorted, reverse=True))
    'sorted'
    """
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def taken_names(always: tuple[str, ...], **others: Any) -> tuple[str, ...]:
    """Return the names of options that parameters of the function must not have.

    Nobody could tell whether the axis in ``sharray.run(numpy.sum, x, axis=0)`` is meant
    for the run or for ``sum``. Options that are not used are no problem.

    Parameters
    ----------
    always : tuple of str
        Options whose default is an ordinary value, too: their use does not show.
    **others : object
        The other options with their values, None if they are not used.
    """
    used = (name for name, value in others.items() if value is not None)
    return (*always, *used)


def look_at(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    axis: int,
    *,
    copies: bool,
    taken: tuple[str, ...],
) -> Found:
    """Decide which arguments to split, and refuse unsuitable ones.

    Parameters
    ----------
    function : callable
        The function.
    args, kwargs : tuple, dict
        Its arguments.
    axis : int
        The axis along which arrays are split.
    copies : bool
        Whether ordinary arrays are copied to shared memory, read-only, and split.
    taken : tuple of str
        See `taken_names`.

    Raises
    ------
    NotSharedError
        An array to split is not shared.
    ValueError
        The arrays to split have different lengths, or lack the axis.
    TypeError
        An argument, or the function, is unsuitable for another reason.
    """
    name = name_of(function)
    names = _parameters(function, name, args, kwargs, taken)
    values = [*args, *kwargs.values()]
    axes: list[Axis] = []
    lengths: dict[str, int] = {}
    split_arrays: SplitArrays = []
    for position, value in enumerate(values):
        if isinstance(value, Whole):
            values[position] = value.value
            axes.append(WHOLE)
        elif isinstance(value, np.ndarray):
            array = as_shared(value, name, names[position], copies=copies)
            along = along_axis(names[position], array, axis)
            values[position] = array
            axes.append(along)
            lengths[names[position]] = array.shape[along]
            split_arrays.append((array, along))
        else:
            _check_ordinary(name, names[position], value)
            axes.append(WHOLE)
    _check_lengths(lengths, axis)
    if lengths:
        generators.check(function, name, zip(names, values, strict=False))
    count = len(args)
    return Found(
        tuple(values[:count]),
        dict(zip(kwargs, values[count:], strict=True)),
        tuple(axes[:count]),
        dict(zip(kwargs, axes[count:], strict=True)),
        next(iter(lengths.values()), None),
        split_arrays,
    )


def _parameters(
    function: Callable[..., Any],
    name: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    taken: tuple[str, ...],
) -> list[str]:
    """Return what to call each argument, and refuse parameters named like options."""
    if isinstance(getattr(function, "__self__", None), np.ufunc):
        raise TypeError(
            f"cannot tell the axis of {name!r}, a method of a ufunc, from the axis of "
            "the run; call it in a function of your own"
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # many functions in C have none
        return [*(str(number) for number in range(len(args))), *kwargs]
    bound = function.keywords if isinstance(function, functools.partial) else {}
    for one in signature.parameters.values():
        if one.name in taken and one.name not in bound and one.kind in _BY_NAME:
            raise TypeError(_clash(name, one))
    try:
        given = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{error}; call {name}{signature}") from None
    names: list[str] = []
    for parameter, value in given.arguments.items():
        kind = signature.parameters[parameter].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            names += [parameter] * len(value)
        elif kind is not inspect.Parameter.VAR_KEYWORD and parameter not in kwargs:
            names.append(parameter)
    return [*names, *kwargs]


def _clash(name: str, parameter: inspect.Parameter) -> str:
    """Return the text of the error for a parameter with the name of an option."""
    remedy = f"choose it by functools.partial({name}, {parameter.name}=...)"
    if parameter.default is parameter.empty:  # may be an array, which must be split
        remedy = "rename it"
    return (
        f"parameter {parameter.name!r} of {name!r} has the name of an option of runs; "
        f"{remedy}, or call {name} in a function of your own"
    )


def as_shared(
    value: np.ndarray[Any, Any], name: str, parameter: str, *, copies: bool
) -> AnyArray:
    """Return an array on which members can work.

    Raises
    ------
    NotSharedError
        It is private, and `copies` is False.
    TypeError
        It is of another subclass of ndarray.
    """
    if isinstance(value, SharedArray) and is_workable(value):
        return value
    if not copies:
        what = "private memory of this process"
        if isinstance(value, SharedArray) and value.is_shared:
            what = "opened with mode='c'"
        raise NotSharedError(
            f"argument {parameter!r} of {name!r} is not shared (it is {what}), so "
            "changes of the workers would be lost; make it with sharray.array(x), wrap "
            "it in sharray.whole() if each chunk only reads all of it, or pass "
            "copy=True to copy it in and back"
        )
    if type(value) is not np.ndarray and not isinstance(value, SharedArray):
        raise TypeError(
            f"cannot split argument {parameter!r} of {name!r}, a "
            f"{type(value).__name__}: a chunk would lose what the class adds; pass "
            "numpy.asarray(x), or wrap it in sharray.whole()"
        )
    array = shared_copy(value)
    array.flags.writeable = False
    return array


def along_axis(name: str, array: np.ndarray[Any, Any], axis: int) -> int:
    """Return the axis as a number that is not negative.

    Raises
    ------
    ValueError
        The array lacks the axis.
    """
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(
            f"cannot split argument {name!r} with {array.ndim} dimensions along axis "
            f"{axis}; choose another axis=, or wrap it in sharray.whole()"
        )
    return axis % array.ndim


def _check_lengths(lengths: dict[str, int], axis: int) -> None:
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise ValueError(
            f"expected arrays of the same length along axis {axis}, got {found}; wrap "
            "arrays that each chunk needs in full in sharray.whole()"
        )


def _check_ordinary(name: str, parameter: str, value: Any) -> None:
    if isinstance(value, Barrier):
        raise TypeError(
            f"argument {parameter!r} of {name!r} is a barrier, which only kernels can "
            "use in a run; use several runs instead, since each ends with a wait"
        )
    if isinstance(value, (tuple, list)) and any(map(_is_shared, value)):
        raise TypeError(
            f"argument {parameter!r} of {name!r} is a {type(value).__name__} with "
            "arrays, which are not split; wrap it in sharray.whole() if each chunk "
            "needs all of it, or pass the arrays separately"
        )


def _is_shared(value: Any) -> bool:
    return isinstance(value, SharedArray) and value.is_shared
