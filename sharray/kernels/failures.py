"""What a kernel raised, taken out of machine code and rebuilt as an exception.

numba's code returns a pointer to a structure that describes the exception: see
``excinfo_t`` and ``set_dynamic_user_exc`` in numba/core/callconv.py. It is copied
where the kernel ran, and unpickled only where the caller is: the exception's class
may be known there alone.
"""

from __future__ import annotations

import ctypes
import pickle
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from ..native.machine_code import find_symbol

_PYTHON_ERROR = -1  # RETCODE_EXC: CPython's own error indicator is set


class _Description(ctypes.Structure):
    _fields_ = (
        ("pickled", ctypes.c_void_p),
        ("size", ctypes.c_int32),
        ("values", ctypes.c_void_p),  # run-time arguments, as machine values
        ("unwrap", ctypes.c_void_p),  # makes a tuple of them
        ("count", ctypes.c_int32),  # how many; 0 if all were known beforehand
    )


class Failure(NamedTuple):
    """What a kernel raised; it can be sent to another process.

    Attributes
    ----------
    pickled : bytes
        Class, arguments and place in the source.
    values : tuple, optional
        Arguments that were known at run time only.
    error : BaseException, optional
        Raised by Python code that the kernel called, instead of the above.
    """

    pickled: bytes
    values: tuple[Any, ...] | None = None
    error: BaseException | None = None


def call_native(
    function: Callable[..., int], *arguments: Any
) -> tuple[int, BaseException | None]:
    """Call machine code that may run Python code, as a kernel in object mode does.

    Returns
    -------
    status : int
        What it returned.
    error : BaseException or None
        What the Python code raised. ctypes finds it when the call is over, and raises a
        SystemError of it; the status is then that of a kernel that raised.
    """
    try:
        return function(*arguments), None
    except SystemError as error:
        return _PYTHON_ERROR, python_error(error)


def python_error(error: SystemError) -> BaseException:
    """Return what Python code in a kernel raised, of which ctypes made this error."""
    if error.__cause__ is None:
        raise error
    return error.__cause__


def capture(status: int, address: int, error: BaseException | None = None) -> Failure:
    """Copy what machine code raised, before it runs again.

    Parameters
    ----------
    status : int
        What the entry returned.
    address : int
        Of the description.
    error : BaseException, optional
        From `call_native`.
    """
    if error is not None:
        return Failure(b"", error=error)
    if status == _PYTHON_ERROR:
        return Failure(b"", error=_take_python_error())
    found = _Description.from_address(address)
    pickled = ctypes.string_at(found.pickled, found.size)
    if found.count <= 0:
        return Failure(pickled)
    unwrap = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p)(found.unwrap)
    values = unwrap(found.values)
    release = find_symbol("NRT_Free")
    if release is not None:
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(release)(address)
    return Failure(pickled, values)


def _take_python_error() -> BaseException:
    try:
        # ctypes.pythonapi raises what the indicator says after every call.
        ctypes.pythonapi.PyErr_Occurred()
    except BaseException as error:
        return error
    return SystemError("a kernel failed without saying why")


class Place(NamedTuple):
    """Where an exception was raised."""

    function: str
    filename: str
    line: int

    def __str__(self) -> str:
        return f"{self.function}, {self.filename}:{self.line}"


def rebuild(failure: Failure) -> tuple[BaseException, Place | None]:
    """The exception of a failure, and where it was raised if that is known."""
    if failure.error is not None:
        return failure.error, None
    # Written by numba in this program or one that works for it, like all code here.
    kind, arguments, place = pickle.loads(failure.pickled)
    if failure.values is not None:
        given = iter(failure.values)
        arguments = tuple(
            next(given) if _is_placeholder(argument) else argument
            for argument in arguments
        )
    error = _known_class(kind)(*(arguments or ()))
    return error, None if place is None else Place(*place)


def _known_class(kind: type[BaseException]) -> type[BaseException]:
    """The class that this process knows by a name.

    That of a class in the main module was sent by value, and is another object, which
    no ``except`` would catch and which could not be sent on.
    """
    found: Any = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    is_error = isinstance(found, type) and issubclass(found, BaseException)
    return found if is_error else kind


def _is_placeholder(argument: object) -> bool:
    from llvmlite import ir  # numba writes one of its values instead

    return isinstance(argument, ir.Value)


def describe(kernel: str, place: Place | None, where: str = "") -> str:
    """The note that an exception gets: which kernel, where in it, which chunk.

    Examples
    --------
    >>> describe("scale", Place("scale", "waves.py", 12), "chunk 3")
    "raised in kernel 'scale' (scale, waves.py:12), chunk 3"
    """
    source = f" ({place})" if place else ""
    return f"raised in kernel {kernel!r}{source}" + (f", {where}" if where else "")
