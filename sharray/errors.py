"""Every error that sharray raises on purpose.

Each is also the standard library's error for the same trouble, so that code
which already catches ``FileNotFoundError`` or ``ValueError`` keeps working.
Each carries the path it is about, survives pickling (it may cross processes),
and says in its message what was expected, what was found and what to do.
"""

from __future__ import annotations

import errno as _errno
from typing import Any

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


_ELSEWHERE = "choose another directory"
_SERVER = (
    StorageError,
    "the server or program behind its file system does not answer; check that, and "
    "mount the file system again",
)
_DAMAGED = (
    StorageError,
    "its file system is damaged; check it (dmesg, fsck), and restore the file from a "
    "copy",
)
# What each errno means, and what to do about it.
_HINTS: dict[int, tuple[type[StorageError], str]] = {
    _errno.ENOENT: (
        ArrayNotFoundError,
        "there is no such file or directory; check the path",
    ),
    _errno.EEXIST: (
        ArrayExistsError,
        "the name is taken; open it with sharray.open, choose another name, "
        "or pass overwrite=True",
    ),
    _errno.EACCES: (
        AccessError,
        "permission denied; check the owner and mode of the file and of its "
        "directories, and security modules such as SELinux (ls -lZ)",
    ),
    _errno.EPERM: (
        AccessError,
        "not permitted for this user; check the owner, and attributes such as "
        "immutable (lsattr)",
    ),
    _errno.EROFS: (
        AccessError,
        f"the file system is mounted read-only; {_ELSEWHERE}, or mount it writable",
    ),
    _errno.ENOSPC: (NoSpaceError, "there is no space left; remove what is not needed"),
    _errno.EDQUOT: (
        NoSpaceError,
        "the disk quota is used up; remove what is not needed (see quota -s)",
    ),
    _errno.EISDIR: (StorageError, "it is a directory, expected a file"),
    _errno.ENOTDIR: (StorageError, "a part of the path is not a directory; check it"),
    _errno.ELOOP: (
        UnsafePathError,
        "expected no symbolic link there: in RAM none is followed, and elsewhere none "
        "that leads back to itself; remove it",
    ),
    _errno.EMFILE: (
        StorageError,
        "this process has too many open files; raise the limit (ulimit -n) "
        "or drop arrays that are not needed",
    ),
    _errno.ENFILE: (
        StorageError,
        "all processes together have too many open files; end some, or raise the "
        "limit (sysctl fs.file-max)",
    ),
    _errno.EAGAIN: (BusyError, "another program has locked it; wait for that to end"),
    _errno.EBUSY: (
        StorageError,
        "the system or another program is using it; wait for that to end, and check "
        "that nothing is mounted there",
    ),
    _errno.ETXTBSY: (
        StorageError,
        "it is a program that is running, or a swap file; choose another file",
    ),
    _errno.ENAMETOOLONG: (StorageError, "the name is too long; choose a shorter one"),
    _errno.EILSEQ: (
        StorageError,
        "its file system does not take the characters of this name; choose plain "
        "letters and digits",
    ),
    _errno.EFBIG: (
        NoSpaceError,
        "neither this process (ulimit -f) nor its file system may hold files this "
        f"large; raise the limit, or {_ELSEWHERE}",
    ),
    _errno.EOVERFLOW: (
        StorageError,
        f"its file system does not hold files this large; {_ELSEWHERE}",
    ),
    _errno.ENOMEM: (
        StorageError,
        "the system has no memory left for it; end programs that use much",
    ),
    _errno.ENXIO: (
        StorageError,
        "it is a socket, or a device that is not there; expected a regular file",
    ),
    _errno.ENODEV: (
        StorageError,
        "it is a device that is not there; expected a regular file",
    ),
    _errno.ENODATA: (
        StorageError,
        "it was truncated meanwhile; restore it from a copy",
    ),
    _errno.EIO: (
        StorageError,
        "its disk or the connection to it has failed (input/output error); check them "
        "(dmesg), and restore the file from a copy",
    ),
    _errno.ESTALE: (
        StorageError,
        "the file server has removed or replaced it (stale file handle); open it "
        "again, or mount the file system again",
    ),
    _errno.EUCLEAN: _DAMAGED,
    _errno.EBADMSG: _DAMAGED,
    _errno.ENOTCONN: _SERVER,
    _errno.ECONNABORTED: _SERVER,
    _errno.ETIMEDOUT: _SERVER,
    _errno.EHOSTDOWN: _SERVER,
    _errno.ENOKEY: (
        AccessError,
        "the file is encrypted, and its key is not there; open its directory with the "
        "tool that encrypts it",
    ),
    _errno.EKEYEXPIRED: (
        AccessError,
        "the ticket for the file server has expired; make a new one (kinit)",
    ),
}
_CANNOT_SHARE = "its file system does not map files that processes share"
# Where the same errno means something else, by the verb of what was tried.
_HINTS_BY_VERB: dict[tuple[str, int], str] = {
    ("create", _errno.EACCES): (
        f"permission denied; {_ELSEWHERE}, or check the owner and mode of this one, "
        "and security modules such as SELinux (ls -ldZ)"
    ),
    ("open", _errno.EROFS): (
        "the file system is mounted read-only; open the array with mode='r'"
    ),
    ("open", _errno.ETXTBSY): (
        "it is a program that is running, or a swap file; open it with mode='r', or "
        "choose another file"
    ),
    ("create", _errno.EINVAL): (
        "its file system does not take this name, or this size; choose a name of plain "
        f"letters and digits, or {_ELSEWHERE}"
    ),
    ("create", _errno.EBUSY): (
        f"the system or another program is using this name; {_ELSEWHERE}, or another "
        "name"
    ),
    ("create", _errno.EIO): (
        "the disk or the connection to it has failed (input/output error); check them "
        f"(dmesg), or {_ELSEWHERE}"
    ),
    ("create", _errno.ESTALE): (
        "the file server has removed or replaced the directory (stale file handle); "
        "mount the file system again"
    ),
    ("map", _errno.ENOMEM): (
        "there is no memory or address space left to map it; drop arrays that are "
        "not needed, or raise the limits (ulimit -v, vm.max_map_count)"
    ),
    ("map", _errno.EAGAIN): (
        "more memory would be locked than this process may (mlockall); raise the "
        "limit (ulimit -l)"
    ),
    ("map", _errno.EACCES): (
        f"{_CANNOT_SHARE}, or a security module such as SELinux forbids it; open it "
        "with mode='c', or choose another directory"
    ),
    ("map", _errno.ENODEV): (
        f"{_CANNOT_SHARE}; open it with mode='c' (changes stay private), or copy it "
        "to another disk"
    ),
    ("map", _errno.EINVAL): (
        f"{_CANNOT_SHARE} and may write; open it with mode='r' or mode='c', or copy "
        "it to another disk"
    ),
}
for _code in (
    _errno.EACCES,
    _errno.EINVAL,
    _errno.ENODEV,
    _errno.ENOSYS,
    _errno.EOPNOTSUPP,
    _errno.EPERM,
):
    _HINTS_BY_VERB.setdefault(("map", _code), _HINTS_BY_VERB["map", _errno.ENODEV])
    _HINTS_BY_VERB["map the new array", _code] = (
        f"{_CANNOT_SHARE}; {_ELSEWHERE}, or write it with numpy.save and open it with "
        "mode='c'"
    )
    _HINTS_BY_VERB["map a private copy of", _code] = (
        "its file system does not map files at all; use numpy.load, or copy it to "
        "another disk"
    )


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
    unknown = f"{error.strerror or error}; check its file system (dmesg)"
    kind, hint = _HINTS.get(code, (StorageError, unknown))
    if error.errno is None:
        hint = unknown
    for verb in (doing.partition(" ")[0], doing):
        hint = _HINTS_BY_VERB.get((verb, code), hint)
    return kind(f"cannot {doing} {path!r}: {hint}", path, code)
