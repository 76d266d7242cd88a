"""The constructors: named after NumPy's, with memory that others can map."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from ..errors import DtypeError, ShapeError
from ..storage import ending, header, making
from ..storage.location import locate
from ..storage.segment import attach
from .core import AnyArray, view_of
from .root import Root, root_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

Shape = SupportsIndex | Sequence[SupportsIndex]
Path = str | os.PathLike[str]

_BLOCK_BYTES = 1 << 18


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
    dtype, shape = _checked(dtype, shape)
    block = header.encode(dtype, shape, _is_fortran(order))
    contents, value = _prepare_fill(fill_value, dtype, shape)
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
    fortran = _is_fortran(order, source)
    dtype, shape = _checked(source.dtype, source.shape)
    block = header.encode(dtype, shape, fortran)
    # What lies in file order already is written as it is.
    in_file_order = source.T if fortran else source
    if in_file_order.flags.c_contiguous and source.nbytes:
        return _map_anonymous(block, iter([_bytes_of(in_file_order)]))
    return _assign(_map_anonymous(block, None), source)


def _anonymous(shape: Any, dtype: DTypeLike, order: str, fill_value: Any) -> AnyArray:
    dtype, shape = _checked(dtype, shape)
    block = header.encode(dtype, shape, _is_fortran(order))
    contents, value = _prepare_fill(fill_value, dtype, shape)
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
        "F" if _is_fortran(order, model) else "C",
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


def _checked(dtype: DTypeLike, shape: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """What NumPy would take as dtype and shape, or a clear refusal."""
    try:
        found = np.dtype(dtype)
    except TypeError as error:
        raise DtypeError(f"cannot understand dtype {dtype!r}: {error}") from None
    if found.kind in "SU" and found.itemsize == 0:
        found = np.dtype(f"{found.kind}1")  # as numpy.empty does
    dims = _dimensions(shape)
    if found.subdtype is not None:
        found, inner = found.subdtype
        dims += inner
    header.check_dtype(found)
    header.check_shape(dims, found.itemsize)
    return found, dims


def _dimensions(shape: Any) -> tuple[int, ...]:
    try:
        return (operator.index(shape),)
    except TypeError:
        pass
    try:
        return tuple(operator.index(n) for n in shape)
    except TypeError:
        raise ShapeError(
            f"shape must be an integer or a sequence of integers, found {shape!r}"
        ) from None


def _is_fortran(order: str, model: np.ndarray[Any, Any] | None = None) -> bool:
    if order in ("C", "F"):
        return order == "F"
    if model is not None and order in ("K", "A"):
        return model.flags.f_contiguous and not model.flags.c_contiguous
    allowed = "'C' or 'F'" if model is None else "'C', 'F', 'K' or 'A'"
    raise ValueError(f"order must be {allowed}, found {order!r}")


def _prepare_fill(
    value: Any, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> tuple[Iterator[memoryview] | None, Any]:
    """The contents of a file that is full of `value`, or what to assign later."""
    if value is None or 0 in shape:
        return None, None
    if np.ndim(value) != 0:
        return None, value
    one = np.empty((), dtype)
    one[...] = value
    if not one.tobytes().strip(b"\0"):
        return None, None
    return _repeated(one, math.prod(shape)), None


def _bytes_of(array: np.ndarray[Any, Any]) -> memoryview:
    """The memory of a C-contiguous array."""
    return array.reshape(-1).view(np.uint8).data


def _repeated(one: np.ndarray[Any, Any], count: int) -> Iterator[memoryview]:
    """`count` times the same element, in blocks that fit the cache."""
    per_block = min(max(1, _BLOCK_BYTES // one.itemsize), count)
    block = np.empty(per_block, one.dtype)
    block[...] = one
    view = _bytes_of(block)
    for done in range(0, count, per_block):
        yield view[: min(per_block, count - done) * one.itemsize]
