"""The errors of this library.

Each is also a subclass of the standard library's error for the same problem. So code
that catches ``FileNotFoundError`` or ``ValueError`` keeps working. Each has the path of
its file, and can be pickled to cross processes. The message says what was expected,
what was found, and the remedy. It names an array in RAM as it was written,
``shm://name``; the attributes `path` and `filename` have the path of its file.
"""

from __future__ import annotations

import errno as _errno
from typing import Any

from .hints import hint
from .names import quote

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
        The problem, the expected and the actual value, and the remedy.
    path : str, optional
        Path of the file of the problem, also for an array in RAM.
    code : int, optional
        The ``errno`` of an error that is an `OSError`; each class has a default.

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
    """The file is not an array file, or its header does not fit its size."""


class DtypeError(SharrayError, TypeError):
    """The dtype cannot be shared: its elements are not plain bytes."""


class ShapeError(SharrayError, ValueError, TypeError):
    """The shape is impossible, too large, or not a shape at all."""


class ArrayNameError(SharrayError, ValueError):
    """The path or the ``shm://`` name is not possible for an array."""


class NotSharedError(SharrayError, ValueError):
    """The array is a private copy, without a file for this operation."""


class HandleError(SharrayError, ValueError):
    """A handle does not fit the array that it names."""


class KernelError(SharrayError, TypeError):
    """The kernel cannot be compiled, or not be used in this way."""


class MessageError(SharrayError, RuntimeError):
    """The arrays of a message cannot be received."""


class TeamError(SharrayError, RuntimeError):
    """The team is closed, belongs to another process, or could not start."""


class WorkerDied(SharrayError, RuntimeError):  # noqa: N818  # says more than -Error
    """A worker process ended while it ran a kernel.

    Attributes
    ----------
    signal : str or None
        The signal that ended it, such as ``"SIGKILL"``; None if it ended by itself.
    kernel : str or None
        The name of the kernel.
    chunk : tuple of int or None
        Begin and end of the chunk that it was working on.
    """

    signal: str | None = None
    kernel: str | None = None
    chunk: tuple[int, int] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return (*super().__reduce__(), vars(self))


class StorageError(SharrayError, OSError):
    """A system call failed; `errno` has the reason."""

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
    """The permissions do not allow the operation."""

    default_code = _errno.EACCES


class UnsafePathError(AccessError):
    """Another user could have put this file or directory here."""


class NoSpaceError(StorageError):
    """The disk or the RAM disk has no room for the array."""

    default_code = _errno.ENOSPC


class BusyError(StorageError, BlockingIOError):
    """Another program holds an exclusive lock on the file."""

    default_code = _errno.EAGAIN


class FlushError(StorageError):
    """Data did not reach the disk; the fault stays until `sharray.clear_fault`."""


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
    """Return this library's error for an OSError, with a remedy.

    Parameters
    ----------
    error : OSError
        The error of a system call.
    doing : str
        The operation, as in "cannot <doing>".
    path : str
        The file of the operation.

    Returns
    -------
    StorageError
        An error of the class for `error.errno`; raise it ``from`` the original.

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
    return kind(f"cannot {doing} {quote(path)}: {said}", path, code)
