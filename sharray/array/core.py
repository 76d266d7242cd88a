"""`SharedArray`: an ndarray that knows which file its memory is."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from ..errors import HandleError, NotSharedError, SharrayError
from ..storage import flushing
from . import display, handle, pickling
from .root import Root, root_below

_ShapeT_co = TypeVar("_ShapeT_co", bound=tuple[int, ...], covariant=True)
_DTypeT_co = TypeVar("_DTypeT_co", bound=np.dtype[Any], covariant=True)


class SharedArray(np.ndarray[_ShapeT_co, _DTypeT_co]):
    """An ndarray whose memory is a mapped ``.npy`` file.

    Do not call the class: `sharray.create`, `open`, `zeros` and the other
    constructors return it. Every process that maps the file sees the same
    memory. Views (slices, transposes, reshapes, fields, other dtypes) stay
    shared and pickle as a handle of some 200 bytes; copies and the results of
    computations are private, as with any ndarray.

    Whether an array is shared follows from its memory alone: see `is_shared`.
    NumPy gives some private results this class, such as selections by lists and
    masks (``a[[1, 2]]``, ``a[a > 0]``), `repeat` and `compress`. They hold nothing
    of the file, print as plain arrays, and travel by value.

    Attributes that you set belong to that one object: as with other subclasses of
    ndarray, views, copies and pickles do not have them.

    See Also
    --------
    numpy.memmap : whose names and mode letters are kept

    Examples
    --------
    >>> import pickle
    >>> import numpy as np
    >>> import sharray as sh
    >>> a = sh.zeros((3, 4))
    >>> view = pickle.loads(pickle.dumps(a[1:, ::2]))
    >>> view[...] = 7
    >>> np.asarray(a)
    array([[0., 0., 0., 0.],
           [7., 0., 7., 0.],
           [7., 0., 7., 0.]])
    """

    if TYPE_CHECKING:

        def __getitem__(self, key: Any, /) -> Any:
            """A scalar or a view: too rich to say more."""

    # No Python __getitem__, __array_finalize__ or __array_ufunc__: each would cost
    # every view or operation a call.
    __array_priority__ = -100.0  # as numpy.memmap: other subclasses keep their type

    if TYPE_CHECKING:

        @property
        def _root(self) -> Root | None:
            """The root array that this one is a view of; see `root_below`."""

    else:
        _root = property(root_below)  # without a call in between

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Refuse: memory that is shared comes from the constructors."""
        raise TypeError(
            "SharedArray is not made by calling it; use sharray.zeros, sharray.create, "
            "sharray.array or another constructor"
        )

    def __array_wrap__(
        self, array: Any, context: Any = None, return_scalar: bool = False
    ) -> Any:
        """Results of computations are ordinary arrays and scalars."""
        if array is self:
            return self
        plain = np.asarray(array)
        return plain[()] if return_scalar else plain

    # -- where it lives ------------------------------------------------------

    def _place(self) -> tuple[int, int, int] | None:
        """See `sharray.array.handle.find_place`; None if the memory is private."""
        root = self._root
        return None if root is None else handle.find_place(self, root)

    @property
    def is_shared(self) -> bool:
        """Whether the memory of this array is that of a file.

        However the view was made: by NumPy, through another class, or through the
        buffer, array or DLPack interface. An array without elements has no memory:
        it counts as shared if it is a view of one that is.

        Examples
        --------
        >>> import sharray as sh
        >>> a = sh.zeros(5)
        >>> a[1:].is_shared, a[[1, 2]].is_shared
        (True, False)
        """
        return self._place() is not None

    @property
    def filename(self) -> str | None:
        """Present absolute path of the file; None if it has none.

        That is so for anonymous arrays, for those that are not shared, and once the
        file was removed or replaced. A file that was renamed keeps its arrays: they
        tell the new name.
        """
        root = self._root
        if root is None or root.segment.anonymous or self._place() is None:
            return None
        return root.segment.find_path()

    @property
    def offset(self) -> int | None:
        """Position of this array's first element in the file, in bytes.

        Unlike in `numpy.memmap` it is that of this view. None if not shared.

        Examples
        --------
        >>> import sharray as sh
        >>> a = sh.zeros(100, dtype="i4")
        >>> a.offset, a[10:].offset, a[::-1].offset
        (4096, 4136, 4492)
        """
        place = self._place()
        return None if place is None else place[0]

    @property
    def mode(self) -> str | None:
        """``r``, ``r+`` or ``c``, as it was opened; None if not shared."""
        root = self._root
        return None if root is None or self._place() is None else root.segment.mode

    @property
    def durable(self) -> bool:
        """Whether the data lives on a disk, under a name, to which `flush` brings it.

        False for arrays in RAM, for anonymous ones, for private copies (mode ``c``),
        for arrays that are not shared, and once the file was removed or replaced.
        """
        root = self._root
        return root is not None and self._place() is not None and root.segment.durable

    def _home(self) -> str:
        """Where it lives, in words."""
        root = self._root
        if root is None or self._place() is None:
            return "private memory"
        return display.home(root.segment)

    # -- to the disk ---------------------------------------------------------

    def flush(self, wait: bool = True) -> None:
        """Write the pages under this view to the disk.

        When it returns, the data is on the disk: msync(2) with MS_SYNC, without
        holding the GIL. For arrays in RAM there is nothing to do (see
        `durable`), nor for those opened with mode ``r`` or ``c``, nor for those
        whose file this process has removed by `sharray.unlink`.

        Parameters
        ----------
        wait : bool, default True
            False only starts the writing; a later ``flush()`` tells whether it
            succeeded.

        Raises
        ------
        NotSharedError
            This is a private copy.
        FlushError
            Data did not reach the disk, now or at any time since the last
            `sharray.clear_fault`, from whichever process it was flushed.
        ArrayGoneError
            The file was removed or replaced, other than by `sharray.unlink` in this
            process: this array still shows the data, but no name leads to it.

        Examples
        --------
        >>> import sharray as sh
        >>> a = sh.create("field.npy", (1000, 1000))
        >>> a[10:20] = 1
        >>> a[10:20].flush()
        """
        root = self._root
        place = self._place()
        if root is None or place is None:
            raise NotSharedError(
                "cannot flush an array that is not shared: it is a copy (as by "
                "a[[1, 2]] or numpy.zeros_like), and what is written to it reaches no "
                "file; assign to a slice of the shared array instead"
            )
        _, low, high = place
        flushing.flush(root.segment, root.address + low, low, high - low, wait=wait)

    def __enter__(self) -> SharedArray[_ShapeT_co, _DTypeT_co]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Flush if the block ended well; the array stays usable."""
        if kind is None:
            self.flush()

    # -- to other processes --------------------------------------------------

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A handle to exactly this view, or the values.

        The values if it is not shared, or if the pickle is kept; see
        `sharray.array.pickling`.
        """
        purpose = pickling.purpose()
        if purpose == pickling.KEPT:
            # An array of its own in the pickle: joblib stores these so that they can
            # be mapped again.
            return np.asanyarray, (np.asarray(self),)
        root = self._root
        if root is not None and root.segment.mode != "c":
            place = handle.find_place(self, root)
            if place is not None:
                maybe_kept = purpose != pickling.SENT
                parts = handle.describe(self, root, place[0], maybe_kept=maybe_kept)
                if type(self) is SharedArray:
                    return open_handle, parts
                return open_subclass, (type(self), *parts)
        if type(self) is SharedArray:
            return np.asarray(self).__reduce_ex__(protocol)
        return super().__reduce__()  # which keeps the subclass

    def __reduce__(self) -> Any:
        return self.__reduce_ex__(2)

    # -- private copies ------------------------------------------------------

    def copy(self, order: Any = "C") -> Any:
        """A private ndarray with the same values."""
        return np.asarray(self).copy(order)

    def __copy__(self) -> Any:
        return np.asarray(self).copy("K")

    def __deepcopy__(self, memo: dict[int, Any] | None) -> Any:
        return np.asarray(self).copy("K")

    def astype(self, *args: Any, **kwargs: Any) -> Any:
        """As `numpy.ndarray.astype`; a private ndarray if it copies."""
        found = super().astype(*args, **kwargs)
        return found if found is self else np.asarray(found)

    def flatten(self, order: Any = "C") -> Any:
        """A private 1-d ndarray with the same values."""
        return np.asarray(self).flatten(order)

    def take(self, *args: Any, **kwargs: Any) -> Any:
        """As `numpy.ndarray.take`: a private ndarray."""
        return np.asarray(self).take(*args, **kwargs)

    # -- looks ---------------------------------------------------------------

    def _card(self) -> display.Card:
        return display.Card(
            str(self.dtype),
            self.shape,
            self.nbytes,
            self._home(),
            self.mode,
            self.durable,
        )

    def __repr__(self) -> str:
        values = repr(np.asarray(self))
        return f"{display.line(self._card())}\n{values}" if self.is_shared else values

    def __str__(self) -> str:
        return str(np.asarray(self))

    def _repr_html_(self) -> str:
        from ..storage.inspection.inspector import inspect_segment  # takes 3 ms

        root, found = self._root, None
        if root is not None and self.is_shared:
            # Whatever keeps it from being told, the array itself can be shown.
            with suppress(OSError, SharrayError, NotImplementedError):
                found = inspect_segment(root.segment, root.address)
        return display.html(self._card(), repr(np.asarray(self)), found)


