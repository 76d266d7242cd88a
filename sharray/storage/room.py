"""Room for a new file: refuse early, and name the resource that is short."""

from __future__ import annotations

import errno
import os
import sys

from ..errors import NoSpaceError, StorageError, explain
from ..names import current_ram_directory, is_in_ram, quote
from ..system import file_systems, files

# To ask for the available memory takes 50 us, too long for small arrays.
_WORTH_ASKING = 64 << 20


def check_room(fd: int, size: int, path: str) -> None:
    """Refuse a file at once if writing it would fail, perhaps after minutes.

    Some writes would not even fail. A RAM disk accepts more data than there is memory;
    then the kernel kills a process. Beyond the limit on file sizes (ulimit -f), it
    kills this process, unless SIGXFSZ is ignored.
    """
    if size > file_systems.size_limit():
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    if size < _WORTH_ASKING:
        return
    if size > file_systems.free_bytes(os.path.dirname(path)):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if not file_systems.is_volatile(fd, files.status(fd).st_dev):
        return
    from ..system import limits  # 2 ms that only large arrays need

    available = limits.available_memory()
    if available is not None and size > available:
        raise NoSpaceError(
            f"cannot create the array {quote(path)}: it needs {size} bytes, but this "
            f"machine or container has only {available} bytes of memory free; end "
            "programs that use much memory, or create the array on a disk",
            path,
        )


def explain_no_room(
    error: OSError, doing: str, path: str, size: int, variable: str = ""
) -> StorageError:
    """Return an error that names the short resource: bytes, inodes, quota, or limit.

    Parameters
    ----------
    error : OSError
        ENOSPC, EDQUOT or EFBIG. Any other error is passed to `sharray.errors.explain`.
    doing : str
        See `sharray.errors.explain`.
    path : str
        The file or directory that could not be made.
    size : int
        Its size in bytes.
    variable : str, optional
        Environment variable that can name another directory for it.
    """
    explained = explain(error, doing, path)
    if not isinstance(explained, NoSpaceError):
        return explained
    directory = os.path.dirname(path)
    if is_in_ram(path):  # show the RAM disk, which the user knows
        directory = os.path.dirname(current_ram_directory())
    problem, remedy = _missing(explained.code, size, directory, bool(variable))
    if variable and explained.code != errno.EFBIG:
        remedy += f", or name another directory in {variable}"
    message = f"cannot {doing} {quote(path)}: {problem}; {remedy}"
    return NoSpaceError(message, path, explained.code)


def _missing(code: int, size: int, directory: str, in_ram: bool) -> tuple[str, str]:
    """Return the problem and the remedy."""
    needed, free = f"it needs {size} bytes", _free_bytes(directory)
    if code == errno.EFBIG:
        limit = file_systems.size_limit()
        if size > limit:
            return (
                f"{needed}, but files of this process may have at most {limit}",
                "raise the limit (ulimit -f)",
            )
        return (
            f"{needed}, but its file system does not support files this large",
            "choose another directory",
        )
    if code == errno.EDQUOT:
        return (
            f"{needed}, but the disk quota of this user, group or project is used up "
            f"({_told(free, ' bytes')} in {directory!r})",
            "remove files (see quota -s), or choose another directory",
        )
    if file_systems.free_inodes(directory) == 0:
        more = " (mount -o remount,nr_inodes=...)" if in_ram else ""
        return (
            f"all inodes of {directory!r} are used up: its file system can hold no "
            f"more files, although {_told(free, ' bytes')}",
            f"remove files (df -i {directory} counts them), or add inodes{more}",
        )
    problem = f"{needed}, {_told(free)} in {directory!r} ({os.strerror(code)})"
    if size <= free:
        return (
            f"{problem}, so a quota or a reserve of the file system is the limit",
            "remove files, or choose another directory",
        )
    if in_ram:
        return problem, (
            "remove files, call sharray.gc(), give the RAM disk more room "
            "(mount -o remount,size=... /dev/shm, or --shm-size in docker)"
        )
    return problem, "remove files, or choose another directory"


def _free_bytes(directory: str) -> int:
    while True:
        try:
            return file_systems.free_bytes(directory)
        except OSError:
            # The directory may not exist, if it could not be made.
            if directory == os.path.dirname(directory):
                return sys.maxsize
            directory = os.path.dirname(directory)


def _told(free: int, unit: str = "") -> str:
    if free == sys.maxsize:
        return "an unknown number of bytes is free"
    return f"{free}{unit} are free"
