"""The default team, which `sharray.run` starts with its first run."""

from __future__ import annotations

import os
from concurrent.futures import Future
from typing import Any

from ..kernels.kernel import Kernel
from ..system.thread_locks import Lock
from .team import Team

_team: Team | None = None
_starting = Lock()
_left_behind: list[Team | None] = []


def default_team() -> Team:
    """Return the default team; start it if necessary.

    It has a member for each core, and ends with the interpreter.
    """
    global _team
    with _starting:
        if _team is None:
            _team = Team(name="default")
        return _team


def close_default_team() -> None:
    """End the default team; the next run starts another one."""
    global _team
    with _starting:
        team, _team = _team, None
    if team is not None:
        team.close()


def run(kernel: Kernel, /, *args: Any, **kwargs: Any) -> Any:
    """Run a kernel on shared arrays, on all cores: `Team.run` of a default team.

    The team starts with the first run and ends with the interpreter.

    Parameters
    ----------
    kernel, *args, **kwargs : object
        See `Team.run`.

    Returns
    -------
    object
        The value of the kernel, combined if it ran in chunks; None without a value.

    Raises
    ------
    Exception
        See `Team.run`.

    Examples
    --------
    >>> import sharray as sh
    >>> @sh.kernel
    ... def square(x):
    ...     for i in range(x.shape[0]):
    ...         x[i] **= 2
    >>> x = sh.array([1.0, 2.0, 3.0])
    >>> sh.run(square, x)
    >>> x.tolist()
    [1.0, 4.0, 9.0]
    """
    __tracebackhide__ = True  # in IPython and pytest
    return default_team().run(kernel, *args, **kwargs)


def submit(kernel: Kernel, /, *args: Any, **kwargs: Any) -> Future[Any]:
    """Run a kernel in the background: `Team.submit` of the default team.

    Parameters
    ----------
    kernel, *args, **kwargs : object
        See `Team.run`.

    Returns
    -------
    concurrent.futures.Future
        The future value or error of `run`.

    Examples
    --------
    >>> import sharray as sh
    >>> @sh.kernel
    ... def negate(x):
    ...     for i in range(x.shape[0]):
    ...         x[i] = -x[i]
    >>> x = sh.ones(3)
    >>> sh.submit(negate, x).result()
    >>> x.tolist()
    [-1.0, -1.0, -1.0]
    """
    return default_team().submit(kernel, *args, **kwargs)


def _forget_after_fork() -> None:
    # The workers belong to the parent, whose other threads may hold the lock.
    global _team, _starting
    # Keep it: dropping it could deadlock, see `sharray.team.team._left_behind`.
    _left_behind.append(_team)
    _team = None
    _starting = Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
