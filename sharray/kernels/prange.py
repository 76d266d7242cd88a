"""`prange`: the loop of a kernel that a team splits."""

from __future__ import annotations

# The end of a part, if it is all of the range.
ALL = -1


def prange(start: int, stop: int | None = None, step: int = 1, /) -> range:
    """A `range` that a team of workers splits between them.

    A kernel with a loop over ``prange`` gets all arrays whole, so that it can look
    at neighbours, and each worker goes through a part of the range at a time. Called
    directly, such a kernel goes through all of it. ``numba.prange`` in a kernel is the
    same.

    There is one such loop in a kernel, at the top level of the function; a ``prange``
    within it is a `range`. Code outside of it runs once for each part, so it may
    compute and allocate, but not store to arguments.

    Parameters
    ----------
    start, stop, step : int
        As those of `range`. They may depend on the arguments of the kernel.

    Returns
    -------
    range
        All of it, or a part if a team runs the kernel.

    Examples
    --------
    >>> import sharray as sh
    >>> @sh.kernel
    ... def smooth(x, y):
    ...     for i in sh.prange(1, x.shape[0] - 1):
    ...         y[i] = (x[i - 1] + x[i] + x[i + 1]) / 3
    >>> x, y = sh.array([0.0, 3.0, 6.0, 0.0]), sh.zeros(4)
    >>> sh.run(smooth, x, y)
    >>> y.tolist()
    [0.0, 3.0, 3.0, 0.0]
    """
    return range(start) if stop is None else range(start, stop, step)
