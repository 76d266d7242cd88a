"""Exceptions of kernels: copied from machine code and rebuilt in the caller.

numba's code returns a pointer to a structure that describes the exception: see
``excinfo_t`` and ``set_dynamic_user_exc`` in numba/core/callconv.py. The process that
ran the kernel copies the structure. Only the calling process unpickles the exception,
since perhaps no other process can import its class.
"""

from __future__ import annotations

import ctypes
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from ..native.machine_code import find_symbol
from .blocks import ShapesDifferError
from .places import Place, Places, place_of, with_first_line

_PYTHON_ERROR = -1  # RETCODE_EXC: CPython's own error indicator is set


class _Description(ctypes.Structure):
    _fields_ = (
        ("pickled", ctypes.c_void_p),
        ("size", ctypes.c_int32),
        ("values", ctypes.c_void_p),  # run-time arguments, as machine values
        ("unwrap", ctypes.c_void_p),  # function that makes a tuple of them
        ("count", ctypes.c_int32),  # number of these; 0 if all are compiled in
    )


class Failure(NamedTuple):
    """The exception of a kernel, in a form that can be sent to another process.

    Attributes
    ----------
    pickled : bytes
        Class, arguments and place in the source.
    values : tuple, optional
        Arguments that were known only at run time.
    error : BaseException, optional
        The exception of Python code that the kernel called, instead of the above.
    status : int
        What the kernel returned: see `sharray.kernels.places`.
    """

    pickled: bytes
    values: tuple[Any, ...] | None = None
    error: BaseException | None = None
    status: int = 0


def call_native(
    function: Callable[..., int], *arguments: Any
) -> tuple[int, BaseException | None]:
    """Call machine code that may run Python code, as a kernel in object mode does.

    Returns
    -------
    status : int
        The value that `function` returned.
    error : BaseException or None
        The exception of the Python code. ctypes finds it after the call and raises a
        SystemError with it as cause. The status is then that of a kernel that raised.
    """
    try:
        return function(*arguments), None
    except SystemError as error:
        return _PYTHON_ERROR, python_error(error)


def python_error(error: SystemError) -> BaseException:
    """Return the exception of Python code in a kernel from the error of ctypes."""
    if error.__cause__ is None:
        raise error
    return error.__cause__


def capture(status: int, address: int, error: BaseException | None = None) -> Failure:
    """Copy the exception of machine code, before the code runs again.

    Parameters
    ----------
    status : int
        The status that the entry returned.
    address : int
        Address of numba's description of the exception.
    error : BaseException, optional
        The exception that `call_native` returned.
    """
    if error is not None:
        return Failure(b"", error=error)
    if status == _PYTHON_ERROR:
        return Failure(b"", error=_take_python_error())
    found = _Description.from_address(address)
    pickled = ctypes.string_at(found.pickled, found.size)
    if found.count <= 0:
        return Failure(pickled, status=status)
    unwrap = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p)(found.unwrap)
    values = unwrap(found.values)
    release = find_symbol("NRT_Free")
    if release is not None:
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(release)(address)
    return Failure(pickled, values, status=status)


def _take_python_error() -> BaseException:
    try:
        # After every call, ctypes.pythonapi raises the exception of the indicator.
        ctypes.pythonapi.PyErr_Occurred()
    except BaseException as error:
        return error
    return SystemError("a kernel failed without saying why")


def rebuild(
    failure: Failure, places: Places | None = None
) -> tuple[BaseException, Place | None]:
    """Rebuild the exception of a failure, and the place that raised it if known.

    Parameters
    ----------
    failure : Failure
        From `capture`.
    places : dict, optional
        The functions that the kernel may call.
    """
    if failure.error is not None:
        return failure.error, None
    # Safe to unpickle: numba wrote it, in this program or in one of its workers.
    kind, arguments, place = pickle.loads(failure.pickled)
    if failure.values is not None:
        given = iter(failure.values)
        arguments = tuple(
            next(given) if _is_placeholder(argument) else argument
            for argument in arguments
        )
    error = _known_class(kind)(*(arguments or ()))
    if isinstance(error, ShapesDifferError):  # not raised by a line of the kernel
        return error, None
    told = place_of(failure.status, places or {})
    found = told if place is None else with_first_line(Place(*place), places or {})
    if found is not None and found.is_in_numba:
        found = told or found
    return error, found


def _known_class(kind: type[BaseException]) -> type[BaseException]:
    """Return the class of this process that has the same name.

    A class of the main module was sent by value, and is a copy here. No ``except``
    would catch the copy, and it could not be pickled again.
    """
    found: Any = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    is_error = isinstance(found, type) and issubclass(found, BaseException)
    return found if is_error else kind


def _is_placeholder(argument: object) -> bool:
    from llvmlite import ir  # numba puts one of its values as a placeholder

    return isinstance(argument, ir.Value)


def note(
    error: BaseException, kernel: str, place: Place | None, where: str = ""
) -> None:
    """Add a note to an exception: the kernel, the place in it, the chunk.

    An exception object that is raised again gets the new note instead of the old one.

    Examples
    --------
    >>> error = ValueError("negative")
    >>> note(error, "scale", Place("scale", "waves.py", 12), "chunk 3")
    >>> error.__notes__
    ["raised in kernel 'scale' (scale, waves.py:12), chunk 3"]
    """
    begin = f"raised in kernel {kernel!r}"
    source = f" ({place})" if place else ""
    with suppress(Exception):  # its class may refuse notes
        drop_notes(error, begin)
        error.add_note(f"{begin}{source}" + (f", {where}" if where else ""))


def drop_notes(error: BaseException, begin: str) -> None:
    """Drop the notes of an exception that begin with a text."""
    notes = getattr(error, "__notes__", [])
    notes[:] = [one for one in notes if not str(one).startswith(begin)]
