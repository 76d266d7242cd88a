"""System calls that fail on files below some directories, to mimic file systems."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import sharray as sh
from sharray.storage import naming
from sharray.system import file_systems, files, memory, pages

ENOTSUPP = 524
MISSING = {
    "EINVAL": errno.EINVAL,
    "EPERM": errno.EPERM,
    "ENOTSUP": errno.ENOTSUP,
    "ENOSYS": errno.ENOSYS,
    "ENOTTY": errno.ENOTTY,
    "524": ENOTSUPP,
}


def _path_of(fd: int) -> str:
    return os.readlink(f"/proc/self/fd/{fd}")


def _is_directory(fd: int) -> bool:
    return os.path.isdir(_path_of(fd))


def _of_fd(fd: int, *_: Any, **__: Any) -> str:
    return _path_of(fd)


# By name: the object and the attribute that hold the call, and a function that returns
# the path of a call of it, or "" for a call that must not fail.
CALLS: dict[str, tuple[Any, str, Callable[..., str]]] = {
    "fsync": (os, "fsync", lambda fd: "" if _is_directory(fd) else _path_of(fd)),
    "fsync_directory": (
        os,
        "fsync",
        lambda fd: _path_of(fd) if _is_directory(fd) else "",
    ),
    "fchmod": (os, "fchmod", _of_fd),
    "fchown": (os, "fchown", _of_fd),
    "fallocate": (os, "posix_fallocate", _of_fd),
    "fadvise": (os, "posix_fadvise", _of_fd),
    "flock": (fcntl, "flock", _of_fd),
    "linkat": (
        os,
        "link",
        lambda old, new, **_: new if old.startswith("/proc/self/fd/") else "",
    ),
    "link": (
        os,
        "link",
        lambda old, new, **_: "" if old.startswith("/proc/self/fd/") else new,
    ),
    "tmpfile": (
        os,
        "open",
        lambda path, flags=0, *_, **__: (
            path if flags & os.O_TMPFILE == os.O_TMPFILE else ""
        ),
    ),
    "statvfs": (os, "statvfs", lambda path: str(path)),
    "shared_mmap": (
        memory,
        "map_file",
        lambda fd, *_, private, **__: "" if private else _path_of(fd),
    ),
    "private_mmap": (
        memory,
        "map_file",
        lambda fd, *_, private, **__: _path_of(fd) if private else "",
    ),
}
# Functions of the C library. They set errno and return -1, for any path.
_C_CALLS: dict[str, tuple[Any, str]] = {
    "renameat2": (files, "_renameat2"),
    "fstatfs": (file_systems, "_fstatfs"),
    "mincore": (pages, "_mincore"),
    "madvise": (pages, "_madvise"),
    "sync_file_range": (memory, "_sync_file_range"),
}
ALL = [*CALLS, *_C_CALLS]


@contextmanager
def failing(codes: dict[str, int], *directories: str) -> Iterator[None]:
    """Make calls fail with these errors on files in or below directories."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(naming, "_can_name", {})
        patch.setattr(file_systems, "_volatile_by_device", {})
        for name, code in codes.items():
            if name in _C_CALLS:
                patch.setattr(*_C_CALLS[name], _failing_c_function(code))
            else:
                module, attribute, path_of = CALLS[name]
                real = getattr(module, attribute)
                fake = _failing(real, path_of, code, directories)
                patch.setattr(module, attribute, fake)
        yield


def _failing(
    real: Any, path_of: Callable[..., str], code: int, directories: tuple[str, ...]
) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        if path_of(*args, **kwargs).startswith(directories):
            raise OSError(code, os.strerror(code))
        return real(*args, **kwargs)

    return call


def _failing_c_function(code: int) -> Any:
    def call(*_: Any) -> int:
        ctypes.set_errno(code)
        return -1

    return call


def failing_flush(array: Any, code: int = errno.EIO) -> None:
    """Flush an array while the system says that it could not write."""

    def sync(address: int, nbytes: int) -> None:
        raise OSError(code, "made up")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "sync", sync)
        with pytest.raises(sh.FlushError):
            array.flush()
