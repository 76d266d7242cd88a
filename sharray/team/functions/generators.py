"""Random generators, which calls must not refer to.

Each member has a copy of what a call refers to, and so of a generator with its state.
All members would draw the same numbers, for different chunks. Generators inside of
other objects are not found.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

_KINDS = (
    np.random.Generator,
    np.random.BitGenerator,
    np.random.RandomState,
    random.Random,
)


def check(
    function: Callable[..., Any], name: str, arguments: Iterable[tuple[str, Any]]
) -> None:
    """Refuse a call that refers to a random generator.

    Parameters
    ----------
    function : callable
        The function.
    name : str
        Its name, for errors.
    arguments : iterable of (str, object)
        The arguments, with the names of their parameters.

    Raises
    ------
    TypeError
        It refers to one.
    """
    for parameter, value in (*arguments, *_references(function, set())):
        if _is_generator(value) or _is_generator(_owner(value)):
            raise TypeError(
                f"{name!r} draws random numbers from {parameter!r}, of which each "
                "member would have a copy, so chunks would get the same numbers; pass "
                "a seed, and make numpy.random.default_rng([seed, row]) for each row, "
                "or call sharray.default_rng() in a run with seed="
            )


def _is_generator(value: Any) -> bool:
    # Not isinstance, which asks the object: a proxy may refuse the answer.
    return issubclass(type(value), _KINDS)


def _owner(value: Any) -> Any:
    """Return the object of a bound method, such as of ``random.random``."""
    try:
        return getattr(value, "__self__", None)
    except Exception:  # objects may do anything in it
        return None


def _references(
    function: Callable[..., Any], seen: set[int]
) -> Iterator[tuple[str, Any]]:
    """Yield what a function refers to, and the functions that it calls."""
    if id(function) in seen:
        return
    seen.add(id(function))
    if isinstance(function, functools.partial):
        bound = *enumerate(function.args), *function.keywords.items()
        yield from ((str(name), value) for name, value in bound)
        yield from _references(function.func, seen)
    elif isinstance(function, MethodType):
        yield function.__name__, function
        yield from _references(function.__func__, seen)
    elif isinstance(function, FunctionType):
        for name, value in _variables(function):
            yield name, value
            is_own = type(value) in (FunctionType, MethodType, functools.partial)
            if is_own and value.__module__ in (function.__module__, "functools"):
                yield from _references(value, seen)
    else:
        yield getattr(function, "__name__", "function"), function


def _variables(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the global and closure variables of a function that have values."""
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield name, function.__globals__[name]
    for name, cell in zip(
        function.__code__.co_freevars, function.__closure__ or (), strict=False
    ):
        try:
            yield name, cell.cell_contents
        except ValueError:  # it has no value yet
            continue


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
