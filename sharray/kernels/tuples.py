"""Named tuples as arguments and values of kernels.

Machine code contains only the items of a tuple. So a key holds the name and fields of
the class, which any process understands. This module finds the class for a name.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable
from typing import Any, NamedTuple


class TupleName(NamedTuple):
    """The class of a named tuple, given by names.

    Attributes
    ----------
    module, qualname : str
        The module and the qualified name of the class.
    fields : tuple of str
        The names of the items.
    """

    module: str
    qualname: str
    fields: tuple[str, ...]


_classes: dict[TupleName, type] = {}


def is_named(kind: type) -> bool:
    """Return whether a class is a named tuple.

    Examples
    --------
    >>> is_named(TupleName), is_named(tuple)
    (True, False)
    """
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


def name_of(kind: Any) -> TupleName:
    """Return the name of a named tuple class, and remember the class."""
    name = TupleName(kind.__module__, kind.__qualname__, tuple(kind._fields))
    _classes[name] = kind
    return name


def class_of(name: TupleName) -> type:
    """Return the class with a name; make one if this process has not seen it."""
    if name not in _classes:
        make: Any = namedtuple
        made = make(name.qualname.rpartition(".")[2], name.fields)
        made.__module__, made.__qualname__ = name.module, name.qualname
        _classes[name] = made
    return _classes[name]


def rebuild_tuple(like: tuple[Any, ...], items: Iterable[Any]) -> tuple[Any, ...]:
    """Return a tuple of the same class with other items.

    Examples
    --------
    >>> rebuild_tuple(TupleName("m", "Grid", ()), ["m", "Mesh", ("u",)]).qualname
    'Mesh'
    """
    kind: Any = type(like)
    made: tuple[Any, ...] = kind._make(items) if is_named(kind) else tuple(items)
    return made
