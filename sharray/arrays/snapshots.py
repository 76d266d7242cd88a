"""`snapshot`: save a whole array in a new file, at once where files can be cloned."""

from __future__ import annotations

from typing import Any

from ..errors import NotSharedError
from ..names import quote
from ..storage import rows_field, snapshots
from ..storage.location import locate
from ..system import interrupts
from .core import AnyArray, SharedArray
from .named import Path
from .root import Root
from .views import all_of


def snapshot(array: AnyArray, path: Path, *, overwrite: bool = False) -> bool:
    """Save a whole array in a new file, while others may write to it.

    Where the file system can, the new file is a clone (a reflink): on XFS and btrfs,
    if both files are on the same one. That takes milliseconds. The clone is a cut: it
    has all stores up to one moment, and none that are later. A store that a process
    made after it saw another is never there without the other.

    Elsewhere, for arrays in RAM, and if there is room for little more than a copy, the
    values are copied. Stores that others make meanwhile may be in the copy or not, in
    any combination: let writers pause if that matters. The result tells which of both
    it was.

    Like `create`, it returns when the disk has the file and its name.

    Parameters
    ----------
    array : SharedArray
        The whole array of a file, as `create` or `open` returns it. A growable array
        is saved with all rows that are complete now, and its snapshot can grow, too.
    path : str or PathLike
        The new ``.npy`` file, or ``shm://name``.
    overwrite : bool, default False
        See `create`.

    Returns
    -------
    bool
        True if the snapshot is a cut.

    Raises
    ------
    NotSharedError
        The array is a private copy, or a view of a part.
    ArrayExistsError
        A file of this name exists.
    NoSpaceError
        There is no room for all of the array. A clone needs none at first. But
        then a later store to either file needs some, and a process that stores
        without any gets SIGBUS. So keep that space free.
    DtypeError, ArrayNameError, AccessError, StorageError
        The file cannot be made.

    Examples
    --------
    >>> import numpy as np
    >>> import sharray as sh
    >>> a = sh.create("state.npy", 3, fill_value=1)
    >>> is_cut = sh.snapshot(a, "state-1.npy")
    >>> a[:] = 2
    >>> np.load("state-1.npy")
    array([1., 1., 1.])
    """
    place = locate(path)
    root = array._root if isinstance(array, SharedArray) else None
    if root is None:
        raise NotSharedError(
            "cannot save a snapshot of an array that is not shared, which has no file; "
            "call numpy.save(path, array)"
        )
    with interrupts.deferred():
        is_growable = root.segment.header.growing is not None
        _check_whole(array, array.latest() if is_growable else all_of(root), root)
        return snapshots.snapshot(root.segment, place, overwrite=overwrite)


def _check_whole(array: AnyArray, whole: AnyArray, root: Root) -> None:
    """Refuse a view: the file would have another shape or more values."""
    header = root.segment.header
    shapes: list[Any] = [array.shape, whole.shape]
    if header.growing is not None and array.ndim == whole.ndim:  # rows of earlier
        shapes = [rows_field.split(one, header.fortran_order)[::2] for one in shapes]
    flags = array.flags
    in_order = flags.f_contiguous if header.fortran_order else flags.c_contiguous
    if (
        shapes[0] != shapes[1]
        or array.dtype != whole.dtype
        or not in_order
        or array.offset != header.data_offset
    ):
        raise NotSharedError(
            "cannot save a snapshot of a view: expected the whole array of "
            f"{quote(root.segment.path)}, {whole.dtype} of shape {whole.shape}, got "
            f"{array.dtype} of shape {array.shape}; save the whole array, or the view "
            "as a copy, with sharray.create(path, view.shape, view.dtype, "
            "fill_value=view)",
            root.segment.path,
        )
