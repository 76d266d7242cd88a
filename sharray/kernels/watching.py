"""The check for objects that were replaced after a kernel was compiled with them.

numba compiles the functions, numbers and arrays that a function refers to as constants,
and keeps the code. Suppose that a user of a notebook redefines a helper function. For
types compiled earlier, the kernel would still call the old helper, and for other types
the new one. So each call of a kernel compares the objects by identity, 50 ns for each
name. Of small arrays, also within tuples, it compares the elements. A large array must
be read-only.
"""

from __future__ import annotations

import builtins
import dis
import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..errors import KernelError

# Nobody replaces functions of these modules.
_TRUSTED = {"numba", "numpy", "scipy", "sharray", *sys.stdlib_module_names} - {
    "__main__"
}
_NOTHING = object()
_MOST_BYTES = 4096  # comparing the elements of larger arrays would cost each call 1 us
_BUILTINS = vars(builtins)


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
    """Return all variables of a function, and of the functions that it calls.

    Raises
    ------
    KernelError
        One is a large array, whose elements could change without notice.
    """
    found = variables_of(function)
    for one in found:
        _check_constant(one)
    return found


def variables_of(function: Callable[..., Any]) -> tuple[Watched, ...]:
    """Return what `watched_by` does, of a function whose arrays nobody else has."""
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
        variables = list(_variables(plain))
        if value is not function:  # its own defaults are arguments
            variables += _defaults(plain)
        for one in variables:
            found.append(one._replace(owners=owners))
            ahead.append((one.value, (*owners, one.value)))
    return tuple(found)


def replaced(watched: tuple[Watched, ...]) -> list[Watched]:
    """Return the variables that have another value now."""
    return [
        one
        for one in watched
        if (now := one.get(one.key, None)) is not one.value
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
        elif name in _BUILTINS:
            yield Watched(space.get, name, None, ())  # a global may get its name
    cells = function.__closure__ or ()
    for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
        value = _content(cell, name, _NOTHING)
        if value is not _NOTHING:
            yield _watched(functools.partial(_content, cell), name, value)


def _defaults(function: FunctionType) -> Iterator[Watched]:
    """Yield the arrays among the defaults of a function: constants to numba, too."""
    for name, parameter in inspect.signature(function).parameters.items():
        value = parameter.default
        if list(_arrays_in(value)):
            yield _watched(functools.partial(_constant, value), name, value)


def _constant(value: Any, *_: Any) -> Any:
    return value


def _followed(
    space: dict[str, Any], name: str, attributes: list[str]
) -> Iterator[Watched]:
    """Yield a global variable, and the attribute used if the variable is a module."""
    value = space[name]
    while isinstance(value, ModuleType):
        yield Watched(space.get, name, value, ())
        if value.__name__.partition(".")[0] in _TRUSTED or not attributes:
            return
        space, name = vars(value), attributes[0]
        attributes = attributes[1:]
        if name not in space:
            return
        value = space[name]
    yield _watched(space.get, name, value)


def _watched(get: Callable[[str, Any], Any], name: str, value: Any) -> Watched:
    arrays = list(_arrays_in(value))
    if arrays and _is_small(arrays):
        return Watched(_SameElements(get, value, arrays), name, value, ())
    return Watched(get, name, value, ())


def _check_constant(one: Watched) -> None:
    arrays = list(_arrays_in(one.value))
    if not _is_small(arrays) and not all(map(_is_constant, arrays)):
        raise KernelError(
            f"numba would compile the elements of {one.key!r} as constants, and not "
            "notice when they change; pass that array as an argument, or use a copy "
            "that is read-only: call its setflags(write=False)"
        )


def _is_small(arrays: list[np.ndarray[Any, Any]]) -> bool:
    return sum(array.nbytes for array in arrays) <= _MOST_BYTES


def _arrays_in(value: Any) -> Iterator[np.ndarray[Any, Any]]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _arrays_in(item)


def _is_constant(array: np.ndarray[Any, Any]) -> bool:
    """Return whether nobody changes the elements without making them writable."""
    while isinstance(array.base, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    return not array.flags.writeable and isinstance(array.base, bytes | None)


class _SameElements:
    """A function that returns a value while elements of its arrays are those of now."""

    __slots__ = ("_arrays", "_elements", "_get", "_value")

    def __init__(
        self,
        get: Callable[[str, Any], Any],
        value: Any,
        arrays: list[np.ndarray[Any, Any]],
    ) -> None:
        self._get, self._value, self._arrays = get, value, arrays
        self._elements = [array.tobytes() for array in arrays]

    def __call__(self, name: str, default: Any) -> Any:
        now = self._get(name, default)
        if now is not self._value:
            return now
        elements = [array.tobytes() for array in self._arrays]
        return now if elements == self._elements else _NOTHING


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
