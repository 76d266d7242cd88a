"""Making array files: complete and leased before anybody can see them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from ..errors import (
    ArrayNotFoundError,
    NoSpaceError,
    StorageError,
    UnsafePathError,
    explain,
)
from ..system import files
from . import lease, location, trailer
from .format import TRAILER_SIZE, round_up
from .header import NewHeader
from .segment import Segment, in_ram_directory, link_into_ram_directory

# Asking how much memory there is costs 50 us, too much for small arrays.
_WORTH_ASKING = 64 << 20
# Each array without a name needs a descriptor until it gets one; the usual
# limit is 1024.
_MOST_UNNAMED = 64

# How names end that a file has only until it gets its own.
UNFINISHED = ".new"

_LONGEST_PART = 200  # of another name, to stay below the usual 255 bytes

T = TypeVar("T")
Blocks = Iterable[memoryview]


def create(
    place: location.Location,
    new: NewHeader,
    contents: Blocks | None,
    *,
    overwrite: bool,
    permissions: int,
) -> Segment:
    """Create the file of an array that has a name, and map it.

    Parameters
    ----------
    place : Location
        Where.
    new : NewHeader
        From `sharray.storage.header.encode`.
    contents : iterable of memoryview, optional
        All of the data in file order; zeros without it.
    overwrite : bool
        Replace what has the name, atomically; who has that mapped keeps it.
    permissions : int
        Mode bits of the file.

    Raises
    ------
    ArrayExistsError, NoSpaceError, AccessError, StorageError
        Nothing is left behind then.
    """
    directory = os.path.dirname(place.path)
    if not overwrite and os.path.lexists(place.path):
        # linkat would find out too, but only after everything was written.
        code = errno.EISDIR if os.path.isdir(place.path) else errno.EEXIST
        raise explain(OSError(code, ""), "create the array", place.path)
    layout = _Layout(new, anonymous=False)
    fd = temporary = None
    try:
        fd, temporary = _new_file(place)
        _write(fd, layout, contents, directory)
        files.set_permissions(fd, permissions)
        durable = not files.is_volatile(fd, files.status(fd).st_dev)
        if durable:
            files.sync_file(fd)
        # Before it has its name: mapping can fail, too.
        segment = layout.map(fd, place.path)
        _give_name(fd, temporary, place, overwrite)
        temporary = None
        if durable:
            files.sync_directory(directory)
        return segment
    except OSError as error:
        explained = _explain(error, layout.size, directory, place.path)
        if place.in_ram and not isinstance(explained, UnsafePathError):
            location.tidy_ram_directories(directory)
        if explained is error:  # which is not its own cause
            raise
        raise explained from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                files.unlink(temporary)
        if fd is not None:
            files.close(fd)


def create_anonymous(
    new: NewHeader, contents: Blocks | None, *, unnamed_so_far: int
) -> Segment:
    """Create an array in RAM that ends with its last holder, and map it.

    It has no name before it is published, or `unnamed_so_far` others in this
    process have none.
    """
    directory = location.anonymous_directory()
    layout = _Layout(new, anonymous=True)
    path = location.anonymous_path(layout.trailer.uuid)
    fd = None
    try:
        fd = in_ram_directory(directory, lambda: files.open_unnamed(directory))
        unnamed = fd is not None
        if fd is None:
            fd = in_ram_directory(directory, lambda: _open_visible(path))
        else:
            lease.hold(fd, path)
        _write(fd, layout, contents, directory)
        segment = layout.map(fd, path)
        if unnamed and unnamed_so_far < _MOST_UNNAMED:
            segment.keep_unnamed(fd)
            fd = None
        elif unnamed:
            link_into_ram_directory(fd, path)
        return segment
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise _explain(error, layout.size, directory, path) from error
    finally:
        if fd is not None:
            files.close(fd)


class _Layout:
    """Where things lie in a new file."""

    def __init__(self, new: NewHeader, *, anonymous: bool) -> None:
        self.block, self.header = new
        self.trailer = trailer.new_trailer(
            len(self.block), self.header.nbytes, anonymous=anonymous
        )
        self.trailer_offset = len(self.block) + round_up(self.header.nbytes)
        self.size = self.trailer_offset + TRAILER_SIZE

    def map(self, fd: int, path: str) -> Segment:
        """Map the finished file."""
        return Segment(fd, files.status(fd), path, "r+", self.header, self.trailer)


def _new_file(place: location.Location) -> tuple[int, str | None]:
    """A leased file without a name, or else with a temporary one."""
    path = place.path
    directory = os.path.dirname(path)
    if place.in_ram:
        fd = in_ram_directory(directory, lambda: files.open_unnamed(directory))
    else:
        fd = files.open_unnamed(directory)
    if fd is None:
        temporary, visible = _claim_beside(path, _open_visible)
        return visible, temporary
    lease.hold(fd, path)
    return fd, None


def _open_visible(path: str) -> int:
    """A leased new file under a name, for file systems that need one."""
    while True:
        fd = files.open_new(path)
        lease.hold(fd, path)
        if files.status(fd).st_nlink > 0:
            return fd
        files.close(fd)  # somebody reaped it before it was leased


def _write(fd: int, layout: _Layout, contents: Blocks | None, directory: str) -> None:
    """Write the whole file, so that no page of it can lack room later."""
    if layout.size >= _WORTH_ASKING:
        _check_room(fd, layout.size, directory)
    if contents is None:
        files.allocate(fd, layout.size)
    files.write_at(fd, layout.block, 0)
    position = len(layout.block)
    for part in contents or ():
        # write(2) into fresh pages is twice as fast as faulting them in.
        files.write_at(fd, part, position)
        position += part.nbytes
    if contents is not None:
        files.write_at(fd, bytes(layout.trailer_offset - position), position)
    page = trailer.encode(layout.trailer).ljust(TRAILER_SIZE, b"\0")
    files.write_at(fd, page, layout.trailer_offset)


def _give_name(
    fd: int, temporary: str | None, place: location.Location, overwrite: bool
) -> None:
    if not overwrite:
        if temporary is not None:
            files.link(temporary, place.path)
            files.unlink(temporary)
        else:
            _link(fd, place.path, place.in_ram)
        return
    if temporary is None:
        temporary, _ = _claim_beside(
            place.path, lambda name: _link(fd, name, place.in_ram)
        )
    try:
        files.rename(temporary, place.path)
    except OSError:
        files.unlink(temporary)
        raise


def _link(fd: int, path: str, in_ram: bool) -> None:
    if in_ram:
        link_into_ram_directory(fd, path)
    else:
        files.link_unnamed(fd, path)


def _claim_beside(path: str, claim: Callable[[str], T]) -> tuple[str, T]:
    """Do something with a free name in the same directory; returns both.

    The names are the same each time, and what a killed process has left under
    one is leased by nobody: it is reaped and its name used.
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


