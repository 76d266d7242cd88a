"""The default team, which `sharray.run` starts with its first run."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ..system.thread_locks import Lock
from .functions.call import is_inside
from .team import Team

_team: Team | None = None
_inner_team: Team | None = None  # of functions that a team calls
_starting = Lock()
_left_behind: list[Team | None] = []


def default_team() -> Team:
    """Return the default team; start it if necessary.

    It has a member for each core, and ends with the interpreter. Inside a function that
    a team calls, it is another one without workers, since all cores are busy.
    """
    global _team, _inner_team
    with _starting:
        if is_inside():
            if _inner_team is None:
                _inner_team = Team(0, name="default, inner")
            return _inner_team
        if _team is None:
            _team = Team(name="default")
        return _team


def close_default_team() -> None:
    """End the default team; the next run starts another one."""
    global _team, _inner_team
    with _starting:
        teams = _team, _inner_team
        _team = _inner_team = None
    for team in teams:
        if team is not None:
            team.close()


def run(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Run a kernel or a function on all cores: `Team.run` of a default team.

    The team starts with the first run and ends with the interpreter.

    Parameters
    ----------
    function, *args, **kwargs : object
        See `Team.run`.

    Returns
    -------
    object
        The value of the function, combined if it ran in chunks; None without a value.

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
    return default_team().run(function, *args, **kwargs)


def map(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Return what a function returns for chunks: `Team.map` of the default team.

    Parameters
    ----------
    function, *args, **kwargs : object
        See `Team.map`.

    Returns
    -------
    SharedArray or list
        What the calls return, in the order of the rows.

    Raises
    ------
    Exception
        See `Team.map`.

    Examples
    --------
    >>> import numpy as np
    >>> import sharray as sh
    >>> sh.map(np.square, np.arange(5)).tolist()
    [0, 1, 4, 9, 16]
    """
    __tracebackhide__ = True  # in IPython and pytest
    return default_team().map(function, *args, **kwargs)


def submit(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
    """Run a kernel or function in the background: `Team.submit` of the default team.

    Parameters
    ----------
    function, *args, **kwargs : object
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
    return default_team().submit(function, *args, **kwargs)


def _forget_after_fork() -> None:
    # The workers belong to the parent, whose other threads may hold the lock.
    global _team, _inner_team, _starting
    # Keep them: dropping one could deadlock, see `sharray.team.members._left_behind`.
    _left_behind.extend((_team, _inner_team))
    _team = _inner_team = None
    _starting = Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
