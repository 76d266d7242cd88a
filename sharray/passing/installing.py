"""`install` and its contrary."""

from __future__ import annotations

from contextlib import ContextDecorator
from typing import Any, NamedTuple, SupportsIndex

from ..storage.messages import outbox
from ..system import interrupts, locks, marks, processes
from .hooks import registry
from .joining import Joining
from .options import Options, State, check


def install(
    threshold: SupportsIndex | None = None, budget: SupportsIndex | None = None
) -> None:
    """Send the arrays in multiprocessing's messages through shared memory.

    From now on, what `multiprocessing` and `concurrent.futures` send between
    processes (arguments, results, queues, pipes, managers) arrives as before, but
    its arrays are copied once into memory that both sides see instead of being
    pickled through a pipe. So are DataFrames, sparse matrices and whatever else
    holds arrays. Processes that multiprocessing starts answer alike. The packages
    multiprocess, loky and joblib take part if they are imported before. A Pool that
    was made before goes on pickling its arguments.

    Calling it again changes the options.

    Parameters
    ----------
    threshold : int, optional
        Bytes of arrays: messages with less go through the pipe, as the plain pickler
        writes them. 128 KiB without, about where the two take the same time.
    budget : int, optional
        Bytes that this process may take for messages under way and for memory kept
        for the next. A quarter of the free memory without. What does not fit goes
        through the pipe; a warning says so once.

    Raises
    ------
    NotImplementedError
        The platform has no locks that a mapping holds (fcntl, F_OFD_SETLK).

    See Also
    --------
    share : the same array for many messages

    Examples
    --------
    >>> import multiprocessing
    >>> import numpy as np
    >>> import sharray as sh
    >>> sh.install()
    >>> with multiprocessing.get_context("fork").Pool(1) as pool:
    ...     found = pool.apply(np.sort, (np.arange(10**5)[::-1],))
    >>> found[:3].tolist()
    [0, 1, 2]
    >>> sh.uninstall()
    """
    options = check(threshold, budget)
    if not locks.has_byte_locks():
        raise NotImplementedError(
            "sharray.install needs open file description locks, fcntl(2), which this "
            "platform does not have; pass arrays of sharray instead, they work here"
        )
    with interrupts.deferred():
        State.options = options
        State.decided = True
        State.warned = False
        outbox.trim()  # the budget may have become smaller
        marks.leave_mark()
        registry.set_hooks()


def uninstall() -> None:
    """Have multiprocessing pickle all messages again.

    What was sent can still be received, and received arrays stay.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.uninstall()
    """
    with interrupts.deferred():
        State.options = None
        State.decided = True
        registry.remove_hooks()
        outbox.trim()


class installed(ContextDecorator):  # noqa: N801 - as `contextlib.suppress`
    """`install` for the length of a block, then restore what was before.

    Parameters
    ----------
    threshold, budget : int, optional
        As for `install`.

    Examples
    --------
    >>> import sharray as sh
    >>> with sh.installed():
    ...     pass  # pools that are made here
    """

    # A generator would restore it only with the end of the traceback, if it is
    # interrupted between its `yield` and the block.

    def __init__(
        self,
        threshold: SupportsIndex | None = None,
        budget: SupportsIndex | None = None,
    ) -> None:
        self._options = threshold, budget
        self._before: list[_Installed] = []

    def __enter__(self) -> None:
        try:
            self._before.append(_Installed.now())
            install(*self._options)
        except BaseException:
            self._restore()
            raise

    def __exit__(self, *_: object) -> None:
        self._restore()

    def __del__(self) -> None:
        # An interrupt at the first instruction of __exit__ has left it out.
        while getattr(self, "_before", None):  # __init__ may have been left out, too
            self._restore()

    def _restore(self) -> None:
        with interrupts.deferred():
            if self._before:
                self._before.pop().restore()


class _Installed(NamedTuple):
    """What `install` and `uninstall` change."""

    options: Options | None
    decided: bool
    warned: bool
    packages: frozenset[str]

    @classmethod
    def now(cls) -> _Installed:
        return cls(
            State.options, State.decided, State.warned, registry.hooked_packages()
        )

    def restore(self) -> None:
        State.options, State.decided, State.warned, packages = self
        registry.set_hooks_of(packages)
        outbox.trim()


def install_in_worker(options: Options, family: int) -> None:
    """Do as the process that started this one, unless told otherwise here."""
    if not registry.is_worker():
        return
    processes.join_family(family)
    if not State.decided:
        install(*options)


def begin_in_worker(_: None, process: Any) -> Any:
    """Return a process that was unpickled, with hooks in what that has imported."""
    if State.options is not None:
        registry.set_hooks()
    return process


Joining.join = install_in_worker
Joining.begin = begin_in_worker