def _check_room(fd: int, size: int, directory: str) -> None:
    """Refuse at once what would fail only after minutes of writing.

    Or not even fail: a RAM disk accepts more than there is memory, and then the
    kernel kills somebody.
    """
    from ..system import limits  # 2 ms that only large arrays need

    free = files.free_bytes(directory)
    if files.is_volatile(fd, files.status(fd).st_dev):
        free = min(free, limits.available_memory() or free)
    if size > free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _explain(error: OSError, size: int, directory: str, path: str) -> Exception:
    if isinstance(error, StorageError):
        return error
    if isinstance(error, FileNotFoundError):
        return ArrayNotFoundError(
            f"cannot create {path!r}: there is no directory {directory!r}; create it "
            "first ('~' is not expanded, pathlib.Path.expanduser does that)",
            path,
        )
    explained = explain(error, "create the array", path)
    if not isinstance(explained, NoSpaceError):
        return explained
    free: int | str = "?"
    with suppress(OSError):
        free = files.free_bytes(directory)
    message = (
        f"cannot create {path!r}: it needs {size} bytes, {free} are free in "
        f"{directory!r} ({os.strerror(explained.code)}); remove what is not needed"
    )
    if location.is_in_ram(path):
        message += (
            ", run sharray.gc(), give the RAM disk more room (mount -o "
            "remount,size=... /dev/shm, or --shm-size in docker), or name another "
            f"directory in {location.ENVIRONMENT_VARIABLE}"
        )
    return NoSpaceError(message, path, explained.code)
