"""Picklers for calls: shared arrays by place, functions by reference or by value."""

from __future__ import annotations

import functools
import marshal
import pickle
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from ...arrays.core import SharedArray, view_of
from ...arrays.handle import check_view, find_place
from ...arrays.root import Root
from ...errors import TeamError
from ...storage.dtypes import spell
from ...system import forks, interrupts
from ...system.thread_locks import Lock
from .modules import imported_by, imports_of

_MAIN_OF_CHILDREN = "__mp_main__"  # multiprocessing imports the main module as this
_WITHOUT_REFERENCES = 2  # version of marshal: equal code makes equal bytes

_Cached = type(functools.lru_cache(len))

# cloudpickle keeps the modules that go by value in one set for all threads.
_by_value = Lock(reentrant=True)


def _renew_lock() -> None:
    global _by_value
    _by_value = Lock(reentrant=True)  # another thread of the parent may have held it


forks.at_fork(after_in_child=_renew_lock)


@contextmanager
def modules_by_value(names: set[str]) -> Iterator[None]:
    """Let cloudpickle send the functions and classes of some modules by value."""
    names = {*names, _MAIN_OF_CHILDREN}
    found = [sys.modules[name] for name in names if name in sys.modules]
    if not found:
        yield
        return
    library = sys.modules[base().__module__]
    with _by_value:
        mine = _unknown_to(library, found)
        for module in mine:
            library.register_pickle_by_value(module)
        try:
            yield
        finally:
            for module in mine:
                library.unregister_pickle_by_value(module)


def _unknown_to(library: Any, modules: list[ModuleType]) -> list[ModuleType]:
    """Return the modules that cloudpickle does not send by value yet."""
    known = library.list_registry_pickle_by_value()
    return [module for module in modules if module.__name__ not in known]


def base() -> Any:
    """Return the pickler of cloudpickle; numba has a copy of it."""
    with interrupts.deferred():  # a module that is half imported stays broken
        try:
            from cloudpickle import cloudpickle as library
        except ImportError:
            from ...kernels.numba import by_value

            return by_value.Pickler
        return library.Pickler


@functools.cache
def call_pickler() -> Any:
    """Return the class of picklers for calls."""

    class CallPickler(base()):  # type: ignore[misc]
        """Pickles shared arrays by place, and ordinary arrays aside."""

        def __init__(
            self, file: Any, number: Callable[[Root], int], by_value: Collection[str]
        ) -> None:
            self.buffers: list[pickle.PickleBuffer] = []
            self.roots: list[Root] = []
            self.modules: set[str] = set()  # that workers may import for the call
            self.imports: set[str] = set()  # that functions sent by value name
            self._number = number
            self._by_value = {*by_value, "__main__", _MAIN_OF_CHILDREN}
            # Not a method of its own: such a cycle would keep the arrays until the
            # next garbage collection.
            take = self.buffers.append
            super().__init__(file, protocol=5, buffer_callback=take)

        def persistent_id(self, value: Any) -> Any:
            if type(value) is not SharedArray:
                return None
            root = value._root
            if root is None or root.segment.mode == "c":
                return None
            place = find_place(value, root)
            if place is None:
                return None
            self.roots.append(root)
            return (
                self._number(root),
                root.segment.identity,
                place[0],
                spell(value.dtype),
                value.shape,
                value.strides,
                value.flags.writeable,
            )

        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, ModuleType):
                self.modules.add(value.__name__)
            elif type(value) is CodeType:
                self.modules.update(imported_by(value))
                self.imports.update(imports_of(value))
                # cloudpickle leaves out the file, which tracebacks name.
                return marshal.loads, (marshal.dumps(value, _WITHOUT_REFERENCES),)
            else:  # also an object that goes by reference, such as a cached function
                module = getattr(value, "__module__", "")
                self.modules.add(str(module))
                if type(value) is _Cached and module in self._by_value:
                    return _cached, (value.__wrapped__, value.cache_parameters())
            if isinstance(value, np.ndarray) and type(value) is not np.ndarray:
                return NotImplemented
            if isinstance(value, np.ndarray) and not value.dtype.hasobject:
                flags = value.flags
                if not (flags.c_contiguous or flags.f_contiguous):
                    # Of these, NumPy makes a copy inside the pickle, which would arrive
                    # writable.
                    return _keep, (np.array(value, order="C"),)
            return super().reducer_override(value)

    return CallPickler


def _cached(function: Any, parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def stale(module: str, name: str) -> str:
    """Return the text of the error for what workers have in another version."""
    return (
        f"workers have another version of module {module!r}, of which {name} cannot be "
        "sent by value; close the team and make another one with sharray.Team(), or "
        "pass what has changed as an argument"
    )


def _keep(array: Any) -> Any:
    return array


class CallUnpickler(pickle.Unpickler):
    """Unpickles calls.

    Parameters
    ----------
    file : file
        The pickle.
    root_of : callable
        Return a mapped file by its number.
    buffers : list
        The ordinary arrays.
    by_value : set of str
        Modules of which nothing may go by reference.
    """

    def __init__(
        self,
        file: Any,
        root_of: Callable[[int], Root],
        buffers: list[Any],
        by_value: Collection[str] = (),
    ) -> None:
        super().__init__(file, buffers=buffers)
        self._root_of = root_of
        self._by_value = by_value

    def find_class(self, module: str, name: str) -> Any:
        """Return what a module has, unless workers have another version of it."""
        if module in self._by_value:
            raise TeamError(stale(module, name))
        return super().find_class(module, name)

    def persistent_load(self, place: Any) -> Any:
        """Return the view of a shared array."""
        number, identity, offset, dtype, shape, strides, writeable = place
        root = self._root_of(number)
        if root.segment.identity != identity:
            raise TeamError(
                "a worker has another array than the caller; close the team and make "
                "another one with sharray.Team()"
            )
        found = check_view(root, offset, dtype, shape, strides)
        array = view_of(root, shape, found, offset, strides)
        if not writeable:
            array.flags.writeable = False
        return array
