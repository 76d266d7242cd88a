"""Mounts: the file system of a directory, its options and free space."""

from __future__ import annotations

import os
import re
import sys
from typing import NamedTuple

from . import file_systems
from .optional import is_unsupported


class Mount(NamedTuple):
    """One line of /proc/self/mountinfo: proc(5)."""

    root: str
    point: str
    kind: str
    source: str
    options: tuple[str, ...]


class FileSystem(NamedTuple):
    """The file system that a directory is in: statvfs(3) and its mount.

    `kind` is "" where the system does not report it; `size` and `free_inodes` are None
    for no limit.
    """

    kind: str
    point: str
    options: tuple[str, ...]
    size: int | None
    free: int
    free_inodes: int | None


def mounts(proc: str = "/proc") -> list[Mount]:
    """Return all mounts, in the order of mounting."""
    lines = read(f"{proc}/self/mountinfo").splitlines()
    return [_parse_mount(line) for line in lines if " - " in line]


def _parse_mount(line: str) -> Mount:
    first, _, second = line.partition(" - ")
    root, point, options = (_unescape(field) for field in first.split()[3:6])
    kind, source, more = [*second.split(" "), "", ""][:3]
    return Mount(
        root,
        point,
        kind,
        _unescape(source),
        tuple(dict.fromkeys((options + "," + more.strip()).split(","))),
    )


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def mount_of(directory: str, known: list[Mount]) -> Mount | None:
    """Return the mount that shows a directory: the last one at the longest path."""
    path = os.path.realpath(directory)
    above = [mount for mount in known if _is_at_or_below(path, mount.point)]
    return max(reversed(above), key=lambda mount: len(mount.point), default=None)


def _is_at_or_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def file_system(directory: str) -> FileSystem:
    """Return the file system that a directory is in."""
    mount = mount_of(directory, mounts())
    if mount is None:
        mount = Mount("/", directory, "", "", ())
    about = mount.kind, mount.point, mount.options
    try:
        found = os.statvfs(directory)
    except OSError as error:
        if not is_unsupported(error):
            raise
        return FileSystem(*about, None, sys.maxsize, None)
    return FileSystem(
        *about,
        # 0 means no limit: a tmpfs made with size=0, and many FUSE file systems.
        found.f_blocks * found.f_frsize or None,
        file_systems.free_bytes(directory),
        found.f_favail if found.f_files > 0 else None,
    )


def read(path: str) -> str:
    """Return the text of one of the system's files; empty if it is missing."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
