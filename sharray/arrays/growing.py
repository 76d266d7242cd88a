"""Methods of growable arrays: append rows, and see what others have appended."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from ..errors import NotSharedError, ShapeError
from ..names import quote
from ..storage import making, new_header
from ..storage.growing import Growth
from ..storage.header import Header
from ..system import interrupts
from .root import Root, look_after, refresh, root_below, root_of


class Growing:
    """What a `SharedArray` adds to an ndarray if its file can grow."""

    def append(self, rows: Any) -> int:
        """Append rows to a growable array.

        Any number of processes may append to one file. Each append is whole: others
        see all of its rows, or none. A killed process leaves nothing to repair. Use
        `latest` to see the rows, and `flush` to have them on the disk.

        Parameters
        ----------
        rows : array_like
            An array of rows, or one row, which has a dimension less. In Fortran order
            the last dimension grows, so a row is a column. Values are converted if they
            stay the same, apart from rounding.

        Returns
        -------
        int
            Index of the first new row.

        Raises
        ------
        NotSharedError
            The array cannot grow: see ``growable=True`` of `create` and `open`.
        ShapeError, TypeError
            The rows do not fit to the array.
        NoSpaceError
            There is no room. The array is as before.
        StorageError
            The file was truncated, or another program has written behind its end.

        Examples
        --------
        >>> import sharray as sh
        >>> a = sh.create("log.npy", (0, 3), "f4", growable=True)
        >>> a.append([1, 2, 3]), a.append([[4, 5, 6], [7, 8, 9]])
        (0, 1)
        >>> a.latest().sum(axis=0)
        array([12., 15., 18.], dtype=float32)
        """
        growth, header = _growth_of(self, "append to", write=True)
        values, count = _as_rows(rows, header, growth.row_shape)
        if count == 0:
            return growth.rows
        return growth.append(_bytes(values, header), count)

    @contextmanager
    def appending(self, count: int) -> Iterator[Any]:
        """Fill new rows, and append them when the block ends well.

        Parameters
        ----------
        count : int
            Number of rows.

        Yields
        ------
        SharedArray
            The rows, all zeros, in RAM. A team may fill them. If the block raises an
            exception, nothing is appended.

        Raises
        ------
        NotSharedError, NoSpaceError, StorageError
            See `append`.

        Examples
        --------
        >>> import sharray as sh
        >>> a = sh.create("log.npy", (0, 3), "f4", growable=True)
        >>> with a.appending(2) as rows:
        ...     rows[...] = [[1, 2, 3], [4, 5, 6]]
        >>> a.latest().shape
        (2, 3)
        """
        _, header = _growth_of(self, "append to", write=True)
        count = operator.index(count)
        if count < 0:
            raise ShapeError(f"expected 0 rows or more, got {count}")
        rows = _new_rows(type(self), header, count)
        yield rows
        self.append(rows)

    def latest(self) -> Self:
        """Return the array with all rows that are complete now.

        It is a view of the same memory, without a copy.

        Raises
        ------
        NotSharedError
            The array cannot grow.
        StorageError
            The file was truncated.

        Examples
        --------
        >>> import sharray as sh
        >>> a = sh.create("log.npy", 0, "i8", growable=True)
        >>> a.append(7)
        0
        >>> len(a), len(a.latest())
        (0, 1)
        """
        root = _root_of(self, "see the rows of")
        segment = root.segment
        refresh(root)
        found = segment.header
        order: Any = "F" if found.fortran_order else "C"
        # Self is an ndarray only together with `SharedArray`, which mypy cannot see.
        view: Self = np.ndarray.__new__(  # type: ignore[type-var]
            *(type(self), found.shape, found.dtype, root, found.data_offset),
            None,
            order,
        )
        return view

    def wait_longer(self, rows: int, timeout: float | None = None) -> bool:
        """Sleep until the array has some number of rows, or more.

        Parameters
        ----------
        rows : int
            Number of rows.
        timeout : float, optional
            Time in seconds; forever by default.

        Returns
        -------
        bool
            False if the time was over before.

        Raises
        ------
        NotSharedError
            The array cannot grow.
        AccessError
            Nobody has it open for appending, and this user may not write to it.

        Examples
        --------
        >>> import sharray as sh
        >>> a = sh.create("log.npy", 0, "i8", growable=True)
        >>> first = a.append([1, 2])
        >>> a.wait_longer(2), a.wait_longer(3, timeout=0.01)
        (True, False)
        """
        growth, _ = _growth_of(self, "wait for")
        return growth.wait_longer(operator.index(rows), timeout)


def _root_of(array: Any, doing: str) -> Root:
    root = root_below(array)
    if root is None or root.segment.header.growing is None:
        raise NotSharedError(
            f"cannot {doing} an array that does not grow: make one with "
            "sharray.create(path, shape, dtype, growable=True), or open a file with "
            "sharray.open(path, growable=True)"
        )
    return root


def _growth_of(array: Any, doing: str, *, write: bool = False) -> tuple[Growth, Header]:
    root = _root_of(array, doing)
    segment = root.segment
    if write and segment.mode != "r+":
        raise NotSharedError(
            f"cannot {doing} an array of mode {segment.mode!r}: open it with "
            f"sharray.open({quote(segment.path)}, growable=True)"
        )
    return segment.growth or _make_growth(root), segment.header


def _make_growth(root: Root) -> Growth:
    with interrupts.deferred():
        look_after(root)  # first: it closes what the next call opens
        return root.segment.grow()


def _as_rows(
    rows: Any, header: Header, one: tuple[int, ...]
) -> tuple[np.ndarray[Any, Any], int]:
    """Return rows as an array of the dtype of the file, and their number."""
    values: np.ndarray[Any, Any]
    if type(rows) is np.ndarray:
        values = rows
    elif isinstance(rows, np.ma.MaskedArray):
        raise TypeError(
            "cannot append a masked array: a file has no mask; give the masked "
            "elements a value, as in rows.filled(0)"
        )
    elif isinstance(rows, list | tuple | int | float | complex | str | bytes):
        values = _from_objects(rows, header.dtype)
    else:
        values = np.asarray(rows)
    if values.dtype != header.dtype:
        values = _converted(values, header.dtype)
    shape = values.shape
    if shape == one:
        return values, 1
    if len(shape) == len(one) + 1:
        rest, count = (shape[1:], shape[0])
        if header.fortran_order:
            rest, count = shape[:-1], shape[-1]
        if rest == one:
            return values, count
    raise ShapeError(
        f"cannot append rows of shape {values.shape}: expected {one} for one row, or "
        f"{header.with_rows(0).shape} with any number of rows in place of 0"
    )


def _from_objects(rows: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return Python's own objects as an array."""
    if dtype.names is not None:
        objects = [(name, "O", dtype[name].shape) for name in dtype.names]
        loose = np.asarray(rows, objects)
        for name in dtype.names:  # NumPy would cut off what a field cannot have
            _from_objects(loose[name].tolist(), dtype[name].base)
        return np.asarray(rows, dtype)
    found = np.asarray(rows)
    numbers = "biufcSU"
    are_numbers = dtype.kind in numbers and found.dtype.kind in numbers
    if are_numbers or (found.dtype.kind == dtype.kind and dtype.kind in "mM"):
        return _converted(found, dtype)
    return np.asarray(rows, dtype)