AnyArray = SharedArray[Any, Any]


def view_of(
    root: Root,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    offset: int,
    strides: tuple[int, ...] | None,
) -> AnyArray:
    """A SharedArray on part of a root array, which the caller has checked."""
    array = np.ndarray.__new__(SharedArray, shape, dtype, root, offset, strides)
    return array


def open_handle(
    path: str,
    identity: bytes,
    mode: str,
    offset: int,
    dtype: Any,
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None,
    writeable: bool,
    token: int,
) -> AnyArray:
    """Open the view that a handle describes; unpickling calls this.

    Parameters
    ----------
    path : str
        Absolute path of the file.
    identity : bytes
        Device, inode and uuid of the file, 32 bytes.
    mode : {'r', 'r+'}
        How to map it.
    offset : int
        Position of the first element in the file, bytes.
    dtype : str or numpy.dtype
        Of the view.
    shape : tuple of int
        Of the view.
    strides : tuple of int, optional
        Of the view, bytes; C-contiguous without.
    writeable : bool
        Whether the view may be written to.
    token : int
        What tells the sender that the handle has arrived; 0 for none.

    Raises
    ------
    HandleError
        The parts of the handle do not fit together, or not the file.
    ArrayGoneError
        The file is gone, or another one has its name.
    """
    root = handle.root_for(path, identity, mode)
    try:
        if type(writeable) is not bool or type(token) is not int:
            raise TypeError("expected a bool and an integer at its end")
        found = handle.check_view(root, offset, dtype, shape, strides)
        array = view_of(root, shape, found, offset, strides)
        if not writeable:
            array.flags.writeable = False
    except (TypeError, ValueError, OverflowError) as error:
        raise HandleError(
            f"a handle does not fit the array {root.segment.path!r}: {error}; it is "
            "damaged, or the file has changed since: send the array again",
            root.segment.path,
        ) from error
    if token:
        root.segment.record_received(token)
    return array


def open_subclass(kind: Any, *parts: Any) -> AnyArray:
    """Open the view that a handle describes, as a subclass of `SharedArray`."""
    if not (isinstance(kind, type) and issubclass(kind, SharedArray)):
        raise HandleError(
            "not a handle of this library: expected a subclass of SharedArray; send "
            "the array again"
        )
    return open_handle(*parts).view(kind)
