"""The arguments of a run: split along an axis, passed whole, or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..arrays.core import AnyArray, SharedArray
from ..arrays.creation import array as shared_copy
from ..arrays.handle import find_place
from ..arrays.root import Root
from ..errors import KernelError, NotSharedError
from ..kernels.argument_keys import (
    WHOLE,
    Keys,
    array_key,
    array_slots,
    check_subclass,
    key_of,
    slots_of,
)
from ..kernels.jit import is_disabled
from ..kernels.kernel import Kernel
from ..kernels.tuples import rebuild_tuple
from ..sync.cells import Cells
from .options import Reducer, RunOptions
from .schedule import SplitArrays


class Whole:
    """An argument that each chunk gets in full; made by `whole`."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def whole(value: Any) -> Any:
    """Mark an argument of a run that must not be split.

    Parameters
    ----------
    value : object
        The argument, which each chunk gets in full: for kernels, an array or a tuple of
        arrays; for functions, any object that can be pickled. Ordinary arrays are
        copied for the run, and the copies are read-only.

    Returns
    -------
    object
        The marked argument, for `sharray.run` and `Team.run`.

    Examples
    --------
    >>> import sharray as sh
    >>> @sh.kernel
    ... def look_up(index, table):
    ...     for i in range(index.shape[0]):
    ...         index[i] = table[index[i]]
    >>> index, table = sh.array([2, 0, 1, 2]), sh.array([10, 11, 12])
    >>> sh.run(look_up, index, sh.whole(table))
    >>> index.tolist()
    [12, 10, 11, 12]
    """
    return value if isinstance(value, Whole) else Whole(value)


class Arguments(NamedTuple):
    """The checked arguments of a run.

    Attributes
    ----------
    values : list
        The plain values.
    axes : list of int
        The axis along which each value is split, or WHOLE.
    keys : tuple of Key
        The types that the kernel gets.
    length : int or None
        Common length of the arrays along the axis; None if none is split.
    copies : list of SharedArray
        Read-only copies of ordinary arrays, to be kept until the run is over.
    """

    values: list[Any]
    axes: list[int]
    keys: Keys
    length: int | None
    copies: list[AnyArray]

    @property
    def split_arrays(self) -> SplitArrays:
        """Return the arrays that are split, each with its axis."""
        pairs = zip(self.values, self.axes, strict=True)
        return [(value, axis) for value, axis in pairs if axis != WHOLE]

    def slots(self, number: Callable[[Root], int]) -> tuple[list[int], list[int]]:
        """Return the slots of all arguments, and the first slot of each.

        `number` returns the number of a segment.
        """

        def place(array: Any) -> tuple[int, int]:
            root = array._root
            found = None if root is None else find_place(array, root)
            if found is None:
                raise NotSharedError(
                    "expected a shared array, got a private copy; make it with "
                    "sharray.array(x)"
                )
            return number(root), found[0]

        slots: list[int] = []
        starts = []
        for value, axis, key in zip(self.values, self.axes, self.keys, strict=True):
            starts.append(len(slots))
            if axis == WHOLE:
                slots += slots_of(value, key, place)
            else:
                slots += array_slots(value, place(value), axis)
        return slots, starts

    def roots(self) -> list[Root]:
        """Return the mapped files of the arrays."""
        return [root for value in self.values for root in _roots_of(value)]

    def overlap(self, one: int, other: int) -> bool:
        """Return whether the arguments at two positions share memory."""
        return any(
            overlaps(first, second)
            for first in _arrays_of(self.values[one])
            for second in _arrays_of(self.values[other])
        )


def _arrays_of(value: Any) -> list[SharedArray[Any, Any]]:
    if isinstance(value, SharedArray):
        return [value]
    if isinstance(value, tuple):
        return [array for item in value for array in _arrays_of(item)]
    return []


