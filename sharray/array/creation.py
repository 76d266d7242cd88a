"""The constructors: named after NumPy's, with memory that others can map."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from ..storage import ending, header, making
from ..storage.attaching import attach
from ..storage.location import locate
from .arguments import bytes_of, check_dtype_and_shape, is_fortran, prepare_fill
from .core import AnyArray, view_of
from .root import Root, root_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

Shape = SupportsIndex | Sequence[SupportsIndex]
Path = str | os.PathLike[str]


def create(
    path: Path,
    shape: Shape,
    dtype: DTypeLike = float,
    *,
    order: str = "C",
    fill_value: Any = None,
    overwrite: bool = False,
    permissions: int = 0o600,
) -> AnyArray:
    """Create an array with a name: on a disk, or in RAM.

    When it returns, the file has its full size, and its name is on the disk.

    Parameters
    ----------
    path : str or PathLike
        The ``.npy`` file to create, or ``shm://name`` for an array in RAM that
        lives until `sharray.unlink` removes it.
    shape : int or sequence of int
        Shape of the array.
    dtype : dtype, default float64
        Any but object and StringDType.
    order : {'C', 'F'}
        Row-major or column-major.
    fill_value : scalar, optional
        Initial value of all elements; zeros (all bytes 0) without.
    overwrite : bool, default False
        Replace an existing file, atomically: who has it mapped keeps the old
        array.
    permissions : int, default 0o600
        Mode bits of the file, whatever the umask.

    Returns
    -------
    SharedArray
        Writable, mode ``r+``.

    Raises
    ------
    ArrayExistsError
        The name is taken.
    NoSpaceError
        There is no room; nothing is left behind.
    DtypeError, ShapeError, ArrayNameError, AccessError, StorageError
        It cannot be made.

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
    """
    place = locate(path)
    dtype, shape = check_dtype_and_shape(dtype, shape)
    block = header.encode(dtype, shape, is_fortran(order))
    contents, value = prepare_fill(fill_value, dtype, shape)
    segment = making.create(
        place, block, contents, overwrite=overwrite, permissions=permissions
    )
    return _assign(_whole(root_of(segment)), value)


def open(path: Path, mode: str = "r+") -> AnyArray:
    """Open an existing array file, written by this library or by another.

    Parameters
    ----------
    path : str or PathLike
        A ``.npy`` file, or ``shm://name``.
    mode : {'r+', 'r', 'c'}
        Read and write, read only, or private changes (copy on write), as in
        `numpy.memmap`.

    Returns
    -------
    SharedArray
        With the dtype, shape and order that the file's header states.

    Raises
    ------
    ArrayNotFoundError
        There is no such file.
    FormatError
        It is no ``.npy`` file of plain data, or is damaged.
    AccessError, UnsafePathError, BusyError, StorageError
        It cannot be used.

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
            f"mode must be 'r', 'r+' or 'c', found {mode!r}; sharray.create makes "
            "new arrays"
        )
    return _whole(root_of(attach(locate(path), mode)))


def empty(shape: Shape, dtype: DTypeLike = float, order: str = "C") -> AnyArray:
    """Create an anonymous array in RAM.

    It is gone when the last process lets go of it or dies. Its memory is fresh
    from the operating system, so it is zeros, as from `zeros`.

    Parameters
    ----------
    shape : int or sequence of int
        Shape of the array.
    dtype : dtype, default float64
        Any but object and StringDType.
    order : {'C', 'F'}
        Row-major or column-major.

    Returns
    -------
    SharedArray

    Raises
    ------
    NoSpaceError
        There is no room in the RAM disk.
    DtypeError, ShapeError, StorageError
        It cannot be made.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.empty((2, 3), "f4").shape
    (2, 3)
    """
    return _anonymous(shape, dtype, order, None)


def zeros(shape: Shape, dtype: DTypeLike = float, order: str = "C") -> AnyArray:
    """Create an anonymous array of zeros in RAM; see `empty`.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.zeros(3).tolist()
    [0.0, 0.0, 0.0]
    """
    return _anonymous(shape, dtype, order, None)


def ones(shape: Shape, dtype: DTypeLike = float, order: str = "C") -> AnyArray:
    """Create an anonymous array of ones in RAM; see `empty`.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.ones(3, int).tolist()
    [1, 1, 1]
    """
    return _anonymous(shape, dtype, order, 1)


