"""`inspect`: who holds an array, and how much of it is in memory."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import NotSharedError, SharrayError
from ..storage import location
from ..storage.inspecting import inspect_each, inspect_file, inspect_segment
from ..storage.inspection import Inspection
from ..storage.location import Location
from .core import AnyArray, SharedArray
from .named import Path


def inspect(array: AnyArray | Path, /) -> Inspection:
    """Tell what the file of an array is, who holds it, and what of it is in memory.

    Looking neither reads the data nor holds the array.

    Parameters
    ----------
    array : SharedArray, str or PathLike
        An array, of which the whole file is inspected also if it is a view; or the
        path of a ``.npy`` file, or ``shm://name``.

    Returns
    -------
    Inspection
        See there.

    Raises
    ------
    NotSharedError
        The array is a private copy, which has no file.
    ArrayNotFoundError, AccessError, FormatError, StorageError
        The file cannot be inspected.

    Notes
    -----
    Mappings are told by ``/proc/PID/maps``, pages in memory by mincore(2), dirty ones
    by ``/proc/self/smaps``.

    Examples
    --------
    >>> import os
    >>> import sharray as sh
    >>> a = sh.create("field.npy", (500, 1000))
    >>> a[:] = 1
    >>> found = sh.inspect(a)
    >>> found.shape, found.durable, found.fault
    ((500, 1000), True, None)
    >>> [holder.pid == os.getpid() for holder in found.holders]
    [True]
    >>> a.flush()
    >>> sh.inspect("field.npy").dirty
    0
    """
    if not isinstance(array, SharedArray):
        return inspect_file(location.locate(array))
    root = array._root
    if root is None or not array.is_shared:
        raise NotSharedError(
            "cannot inspect an array that is not shared: it is a copy (as by "
            "a[[1, 2]] or numpy.zeros_like), which has no file; inspect the array "
            "that it was made from"
        )
    return inspect_segment(root.segment, root.address)


def inspect_all(paths: Iterable[Path]) -> list[Inspection | SharrayError]:
    """Inspect many files at once: what each is, or why it cannot be told.

    To `inspect` one after the other would read /proc for each of them.
    """
    places = [_locate(path) for path in paths]
    found = iter(inspect_each(one for one in places if isinstance(one, Location)))
    return [next(found) if isinstance(one, Location) else one for one in places]


def _locate(path: Path) -> Location | SharrayError:
    try:
        return location.locate(path)
    except SharrayError as error:
        return error
