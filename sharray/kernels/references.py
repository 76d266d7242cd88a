"""The objects that a kernel refers to, found without compiling it.

These are its global and closure variables, attributes of modules, and the same of each
function among them. numba may use fewer of these objects, but no others.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ..system import libraries
from .prange import prange

_PYTHON_API = 0x4  # FUNCFLAG_PYTHONAPI: the call keeps the GIL
_OF_THREADS = (
    "get_thread_id",
    "get_num_threads",
    "set_num_threads",
    "get_parallel_chunksize",
    "set_parallel_chunksize",
)


def referred_to(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Yield the name and value of each object that a function refers to."""
    seen: set[int] = set()
    ahead: list[tuple[str, Any]] = [("", function)]
    while ahead:
        name, value = ahead.pop()
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value
            ahead += _parts_of(name, value)


def may_use_prange(function: Callable[..., Any]) -> bool:
    """Return whether a function refers to `prange`, under any name.

    Only numba can tell whether there is a loop over it.

    Examples
    --------
    >>> loop = prange
    >>> may_use_prange(lambda n: [i for i in loop(n)]), may_use_prange(lambda n: n)
    (True, False)
    """
    theirs = getattr(sys.modules.get("numba"), "prange", prange)
    return any(value is prange or value is theirs for value in _functions(function))


def thread_function(function: Callable[..., Any]) -> str:
    """Return the name of a function for numba's threads that is used, or ""."""
    numba = sys.modules.get("numba")
    known = [getattr(numba, name, None) for name in _OF_THREADS]
    for value in _functions(function):
        if any(value is one for one in known if one is not None):
            return str(value.__name__)
    return ""


def foreign_function(function: Callable[..., Any]) -> str:
    """Return the name of a function of ctypes or cffi that other processes lack.

    Other processes can look up a function of ctypes that is in a library: see
    `reduce_foreign`.
    """
    for name, value in referred_to(function):
        if is_of_ctypes(value):
            if libraries.place_of(_address_of(value)) is None:
                return name
        elif type(value).__module__.startswith("_cffi"):
            return name
    return ""


def is_of_ctypes(value: object) -> bool:
    """Return whether this is a function of ctypes."""
    # The types of ctypes do not have this class, which has no public name.
    return isinstance(value, ctypes._CFuncPtr)  # type: ignore[attr-defined]


def reduce_foreign(function: Any) -> tuple[Any, ...]:
    """Pickle a function of ctypes as its place in a library.

    Raises
    ------
    TypeError
        The function is in no library, such as a callback to a Python function.
    """
    place = libraries.place_of(_address_of(function))
    if place is None:
        raise TypeError(
            "cannot pickle a function of ctypes that is in no shared library; write it "
            "in Python"
        )
    kinds = [_named(kind) for kind in (function.restype, *(function.argtypes or ()))]
    needs_gil = bool(type(function)._flags_ & _PYTHON_API)
    return _foreign, (tuple(place), needs_gil, kinds)


def _foreign(place: tuple[Any, ...], needs_gil: bool, kinds: list[Any]) -> Any:
    make = ctypes.PYFUNCTYPE if needs_gil else ctypes.CFUNCTYPE
    address = libraries.address_of(libraries.Place(*place))
    return make(*map(_unnamed, kinds))(address)


def _named(kind: Any) -> Any:
    """Return a picklable form of a ctypes type: pickle cannot find a pointer type."""
    if isinstance(kind, type) and issubclass(kind, ctypes._Pointer):
        return [_named(kind._type_)]
    return kind


def _unnamed(kind: Any) -> Any:
    return ctypes.POINTER(_unnamed(kind[0])) if isinstance(kind, list) else kind


def _address_of(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _functions(function: Callable[..., Any]) -> Iterator[Any]:
    for _, value in referred_to(function):
        if callable(value):
            yield value


def _parts_of(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (tuple, list)):
        yield from ((name, item) for item in value)
        return
    if isinstance(value, functools.partial):
        yield name, value.func
        return
    function = getattr(value, "py_func", value)  # of a kernel or a numba dispatcher
    if not isinstance(function, FunctionType):
        return
    names = set(_names_in(function.__code__))
    for one in names & function.__globals__.keys():
        yield from _with_attributes(one, function.__globals__[one], names)
    free = function.__code__.co_freevars
    for one, cell in zip(free, function.__closure__ or (), strict=False):
        try:
            yield from _with_attributes(one, cell.cell_contents, names)
        except ValueError:  # not assigned yet
            continue
    yield from (("", default) for default in function.__defaults__ or ())


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _with_attributes(
    name: str, value: Any, names: set[str], depth: int = 3
) -> Iterator[tuple[str, Any]]:
    """Yield a value, and if it is a module also its attributes among `names`."""
    yield name, value
    if isinstance(value, ModuleType) and depth:
        for one in names.intersection(dir(value)):  # not vars(): some load on access
            yield from _with_attributes(one, getattr(value, one), names, depth - 1)
