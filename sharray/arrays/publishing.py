"""`publish`: fill an array before others see it, and give it its name in one step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..storage.publishing import Unpublished
from ..system import interrupts
from . import named
from .core import AnyArray
from .dtype_and_shape import Shape
from .root import root_of
from .views import all_of

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


@contextmanager
def publish(
    path: named.Path,
    shape: Shape,
    dtype: DTypeLike = float,
    *,
    order: str = "C",
    fill_value: Any = None,
    permissions: int | None = None,
) -> Iterator[AnyArray]:
    """Fill an array whose file gets its name when the block ends well.

    Until then, the name leads to the old file, if there is one. Then the new file is
    brought to the disk and replaces the old one in one step. So readers find the old
    array or the new one, each complete. They learn of it by `SharedArray.is_current`.
    If the block raises an error, or the process is killed, the old file stays and the
    new one vanishes. Only where a file system has no files without a name, or if the
    process is killed at the very moment of naming, a hidden file ``.NAME.0.new``
    remains. The next `publish` removes it.

    Within the block the array cannot be sent to other processes, since they could not
    open it; forked children share it. After the block it is an ordinary array.

    Parameters
    ----------
    path : str or PathLike
        The ``.npy`` file, or ``shm://name``.
    shape, dtype, order, fill_value, permissions
        See `create`. The file is replaced as with ``overwrite=True``.

    Yields
    ------
    SharedArray
        Writable, mode ``r+``.

    Raises
    ------
    NoSpaceError
        There is no room, at the start of the block: stores within it do not fail.
    FlushError
        A flush within the block has failed. The array is not published.
    DtypeError, ShapeError, ArrayNameError, AccessError, StorageError
        The array cannot be made, or not be published.

    Examples
    --------
    >>> import numpy as np
    >>> import sharray as sh
    >>> with sh.publish("table.npy", 3, "i8") as new:
    ...     new[:] = [1, 2, 3]
    >>> np.load("table.npy")
    array([1, 2, 3])
    """
    new = named.encode(path, shape, dtype, order, fill_value, stacklevel=4)
    # Signals are deferred around the block, not within it: so that no interrupt comes
    # between the file and the block that closes it.
    with interrupts.deferred():
        unpublished = Unpublished(new.place, new.header, new.contents)
        try:
            array = all_of(root_of(unpublished.segment))
            with interrupts.allowed():
                yield array
            unpublished.finish(permissions)
        finally:
            unpublished.close()