def full(
    shape: Shape, fill_value: Any, dtype: DTypeLike | None = None, order: str = "C"
) -> AnyArray:
    """Create an anonymous array in RAM with one value in it; see `empty`.

    Parameters
    ----------
    shape : int or sequence of int
        Shape of the array.
    fill_value : scalar or array_like
        The value, or an array that broadcasts to `shape`.
    dtype : dtype, optional
        That of `fill_value` without.
    order : {'C', 'F'}
        Row-major or column-major.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.full((2, 2), 0.5).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    if dtype is None:
        dtype = np.asarray(fill_value).dtype
    return _anonymous(shape, dtype, order, fill_value)


def empty_like(
    prototype: ArrayLike,
    dtype: DTypeLike | None = None,
    order: str = "K",
    shape: Shape | None = None,
) -> AnyArray:
    """Create an anonymous array shaped like another; see `empty`.

    Parameters
    ----------
    prototype : array_like
        Gives shape, dtype and order where they are not given.
    dtype, shape
        As in `empty`.
    order : {'K', 'A', 'C', 'F'}
        ``K`` and ``A``: Fortran order if the prototype has it, else C.

    Examples
    --------
    >>> import numpy as np
    >>> import sharray as sh
    >>> sh.empty_like(np.eye(3, dtype="f4")).dtype
    dtype('float32')
    """
    return _like(prototype, dtype, order, shape, None)


def zeros_like(
    prototype: ArrayLike,
    dtype: DTypeLike | None = None,
    order: str = "K",
    shape: Shape | None = None,
) -> AnyArray:
    """Create an anonymous array of zeros shaped like another; see `empty_like`.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.zeros_like([[1, 2], [3, 4]]).tolist()
    [[0, 0], [0, 0]]
    """
    return _like(prototype, dtype, order, shape, None)


def ones_like(
    prototype: ArrayLike,
    dtype: DTypeLike | None = None,
    order: str = "K",
    shape: Shape | None = None,
) -> AnyArray:
    """Create an anonymous array of ones shaped like another; see `empty_like`.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.ones_like([1.5, 2.5]).tolist()
    [1.0, 1.0]
    """
    return _like(prototype, dtype, order, shape, 1)


def full_like(
    prototype: ArrayLike,
    fill_value: Any,
    dtype: DTypeLike | None = None,
    order: str = "K",
    shape: Shape | None = None,
) -> AnyArray:
    """Create an anonymous array of one value shaped like another.

    See `full` and `empty_like`.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.full_like([1, 2], 9).tolist()
    [9, 9]
    """
    return _like(prototype, dtype, order, shape, fill_value)


def array(obj: ArrayLike, dtype: DTypeLike | None = None, order: str = "K") -> AnyArray:
    """Copy any array into an anonymous one in RAM; see `empty`.

    Parameters
    ----------
    obj : array_like
        What `numpy.asarray` takes.
    dtype : dtype, optional
        That of `obj` without.
    order : {'K', 'A', 'C', 'F'}
        ``K`` and ``A``: Fortran order if `obj` has it, else C.

    Returns
    -------
    SharedArray

    Examples
    --------
    >>> import numpy as np
    >>> import sharray as sh
    >>> sh.array(np.arange(3)).tolist()
    [0, 1, 2]
    """
    source = np.asarray(obj, dtype)
    fortran = is_fortran(order, source)
    dtype, shape = check_dtype_and_shape(source.dtype, source.shape)
    block = header.encode(dtype, shape, fortran)
    # What lies in file order already is written as it is.
    in_file_order = source.T if fortran else source
    if in_file_order.flags.c_contiguous and source.nbytes:
        return _map_anonymous(block, iter([bytes_of(in_file_order)]))
    return _assign(_map_anonymous(block, None), source)


def _anonymous(shape: Any, dtype: DTypeLike, order: str, fill_value: Any) -> AnyArray:
    dtype, shape = check_dtype_and_shape(dtype, shape)
    block = header.encode(dtype, shape, is_fortran(order))
    contents, value = prepare_fill(fill_value, dtype, shape)
    return _assign(_map_anonymous(block, contents), value)


def _like(
    prototype: ArrayLike,
    dtype: DTypeLike | None,
    order: str,
    shape: Shape | None,
    fill_value: Any,
) -> AnyArray:
    model = np.asanyarray(prototype)
    return _anonymous(
        model.shape if shape is None else shape,
        model.dtype if dtype is None else dtype,
        "F" if is_fortran(order, model) else "C",
        fill_value,
    )


def _map_anonymous(block: bytes, contents: making.Blocks | None) -> AnyArray:
    segment = making.create_anonymous(
        block, contents, unnamed_so_far=ending.count_held()
    )
    return _whole(root_of(segment))


def _whole(root: Root) -> AnyArray:
    """The array that the header of a file describes."""
    found = root.segment.header
    strides = _fortran_strides(found) if found.fortran_order else None
    return view_of(root, found.shape, found.dtype, found.data_offset, strides)


def _fortran_strides(found: header.Header) -> tuple[int, ...]:
    strides = []
    step = found.dtype.itemsize
    for n in found.shape:
        strides.append(step)
        step *= max(n, 1)
    return tuple(strides)


def _assign(target: AnyArray, value: Any) -> AnyArray:
    """Set all elements, unless there is nothing to set."""
    if value is not None:
        target[...] = value
    return target
