"""The part of a run that a function works on: `member`, `members` and `offset`.

Kernels and Python functions call the same names.
"""

from __future__ import annotations

from ..native import parts


def member() -> int:
    """Return the number of the process that works on this part of a run.

    In a kernel, or in a function that it calls, members of a team are numbered from 0.
    Outside of a run, and in a direct call of a kernel, the number is 0. No other part
    runs at the same time with the same number, so each member can use a row of its own.

    Returns
    -------
    int
        At least 0, and less than `members`.

    Examples
    --------
    >>> import sharray as sh
    >>> @sh.kernel
    ... def add_up(x, sums):
    ...     for i in range(x.shape[0]):
    ...         sums[sh.member()] += x[i]
    >>> with sh.Team(2) as team:
    ...     x, sums = sh.ones(1000), sh.zeros(team.size)
    ...     team.run(add_up, x, sh.whole(sums))
    >>> float(sums.sum()), sh.member()
    (1000.0, 0)
    """
    return parts.word(parts.MEMBER)


def members() -> int:
    """Return the number of members of the team that runs a kernel.

    Returns
    -------
    int
        `sharray.Team.size`; 1 outside of a run, and in a direct call of a kernel.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.members()
    1
    """
    return parts.word(parts.MEMBERS)


def offset() -> int:
    """Return the index at which this part of a run begins.

    In a kernel whose arrays are split, it is the index of the chunk's first element in
    the whole array, along the axis; the chunk ends at ``offset() + len(x)``. In a
    kernel with a loop over `sharray.prange`, it is the number of the part's first
    iteration.

    Returns
    -------
    int
        The index; 0 outside of a run, and in a direct call of a kernel.

    Examples
    --------
    >>> import sharray as sh
    >>> @sh.kernel
    ... def count(x):
    ...     for i in range(x.shape[0]):
    ...         x[i] = sh.offset() + i
    >>> x = sh.zeros(10, int)
    >>> sh.run(count, x, chunk=3)
    >>> x.tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    return parts.word(parts.OFFSET)
