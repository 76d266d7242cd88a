"""The contents of a module as text, equal in two processes if the module is.

What a module has is either compared by identity, or it is a `Text` of what may change
in place. The caller looks at each module in each run, so a text is made only of what is
small. Large containers and arrays are compared by identity until the module changes.

Objects of other kinds have no text: they may differ between processes for many reasons.
`text` lists them, so that `modules` can see when they are other objects than before.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np

_CONSTANTS = (bool, int, float, complex, str, bytes, type(None), type(...))
_SEQUENCES = (tuple, list, set, frozenset)
_CONTAINERS = *_SEQUENCES, dict
_SUBCLASSED = (int, float, complex, str, bytes)
# Values that never change, and that their `repr` shows completely.
_SHOWN = (range, slice, date, time, timedelta, Decimal, Fraction, PurePath, np.dtype)
# Of these, what they are made of has a text.
_PARTS: dict[type, tuple[str, ...]] = {
    functools.partial: ("func", "args", "keywords"),
    MethodType: ("__func__", "__self__"),
    property: ("fget", "fset", "fdel"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
}
_CODE = FunctionType, type, BuiltinFunctionType, ModuleType
_OF_CLASSES = MemberDescriptorType, GetSetDescriptorType
_OBJECT = "an object"
_MOST_ITEMS = 1000
_MOST_BYTES = 1 << 16


class Text(str):
    """The text of a value that can change in place."""

    __slots__ = ()


def functions_of(value: Any, module: str) -> Iterator[FunctionType]:
    """Yield the functions that a module has defined in one of its variables.

    These are the methods of a class, and all functions of a decorated one.
    """
    with suppress(Exception):  # any object may raise here, such as a lazy one
        if value.__module__ != module:
            return
        if isinstance(value, type):
            members = [one for kind in _classes_in(value) for one in _members(kind)]
            for _, member in members:
                yield from _unwrapped(member, set())
        else:
            yield from _unwrapped(value, set())


def _classes_in(kind: type) -> Iterator[type]:
    """Yield a class and those that are defined inside of it."""
    yield kind
    # By the longer name: a class may have itself as an attribute.
    begin = f"{kind.__module__}.{kind.__qualname__}."
    for _, member in _members(kind):
        is_class = issubclass(type(member), type)
        if is_class and f"{member.__module__}.{member.__qualname__}".startswith(begin):
            yield from _classes_in(member)


def _members(kind: type) -> list[tuple[str, Any]]:
    return sorted(vars(kind).items(), key=lambda item: item[0])


def _unwrapped(value: Any, seen: set[int]) -> Iterator[FunctionType]:
    """Yield a function, and those that it is made of."""
    if id(value) in seen:
        return
    seen.add(id(value))
    inner = []
    if isinstance(value, FunctionType):
        yield value
        inner += _cells(value)
    if isinstance(value, functools.partial):
        inner += [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, property):
        inner += [value.fget, value.fset, value.fdel]
    for name in ("__wrapped__", "py_func", "__func__"):
        if not isinstance(value, type):
            inner.append(getattr(value, name, None))
    for one in inner:
        is_callable = callable(one) and not isinstance(one, (type, ModuleType))
        if is_callable or isinstance(one, property):
            yield from _unwrapped(one, seen)


def _cells(function: FunctionType) -> list[Any]:
    found = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # it has no value yet
            found.append(cell.cell_contents)
    return found


def bound_to(function: FunctionType) -> list[Any]:
    """Return the code of a function, and the values that it was made with."""
    named = function.__kwdefaults__ or {}
    defaults = *(function.__defaults__ or ()), *named.items()
    return [function.__code__, *defaults, *_cells(function)]


def attributes_of(value: Any, module: str) -> list[tuple[str, Any]]:
    """Return the variables of a class that a module has defined."""
    if not issubclass(type(value), type) or value.__module__ != module:
        return []
    return [item for kind in _classes_in(value) for item in _variables(kind)]


def _variables(kind: type) -> list[tuple[str, Any]]:
    """Return the variables of a class, and its bases."""
    items = [item for item in _members(kind) if not item[0].startswith("__")]
    return [*items, *(("__bases__", base) for base in kind.__bases__)]


def is_importable(value: Any) -> bool:
    """Return whether the name of a function or class leads to it, in its module."""
    module = getattr(value, "__module__", None)
    found: Any = sys.modules.get(module) if isinstance(module, str) else None
    for name in value.__qualname__.split("."):
        if not issubclass(type(found), (ModuleType, type)):
            return False
        found = vars(found).get(name)
    return found is value


def comparable(value: Any) -> list[Any]:
    """Return a value; or its text, and what has none, if it can change in place."""
    can_change = _base_of(type(value)) not in (None, Enum, np.generic)
    if not (can_change and _is_small(value)):
        return [value]
    others: list[Any] = []
    return [Text(text(value, others)), *others]


def _is_small(value: Any) -> bool:
    return sum(1 for _ in _up_to(value, _MOST_ITEMS + 1)) <= _MOST_ITEMS


def _up_to(value: Any, most: int) -> Iterator[None]:
    """Yield once for each item within a value, `most` times for a large array."""
    ahead = [value]
    while ahead and most > 0:
        one = ahead.pop()
        most -= 1
        yield
        base = _base_of(type(one))
        if _is_large(one, base, most):
            yield from [None] * most
            return
        ahead += _contained(one, base)


def _is_large(value: Any, base: type | None, most: int) -> bool:
    if base is np.ndarray:
        return bool(value.nbytes > _MOST_BYTES)
    return base in _CONTAINERS and base.__len__(value) > most


def _base_of(kind: type) -> type | None:
    """Return the type that tells what values of a type, or a subclass, contain."""
    bases = (Enum, np.ndarray, np.generic, dict, *_SEQUENCES)
    found = next((base for base in bases if issubclass(kind, base)), None)
    if found is None and dataclasses.is_dataclass(kind):
        # A frozen one has no other state than its fields.
        parameters = getattr(kind, "__dataclass_params__", None)
        return kind if getattr(parameters, "frozen", False) else None
    return found


def _contained(value: Any, base: type | None) -> list[Any]:
    """Return what a value contains, without a call of its class's own methods.

    Sets and dicts are copied first, since another thread may change them.
    """
    if base is Enum:
        return [value._name_, value._value_]
    if base is dict:
        return [one for item in dict.copy(value).items() for one in item]
    if base in (set, frozenset):
        return [*base.copy(value)]
    if base in (tuple, list):
        return [*base.__iter__(value)]
    if base is None or base in (np.ndarray, np.generic):
        return []
    return [getattr(value, field.name, None) for field in dataclasses.fields(value)]


def text(
    value: Any, others: list[Any] | None = None, *, is_in_set: bool = False
) -> str:
    """Return a text that is the same for the same code or value in each process.

    The lines where code stands are left out. A container that comes again is a number,
    since some contain themselves, or one container in many places.

    Parameters
    ----------
    value : object
        Anything.
    others : list, optional
        Objects without a text are appended.
    is_in_set : bool
        Whether to leave out the containers that functions are made of. One of them may
        be the same set.
    """
    written: list[str] = []
    known: dict[int, int] = {}
    kept = []  # so that no other object gets the same identity
    ahead = [value]
    others = [] if others is None else others
    while ahead:
        one = ahead.pop()
        kind = type(one)
        if kind in _CONSTANTS:
            written.append(_shown(one, kind))
        elif id(one) in known:
            written.append(f"#{known[id(one)]}")
        else:
            known[id(one)] = len(known)
            kept.append(one)
            begin, inner = _opened(one, others, is_in_set)
            written.append(begin)
            ahead += inner[::-1]
    return ",".join(written)


def _opened(
    value: Any, others: list[Any], is_in_set: bool
) -> tuple[str, Sequence[Any]]:
    """Return the text of a value without what it contains, and that.

    The text tells how many values it contains, so that the end of each is known.
    """
    kind = type(value)
    if kind is CodeType:
        names = "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_consts"
        code = f"{value.co_name!r}{value.co_code!r}"
        return code, [getattr(value, name) for name in names]
    if kind in _PARTS or issubclass(kind, _CODE):
        begin, inner = _made_of(value)
        if is_in_set:
            inner = [one for one in inner if not issubclass(type(one), _CONTAINERS)]
        return begin, inner
    base = _base_of(kind)
    inner = _contained(value, base)
    if _may_have_more(value, base):
        others.append(value)
    if base in (set, frozenset):  # their order differs between processes
        texts = sorted(text(one, others, is_in_set=True) for one in inner)
        return f"set{texts}", ()
    if base is np.ndarray and value.dtype.hasobject:
        return f"{value.dtype}{value.shape}", value.reshape(-1).tolist()
    if base in (np.ndarray, np.generic):
        return f"{value.dtype.str}{value.shape}{_digest(np.asarray(value))}", ()
    if base is not None:
        return f"{kind.__qualname__}{len(inner)}", inner
    for constant in _SUBCLASSED:
        if issubclass(kind, constant):
            return f"{kind.__qualname__}({_shown(value, constant)})", ()
    if issubclass(kind, _SHOWN):
        return f"{kind.__qualname__}({value!r})", ()
    if not issubclass(kind, _OF_CLASSES):
        others.append(value)
    return _OBJECT, ()


def _may_have_more(value: Any, base: type | None) -> bool:
    """Return whether an object of a subclass has more than the class tells of."""
    kind = type(value)
    if base is np.ndarray and kind is not base:
        return True  # such as a mask
    is_subclass = kind is not base and base not in (None, Enum)
    is_subclass = is_subclass or issubclass(kind, _SUBCLASSED)
    return is_subclass and bool(getattr(value, "__dict__", None))


def _made_of(value: Any) -> tuple[str, list[Any]]:
    """Return where a function, class or module is from, or else what it is made of."""
    kind = type(value)
    inner: list[Any] = []
    if kind in _PARTS:
        name, inner = kind.__qualname__, [getattr(value, one) for one in _PARTS[kind]]
    elif issubclass(kind, ModuleType):
        name = value.__name__
    elif issubclass(kind, BuiltinFunctionType):  # or a method of an object
        name, owner = f"{value.__module__}.{value.__qualname__}", value.__self__
        if not issubclass(type(owner), ModuleType):
            inner = [owner]
    elif is_importable(value):
        name = f"{value.__module__}.{value.__qualname__}"
    elif issubclass(kind, FunctionType):
        name, inner = value.__qualname__, bound_to(value)
    else:
        name, inner = value.__qualname__, [*_functions_in(value), *_variables(value)]
    return f"{name}{len(inner)}", inner


def _functions_in(kind: type) -> list[Any]:
    members = [one for _, one in _members(kind)]
    return [one for one in members if type(one) in (FunctionType, *_PARTS)]


def _shown(value: Any, kind: Any) -> str:
    if kind is int:
        return int.__format__(value, "x")  # `repr` refuses more than 4300 digits
    return str(kind.__repr__(value))


def _digest(array: np.ndarray[Any, Any]) -> str:
    """Return the digest of the values of an array, which may be large."""
    digest = hashlib.blake2b(digest_size=16)
    flat = array.reshape(-1)
    size = max(1, _MOST_BYTES // max(1, array.itemsize))
    for begin in range(0, flat.size, size):
        digest.update(flat[begin : begin + size].tobytes())
    return digest.hexdigest()
