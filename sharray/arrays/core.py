"""`SharedArray`: an ndarray whose memory is a mapped file."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from ..errors import HandleError, NotSharedError, SharrayError
from ..names import quote
from ..storage import staleness
from ..storage.dtypes import short
from . import advice as _advice
from . import display, handle, pickling
from .growing import Growing
from .root import Root, flush_range, root_below

_ShapeT_co = TypeVar("_ShapeT_co", bound=tuple[int, ...], covariant=True)
_DTypeT_co = TypeVar("_DTypeT_co", bound=np.dtype[Any], covariant=True)


class SharedArray(Growing, np.ndarray[_ShapeT_co, _DTypeT_co]):
    """An ndarray whose memory is a mapped ``.npy`` file.

    Do not call the class. Get arrays from `sharray.create`, `open`, `zeros` and the
    other constructors. Every process that maps the file sees the same memory. Views
    (slices, transposes, reshapes, fields, other dtypes) stay shared, and pickle as a
    handle of about 200 bytes. Copies and the results of computations are private, as
    with any ndarray.

    An array is shared if its memory is; its class does not matter: see `is_shared`.
    NumPy returns some private results in this class, such as ``a[[1, 2]]``,
    ``a[a > 0]``, and the results of `repeat` and `compress`. They do not keep the file
    mapped, print as plain arrays, and pickle by value.

    An attribute that you set belongs to that one object. As with other subclasses of
    ndarray, its views, copies and pickles do not have it.

    See Also
    --------
    numpy.memmap : the model for attribute names and mode letters

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
            """Return a scalar or a view; the type depends on the key."""

    # No __getitem__, __array_finalize__ or __array_ufunc__ in Python: every view or
    # operation would pay for a call.
    __array_priority__ = -100.0  # as in numpy.memmap: other subclasses win

    if TYPE_CHECKING:

        @property
        def _root(self) -> Root | None:
            """Root array of this view; see `root_below`."""

    else:
        _root = property(root_below)  # the function itself saves a call

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Raise TypeError; only the constructors make shared memory."""
        raise TypeError(
            "cannot make a SharedArray by calling the class; use sharray.zeros, "
            "sharray.create, sharray.array or another constructor"
        )

    def __array_wrap__(
        self, array: Any, context: Any = None, return_scalar: bool = False
    ) -> Any:
        """Return results of computations as ordinary arrays and scalars."""
        if array is self:
            return self
        plain = np.asarray(array)
        return plain[()] if return_scalar else plain

    # -- where it lives ------------------------------------------------------

    def _place(self) -> tuple[int, int, int] | None:
        """Return `handle.find_place` of this array; None if the memory is private."""
        root = self._root
        return None if root is None else handle.find_place(self, root)

    @property
    def is_shared(self) -> bool:
        """True if the memory of this array is that of a file.

        It does not matter how the view was made: by NumPy, through another class, or
        through the buffer, array or DLPack interface. An array without elements has no
        memory. It counts as shared if it is a view of a shared array.

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
        """The present absolute path of the file, or None.

        None for anonymous arrays, for arrays that are not shared, and after the file
        was removed or replaced. After the file was renamed, this is its new name.
        """
        root = self._root
        if root is None or root.segment.anonymous or self._place() is None:
            return None
        return root.segment.find_path()

    @property
    def offset(self) -> int | None:
        """Position of this view's first element in the file, in bytes, or None.

        None if the array is not shared. In `numpy.memmap`, all views have the offset of
        the map instead.

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
        """The mode of opening: ``r``, ``r+`` or ``c``; None if not shared."""
        root = self._root
        return None if root is None or self._place() is None else root.segment.mode

    @property
    def durable(self) -> bool:
        """True if `flush` brings the data to a named file on a disk.

        False for arrays in RAM, anonymous arrays, private changes (mode ``c``) and
        arrays that are not shared, and after the file was removed or replaced.
        """
        root = self._root
        return root is not None and self._place() is not None and root.segment.durable

    def is_current(self) -> bool:
        """Return whether the file of this array still has a name.

        False after the file was removed or replaced, by any process: open its name
        again to see the new array. It takes about as long as stat(2). As with
        `filename`, a renamed file counts as the same file. Anonymous arrays cannot be
        replaced and are always current.

        Raises
        ------
        NotSharedError
            This is a private copy.

        See Also
        --------
        sharray.publish : replace a file in one step

        Examples
        --------
        >>> import sharray as sh
        >>> a = sh.create("field.npy", 3)
        >>> b = sh.create("field.npy", 4, overwrite=True)
        >>> a.is_current(), b.is_current()
        (False, True)
        """
        root = self._root
        if root is None:
            raise NotSharedError(
                "cannot tell whether an array that is not shared is current: it is a "
                "private copy (as from a[[1, 2]]) and has no file; check the "
                "shared array that it was made from"
            )
        segment = root.segment
        return segment.anonymous or segment.find_path() is not None

    def _home(self) -> str:
        """Return a phrase for people that says where the memory is."""
        root = self._root
        if root is None or self._place() is None:
            return "private memory"
        return display.home(root.segment)

    # -- to the disk ---------------------------------------------------------

    def flush(self, wait: bool = True) -> None:
        """Write the pages under this view to the disk.

        When it returns, the data is on the disk. It calls msync(2) with MS_SYNC,
        without holding the GIL. It is a no-op for arrays in RAM (see `durable`), for
        arrays opened with mode ``r`` or ``c``, and for arrays whose file this process
        has removed by `sharray.unlink`.

        Parameters
        ----------
        wait : bool, default True
            With False, only start the writing. A later ``flush()`` raises an error if
            it failed.

        Raises
        ------
        NotSharedError
            This is a private copy.
        FlushError
            Data did not reach the disk in this flush, or in a flush by any process
            since the last `sharray.clear_fault`.
        ArrayGoneError
            The file was removed or replaced, other than by `sharray.unlink` in this
            process. This array still shows the data, but no file name leads to it.

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
                "cannot flush an array that is not shared: it is a private copy (as "
                "from a[[1, 2]] or numpy.zeros_like) and has no file; assign to a "
                "slice of the shared array instead, as in a[1:3] = values"
            )
        _, low, high = place
        flush_range(root, low, high, wait=wait)

    def advise(self, advice: _advice.Advice) -> None:
        """Tell the system how this process will use the pages under this view.

        The names are those of madvise(2). Values never change. Pages are 4 KiB, and
        have all bytes from the first element of the view to its last, also those
        between its elements.

        Parameters
        ----------
        advice : str
            ``"random"``: read only the pages that are used, and none ahead.
            ``"sequential"``: read far ahead, and soon drop pages that were used.
            ``"normal"``: undo both.
            ``"willneed"``: start to read the pages now, without waiting.
            ``"dontneed"``: take the pages out of this process. Changes stay in the
            file, and pages of a file on a disk can then be used for something else.
            Pages at both ends, with bytes of other elements, stay.
            ``"huge"``: for an array in RAM, replace its pages by huge pages, at once
            and for all processes. For a file on a disk, let the system use them.

        Raises
        ------
        NotSharedError
            This is a private copy.
        AccessError
            With "dontneed", this process would lose private changes (mode ``c``).
        StorageError
            The system cannot do it.
        ValueError
            There is no such advice.

        Notes
        -----
        Other processes, such as the workers of a team, keep the advice that they have
        given themselves. Advice ends with the mapping of the file.

        Examples
        --------
        >>> import sharray as sh
        >>> a = sh.create("table.npy", (1000, 1000))
        >>> a[:500].advise("sequential")
        >>> a.advise("dontneed")
        """
        root, place = self._root, self._place()
        if root is None or place is None:
            raise NotSharedError(
                "cannot give advice about an array that is not shared: it is a private "
                "copy (as from a[[1, 2]]); use a slice of the shared array instead"
            )
        _advice.advise(root, *place[1:], advice)

    def __enter__(self) -> SharedArray[_ShapeT_co, _DTypeT_co]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Flush if the block raised no error; the array stays usable."""
        if kind is None:
            self.flush()

    # -- to other processes --------------------------------------------------

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle as a handle to exactly this view, or by value.

        By value if the array is not shared, or if the pickle is kept; see
        `sharray.arrays.pickling`.
        """
        purpose = pickling.purpose()
        if purpose == pickling.KEPT:
            # Nested as an array of its own: joblib stores such arrays so that it can
            # map them when it loads them.
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
        return super().__reduce__()  # keeps the subclass

    def __reduce__(self) -> Any:
        return self.__reduce_ex__(2)

    # -- private copies ------------------------------------------------------

    def copy(self, order: Any = "C") -> Any:
        """Return a private ndarray with the same values."""
        return np.asarray(self).copy(order)

    def __copy__(self) -> Any:
        return np.asarray(self).copy("K")

    def __deepcopy__(self, memo: dict[int, Any] | None) -> Any:
        return np.asarray(self).copy("K")

    def astype(self, *args: Any, **kwargs: Any) -> Any:
        """Cast as `numpy.ndarray.astype` does; a copy is a private ndarray."""
        found = super().astype(*args, **kwargs)
        return found if found is self else np.asarray(found)

    def flatten(self, order: Any = "C") -> Any:
        """Return a private 1-d ndarray with the same values."""
        return np.asarray(self).flatten(order)

    def take(self, *args: Any, **kwargs: Any) -> Any:
        """Take elements as `numpy.ndarray.take` does, into a private ndarray."""
        return np.asarray(self).take(*args, **kwargs)

    # -- looks ---------------------------------------------------------------

    def _stale(self) -> staleness.Stale | None:
        """Return how the file is not this array any more, or None."""
        root = self._root
        if root is None or self._place() is None:
            return None
        return staleness.look(root.segment, root.address)

    def _card(self, stale: staleness.Stale | None) -> display.Card:
        root = self._root if self.is_shared and stale is None else None
        return display.Card(
            short(self.dtype),
            self.shape,
            self.nbytes,
            self._home(),
            self.mode,
            display.durable(None if root is None else root.segment),
            None if stale is None else stale.problem,
        )

    def _is_behind_end(self, stale: staleness.Stale | None) -> bool:
        """Tell whether reading the values would crash: the file is too short."""
        if stale is None or stale.readable is None:
            return False
        place = self._place()
        return place is not None and place[2] > stale.readable

    def __repr__(self) -> str:
        if not self.is_shared:
            return repr(np.asarray(self))
        stale = self._stale()
        line = display.line(self._card(stale))
        if self._is_behind_end(stale):
            return f"{line}\n{display.NO_VALUES}"
        return f"{line}\n{display.values(np.asarray(self))}"

    def __str__(self) -> str:
        stale = self._stale()
        if self._is_behind_end(stale):
            return display.line(self._card(stale))
        return str(np.asarray(self))

    def _repr_html_(self) -> str:
        from ..storage.inspection.inspector import inspect_segment  # takes 3 ms

        root, found = self._root, None
        if root is not None and self.is_shared:
            # If inspection fails, the card still shows the array itself.
            with suppress(OSError, SharrayError, NotImplementedError):
                found = inspect_segment(root.segment, root.address)
        stale = self._stale()
        values = display.NO_VALUES
        if not self._is_behind_end(stale):
            values = display.values(np.asarray(self))
        return display.html(self._card(stale), values, found)


AnyArray = SharedArray[Any, Any]


def view_of(
    root: Root,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    offset: int,
    strides: tuple[int, ...] | None,
) -> AnyArray:
    """Return a SharedArray on part of a root array; the caller checks that it fits."""
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
        Identity of the file, 32 bytes; see `sharray.storage.identity.identity_of`.
    mode : {'r', 'r+'}
        How to map it.
    offset : int
        Position of the first element in the file, in bytes.
    dtype : str or numpy.dtype
        Dtype of the view.
    shape : tuple of int
        Shape of the view.
    strides : tuple of int, optional
        Strides of the view, in bytes. Without them, it is C-contiguous.
    writeable : bool
        True if the view can be written to.
    token : int
        Token by which the sender learns that the handle has arrived; 0 for none.

    Raises
    ------
    HandleError
        The parts of the handle do not fit each other or the file.
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
            f"a handle does not fit the array {quote(root.segment.path)}: {error}; the "
            "handle is damaged, or the file has changed since: send the array again",
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
