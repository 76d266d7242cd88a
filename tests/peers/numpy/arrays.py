"""Arrays in the place of those that NumPy's constructors make.

Each kind is a function of a new ndarray: it returns an equal array of its own class,
or the ndarray itself if there can be none. ``subclass`` and ``memmap`` are controls:
tests that these fail as well say nothing about shared arrays.
"""

from __future__ import annotations

import errno
import functools
import tempfile
import types
from collections.abc import Callable
from typing import Any

import numpy as np

Kind = Callable[[Any], Any]

# Tests of large memory want memory that is taken only when it is used.
_LARGEST = 16 << 20

_MOST_SHARED = 60_000
_CONSTRUCTORS = (
    "arange",
    "array",
    "empty",
    "eye",
    "fromfunction",
    "fromiter",
    "full",
    "identity",
    "indices",
    "linspace",
    "ones",
    "tri",
    "zeros",
)


class Subclass(np.ndarray):  # type: ignore[type-arg]
    """A subclass that does nothing."""


def _subclass(array: Any) -> Any:
    return array.view(Subclass)


def _memmap(array: Any) -> Any:
    if array.nbytes == 0:
        return array.view(np.memmap)  # a file without bytes cannot be mapped
    with tempfile.TemporaryFile() as file:
        order = "C" if array.flags.c_contiguous else "F"
        found = np.memmap(file, array.dtype, "w+", shape=array.shape, order=order)
    found[...] = array
    return found


def _shared(array: Any) -> Any:
    import sharray as sh
    from sharray.storage import ending

    # With all mappings taken that a process can have (65,530), malloc fails as well.
    if ending.count_held() >= _MOST_SHARED:
        return array
    try:
        return sh.array(array)
    except sh.DtypeError:
        return array
    except sh.StorageError as error:
        if error.errno in (errno.EMFILE, errno.ENOMEM):
            return array  # the test wants more arrays than a process can map
        raise


KINDS: dict[str, Kind | None] = {
    "plain": None,
    "subclass": _subclass,
    "memmap": _memmap,
    "shared": _shared,
}


def replacing(kind: Kind, constructor: Callable[..., Any]) -> Callable[..., Any]:
    """Return a constructor whose new arrays are of another kind."""

    @functools.wraps(constructor)
    def construct(*args: Any, **kwargs: Any) -> Any:
        array = constructor(*args, **kwargs)
        return kind(array) if _can_be_replaced(array) else array

    return construct


def _can_be_replaced(array: Any) -> bool:
    return (
        type(array) is np.ndarray
        and array.base is None
        and array.nbytes <= _LARGEST
        and not array.dtype.hasobject
        and array.dtype.char != "T"
        and (array.flags.c_contiguous or array.flags.f_contiguous)
    )


class Module(types.ModuleType):
    """The module numpy, with other constructors."""

    def __init__(self, kind: Kind) -> None:
        super().__init__("numpy")
        self.__dict__.update(vars(np))  # tests look there, too
        for name in _CONSTRUCTORS:
            self.__dict__[name] = replacing(kind, getattr(np, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(np, name, value)  # monkeypatch changes the real one
        self.__dict__[name] = value


def replace_in(modules: list[types.ModuleType], kind: Kind) -> None:
    """Have modules that were imported already make arrays of another kind."""
    replaced = Module(kind)
    by_id = {id(np): replaced}
    by_id |= {id(getattr(np, name)): getattr(replaced, name) for name in _CONSTRUCTORS}
    for module in modules:
        names = vars(module)
        names.update({k: by_id[id(v)] for k, v in names.items() if id(v) in by_id})
