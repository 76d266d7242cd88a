"""Making array files, complete and leased before another process can see them.

Callers defer signals, since a signal could skip the blocks that undo descriptors, names
and mappings. Long operations allow signals again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from ..errors import ArrayNotFoundError, StorageError, UnsafePathError, explain
from ..system import file_systems, files, interrupts
from . import location, naming, replacing, room, trailer
from .format import TRAILER_SIZE, round_up
from .header import NewHeader
from .segment import Segment

# Each array without a name keeps a file descriptor open until it gets a name. The usual
# limit of descriptors is 1024.
_MOST_UNNAMED = 64

# Smaller files are allocated faster than signals can be allowed and deferred again.
_SOON_ALLOCATED = 1 << 20

Blocks = Iterable[memoryview]


class Made(NamedTuple):
    """A new file with its name.

    Attributes
    ----------
    segment : Segment
        The mapped file.
    has_replaced : bool
        True if another file had the name before.
    """

    segment: Segment
    has_replaced: bool


def create(
    place: location.Location,
    new: NewHeader,
    contents: Blocks | None,
    *,
    overwrite: bool,
    permissions: int | None,
) -> Made:
    """Create the file of a named array, and map it.

    Call this with signals deferred until the array exists. If a signal came, call
    `undo`.

    Parameters
    ----------
    place : Location
        Location of the file.
    new : NewHeader
        From `sharray.storage.header.encode`.
    contents : iterable of memoryview, optional
        All data in file order; zeros by default.
    overwrite : bool
        Replace an existing file atomically. Processes that have it mapped keep it.
    permissions : int, optional
        Mode bits of the file. By default, those of the file that it replaces, or else
        0600.

    Raises
    ------
    ArrayExistsError, NoSpaceError, AccessError, StorageError
        The file cannot be made. No file is left behind or replaced.
    """
    layout = _Layout(new, in_ram=place.in_ram, anonymous=False)
    file = None
    try:
        target, old = replacing.target(place, overwrite=overwrite)
        file = _NewFile(layout, target, old, overwrite=overwrite)
        return Made(file.create(contents, permissions), old is not None)
    except OSError as error:
        path = place.path if file is None else file.place.path
        explained = _explain(error, layout.size, path)
        if place.in_ram and not isinstance(explained, UnsafePathError):
            location.tidy_ram_directories(os.path.dirname(path))
        if explained is error:  # an error is not its own cause
            raise
        raise explained from error
    except BaseException:  # from converting the contents, which happens while writing
        if place.in_ram:
            location.tidy_ram_directories(os.path.dirname(place.path))
        raise


def undo(made: Made) -> None:
    """Remove a new file whose creation is not reported to the caller.

    If it replaced a file, it stays, since the old file cannot be restored.
    """
    segment = made.segment
    path = segment.path
    if not made.has_replaced:
        if files.names_same_file(path, segment.device, segment.inode, follow=False):
            with suppress(OSError):
                files.unlink(path)
        if location.is_in_ram(path):
            location.tidy_ram_directories(os.path.dirname(path))
    segment.unmap()


class _NewFile:
    """A new file, from its first byte until it has its name."""

    def __init__(
        self,
        layout: _Layout,
        place: location.Location,
        old: os.stat_result | None,
        *,
        overwrite: bool,
    ) -> None:
        self.place = place
        self._layout = layout
        self._old = old
        self._overwrite = overwrite
        self._fd, self._temporary = naming.new_file(place)

    def create(self, contents: Blocks | None, permissions: int | None) -> Segment:
        """Write and map the file, and give it its name."""
        try:
            _write(self._fd, self._layout, contents, self.place.path)
            try:
                return self._finish(permissions)
            except naming.NoLinksError:
                self._copy()
                return self._finish(permissions)
        finally:
            if self._temporary is not None:
                naming.remove(self._fd, self._temporary)
            files.close(self._fd)

    def _finish(self, permissions: int | None) -> Segment:
        replacing.set_access(self._fd, self._old, permissions)
        if file_systems.is_volatile(self._fd, files.status(self._fd).st_dev):
            segment = self._layout.map(self._fd, self.place)
            self._give_name(segment)
            return segment
        with interrupts.allowed():
            files.sync_file(self._fd)
        # Opening the directory and mapping can fail, so they precede the name.
        directory = files.open_directory(os.path.dirname(self.place.path))
        try:
            segment = self._layout.map(self._fd, self.place)
            self._give_name(segment)
            self._keep_name(segment, directory)
            return segment
        finally:
            if directory is not None:
                files.close(directory)

    def _give_name(self, segment: Segment) -> None:
        try:
            naming.give_name(self._fd, self._temporary, self.place, self._overwrite)
        except BaseException:
            segment.unmap()
            raise
        self._temporary = None

    def _keep_name(self, segment: Segment, directory: int | None) -> None:
        """Write the name to the disk, and map the file by its name."""
        try:
            if directory is not None:
                with interrupts.allowed():
                    files.sync_directory(directory)
            segment.map_by_name()
        except BaseException:
            # If the file replaced another, it stays: that one cannot be restored.
            if self._old is None:
                naming.remove(self._fd, self.place.path)
            segment.unmap()
            raise

    def _copy(self) -> None:
        """Continue with a copy of the file that has a temporary name."""
        copy, self._temporary = naming.new_visible_file(self.place.path)
        original, self._fd = self._fd, copy
        try:
            with interrupts.allowed():
                files.copy_contents(original, copy)
        finally:
            files.close(original)


def create_anonymous(
    new: NewHeader, contents: Blocks | None, *, unnamed_so_far: int
) -> Segment:
    """Create an anonymous array in RAM, and map it; call this with signals deferred.

    Its file gets a name when it is published. It gets one at once if the process has
    too many files without names already, of which there are `unnamed_so_far`.
    """
    layout = _Layout(new, in_ram=True, anonymous=True)
    assert layout.trailer is not None
    path = location.anonymous_path(layout.trailer.uuid)
    fd = None
    named = True
    try:
        fd = naming.new_nameable_file(os.path.dirname(path), path)
        named = fd is None
        if fd is None:
            fd = naming.new_file_in_ram(path)
        _write(fd, layout, contents, path)
        segment = layout.map(fd, location.Location(path, in_ram=True))
        if named:
            return segment
        if unnamed_so_far < _MOST_UNNAMED:
            segment.keep_unnamed(fd)
            fd = None
        else:
            location.link_into_ram_directory(fd, path)
        return segment
    except BaseException as error:
        if fd is not None and named:
            naming.remove(fd, path)
        if not isinstance(error, OSError) or isinstance(error, StorageError):
            raise
        raise _explain(error, layout.size, path) from error
    finally:
        if fd is not None:
            files.close(fd)


class _Layout:
    """The positions of header, data and trailer in a new file."""

    def __init__(self, new: NewHeader, *, in_ram: bool, anonymous: bool) -> None:
        self.block, self.header = new
        self.trailer_offset = len(self.block) + round_up(self.header.nbytes)
        self.trailer: trailer.Trailer | None = None
        self.size = len(self.block) + self.header.nbytes
        if in_ram and self.header.growing is None:
            self.trailer = trailer.new_trailer(
                len(self.block), self.header.nbytes, anonymous=anonymous
            )
            self.size = self.trailer_offset + TRAILER_SIZE

    def map(self, fd: int, place: location.Location) -> Segment:
        """Map the finished file."""
        status = files.status(fd)
        try:
            return Segment(fd, status, place, "r+", self.header, self.trailer)
        except OSError as error:
            raise explain(error, "map the new array", place.path) from error


def _write(fd: int, layout: _Layout, contents: Blocks | None, path: str) -> None:
    """Write the whole file, so that all of its pages have room from now on."""
    room.check_room(fd, layout.size, path)
    if contents is not None:
        with interrupts.allowed():
            _write_contents(fd, layout, contents)
    elif layout.size < _SOON_ALLOCATED:
        files.allocate(fd, layout.size)
    else:
        with interrupts.allowed():
            files.allocate(fd, layout.size)
    files.write_at(fd, layout.block, 0)  # after the zeros that allocate may write
    if layout.trailer is not None:
        page = trailer.encode(layout.trailer).ljust(TRAILER_SIZE, b"\0")
        files.write_at(fd, page, layout.trailer_offset)


def _write_contents(fd: int, layout: _Layout, contents: Blocks) -> None:
    position = len(layout.block)
    for part in contents:
        # write(2) to new pages is twice as fast as page faults on them.
        files.write_at(fd, part, position)
        position += part.nbytes
    if layout.trailer is not None:
        files.write_at(fd, bytes(layout.trailer_offset - position), position)


def _explain(error: OSError, size: int, path: str) -> StorageError:
    if isinstance(error, StorageError):
        return error
    directory = os.path.dirname(path)
    if isinstance(error, FileNotFoundError) and not os.path.isdir(directory):
        return ArrayNotFoundError(
            f"cannot create {path!r}: there is no directory {directory!r}; call "
            f"os.makedirs({directory!r}) first ('~' is not expanded; "
            "os.path.expanduser does that)",
            path,
        )
    variable = location.ENVIRONMENT_VARIABLE if location.is_in_ram(path) else ""
    return room.explain_no_room(error, "create the array", path, size, variable)
