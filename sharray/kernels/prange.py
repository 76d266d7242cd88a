"""`prange`: the loop of a kernel that a team splits."""

from __future__ import annotations

# The end of a part that is the whole range.
ALL = -1


def prange(start: int, stop: int | None = None, step: int = 1, /) -> range:
    """Return a `range` that a team splits between its members.

    A kernel with a loop over ``prange`` gets all arrays whole, so it can read
    neighbouring elements. Each member of a team works on one part of the range at a
    time. A direct call of the kernel works on the whole range. In a kernel,
    ``numba.prange`` does the same.

    A kernel can have one such loop, at the top level of the function. A ``prange``
    inside the loop is a `range`. Code outside the loop runs once per part, so it may
    compute and allocate, but not store to arguments.

    Parameters
    ----------
    start, stop, step : int
        The arguments of `range`. They may depend on the arguments of the kernel.

    Returns
    -------
    range
        The whole range, or one part of it if a team runs the kernel.

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
