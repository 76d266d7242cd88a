"""`install`, `uninstall` and `installed`."""

from __future__ import annotations

from contextlib import ContextDecorator
from typing import Any, NamedTuple, SupportsIndex

from ..storage.messages.returning import Returning
from ..system import interrupts, locks, marks, processes
from .hooks import registry
from .joining import Joining
from .options import Options, State, check
from .wire import light


def install(
    threshold: SupportsIndex | None = None, budget: SupportsIndex | None = None
) -> None:
    """Send the arrays in multiprocessing's messages through shared memory.

    This covers all messages of `multiprocessing` and `concurrent.futures`: arguments,
    results, queues, pipes and managers. They arrive as before, but arrays are copied
    once to memory that both sides see, instead of being pickled through a pipe. That
    includes the arrays in DataFrames, sparse matrices and other objects. Processes that
    multiprocessing starts reply in the same way. The packages multiprocess, loky and
    joblib take part if they are imported before. A Pool that was made before still
    pickles its arguments.

    Call it again to change the options.

    Parameters
    ----------
    threshold : int, optional
        Bytes of arrays. Smaller messages go through the pipe, as the plain pickler
        writes them. The default is 128 KiB, where both take about the same time.
    budget : int, optional
        Bytes that this process may use for messages on their way, and for memory kept
        for the next ones. The default is a quarter of the free memory. Messages that
        do not fit go through the pipe, with a warning for the first.

    Raises
    ------
    NotImplementedError
        The platform has no locks that a mapping keeps (fcntl, F_OFD_SETLK).

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
            "platform does not have; share the arrays with sharray.share instead"
        )
    with interrupts.deferred():
        State.options = options
        State.decided = True
        State.warned = False
        Returning.trim()  # the budget may be smaller now
        marks.leave_mark()
        registry.set_hooks()
    if light.has_numpy():
        light.load()


def uninstall() -> None:
    """Make multiprocessing pickle all messages again.

    Messages that were sent can still be received, and received arrays stay valid.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.uninstall()
    """
    with interrupts.deferred():
        State.options = None
        State.decided = True
        registry.remove_hooks()
        Returning.trim()


class installed(ContextDecorator):  # noqa: N801 - as `contextlib.suppress`
    """Install for the length of a block, then restore the state before it.

    Parameters
    ----------
    threshold, budget : int, optional
        See `install`.

    Examples
    --------
    >>> import sharray as sh
    >>> with sh.installed():
    ...     pass  # pools that are made here
    """

    # A class, not a generator: if interrupted between its `yield` and the block, a
    # generator would restore the state only when the traceback is freed.

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
        # For an interrupt at the first instruction of __exit__, which skips it.
        while getattr(self, "_before", None):  # an interrupt may skip __init__, too
            self._restore()

    def _restore(self) -> None:
        with interrupts.deferred():
            if self._before:
                self._before.pop().restore()


class _Installed(NamedTuple):
    """The state that `install` and `uninstall` change."""

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
        Returning.trim()


def install_in_worker(options: Options, family: int) -> None:
    """Install like the parent process, unless this one has decided itself."""
    if not registry.is_worker():
        return
    processes.join_family(family)
    if not State.decided:
        install(*options)


def begin_in_worker(_: None, process: Any) -> Any:
    """Set hooks in packages that unpickling has imported; return the process."""
    if State.options is not None:
        registry.set_hooks()
    return process


Joining.join = install_in_worker
Joining.begin = begin_in_worker
