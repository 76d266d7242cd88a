"""Named arrays: `create` for new ones, and `open` for any ``.npy`` file."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ArrayExistsError, StorageError
from ..names import quote
from ..storage import existing, making, new_header
from ..storage.attaching import attach
from ..storage.dtypes import has_metadata
from ..storage.growable import check_growable, make_growable
from ..storage.location import Location, dangling_target, locate
from ..storage.segment import Segment
from ..system import interrupts
from . import filling
from .core import AnyArray
from .dtype_and_shape import Shape, check_dtype_and_shape, is_fortran
from .root import root_of
from .views import all_of

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

_ATTEMPTS = 100  # for a file that others keep creating and removing

Path = str | os.PathLike[str]


class New(NamedTuple):
    """A checked new array with a name."""

    place: Location
    header: new_header.NewHeader
    contents: filling.Contents


def encode(
    path: Path,
    shape: Shape,
    dtype: DTypeLike,
    order: str,
    fill_value: Any,
    *,
    growable: bool = False,
    stacklevel: int = 3,
) -> New:
    """Check the arguments of `create`, and return what its file will have."""
    place = locate(path)
    dtype, shape = check_dtype_and_shape(dtype, shape)
    fortran = is_fortran(order)
    if growable:
        check_growable(dtype, shape, fortran)
    new = new_header.encode(
        dtype, shape, fortran, pages=place.in_ram, growable=growable
    )
    contents = filling.assigned(fill_value, dtype, shape, fortran)
    if has_metadata(dtype):
        warnings.warn(
            "a .npy file does not keep the metadata of a dtype: sharray.open(path) "
            "will return an array without it",
            UserWarning,
            stacklevel=stacklevel,
        )
    return New(place, new, contents)


def create(
    path: Path,
    shape: Shape,
    dtype: DTypeLike = float,
    *,
    order: str = "C",
    fill_value: Any = None,
    overwrite: bool = False,
    exist_ok: bool = False,
    permissions: int | None = None,
    growable: bool = False,
) -> AnyArray:
    """Create a named array on a disk or in RAM.

    When this returns, the file has its full size, and its name is on the disk. With
    ``exist_ok=True``, the call can be repeated, as in a notebook's cell that runs
    again: then it opens the array that is there.

    Parameters
    ----------
    path : str or PathLike
        The ``.npy`` file to create, or ``shm://name`` for an array in RAM that
        lives until `sharray.unlink` removes it.
    shape : int or sequence of int
        Shape of the array.
    dtype : dtype, default float64
        Any dtype that a ``.npy`` header can describe, except object and StringDType.
        The header leaves out alignment, `numpy.record` and metadata; the array that
        is returned keeps them. For metadata, there is a warning.
    order : {'C', 'F'}
        Row-major or column-major.
    fill_value : scalar or array_like, optional
        Initial values, as ``a[...] = fill_value`` would assign them. By default, or
        with None, all bytes are 0. The values are converted and written before the
        file gets its name.
    overwrite : bool, default False
        Replace an existing file atomically. Processes that have it mapped keep the old
        array. If `path` is a symbolic link, its target is replaced. Owner, group and
        mode stay, as far as this user may set them.
    exist_ok : bool, default False
        Open an existing file with mode ``r+`` if it has this shape, dtype and order,
        and is growable or not as asked for. Its contents and its permissions stay:
        `fill_value` and `permissions` are only for a new file. A growable file may have
        any number of rows, and keeps them; the array shows those that are complete. If
        several processes make this call at once, one creates the file and all get it.
    permissions : int, optional
        Mode bits of the file, regardless of the umask. By default, a new file has
        0600, and a file that replaces another keeps the mode of that one.
    growable : bool, default False
        Let processes append rows: see `SharedArray.append`. Rows are along the first
        axis, or the last in Fortran order.

    Returns
    -------
    SharedArray
        Writable, mode ``r+``.

    Raises
    ------
    ArrayExistsError
        A file of this name exists. With ``exist_ok=True``: and it does not fit.
    FormatError, BusyError
        With ``exist_ok=True``: a file exists, but is damaged or cannot be used.
    NoSpaceError
        There is no room. No file is left behind.
    DtypeError, ShapeError, ArrayNameError, AccessError, StorageError
        The array cannot be made.

    Examples
    --------
    >>> import numpy as np
    >>> import sharray as sh
    >>> a = sh.create("grid.npy", (2, 3), "i4", fill_value=7)
    >>> a[0, 0] = 1
    >>> a.flush()
    >>> np.load("grid.npy")
    array([[1, 7, 7],
           [7, 7, 7]], dtype=int32)
    >>> sh.create("grid.npy", (2, 3), "i4", fill_value=7, exist_ok=True)[0, 0]
    np.int32(1)
    """
    if exist_ok and overwrite:
        raise ValueError(
            "expected exist_ok=True or overwrite=True, got both; pass exist_ok=True to "
            "use an existing array, or overwrite=True to replace it"
        )
    new = encode(path, shape, dtype, order, fill_value, growable=growable)
    made = None
    try:
        with interrupts.deferred():
            if exist_ok:
                segment, made = _attach_or_make(new, fill_value, permissions)
            else:
                made = making.create(*new, overwrite=overwrite, permissions=permissions)
                segment = made.segment
            return all_of(root_of(segment))
    except BaseException:  # from a signal, after the file got its name
        if made is not None:
            making.undo(made)
        raise


def _attach_or_make(
    new: New, fill_value: Any, permissions: int | None
) -> tuple[Segment, making.Made | None]:
    """Map the file that exists, or else make it, whatever others do meanwhile."""
    path = new.place.path
    for _ in range(_ATTEMPTS):
        segment = existing.attach_fitting(new.place, new.header)
        if segment is not None:
            return segment, None
        try:
            made = making.create(*new, overwrite=False, permissions=permissions)
            return made.segment, made
        except ArrayExistsError:
            if dangling_target(path) is not None:
                raise
        # Another process was faster. It may remove its file before the next look, so
        # this one may have to write all values once more.
        found = new.header.header
        values = fill_value, found.dtype, found.shape, found.fortran_order
        new = new._replace(contents=filling.assigned(*values))
    raise StorageError(
        f"cannot create the array {quote(path)}: other processes have created and "
        f"removed it {_ATTEMPTS} times meanwhile; try again",
        path,
    )


def open(path: Path, mode: str = "r+", *, growable: bool = False) -> AnyArray:
    """Open an existing array file, written by this library or by another.

    Parameters
    ----------
    path : str or PathLike
        A ``.npy`` file, or ``shm://name``.
    mode : {'r+', 'r', 'c'}
        Read and write, read only, or copy on write with private changes, as in
        `numpy.memmap`.
    growable : bool, default False
        Let processes append rows to a file of `numpy.save`, which must have mode
        ``r+``. It rewrites the header in place, so no program should read the file at
        that moment. Growable files need no such word.

    Returns
    -------
    SharedArray
        Its dtype, shape and order are those in the file's header.

    Raises
    ------
    ArrayNotFoundError
        There is no such file.
    FormatError
        The file is not a ``.npy`` file of plain data, or is damaged.
    AccessError, UnsafePathError, BusyError, StorageError
        The file cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> import sharray as sh
    >>> np.save("table.npy", np.arange(6).reshape(2, 3))
    >>> sh.open("table.npy", mode="r").sum(axis=0)
    array([3, 5, 7])
    """
    if mode not in ("r", "r+", "c"):
        raise ValueError(
            f"mode must be 'r', 'r+' or 'c', got {mode!r}; to make a new array, call "
            "sharray.create"
        )
    if growable and mode != "r+":
        raise ValueError(
            f"expected mode 'r+' with growable=True, got {mode!r}; a growable file can "
            "be opened with any mode, without growable=True"
        )
    place = locate(path)
    with interrupts.deferred():
        if growable:
            make_growable(place)
        return all_of(root_of(attach(place, mode)))
