"""The dtypes that arrays can have, and their forms in headers and handles.

A header describes a dtype as `numpy.save` does. That leaves out part of some dtypes,
and does not work for others at all. A handle describes the whole dtype: by a short
string if one is enough, or else by the pickled dtype.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from ..errors import DtypeError
from ..notebook.text import printable

# Types with smaller numbers are NumPy's own. StringDType and types that other
# libraries register (bfloat16) have larger ones.
_FIRST_FOREIGN_TYPE = 24
_NUMBERS = "?bBhHiIlLqQefdgFDG"
# Types that have the same string as another one, such as long long and long.
_AMBIGUOUS = frozenset(
    char for char in _NUMBERS + "c" if np.dtype(np.dtype(char).str).char != char
)
# A table of the simple dtypes, since nearly every array has one of them.
_SPELLED = {
    char: f"={char}" if char in _AMBIGUOUS else np.dtype(char).str for char in _NUMBERS
}
# Texts from headers that `numpy.dtype` may see. It executes nothing, but divides by the
# divisor of a datetime's unit: "s/0" kills the process, as does 2**32. Python compiles
# the expressions on first use, which makes the import faster.
_TEXT = r"[\w<>|=?,. ()\[\]/]{0,10000}"
_BAD_DIVISOR = r"/(?!0*[1-9][0-9]{0,5}(?![0-9]))|\[0+[a-zA-Zμ]"
# What `short` prints of a dtype with fields.
_LONGEST_SHOWN = 100
_LONGEST_NAME = 30
_MOST_NAMES = 5


def check_dtype(dtype: np.dtype[Any]) -> None:
    """Refuse a dtype whose elements are not plain bytes."""
    if dtype.hasobject or dtype.kind in "OT":
        raise DtypeError(
            f"cannot share dtype {dtype}: its elements are pointers, which are valid "
            "in one process only; use a fixed-size dtype such as 'f8', 'U10' or 'S10'"
        )


def has_metadata(dtype: np.dtype[Any]) -> bool:
    """Tell whether a dtype, or one within it, has metadata, which headers leave out."""
    if dtype.metadata is not None:
        return True
    if dtype.subdtype is not None:
        return has_metadata(dtype.subdtype[0])
    return any(has_metadata(field[0]) for field in (dtype.fields or {}).values())


# -- in headers ------------------------------------------------------------------


def describe(dtype: np.dtype[Any]) -> Any:
    """Return the ``descr`` of a header from which an equal dtype can be made.

    Raises
    ------
    DtypeError
        There is none: fields overlap or are out of order, or the type belongs to
        another library.

    Examples
    --------
    >>> describe(np.dtype("f4")), describe(np.dtype([("x", "u1"), ("y", "<i2")]))
    ('<f4', [('x', '|u1'), ('y', '<i2')])
    """
    if dtype.names is None and 0 <= dtype.num < _FIRST_FOREIGN_TYPE:
        return dtype.str
    if has_metadata(dtype):
        dtype = _without_metadata(dtype)
    try:
        descr: Any = dtype.descr if dtype.names is not None else dtype.str
        if read_descr(descr) == dtype:
            return descr
        reason = "numpy.load would return another dtype"
    except (TypeError, ValueError) as error:
        reason = str(error)
    raise DtypeError(
        f"cannot describe dtype {dtype} in a .npy file ({reason}); use an anonymous "
        "array (sharray.zeros), or a view of a named array of plain bytes: "
        f"sharray.create(path, shape, 'V{dtype.itemsize}').view(dtype)"
    )


def _without_metadata(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Remove metadata as `numpy.save` does; else ``descr`` would hide the fields."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.dtype((_without_metadata(base), shape))
    if dtype.names is None:
        return np.dtype(dtype.str) if dtype.metadata is not None else dtype
    by_name: Any = dtype.fields
    fields = [by_name[name] for name in dtype.names]
    return np.dtype(
        {
            "names": dtype.names,
            "formats": [_without_metadata(field[0]) for field in fields],
            "offsets": [field[1] for field in fields],
            "titles": [field[2] if len(field) > 2 else None for field in fields],
            "itemsize": dtype.itemsize,
        }
    )


def read_descr(descr: Any) -> np.dtype[Any]:
    """Return the dtype that `numpy.load` reads from a ``descr``.

    Raises
    ------
    ValueError
        There is no such dtype.
    DtypeError
        The elements of the dtype are not plain bytes.
    """
    _check_descr(descr)
    try:
        found = npy_format.descr_to_dtype(descr)
    except Exception as error:
        # NumPy raises many types here, SystemError and OverflowError among them. A bad
        # header must raise ValueError only. Its message is made here, too, since
        # Python may refuse to print numbers of many digits.
        raise ValueError(f"NumPy has no such dtype ({error})") from None
    check_dtype(found)
    return found


def _check_descr(descr: Any) -> None:
    """Refuse a ``descr`` that is not of the form that `descr_to_dtype` expects."""
    if isinstance(descr, str):
        if not re.fullmatch(_TEXT, descr) or re.search(_BAD_DIVISOR, descr):
            raise ValueError(f"descr {descr!r:.80} is not a dtype")
    elif isinstance(descr, tuple):
        if len(descr) != 2:
            raise ValueError("expected (dtype, shape) as descr")
        _check_descr(descr[0])
        _check_subarray_shape(descr[1])
    elif isinstance(descr, list):
        for field in descr:
            _check_field(field)
    else:
        raise ValueError(
            f"descr must be a string or a list, got a {type(descr).__name__}"
        )


def _check_field(field: Any) -> None:
    if not (isinstance(field, tuple | list) and len(field) in (2, 3)):
        raise ValueError("expected (name, descr[, shape]) as field")
    name = field[0]
    title_and_name = name if isinstance(name, tuple) else (None, name)
    if (
        len(title_and_name) != 2
        or not isinstance(title_and_name[0], str | int | None)
        or not isinstance(title_and_name[1], str)
    ):
        raise ValueError("expected a string, or a title and a string, as field name")
    _check_descr(field[1])
    if len(field) == 3:
        _check_subarray_shape(field[2])


def _check_subarray_shape(shape: Any) -> None:
    lengths = shape if isinstance(shape, tuple | list) else (shape,)
    if not all(type(n) is int for n in lengths):
        raise ValueError("expected integers as the shape of a subarray")


# -- in handles --------------------------------------------------------------------


def spell(dtype: np.dtype[Any]) -> str | np.dtype[Any]:
    """Return a string that describes a whole dtype, or else the dtype, to be pickled.

    The string of the dtype itself (`numpy.dtype.str`) is not enough: it is the same for
    long and long long, and for a character and bytes.

    Examples
    --------
    >>> spell(np.dtype("M8[s]")), spell(np.dtype(">q")), spell(np.dtype("c"))
    ('<M8[s]', '>q', '|c')
    """
    if dtype.isbuiltin == 1 and dtype.char in _SPELLED:
        return _SPELLED[dtype.char]
    if (
        dtype.names is not None
        or dtype.num >= _FIRST_FOREIGN_TYPE
        or dtype.metadata is not None
    ):
        return dtype
    char = dtype.char
    if char in _AMBIGUOUS:
        return dtype.byteorder + char
    return dtype if char == "V" and dtype.type is not np.void else dtype.str


@functools.lru_cache(maxsize=256)
def spelled(text: str) -> np.dtype[Any]:
    """Return the dtype that a string from `spell` names; else raise ValueError.

    Examples
    --------
    >>> spelled("<M8[ns]")
    dtype('<M8[ns]')
    """
    return read_descr(text)


def short(dtype: np.dtype[Any]) -> str:
    """Return a dtype for people, on one line: of many fields only some names.

    Examples
    --------
    >>> short(np.dtype([("x", "f4"), ("y", "i8")]))
    "[('x', '<f4'), ('y', '<i8')]"
    >>> short(np.dtype([(f"x{i}", "f4") for i in range(30)]))
    '30 fields: x0, x1, x2, x3, x4 and 25 more'
    """
    text = str(dtype)
    if dtype.names is None or len(text) <= _LONGEST_SHOWN:
        return text
    names = [printable(name[:_LONGEST_NAME]) for name in dtype.names[:_MOST_NAMES]]
    more = len(dtype.names) - len(names)
    rest = f" and {more} more" if more else ""
    return f"{len(dtype.names)} fields: {', '.join(names)}{rest}"
