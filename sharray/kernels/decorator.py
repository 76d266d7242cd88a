"""`kernel`: the decorator that turns a function into a kernel."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, overload

from ..errors import KernelError
from .kernel import Kernel
from .source import Function

# Options of `sharray.Team.run`. A kernel's parameter of the same name could not be
# passed by keyword: `run` would take it as its own option.
RUN_OPTIONS = frozenset(
    {"axis", "chunk", "copy", "progress", "reduce", "schedule", "seed", "timeout"}
)
_REFUSED_OPTIONS = {
    "cache": "numba's cache on disk goes stale without notice; sharray sends the "
    "compiled code to the other processes instead",
    "forceobj": "kernels run without the interpreter",
    "nopython": "kernels are always compiled in nopython mode",
}


@overload
def kernel(function: Function, /) -> Kernel: ...
@overload
def kernel(**options: Any) -> Callable[[Function], Kernel]: ...
def kernel(
    function: Function | None = None, /, **options: Any
) -> Kernel | Callable[[Function], Kernel]:
    """Make a kernel of a function: numba compiles it, once for all processes.

    Parameters
    ----------
    function : callable
        A function that numba can compile, or one that ``numba.njit`` has returned.
    **options : object
        Options of ``numba.njit``, as in ``@sharray.kernel(fastmath=True)``.

    Returns
    -------
    Kernel
        A kernel that can be called like the function.

    Raises
    ------
    KernelError
        `function` is not a function, kernels do not support an option, or a parameter
        has the name of an option of `sharray.run`, such as ``copy`` or ``axis``.

    Examples
    --------
    >>> import sharray as sh
    >>> @sh.kernel
    ... def scale(x, factor=2.0):
    ...     for i in range(x.shape[0]):
    ...         x[i] *= factor
    >>> x = sh.array([1.0, 2.0, 3.0])
    >>> scale(x)                        # here
    >>> sh.run(scale, x, factor=10.0)   # in all worker processes
    >>> x.tolist()
    [20.0, 40.0, 60.0]
    """
    for option, reason in _REFUSED_OPTIONS.items():
        if option in options:
            raise KernelError(f"a kernel has no option {option!r}: {reason}")
    if function is None:
        return lambda function: kernel_of(function, options)
    return kernel_of(function, options)


def kernel_of(function: Function, options: dict[str, Any]) -> Kernel:
    """Return the kernel of a function; a kernel is returned as it is."""
    if isinstance(function, Kernel):
        if options:
            raise KernelError(f"{function!r} has its options already")
        return function
    plain = getattr(function, "py_func", function)
    if not inspect.isfunction(plain):
        raise KernelError(
            f"expected a function to make a kernel of, got {type(function).__name__}"
        )
    if plain is not function and options:
        raise KernelError(
            f"{plain.__name__!r} already has the options of numba.njit; pass them "
            "there, or make the kernel of the plain function"
        )
    _refuse_option_names(plain)
    return Kernel(function, options)


def _refuse_option_names(function: Function) -> None:
    """Refuse parameters that `sharray.run` would take for its own options."""
    taken = [
        name for name in inspect.signature(function).parameters if name in RUN_OPTIONS
    ]
    if taken:
        name = taken[0]
        raise KernelError(
            f"parameter {name!r} of kernel {function.__name__!r} has the name of an "
            "option of sharray.run, which would not pass it on; rename the parameter, "
            f"for example to {name + '_'!r}"
        )