def _converted(
    values: np.ndarray[Any, Any], dtype: np.dtype[Any]
) -> np.ndarray[Any, Any]:
    """Return values in another dtype; refuse those that would change.

    Floating-point numbers may be rounded. NumPy's "same_kind" would also let integers
    lose their high bits, strings their end, and times their fractions.
    """
    is_rounding = np.can_cast(values.dtype, dtype, "same_kind") and dtype.kind in "fc"
    to_real = values.dtype.kind == "c" and dtype.kind != "c"
    # Neither errors nor warnings of NumPy: what changes is refused below.
    with np.errstate(invalid="ignore", over="ignore"):
        converted = (values.real if to_real else values).astype(dtype)
    if np.can_cast(values.dtype, dtype, "safe"):
        return converted
    if is_rounding:  # to infinity is none
        same = np.isfinite(converted) == np.isfinite(values)
    else:
        same = converted == values
    if dtype.kind in "mM":
        same |= np.isnat(converted) & np.isnat(values)
    if not np.all(same):
        raise TypeError(
            f"cannot append {values.dtype} to {dtype}: values would change; convert "
            f"them, as in numpy.asarray(rows).astype({str(dtype)!r})"
        )
    return converted


def _bytes(values: np.ndarray[Any, Any], header: Header) -> memoryview:
    """Return the bytes of rows in the order of the file."""
    in_order = values.T if header.fortran_order else values
    if not in_order.flags.c_contiguous:
        in_order = np.ascontiguousarray(in_order)
    try:
        return in_order.data.cast("B")
    except (ValueError, TypeError):  # dates and structures
        flat: memoryview = in_order.reshape(-1).view(np.uint8).data
        return flat


def _new_rows(cls: type[Any], header: Header, count: int) -> Any:
    """Return an array of zeros in RAM, for rows that are filled before they count."""
    found = header.with_rows(count)
    new = new_header.encode(
        found.dtype, found.shape, found.fortran_order, pages=True, as_bytes=True
    )
    with interrupts.deferred():
        root = root_of(making.create_anonymous(new, None, unnamed_so_far=0))
    order: Any = "F" if found.fortran_order else "C"
    offset = root.segment.header.data_offset
    return np.ndarray.__new__(cls, found.shape, found.dtype, root, offset, None, order)
