"""Where arrays live: paths on a disk, ``shm://`` names, and the RAM directory.

The RAM directory is one of our own for each user, with mode 0700, below
/dev/shm; the environment variable ``SHARRAY_RAM_DIR`` names another parent.
Named arrays lie in it under their names, anonymous ones in ``.anonymous``
under their uuid.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from ..errors import (
    ArrayNameError,
    ArrayNotFoundError,
    NoSpaceError,
    StorageError,
    UnsafePathError,
)
from ..system import directories, files
from . import room

T = TypeVar("T")

SCHEME = "shm://"
ENVIRONMENT_VARIABLE = "SHARRAY_RAM_DIR"
_LIKE_A_SCHEME = re.compile(r"[a-z]+://|shm:", re.IGNORECASE)
ANONYMOUS = ".anonymous"
_ATTEMPTS = 1000  # to use a directory that others remove, 50 us each
_OURS = f"sharray-{os.getuid()}"


class Location(NamedTuple):
    """A file's absolute path, and whether it is in our RAM directory."""

    path: str
    in_ram: bool


def locate(path: str | os.PathLike[str]) -> Location:
    """Turn what a user wrote into the file that it means.

    Raises
    ------
    ArrayNameError
        An empty path, one with a NUL, bytes, or a bad ``shm://`` name.

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
            "expected a path as str or PathLike, found one of type "
            f"{type(text).__name__}"
        )
    if not text or "\0" in text or not _is_encodable(text):
        raise ArrayNameError(
            f"{text!r} is not a path: expected characters that a file name can have, "
            "and at least one",
            text,
        )
    if not text.startswith(SCHEME) and _LIKE_A_SCHEME.match(text):
        raise ArrayNameError(
            f"{text!r} is neither a path nor a name in RAM: expected {SCHEME}name for "
            "the latter; write ./ in front if it is a path",
            text,
        )
    if not text.startswith(SCHEME):
        absolute = os.path.abspath(text)
        return Location(absolute, is_in_ram(absolute))
    parts = text.removeprefix(SCHEME).split("/")
    if any(not part or part.startswith(".") for part in parts):
        raise ArrayNameError(
            f"{text!r} is not a name for an array in RAM: expected parts "
            "separated by single slashes, none empty or with a leading dot",
            text,
        )
    return Location(os.path.join(ram_directory(), *parts), True)


def _is_encodable(text: str) -> bool:
    try:
        return text.isascii() or bool(os.fsencode(text))
    except UnicodeEncodeError:
        return False


def is_in_ram(path: str) -> bool:
    """Whether an absolute path lies in our RAM directory."""
    # The first test spares most paths the look at the environment.
    return _OURS in path and path.startswith(ram_directory() + os.sep)


def ram_directory() -> str:
    """Our directory for arrays in RAM, whether it exists or not."""
    return _ram_directory(os.environ.get(ENVIRONMENT_VARIABLE, ""))


@functools.lru_cache(maxsize=16)
def _ram_directory(chosen: str) -> str:
    parent = chosen or "/dev/shm"
    if not os.path.isdir(parent):
        if chosen:
            raise ArrayNotFoundError(
                f"{ENVIRONMENT_VARIABLE} names {parent!r}, which is not a directory; "
                "create it, or name another",
                parent,
            )
        import tempfile  # costs 5 ms, and few machines have no /dev/shm

        parent = tempfile.gettempdir()
    return os.path.join(os.path.abspath(parent), _OURS)


def anonymous_directory() -> str:
    """Where arrays without a name have their file once others may need it."""
    return os.path.join(ram_directory(), ANONYMOUS)


def anonymous_path(uuid: bytes) -> str:
    """The file of the anonymous array with this uuid."""
    return os.path.join(anonymous_directory(), uuid.hex() + ".npy")


def is_anonymous(path: str) -> bool:
    """Whether a path lies where anonymous arrays do."""
    return os.path.dirname(path) == anonymous_directory()


def display_name(path: str) -> str:
    """A path as the user would write it: ``shm://...`` if it is in RAM."""
    if not is_in_ram(path):
        return path
    return SCHEME + path.removeprefix(ram_directory() + os.sep)


def dangling_target(path: str) -> str | None:
    """Where a symbolic link leads if there is nothing; None for anything else."""
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
        One of them is a link, another user's, or open for others to write:
        whoever controls a directory can replace what lies in it.
    """
    root = ram_directory()
    if directory.startswith(root + os.sep):
        below = directory[len(root) :]
    else:  # the root itself, or one from before the environment has changed
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
    # Every remedy for a file can be one here, too, but this one always is.
    message = f"{explained}, or name another directory in {ENVIRONMENT_VARIABLE}"
    return type(explained)(message, path, explained.code)


def check_ram_directories(path: str) -> None:
    """Refuse a file in RAM whose directories are not ours alone."""
    root = ram_directory()
    directory = os.path.dirname(path)
    while True:
        try:
            fault = directories.private_directory_fault(directory)
        except OSError:
            return  # opening the file will say it better
        if fault:
            raise UnsafePathError(
                f"cannot trust {path!r}: its directory {directory!r} is not ours alone "
                f"({fault}); remove that, or name another parent directory in "
                f"{ENVIRONMENT_VARIABLE}",
                path,
            )
        if directory == root or len(directory) <= len(root):
            return
        directory = os.path.dirname(directory)


def tidy_ram_directories(directory: str) -> None:
    """Remove `directory` and its parents down to the RAM directory, if empty."""
    root = ram_directory()
    remove = directories.remove_directory_if_empty
    while len(directory) >= len(root) and remove(directory):
        directory = os.path.dirname(directory)


def link_into_ram_directory(fd: int, path: str) -> None:
    """Name an unnamed file in RAM, creating its directories as needed."""
    in_ram_directory(os.path.dirname(path), lambda: files.link_unnamed(fd, path))


def in_ram_directory(directory: str, act: Callable[[], T]) -> T:
    """Do something in a directory in RAM, which is created as needed."""
    for _ in range(_ATTEMPTS):
        try:
            make_ram_directories(directory)
            return act()
        except FileNotFoundError:
            pass  # a process that ended has removed the empty directory meanwhile
    make_ram_directories(directory)
    return act()
