"""`kernel`: the decorator."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, overload

from ..errors import KernelError
from .kernel import Kernel
from .source import Function

# Options of `sharray.Team.run`. A parameter of the same name could not be passed to
# the kernel by keyword: the run would take it for itself.
RUN_OPTIONS = frozenset(
    {"axis", "chunk", "copy", "progress", "reduce", "schedule", "timeout"}
)
_REFUSED_OPTIONS = {
    "cache": "numba's cache on the disk goes stale without notice; what is compiled "
    "here is sent to the other processes instead",
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
        Of ``numba.njit``, as in ``@sharray.kernel(fastmath=True)``.

    Returns
    -------
    Kernel
        Callable like the function.

    Raises
    ------
    KernelError
        It is no function, an option makes no sense for kernels, or a parameter has
        the name of an option of `sharray.run`, such as ``copy`` or ``axis``.

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
    """The kernel of a function, which may be one already."""
    if isinstance(function, Kernel):
        if options:
            raise KernelError(f"{function!r} has its options already")
        return function
    plain = getattr(function, "py_func", function)
    if not inspect.isfunction(plain):
        raise KernelError(
            f"expected a function to make a kernel of, found {type(function).__name__}"
        )
    if plain is not function and options:
        raise KernelError(
            f"{plain.__name__!r} has the options that numba.njit got; pass them there, "
            "or make the kernel of the plain function"
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
