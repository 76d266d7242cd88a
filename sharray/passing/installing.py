"""`install` and its contrary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import SupportsIndex

from ..storage.messages import outbox
from ..system import limits as _limits  # noqa: F401  # see below
from ..system import locks, marks, processes
from .hooks import standard as hooks
from .options import Options, State, check

# Sending needs `limits`, and must not import anything: a process may have changed its
# user meanwhile, or have no descriptor left.


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
    State.options = options
    State.decided = True
    State.warned = False
    outbox.trim()  # the budget may have become smaller
    marks.leave_mark()
    hooks.set_hooks()


def uninstall() -> None:
    """Have multiprocessing pickle all messages again.

    What was sent can still be received, and received arrays stay.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.uninstall()
    """
    State.options = None
    State.decided = True
    hooks.remove_hooks()
    outbox.trim()


@contextmanager
def installed(
    threshold: SupportsIndex | None = None, budget: SupportsIndex | None = None
) -> Iterator[None]:
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
    before = State.options, State.decided, State.warned
    hooked = hooks.hooked_packages()
    try:
        install(threshold, budget)
        yield
    finally:
        State.options, State.decided, State.warned = before
        hooks.set_hooks_of(hooked)
        outbox.trim()


def install_in_worker(options: Options, family: int) -> None:
    """Do as the process that started this one, unless told otherwise here."""
    if not processes.is_worker():
        return
    processes.join_family(family)
    if not State.decided:
        install(*options)
