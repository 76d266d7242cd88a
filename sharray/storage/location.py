"""Locations of arrays: paths on a disk, ``shm://`` names, and the RAM directory.

Each user has a RAM directory below /dev/shm, with mode 0700. The environment variable
``SHARRAY_RAM_DIR`` names another parent directory. Named arrays are in the RAM
directory under their names, anonymous ones in ``.anonymous`` under their uuid.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TypeVar

from ..errors import (
    ArrayNameError,
    ArrayNotFoundError,
    NoSpaceError,
    StorageError,
    UnsafePathError,
)
from ..names import ANONYMOUS, ENVIRONMENT_VARIABLE, SCHEME, is_in_ram, quote
from ..names import ram_directory as directory_below
from ..system import directories, files
from . import room

T = TypeVar("T")

_LIKE_A_SCHEME = r"(?i:[a-z]+://|shm:)"  # compiled on first use: import is faster
CONTROL = ".control"
# By directory: the st_dev of files in it, once it was found to be private.
_devices: dict[str, int] = {}
_ATTEMPTS = 1000  # for a directory that others keep removing; 50 us each


class Location(NamedTuple):
    """A file's absolute path, and a flag: True if it is in our RAM directory."""

    path: str
    in_ram: bool


def locate(path: str | os.PathLike[str]) -> Location:
    """Convert a path or name from a user to the location of a file.

    Raises
    ------
    ArrayNameError
        The path is empty, contains NUL, or is of type bytes, or a ``shm://`` name is
        bad.

    Examples
    --------
    >>> locate("shm://run7/velocity").in_ram
    True
    >>> locate("shm://../passwd")
    Traceback (most recent call last):
        ...
    sharray.errors.ArrayNameError: 'shm://../passwd' is not a name for an array...
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise ArrayNameError(
            f"expected a path as str or PathLike, got one of type {type(text).__name__}"
        )
    if not text or "\0" in text or not _is_encodable(text):
        raise ArrayNameError(
            f"{text!r} is not a path: expected a non-empty file name without NUL, in "
            "characters that the file system's encoding has; choose another name",
            text,
        )
    if not text.startswith(SCHEME) and ":" in text and re.match(_LIKE_A_SCHEME, text):
        raise ArrayNameError(
            f"{text!r} is neither a path nor a name in RAM: expected {SCHEME}name for "
            "an array in RAM; if it is a path, write ./ in front",
            text,
        )
    if not text.startswith(SCHEME):
        absolute = os.path.abspath(text)
        return Location(absolute, is_in_ram(absolute))
    parts = text.removeprefix(SCHEME).split("/")
    if any(not part or part.startswith(".") for part in parts):
        raise ArrayNameError(
            f"{text!r} is not a name for an array in RAM: expected parts separated by "
            f"single slashes, none empty or with a leading dot, as in {SCHEME}run7/a",
            text,
        )
    return Location(os.path.join(ram_directory(), *parts), True)


def _is_encodable(text: str) -> bool:
    try:
        return text.isascii() or bool(os.fsencode(text))
    except UnicodeEncodeError:
        return False


def ram_directory() -> str:
    """Return the path of our RAM directory, which need not exist.

    Raises
    ------
    ArrayNotFoundError
        The environment variable names no directory.
    """
    return _ram_directory(os.environ.get(ENVIRONMENT_VARIABLE, ""))


@functools.lru_cache(maxsize=16)
def _ram_directory(chosen: str) -> str:
    if chosen and not os.path.isdir(chosen):
        raise ArrayNotFoundError(
            f"{ENVIRONMENT_VARIABLE} names {chosen!r}, which is not a directory; "
            "create it, or name another directory",
            chosen,
        )
    return directory_below(chosen)


def anonymous_directory() -> str:
    """Return the directory of the anonymous arrays that others may open."""
    return f"{ram_directory()}/{ANONYMOUS}"


def anonymous_name(uuid: bytes) -> str:
    """Return the name in that directory of the anonymous array with this uuid."""
    return uuid.hex() + ".npy"


def control_directory() -> str:
    """Return the directory of the control pages of files on disks."""
    return os.path.join(ram_directory(), CONTROL)


def is_anonymous(path: str) -> bool:
    """Tell whether a path is in the directory of anonymous arrays."""
    return path.rpartition("/")[0] == anonymous_directory()


def dangling_target(path: str) -> str | None:
    """Return the target of a dangling symbolic link; None for any other path."""
    try:
        leads_to = os.readlink(path)
    except OSError:
        return None
    return None if os.path.exists(path) else leads_to


def make_ram_directories(directory: str) -> None:
    """Create the RAM directory and those below it down to `directory`.

    Raises
    ------
    UnsafePathError
        One of the directories is a link, belongs to another user, or can be written by
        others. A user who controls a directory can replace the files in it.
    """
    root = ram_directory()
    if directory.startswith(root + os.sep):
        below = directory[len(root) :]
    else:  # the root itself, or a path from before the environment changed
        below = os.sep + os.path.relpath(directory, root)
    path = root
    for part in below.split(os.sep):
        path = os.path.join(path, part) if part not in ("", os.curdir) else path
        try:
            directories.make_private_directory(path)
            fault = directories.private_directory_fault(path)
        except OSError as error:
            raise _explain_directory(error, path) from error
        if fault:
            raise UnsafePathError(
                f"cannot keep arrays in {path!r}: {fault}; remove it, or name "
                f"another parent directory in {ENVIRONMENT_VARIABLE}",
                path,
            )


def _explain_directory(error: OSError, path: str) -> StorageError:
    doing = "create the directory"
    explained = room.explain_no_room(error, doing, path, 0, ENVIRONMENT_VARIABLE)
    if isinstance(explained, NoSpaceError):
        return explained
    # The remedies for a file may help here, too, but this one always helps.
    message = f"{explained}, or name another directory in {ENVIRONMENT_VARIABLE}"
    return type(explained)(message, path, explained.code)


def check_ram_directories(path: str) -> None:
    """Refuse a file in RAM if others can write to its directories."""
    root = ram_directory()
    directory = os.path.dirname(path)
    while True:
        try:
            fault = directories.private_directory_fault(directory)
        except OSError:
            return  # opening the file will raise a better error
        if fault:
            raise UnsafePathError(
                f"cannot trust {quote(path)}: its directory {directory!r} is not "
                f"private ({fault}); remove that directory, or name another parent "
                f"directory in {ENVIRONMENT_VARIABLE}",
                path,
            )
        if directory == root or len(directory) <= len(root):
            return
        directory = os.path.dirname(directory)


def tidy_ram_directories(directory: str) -> None:
    """Remove `directory` and its parents up to the RAM directory, if empty."""
    root = ram_directory()
    remove = directories.remove_directory_if_empty
    while len(directory) >= len(root) and remove(directory):
        directory = os.path.dirname(directory)


def open_unnamed(directory: str) -> int | None:
    """Open a file without a name in a directory in RAM, which is created as needed.

    Return None where the file system has no such files.
    """
    device = _devices.get(directory)  # only of the directory of anonymous arrays
    fd = None
    if device is not None:
        with suppress(OSError):  # such as an empty directory that others have removed
            fd = files.open_unnamed(directory)
    # Nobody sees a file without a name, whatever has become of the directory since. An
    # anonymous array gets a name after a look at all directories. But a link in the
    # place of this one must not lead to another user's file system.
    if fd is not None:
        if _device_of(fd) == device:
            return fd
        files.close(fd)
    fd = in_ram_directory(directory, lambda: files.open_unnamed(directory))
    if fd is not None and directory == anonymous_directory():
        _devices[directory] = _device_of(fd)
    return fd


def _device_of(fd: int) -> int:
    """Return the st_dev of an open file, or close it."""
    try:
        return files.status(fd).st_dev
    except BaseException:
        files.close(fd)
        raise


def link_into_ram_directory(fd: int, path: str) -> None:
    """Name an unnamed file in RAM, creating its directories as needed."""
    in_ram_directory(os.path.dirname(path), lambda: files.link_unnamed(fd, path))


def in_ram_directory(directory: str, act: Callable[[], T]) -> T:
    """Call a function that needs a directory in RAM; create the directory first."""
    for _ in range(_ATTEMPTS):
        try:
            make_ram_directories(directory)
            return act()
        except FileNotFoundError:
            pass  # another process, at its end, has removed the empty directory
    make_ram_directories(directory)
    return act()