def overlaps(one: SharedArray[Any, Any], other: SharedArray[Any, Any]) -> bool:
    """Return whether two arrays share memory; True if that is hard to tell."""
    first, second = one._root, other._root
    if first is None or second is None:
        return bool(np.may_share_memory(one, other))
    if first is not second:  # a file that is mapped twice may show the same bytes
        return first.segment.identity == second.segment.identity
    try:
        # NumPy's stubs know only 0 and -1.
        return np.shares_memory(one, other, max_work=1000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def _roots_of(value: Any) -> list[Root]:
    # A recursive function within `roots` would be in a reference cycle, and keep the
    # arrays until the next garbage collection.
    if isinstance(value, SharedArray):
        return [value._root] if value._root is not None else []
    if isinstance(value, tuple):
        return [root for item in value for root in _roots_of(item)]
    return _roots_of(value._cells) if isinstance(value, Cells) else []


def look_at(
    kernel: Kernel,
    arguments: tuple[Any, ...],
    options: RunOptions,
) -> Arguments:
    """Decide which arguments to split, and refuse unsuitable ones.

    Raises
    ------
    NotSharedError
        An array is not shared.
    ValueError
        The arrays to split have different lengths, or lack the axis.
    KernelError, TypeError
        An argument is unsuitable for another reason.
    """
    axis, reducer = options.axis, options.reducer
    kernel.source.check_for_run()
    names = list(kernel.signature.parameters)
    copies: list[AnyArray] = []
    arguments = tuple(
        Whole(_copied(one.value, copies)) if isinstance(one, Whole) else one
        for one in arguments
    )
    splits = not _splits_range(kernel, names, arguments, reducer)
    values, axes, lengths = [], [], {}
    for position, argument in enumerate(arguments):
        name = _name(names, position)
        is_whole = isinstance(argument, Whole)
        value = argument.value if is_whole else argument
        _check_shared(kernel, name, value)
        values.append(value)
        if splits and not is_whole and isinstance(value, np.ndarray):
            along = _normalize(name, value, axis)
            lengths[name] = value.shape[along]
            axes.append(along)
        else:
            axes.append(WHOLE)
            if splits and not is_whole:
                _refuse_arrays_inside(name, value)
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise ValueError(
            f"expected arrays of the same length along axis {axis}, got {found}; wrap "
            "arrays that each chunk needs in full in sharray.whole()"
        )
    keys = tuple(
        key_of(value) if along == WHOLE else array_key(value, along)
        for value, along in zip(values, axes, strict=True)
    )
    length = next(iter(lengths.values()), None)
    return Arguments(values, axes, keys, length, copies)


def _copied(value: Any, copies: list[AnyArray]) -> Any:
    """Return a value of `whole` with read-only copies of its ordinary arrays."""
    if isinstance(value, tuple):
        return rebuild_tuple(value, [_copied(item, copies) for item in value])
    if not isinstance(value, np.ndarray) or is_workable(value):
        return value
    check_subclass(value)
    copy = shared_copy(value)
    copy.flags.writeable = False
    copies.append(copy)
    return copy


def _splits_range(
    kernel: Kernel,
    names: list[str],
    arguments: tuple[Any, ...],
    reducer: Reducer,
) -> bool:
    """Return whether a loop over `prange` is split instead of the arrays."""
    if not kernel.may_split or is_disabled():
        return kernel.may_split
    values = [one.value if isinstance(one, Whole) else one for one in arguments]
    for position, value in enumerate(values):
        _check_shared(kernel, _name(names, position), value)
    compiled = kernel.compiled_for(tuple(map(key_of, values)), reducer)
    return compiled.code.loop is not None


def _name(names: list[str], position: int) -> str:
    return names[min(position, len(names) - 1)]


def _check_shared(kernel: Kernel, name: str, value: Any) -> None:
    if isinstance(value, tuple):
        for item in value:
            _check_shared(kernel, name, item)
        return
    if not isinstance(value, np.ndarray):
        return
    if is_workable(value):
        return
    what = "private memory of this process"
    if isinstance(value, SharedArray) and value.is_shared:
        what = "opened with mode='c'"
    raise NotSharedError(
        f"argument {name!r} of kernel {kernel.__name__!r} is not shared (it is "
        f"{what}), so workers cannot work on it in place; make it with "
        "sharray.array(x), sharray.zeros or another constructor, or pass copy=True to "
        "copy it in and back"
    )


def is_workable(array: np.ndarray[Any, Any]) -> bool:
    """Return whether other processes see stores to an array."""
    if not isinstance(array, SharedArray):
        return False
    root = array._root  # read it once: the property takes time in each run
    if root is None or root.segment.mode == "c":
        return False
    return find_place(array, root) is not None


def _normalize(name: str, array: np.ndarray[Any, Any], axis: int) -> int:
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(
            f"cannot split argument {name!r} with {array.ndim} dimensions along axis "
            f"{axis}; choose another axis=, or wrap it in sharray.whole()"
        )
    return axis % array.ndim


def _refuse_arrays_inside(name: str, value: Any) -> None:
    if isinstance(value, tuple) and _has_array(value):
        raise KernelError(
            f"argument {name!r} is a tuple with arrays, which are not split; wrap it "
            "in sharray.whole() if each chunk needs all of it, or pass the arrays "
            "separately"
        )


def _has_array(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(_has_array(item) for item in value)
    return isinstance(value, np.ndarray)


def check_value(
    kernel: Kernel, has_value: bool, is_split: bool, reducer: object
) -> None:
    """Refuse a value without a reducer, and a reducer without a value.

    Raises
    ------
    KernelError
        The kernel returns a value for each chunk and there is no `reducer`, or it
        returns none and there is one.
    """
    if has_value and is_split and reducer is None:
        raise KernelError(
            f"kernel {kernel.__name__!r} returns a value for each chunk; say how to "
            "combine them with reduce='sum', 'min', 'max' or a kernel of two values"
        )
    if not has_value and reducer is not None:
        raise KernelError(
            f"kernel {kernel.__name__!r} returns nothing, so there is nothing to "
            "reduce; return a number, a tuple of numbers or an array, or leave out "
            "reduce="
        )
