"""Descriptions of results, by which two pools are compared.

A description keeps no array, so a later one tells whether the result has changed.
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from passing_ends import checksum

# Since Python 3.14, pickle keeps arrays read-only, and their axes in any order. Those
# in shared memory are as protocol 4 makes them.
_FLAGS = ["ALIGNED"]
if pickle.DEFAULT_PROTOCOL < 5:
    _FLAGS += ["C_CONTIGUOUS", "F_CONTIGUOUS", "WRITEABLE"]


def describe(obj: Any) -> Any:
    """Return types, checksums and layouts, and which parts are the same object."""
    return _Description().of(obj)


class _Description:
    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    def of(self, obj: Any) -> Any:
        kind = type(obj).__name__
        if obj is None or isinstance(obj, bool | int | float | str | bytes):
            return obj
        if isinstance(obj, tuple):
            return kind, *map(self.of, obj)
        if id(obj) in self._seen:
            return "seen before", self._seen[id(obj)]
        self._seen[id(obj)] = len(self._seen)
        if isinstance(obj, np.ndarray | np.generic):
            array = np.asanyarray(obj)
            return kind, *_layout(array), self._elements(array)
        if isinstance(obj, pd.DataFrame | pd.Series):
            return kind, obj.shape, *map(checksum, (obj.to_numpy(), obj.index))
        return kind, *map(self.of, _contents(obj))

    def _elements(self, array: np.ndarray) -> Any:
        if array.dtype.hasobject:
            return self.of(array.tolist())
        return checksum(array.astype(_native(array.dtype), copy=False))


def _layout(array: np.ndarray) -> tuple[Any, ...]:
    flags = [array.flags[name] for name in _FLAGS]
    return array.shape, str(_native(array.dtype)), str(flags)


def _native(dtype: np.dtype) -> np.dtype:
    """Return a dtype as pickle makes it; a message may keep the order of bytes."""
    return dtype if dtype.hasobject else dtype.newbyteorder("=")


def _contents(obj: Any) -> list[Any]:
    if isinstance(obj, dict):
        return [*obj, *obj.values()]
    if isinstance(obj, list):
        return obj
    if isinstance(obj, BaseException):
        return list(obj.args)
    return [vars(obj)]


def arrays_in(obj: Any) -> Iterator[np.ndarray]:
    """Yield the arrays in results."""
    if isinstance(obj, np.ndarray) and not obj.dtype.hasobject:
        yield obj
    elif isinstance(obj, tuple):
        yield from itertools.chain.from_iterable(map(arrays_in, obj))
    elif isinstance(obj, list | dict | BaseException) or hasattr(obj, "__dict__"):
        yield from itertools.chain.from_iterable(map(arrays_in, _contents(obj)))


def overwrite(results: list[Any]) -> None:
    """Write another number to each array, and to the first row of each table."""
    for number, array in enumerate(itertools.chain(*map(arrays_in, results))):
        if array.flags.writeable and array.dtype.names is None:
            array.fill(number % 100)
    for table in results:
        if isinstance(table, pd.DataFrame | pd.Series):
            table.iloc[0] = -1.0


def differences(found: dict[Any, Any], want: dict[Any, Any]) -> list[Any]:
    """Return the keys of descriptions that differ."""
    assert list(found) == list(want)
    return [key for key, value in found.items() if value != want[key]]


class Looks:
    """Results, and their descriptions at several times."""

    def __init__(self) -> None:
        self.seen: dict[Any, Any] = {}
        self._results: dict[Any, Any] = {}

    def take(self, key: Any, result: Any) -> Any:
        """Describe a result, keep it, and return it."""
        self._results[key] = result
        self.seen[key] = describe(result)
        return result

    def look(self, when: str) -> None:
        """Describe all results again."""
        for key, result in self._results.items():
            self.seen[when, key] = describe(result)

    def look_after(self, when: str) -> None:
        """Describe all results again, as the last thing, and drop them."""
        self.look(when)
        self._results.clear()

    def overwrite(self) -> None:
        """Write to all results."""
        overwrite(list(self._results.values()))
