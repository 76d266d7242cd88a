"""The check for objects that were replaced after a kernel was compiled with them.

numba compiles the functions and numbers that a function refers to as constants, and
keeps the code. Suppose that a user of a notebook redefines a helper function. For types
compiled earlier, the kernel would still call the old helper, and for other types the
new one. So each call of a kernel compares the objects by identity, and arrays of up to
4 KiB also by their elements. A kernel without global or closure variables has nothing
to compare. Larger arrays that change in place, and new objects with the names of
builtins or of modules such as NumPy, are not noticed.
"""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Callable, Iterator
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

# Nobody replaces functions of these modules, and checking one costs each call 40 ns.
_TRUSTED = {"numba", "numpy", "scipy", "sharray", *sys.stdlib_module_names} - {
    "__main__"
}
_NOTHING = object()
_MOST_BYTES = 4096  # comparing the elements of larger arrays would cost each call 1 us


class Watched(NamedTuple):
    """A variable that a kernel, or a function that it calls, refers to.

    Attributes
    ----------
    get : callable
        Function of the name and a default that returns the present value.
    key : str
        The name.
    value : object
        The value when the kernel was compiled.
    owners : tuple
        The functions through which the kernel refers to the variable; the last one
        uses the name. The kernel's own function is included only if it came from
        ``numba.njit``.
    """

    get: Callable[[str, Any], Any]
    key: str
    value: Any
    owners: tuple[Any, ...]


def watched_by(function: Callable[..., Any]) -> tuple[Watched, ...]:
    """Return all variables of a function, and of the functions that it calls."""
    found: list[Watched] = []
    seen: set[int] = set()
    ahead: list[tuple[Any, tuple[Any, ...]]] = [(function, ())]
    while ahead:
        value, owners = ahead.pop()
        plain = getattr(value, "py_func", value)
        if not isinstance(plain, FunctionType) or id(plain) in seen:
            continue
        if value is function and value is not plain:
            owners = (value,)  # a dispatcher of numba, which keeps its code
        seen.add(id(plain))
        for one in _variables(plain):
            found.append(one._replace(owners=owners))
            ahead.append((one.value, (*owners, one.value)))
    return tuple(found)


def replaced(watched: tuple[Watched, ...]) -> list[Watched]:
    """Return the variables that have another value now."""
    return [
        one
        for one in watched
        if (now := one.get(one.key, _NOTHING)) is not one.value
        and not _is_same_number(now, one.value)
    ]


def _is_same_number(now: Any, before: Any) -> bool:
    """Return whether a notebook cell, run again, has made an equal number or string."""
    simple = type(before) in (int, float, complex, bool, str)
    # Not ==, which does not tell 0.0 from -0.0.
    return simple and type(now) is type(before) and repr(now) == repr(before)


def _variables(function: FunctionType) -> Iterator[Watched]:
    space = function.__globals__
    for name, *attributes in set(_loaded(function.__code__)):
        if name in space:
            yield from _followed(space, name, attributes)
    cells = function.__closure__ or ()
    for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
        value = _content(cell, name, _NOTHING)
        if value is not _NOTHING:
            yield _watched(functools.partial(_content, cell), name, value)


def _followed(
    space: dict[str, Any], name: str, attributes: list[str]
) -> Iterator[Watched]:
    """Yield a global variable, or the attribute used if the variable is a module."""
    value = space[name]
    while isinstance(value, ModuleType):
        if value.__name__.partition(".")[0] in _TRUSTED or not attributes:
            return
        yield Watched(space.get, name, value, ())  # another one may get its name
        space, name = vars(value), attributes[0]
        attributes = attributes[1:]
        if name not in space:
            return
        value = space[name]
    module = getattr(value, "__module__", None) or ""
    if not (callable(value) and module.partition(".")[0] in _TRUSTED):
        yield _watched(space.get, name, value)


def _watched(get: Callable[[str, Any], Any], name: str, value: Any) -> Watched:
    if isinstance(value, np.ndarray) and value.nbytes <= _MOST_BYTES:
        return Watched(_SameElements(get, value), name, value, ())
    return Watched(get, name, value, ())


class _SameElements:
    """A function that returns an array while its elements are those of now.

    numba compiles the elements of an array as constants.
    """

    __slots__ = ("_array", "_elements", "_get")

    def __init__(self, get: Callable[[str, Any], Any], array: Any) -> None:
        self._get, self._array = get, array
        self._elements = array.tobytes()

    def __call__(self, name: str, default: Any) -> Any:
        now = self._get(name, default)
        if now is self._array and now.tobytes() != self._elements:
            return _NOTHING
        return now


def _content(cell: CellType, _: str, default: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return default


def _loaded(code: CodeType) -> Iterator[tuple[str, ...]]:
    """Yield the global names that code loads, each with its chain of attributes."""
    chain: list[str] = []
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield from _ended(chain)
            chain = [name]
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD") and chain:
            chain.append(name)
        elif instruction.opname not in ("CACHE", "PUSH_NULL", "PRECALL"):
            yield from _ended(chain)
            chain = []
    yield from _ended(chain)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _loaded(constant)


def _ended(chain: list[str]) -> Iterator[tuple[str, ...]]:
    if chain:
        yield tuple(chain)
