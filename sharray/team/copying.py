"""``copy=True``: shared copies of private arrays, for one run.

Arguments that overlap in memory are copied as one block, and each becomes a view of it.
So a store through one argument is visible through the other, as in a direct call. At
the end, no unchanged copy overwrites a changed one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ..arrays.core import AnyArray, SharedArray
from ..arrays.creation import array as shared_copy
from ..arrays.creation import zeros
from ..arrays.dtype_and_shape import check_dtype_and_shape
from ..kernels.argument_keys import check_subclass
from ..kernels.tuples import rebuild_tuple
from .arguments import Whole, is_workable

_ALIGNMENT = 64


class _Copy(NamedTuple):
    """A private array and its shared copy."""

    original: np.ndarray[Any, Any]
    shared: AnyArray


class Copies:
    """Shared copies of all private arrays among some arguments.

    Parameters
    ----------
    arguments : tuple
        The bound arguments of a kernel.

    Attributes
    ----------
    arguments : tuple
        The arguments, with copies instead of private arrays.

    Raises
    ------
    TypeError
        An array is of a subclass with data outside of its memory.
    """

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        private = {id(array): array for array in _private_arrays(arguments)}
        self._copies: dict[int, _Copy] = {}
        for group in _overlapping(list(private.values())):
            for copy in _copy_together(group):
                self._copies[id(copy.original)] = copy
        self.arguments = tuple(self._replace(argument) for argument in arguments)

    def _replace(self, value: Any) -> Any:
        if isinstance(value, Whole):
            return Whole(self._replace(value.value))
        if isinstance(value, tuple):
            return rebuild_tuple(value, [self._replace(item) for item in value])
        copy = self._copies.get(id(value))
        return value if copy is None else copy.shared

    def copy_back(self) -> None:
        """Write the results of the run into the original arrays."""
        for original, shared in self._copies.values():
            if original.flags.writeable:
                original[...] = shared


def _private_arrays(value: Any) -> list[np.ndarray[Any, Any]]:
    if isinstance(value, Whole):
        return _private_arrays(value.value)
    if isinstance(value, tuple):
        return [array for item in value for array in _private_arrays(item)]
    if not isinstance(value, np.ndarray) or is_workable(value):
        return []
    check_subclass(value)
    check_dtype_and_shape(value.dtype, value.shape)
    return [value]


def _overlapping(
    arrays: list[np.ndarray[Any, Any]],
) -> list[list[np.ndarray[Any, Any]]]:
    """Group arrays whose memory overlaps, by the bytes between their ends."""
    groups: list[list[np.ndarray[Any, Any]]] = []
    last_end = 0
    for array in sorted(arrays, key=lambda array: byte_bounds(array)[0]):
        begin, end = byte_bounds(array)
        if groups and begin < last_end and array.size:
            groups[-1].append(array)
        else:
            groups.append([array])
        last_end = max(last_end, end)
    return groups


def _copy_together(group: list[np.ndarray[Any, Any]]) -> list[_Copy]:
    """Copy arrays that overlap, so that the copies overlap in the same way."""
    bounds = [byte_bounds(array) for array in group]
    begin, end = min(low for low, _ in bounds), max(high for _, high in bounds)
    if len(group) == 1 and group[0].nbytes <= end - begin:
        copies = [_Copy(group[0], shared_copy(group[0]))]
    else:
        # Addresses keep their offset in a cache line, so that elements stay aligned.
        margin = begin % _ALIGNMENT
        block = zeros(margin + end - begin, np.uint8)
        copies = [_Copy(array, _view(block, array, margin - begin)) for array in group]
        for array, shared in copies:
            shared[...] = array
    for array, shared in copies:
        shared.flags.writeable = array.flags.writeable
    return copies


def _view(block: AnyArray, array: np.ndarray[Any, Any], shift: int) -> AnyArray:
    """Return a view of a block with the layout of `array`, moved by `shift` bytes."""
    address = array.__array_interface__["data"][0]
    plain: np.ndarray[Any, Any] = np.ndarray(
        array.shape, array.dtype, block, address + shift, array.strides
    )
    return plain.view(SharedArray)
