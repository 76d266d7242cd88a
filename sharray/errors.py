"""Every error that sharray raises on purpose.

Each is also the standard library's error for the same trouble, so that code
which already catches ``FileNotFoundError`` or ``ValueError`` keeps working.
Each carries the path it is about, survives pickling (it may cross processes),
and says in its message what was expected, what was found and what to do.
"""

from __future__ import annotations

import errno as _errno
from typing import Any

from .hints import hint

__all__ = [
    "AccessError",
    "ArrayExistsError",
    "ArrayGoneError",
    "ArrayNameError",
    "ArrayNotFoundError",
    "BusyError",
    "DtypeError",
    "FlushError",
    "FormatError",
    "HandleError",
    "KernelError",
    "MessageError",
    "NoSpaceError",
    "NotSharedError",
    "ShapeError",
    "SharrayError",
    "StorageError",
    "TeamError",
    "UnsafePathError",
    "WorkerDied",
]


class SharrayError(Exception):
    """Base class of all errors of this library.

    Parameters
    ----------
    message : str
        What was expected, what was found, what to do.
    path : str, optional
        The file it is about.
    code : int, optional
        The ``errno`` for those that are an `OSError`; each class has one.

    Examples
    --------
    >>> error = FormatError("not an array", "notes.txt")
    >>> error.path
    'notes.txt'
    >>> isinstance(error, ValueError)
    True
    """

    default_code = 0

    def __init__(
        self, message: str, path: str | None = None, code: int | None = None
    ) -> None:
        self.message = message
        self.path = path
        self.code = self.default_code if code is None else code
        if isinstance(self, OSError):
            # OSError fills errno, strerror and filename from its arguments.
            OSError.__init__(self, self.code, message, path)
        else:
            super().__init__(message)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.path, self.code)


class FormatError(SharrayError, ValueError):
    """The file is not an array file, or its header contradicts its size."""


class DtypeError(SharrayError, TypeError):
    """The dtype cannot be shared: its elements are not plain bytes."""


class ShapeError(SharrayError, ValueError, TypeError):
    """The shape is impossible, too large, or not a shape at all."""


class ArrayNameError(SharrayError, ValueError):
    """The path or the ``shm://`` name is not one that an array can have."""


class NotSharedError(SharrayError, ValueError):
    """The array is a private copy, so there is no file to do this with."""


class HandleError(SharrayError, ValueError):
    """A handle does not fit the array that it names."""


class KernelError(SharrayError, TypeError):
    """The kernel cannot be compiled, or not be used so."""


class MessageError(SharrayError, RuntimeError):
    """The arrays of a message cannot be received."""


class TeamError(SharrayError, RuntimeError):
    """The team is closed, belongs to another process, or could not start."""


class WorkerDied(SharrayError, RuntimeError):  # noqa: N818  # says more than -Error
    """A worker process ended while it ran a kernel.

    Attributes
    ----------
    signal : str or None
        What ended it, as in ``"SIGKILL"``; None if it ended by itself.
    kernel : str or None
        The kernel that it ran.
    chunk : tuple of int or None
        Begin and end of what it was working on.
    """

    signal: str | None = None
    kernel: str | None = None
    chunk: tuple[int, int] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return (*super().__reduce__(), vars(self))


class StorageError(SharrayError, OSError):
    """The operating system refused; `errno` tells why."""

    default_code = _errno.EIO


class ArrayNotFoundError(StorageError, FileNotFoundError):
    """No array has this name."""

    default_code = _errno.ENOENT


class ArrayGoneError(ArrayNotFoundError):
    """The file of an array, or of a handle to one, has been removed or replaced."""


class ArrayExistsError(StorageError, FileExistsError):
    """The name is taken."""

    default_code = _errno.EEXIST


class AccessError(StorageError, PermissionError):
    """The permissions do not allow it."""

    default_code = _errno.EACCES


class UnsafePathError(AccessError):
    """Somebody else could have put this file or directory here."""


class NoSpaceError(StorageError):
    """The disk or the RAM disk has no room for the array."""

    default_code = _errno.ENOSPC


class BusyError(StorageError, BlockingIOError):
    """Another program holds an exclusive lock on the file."""

    default_code = _errno.EAGAIN


class FlushError(StorageError):
    """Data did not reach the disk; sticks until `sharray.clear_fault`."""


_KINDS: dict[int, type[StorageError]] = {
    _errno.ENOENT: ArrayNotFoundError,
    _errno.EEXIST: ArrayExistsError,
    _errno.EACCES: AccessError,
    _errno.EPERM: AccessError,
    _errno.EROFS: AccessError,
    _errno.ELOOP: UnsafePathError,
    _errno.ENOSPC: NoSpaceError,
    _errno.EDQUOT: NoSpaceError,
    _errno.EFBIG: NoSpaceError,
    _errno.EAGAIN: BusyError,
}


def explain(error: OSError, doing: str, path: str) -> StorageError:
    """Turn a bare OSError into the error of this library that says more.

    Parameters
    ----------
    error : OSError
        What the system call raised.
    doing : str
        What was tried, as in "cannot <doing>".
    path : str
        The file it was tried on.

    Returns
    -------
    StorageError
        Of the class that fits `error.errno`; raise it ``from`` the original.

    Examples
    --------
    >>> raw = FileNotFoundError(2, "No such file or directory")
    >>> print(explain(raw, "open the array", "a.npy"))
    cannot open the array 'a.npy': there is no such file or directory; check the path
    """
    code = error.errno or _errno.EIO
    said = None if error.errno is None else hint(code, doing)
    if said is None:
        said = f"{error.strerror or error}; check its file system (dmesg)"
    kind = _KINDS.get(code, StorageError)
    return kind(f"cannot {doing} {path!r}: {said}", path, code)
