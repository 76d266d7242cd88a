"""Replacing a file: find the file to replace, and keep its access rights.

If the name is a symbolic link, its target is replaced. The new file gets owner, group
and mode of the old one, as far as this user may set them. No user ever gets more access
than before. Access control lists and other extended attributes are not kept.
"""

from __future__ import annotations

import errno
import os
import stat

from ..errors import (
    ArrayExistsError,
    ArrayNotFoundError,
    StorageError,
    UnsafePathError,
    explain,
)
from ..names import is_in_ram, quote
from ..system import files
from .location import Location, dangling_target

_PRIVATE = 0o600


def target(
    place: Location, *, overwrite: bool
) -> tuple[Location, os.stat_result | None]:
    """Return the location for a new file, and the status of the file to replace.

    Raises
    ------
    ArrayExistsError, ArrayNotFoundError, UnsafePathError, StorageError
        The name is taken, and its file must not or cannot be replaced.
    """
    path = place.path
    try:
        found = os.lstat(path)
    except OSError:
        return place, None  # making the file will raise a better error
    if stat.S_ISLNK(found.st_mode):
        if not overwrite:
            raise _taken_by_link(path)
        path, found = _follow(place)
        place = Location(path, is_in_ram(path))
    if stat.S_ISDIR(found.st_mode):
        raise explain(OSError(errno.EISDIR, ""), "create the array", path)
    if not overwrite:
        # A link would fail, too, but only after the whole file was written.
        raise explain(OSError(errno.EEXIST, ""), "create the array", path)
    if not files.is_regular(found):
        raise ArrayExistsError(
            f"cannot create the array {quote(path)}: expected a regular file to "
            "replace, got a device, pipe or socket; choose another name",
            path,
        )
    return place, found


def _taken_by_link(path: str) -> StorageError:
    leads_to = dangling_target(path)
    if leads_to is None:
        code = errno.EISDIR if os.path.isdir(path) else errno.EEXIST
        return explain(OSError(code, ""), "create the array", path)
    return ArrayExistsError(
        f"cannot create the array {quote(path)}: the name is taken by a symbolic link "
        f"to {leads_to!r}, which does not exist; remove the link, or create the array "
        "there",
        path,
    )


def _follow(place: Location) -> tuple[str, os.stat_result]:
    """Follow a link as open(2) does, which refuses some links in a /tmp."""
    path = place.path
    if place.in_ram:
        raise explain(OSError(errno.ELOOP, ""), "create the array", path)
    try:
        meant = os.stat(path)
        found = os.path.realpath(path, strict=True)
        status = os.lstat(found)
    except FileNotFoundError as error:
        raise ArrayNotFoundError(
            f"cannot create the array {quote(path)}: it is a symbolic link to "
            f"{dangling_target(path)!r}, which does not exist; remove the link, or "
            "create the array there",
            path,
        ) from error
    except PermissionError as error:
        raise UnsafePathError(
            f"cannot create the array {quote(path)}: it is a symbolic link that this "
            "user may not follow; name the target of the link instead",
            path,
        ) from error
    if not os.path.samestat(meant, status):
        raise UnsafePathError(
            f"cannot create the array {quote(path)}: another process has just changed "
            "this symbolic link; check it, and name the target of the link instead",
            path,
        )
    return found, status


def set_access(fd: int, old: os.stat_result | None, permissions: int | None) -> None:
    """Set owner, group and mode of a new file before it gets its name.

    Parameters
    ----------
    fd : int
        The new file, which no other process can open yet.
    old : os.stat_result, optional
        Status of the file to replace.
    permissions : int, optional
        Mode bits. By default, those of `old`, or else 0600.
    """
    if old is None:
        files.set_permissions(fd, _PRIVATE if permissions is None else permissions)
        return
    new = files.status(fd)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        # Before the mode: else others could open the file for a moment.
        if not files.set_owner(fd, old.st_uid, old.st_gid):
            files.set_owner(fd, -1, old.st_gid)
        new = files.status(fd)
    files.set_permissions(
        fd, _mode_of(old, new) if permissions is None else permissions
    )


def _mode_of(old: os.stat_result, new: os.stat_result) -> int:
    """Return the old mode without rights that would widen access for a new owner."""
    mode = old.st_mode & 0o777
    owner, group, others = mode >> 6, mode >> 3 & 7, mode & 7
    if new.st_uid != old.st_uid:  # the old owner now has the rights of group or others
        group, others = group & owner, others & owner
    if (
        new.st_gid != old.st_gid
    ):  # members of the old group are others now, and vice versa
        group = others = group & others
    return owner << 6 | group << 3 | others
