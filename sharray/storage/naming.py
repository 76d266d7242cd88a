"""Naming of new files: only when complete, and never by taking another file's name.

A new file has no name while it is written (O_TMPFILE), so that it vanishes if its
process is killed. A link gives it its name. To replace another file, it gets a
temporary name by a link, and its own by a rename. Some file systems lack these calls:

===================  =============================================================
missing              instead
===================  =============================================================
O_TMPFILE            a temporary name from the beginning
link of such a file  a copy under a temporary name
link                 rename without replacing
both                 an empty file claims the name, and a rename replaces that file
===================  =============================================================

Other processes can notice only the last one: for a moment, they see an empty file. If
the process is killed at that moment, the empty file stays.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from ..errors import StorageError
from ..names import quote
from ..system import files
from . import location
from .lifetime import lease

# The suffix of temporary names.
UNFINISHED = ".new"

_LONGEST_PART = 200  # of the file's name, so that all stays below the usual 255 bytes

T = TypeVar("T")

# By directory: True if a file without a name can get one there.
_can_name: dict[str, bool] = {}


def new_file(
    place: location.Location, *, mapped_first: bool = False
) -> tuple[int, str | None]:
    """Open a leased file without a name, or else with a temporary name.

    If it is `mapped_first`, it cannot be copied later: see `new_nameable_file`.
    """
    path, in_ram = place
    directory = os.path.dirname(path)
    fd = None
    if mapped_first:
        fd = new_nameable_file(directory, path, in_ram=in_ram)
    elif _can_name.get(directory, True):
        fd = _new_unnamed(directory, path, in_ram=in_ram)
    return new_visible_file(path) if fd is None else (fd, None)


def new_visible_file(path: str) -> tuple[int, str]:
    """Open a leased file with a temporary name beside `path`."""
    temporary, fd = _claim_beside(path, open_visible)
    return fd, temporary


def new_nameable_file(directory: str, path: str, *, in_ram: bool = True) -> int | None:
    """Open a leased file without a name, if it can get a name later.

    Return None if the file system cannot do that. This is tried once per directory. It
    must be known in advance, since the fallback, a copy, is impossible once processes
    have mapped the array.
    """
    can_name = _can_name.get(directory)
    if can_name is None:
        can_name = _try_to_name(directory, path, in_ram=in_ram)
        _can_name[directory] = can_name
    if not can_name:
        return None
    return _new_unnamed(directory, path, in_ram=in_ram)


def new_file_in_ram(path: str) -> int:
    """Open a leased file in RAM that has its name from the start."""
    return location.in_ram_directory(os.path.dirname(path), lambda: open_visible(path))


def _new_unnamed(directory: str, path: str, *, in_ram: bool) -> int | None:
    opener = location.open_unnamed if in_ram else files.open_unnamed
    fd = opener(directory)
    if fd is not None:
        hold_or_close(fd, path)
    return fd


def _try_to_name(directory: str, path: str, *, in_ram: bool) -> bool:
    fd = _new_unnamed(directory, directory, in_ram=in_ram)
    if fd is None:
        return False
    try:
        if in_ram:
            _try_in_ram(fd)
        else:
            _claim_beside(path, lambda name: files.try_link_unnamed(fd, name))
    except OSError as error:
        if files.cannot_link(error):
            return False
        raise
    finally:
        files.close(fd)
    return True


def _try_in_ram(fd: int) -> None:
    # Not in `directory`, where every visible file must be a complete array.
    root = location.ram_directory()
    # First, so that an error of a directory is not taken for that of a name.
    location.in_ram_directory(root, lambda: None)
    _claim_beside(
        os.path.join(root, "trial"),
        lambda name: location.in_ram_directory(
            root, lambda: files.try_link_unnamed(fd, name)
        ),
    )


def hold_or_close(fd: int, path: str) -> None:
    """Take the lease on a newly opened file, and close the file if that fails."""
    try:
        lease.hold(fd, path)
    except BaseException:
        files.close(fd)
        raise


def open_visible(path: str) -> int:
    """Open a leased new file under a name, for file systems that need one."""
    while True:
        fd = files.open_new(path)
        try:
            lease.hold(fd, path)
            if files.has_name(files.status(fd), path):
                return fd
        except BaseException:
            remove(fd, path)
            files.close(fd)
            raise
        files.close(fd)  # another process reaped it before the lease was taken


class NoLinksError(Exception):
    """A file without a name cannot get one in this directory."""


def give_name(
    fd: int, temporary: str | None, place: location.Location, overwrite: bool
) -> None:
    """Give a complete file its own name.

    Raises
    ------
    NoLinksError
        The file has no name, and cannot get one. Copy it into a `new_visible_file`.
    OSError
        A system call failed. The file keeps its temporary name, if it had one.
    """
    if temporary is not None:
        _rename(fd, temporary, place.path, overwrite)
        return
    try:
        if not overwrite:
            _link(fd, place.path, place.in_ram)
            return
        temporary, _ = _claim_beside(
            place.path, lambda name: _link(fd, name, place.in_ram)
        )
    except OSError as error:
        if not files.cannot_link(error):
            raise
        _can_name[os.path.dirname(place.path)] = False
        raise NoLinksError from error
    try:
        _rename(fd, temporary, place.path, overwrite)
    except BaseException:
        remove(fd, temporary)
        raise


def _link(fd: int, path: str, in_ram: bool) -> None:
    if in_ram:
        location.link_into_ram_directory(fd, path)
    else:
        files.link_unnamed(fd, path)


def _rename(fd: int, temporary: str, path: str, overwrite: bool) -> None:
    """Replace a file's temporary name by its own."""
    if not _is_named(fd, temporary):
        # On some network file systems, a lock is valid on one machine only.
        raise StorageError(
            f"cannot create the array {quote(path)}: another program, or one on "
            f"another machine, has removed {quote(temporary)}; create the array again",
            path,
        )
    if overwrite:
        files.rename(temporary, path)
        return
    try:
        files.link(temporary, path)
    except OSError as error:
        if not files.cannot_link(error):
            raise
        if not files.rename_new(temporary, path):
            _rename_over_claim(temporary, path)
        return
    files.unlink(temporary)


def _rename_over_claim(temporary: str, path: str) -> None:
    """Claim the name with an empty file, then replace that file."""
    claim = files.open_new(path)
    try:
        try:
            if not _is_named(claim, path):
                raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
            files.rename(temporary, path)
        except BaseException:
            remove(claim, path)
            raise
    finally:
        files.close(claim)


def remove(fd: int, path: str) -> None:
    """Remove a name of an open file, if it still has that name."""
    with suppress(OSError):
        if _is_named(fd, path):
            files.unlink(path)


def _is_named(fd: int, path: str) -> bool:
    """Tell whether an open file has this name; its inode is unique while it is open."""
    status = files.status(fd)
    return files.names_same_file(path, status.st_dev, status.st_ino, follow=False)


def _claim_beside(path: str, claim: Callable[[str], T]) -> tuple[str, T]:
    """Call `claim` with a free temporary name beside `path`; return name and result.

    The names are the same each time. If a killed process has left a file under one of
    them, no process leases it. Then the file is reaped, and the name is used.
    """
    directory, name = os.path.split(path)
    name = os.fsdecode(os.fsencode(name)[:_LONGEST_PART])
    attempt = 0
    while True:
        temporary = os.path.join(directory, f".{name}.{attempt}{UNFINISHED}")
        try:
            return temporary, claim(temporary)
        except FileExistsError:
            if not lease.reap(temporary):
                attempt += 1
