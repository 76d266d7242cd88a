"""Constructors of anonymous arrays in RAM, named after NumPy's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..storage import ending, making, new_header
from ..system import interrupts
from . import filling
from .core import AnyArray
from .dtype_and_shape import Shape, check_dtype_and_shape, is_fortran
from .root import root_of
from .views import all_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

# Blocks that are written take less time than page faults. From this size on, arrays may
# have huge pages, which take fewer faults.
_CONVERTED_BELOW = 4 << 20


def empty(shape: Shape, dtype: DTypeLike = float, order: str = "C") -> AnyArray:
    """Create an anonymous array in RAM.

    The array lives until the last process that holds it drops it or dies. Its memory
    is new from the operating system, so it contains zeros, as from `zeros`.

    Parameters
    ----------
    shape : int or sequence of int
        Shape of the array.
    dtype : dtype, default float64
        Any but object and StringDType. The array and its handles keep the whole dtype,
        also metadata and alignment.
    order : {'C', 'F'}
        Row-major or column-major.

    Returns
    -------
    SharedArray

    Raises
    ------
    NoSpaceError
        The RAM disk has no room.
    DtypeError, ShapeError, StorageError
        The array cannot be made.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.empty((2, 3), "f4").shape
    (2, 3)
    """
    return _anonymous(shape, dtype, order)


def zeros(shape: Shape, dtype: DTypeLike = float, order: str = "C") -> AnyArray:
    """Create an anonymous array of zeros in RAM; see `empty`.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.zeros(3).tolist()
    [0.0, 0.0, 0.0]
    """
    return _anonymous(shape, dtype, order)


def ones(shape: Shape, dtype: DTypeLike = float, order: str = "C") -> AnyArray:
    """Create an anonymous array of ones in RAM; see `empty`.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.ones(3, int).tolist()
    [1, 1, 1]
    """
    return _anonymous(shape, dtype, order, (1,))


def full(
    shape: Shape, fill_value: Any, dtype: DTypeLike | None = None, order: str = "C"
) -> AnyArray:
    """Create an anonymous array in RAM, filled with a value; see `empty`.

    Parameters
    ----------
    shape : int or sequence of int
        Shape of the array.
    fill_value : scalar or array_like
        The value, or an array that broadcasts to `shape`, cast as by `numpy.full`.
        For a structured dtype, the tuple of one element works, too.
    dtype : dtype, optional
        By default the dtype of `fill_value`.
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
    return _anonymous(shape, dtype, order, (fill_value,))


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
        Array whose shape, dtype and order are the defaults.
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
    return _like(prototype, dtype, order, shape)


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
    return _like(prototype, dtype, order, shape)


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
    return _like(prototype, dtype, order, shape, (1,))


def full_like(
    prototype: ArrayLike,
    fill_value: Any,
    dtype: DTypeLike | None = None,
    order: str = "K",
    shape: Shape | None = None,
) -> AnyArray:
    """Create an anonymous array shaped like another, filled with a value.

    See `full` and `empty_like`.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.full_like([1, 2], 9).tolist()
    [9, 9]
    """
    return _like(prototype, dtype, order, shape, (fill_value,))


def array(obj: ArrayLike, dtype: DTypeLike | None = None, order: str = "K") -> AnyArray:
    """Copy any array into an anonymous array in RAM; see `empty`.

    Parameters
    ----------
    obj : array_like
        Anything that `numpy.asarray` takes.
    dtype : dtype, optional
        By default the dtype of `obj`.
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
    new = new_header.encode(dtype, shape, fortran, pages=True, as_bytes=True)
    # A source that is in file order already is written without conversion.
    in_file_order = source.T if fortran else source
    if in_file_order.flags.c_contiguous and source.nbytes:
        return _map_anonymous(new, iter([filling.bytes_of(in_file_order)]))
    if source.nbytes < _CONVERTED_BELOW:
        return _map_anonymous(new, filling.assigned(source, dtype, shape, fortran))
    found = _map_anonymous(new, None)
    found[...] = source
    return found


def _anonymous(
    shape: Any, dtype: DTypeLike, order: str, fill: tuple[Any, ...] = ()
) -> AnyArray:
    """Create an array of zeros, or of the value in the 1-tuple `fill`."""
    dtype, shape = check_dtype_and_shape(dtype, shape)
    fortran = is_fortran(order)
    new = new_header.encode(dtype, shape, fortran, pages=True, as_bytes=True)
    contents = filling.filled(fill[0], dtype, shape, fortran) if fill else None
    return _map_anonymous(new, contents)


def _like(
    prototype: ArrayLike,
    dtype: DTypeLike | None,
    order: str,
    shape: Shape | None,
    fill: tuple[Any, ...] = (),
) -> AnyArray:
    model = np.asanyarray(prototype)
    return _anonymous(
        model.shape if shape is None else shape,
        model.dtype if dtype is None else dtype,
        "F" if is_fortran(order, model) else "C",
        fill,
    )


def _map_anonymous(new: new_header.NewHeader, contents: filling.Contents) -> AnyArray:
    with interrupts.deferred():
        held = ending.count_held()
        segment = making.create_anonymous(new, contents, unnamed_so_far=held)
        root = root_of(segment)
        ending.sweep_if_due(segment.path.rpartition("/")[0])
        return all_of(root)
