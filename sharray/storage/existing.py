"""Using a file that exists in place of a new one, if it fits."""

from __future__ import annotations

from ..errors import ArrayExistsError, ArrayNotFoundError
from ..names import quote
from . import header as header_block
from .attaching import attach
from .header import Header
from .location import Location
from .new_header import NewHeader, is_in_c_order_too
from .segment import Segment


def attach_fitting(place: Location, new: NewHeader) -> Segment | None:
    """Map an existing file to write, if it is what a new file would be.

    Shape, dtype, order and growability must be equal. A growable file may have any
    number of rows. The segment has the whole dtype of the new file, with the parts that
    a header leaves out. Call this with signals deferred.

    Returns
    -------
    Segment or None
        None if there is no file.

    Raises
    ------
    ArrayExistsError
        The file does not fit.
    FormatError, AccessError, UnsafePathError, BusyError, StorageError
        The file is no array, or cannot be used.
    """
    try:
        segment = attach(place, "r+")
    except ArrayNotFoundError:
        return None
    found = segment.header
    expected = header_block.decode(new.block, place.path)
    if _comparable(found) == _comparable(expected):
        segment.header = found._replace(dtype=new.header.dtype)
        return segment
    segment.release()
    raise _does_not_fit(place.path, found, expected)


def _comparable(header: Header) -> tuple[object, ...]:
    is_growable = header.growing is not None
    shape = header.with_rows(0).shape if is_growable else header.shape
    return header.dtype, shape, _is_fortran(header), is_growable


def _is_fortran(header: Header) -> bool:
    """Tell whether the order of the elements is that of Fortran, and not both."""
    if header.growing is not None:
        return header.fortran_order and len(header.shape) > 1
    return header.fortran_order and not is_in_c_order_too(header.shape)


def _does_not_fit(path: str, found: Header, expected: Header) -> ArrayExistsError:
    name = quote(path)
    return ArrayExistsError(
        f"the array {name} exists and does not fit: expected {_described(expected)}, "
        f"got {_described(found)}; open it as it is with sharray.open({name}), replace "
        f"it by passing overwrite=True, or remove it with sharray.unlink({name})",
        path,
    )


def _described(header: Header) -> str:
    order = "Fortran" if _is_fortran(header) else "C"
    kind = "fixed" if header.growing is None else "growable"
    return f"{header.dtype} of {kind} shape {header.shape} in {order} order"
