"""Conversions between the keys of `sharray.kernels` and numba's types."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import errors, types
from numba.core.errors import NumbaError
from numba.np import numpy_support

from ...errors import KernelError
from ..argument_keys import (
    ArrayKey,
    CellsKey,
    Key,
    Keys,
    NamedTupleKey,
    NoneKey,
    NumberKey,
    TupleKey,
    key_of,
)
from ..outcome import MOST_ITEMS, ValueType
from ..tuples import class_of, name_of
from .array_values import check_elements
from .cells_typing import TYPES, CellsType
from .entry_values import items_of


def numba_type(key: Key) -> Any:
    """Return numba's type of an argument.

    Raises
    ------
    TypeError
        numba has no such type.
    """
    if isinstance(key, ArrayKey):
        element = _element_type(key.dtype)
        return types.Array(
            element,
            key.ndim,
            key.layout,
            readonly=not key.writeable,
        )
    if isinstance(key, NumberKey):
        return _element_type(key.dtype)
    if isinstance(key, TupleKey):
        return types.Tuple([numba_type(item) for item in key.items])
    if isinstance(key, NamedTupleKey):
        items = [numba_type(item) for item in key.items]
        return types.BaseTuple.from_types(items, class_of(key.name))
    if isinstance(key, CellsKey):
        return TYPES[key.kind]
    return types.none


def _element_type(dtype: np.dtype[Any]) -> Any:
    try:
        found = numpy_support.from_dtype(dtype)
    except NumbaError:
        found = None
    if found in (None, types.float16, types.pyobject):
        raise TypeError(
            f"numba has no kernels for dtype {dtype}; expected bool, integers, floats "
            "of 32 or 64 bits, complex, dates, text, or structures of these, in native "
            "byte order"
        )
    return found


def keys_of_types(values: tuple[Any, ...]) -> Keys:
    """Return the keys of arguments, from example values or from numba's types."""
    return tuple(
        _key_of_type(value) if isinstance(value, types.Type) else key_of(value)
        for value in values
    )


def _key_of_type(kind: Any) -> Key:
    if isinstance(kind, types.Array):
        dtype = numpy_support.as_dtype(kind.dtype)
        return ArrayKey(dtype, kind.ndim, kind.layout, kind.mutable)
    if isinstance(kind, types.BaseNamedTuple):
        items = tuple(_key_of_type(item) for item in kind)
        return NamedTupleKey(items, name_of(kind.instance_class))
    if isinstance(kind, types.BaseTuple):
        return TupleKey(tuple(_key_of_type(item) for item in kind))
    if isinstance(kind, CellsType):
        return CellsKey(kind.name)
    if kind == types.none:
        return NoneKey()
    try:
        return NumberKey(numpy_support.as_dtype(kind))
    except errors.NumbaNotImplementedError as error:
        raise TypeError(
            f"expected numba's type of an array, a number or a tuple, got {kind}"
        ) from error


def value_type(kind: Any, name: str) -> ValueType | None:
    """Return the type of a kernel's value; None without a value."""
    if kind == types.none:
        return None
    if isinstance(kind, types.Array):
        check_elements(name, kind)
        return ValueType((numpy_support.as_dtype(kind.dtype),), False, None, kind.ndim)
    items = items_of(kind)
    simple = (types.Number, types.Boolean, types.NPDatetime, types.NPTimedelta)
    possible = all(isinstance(item, simple) for item in items)
    if not possible or len(items) > MOST_ITEMS:
        raise KernelError(
            f"kernel {name!r} returns {kind}; expected nothing, a number, an array, or "
            f"a tuple of at most {MOST_ITEMS} numbers; return one array, or write "
            "into arguments"
        )
    dtypes = tuple(numpy_support.as_dtype(item) for item in items)
    named = isinstance(kind, types.BaseNamedTuple)
    return ValueType(
        dtypes,
        isinstance(kind, types.BaseTuple),
        name_of(kind.instance_class) if named else None,
    )
