"""Making array files: complete and leased before anybody can see them.

Descriptors, names and mappings are undone by blocks that a signal could skip, so the
callers defer signals. They are let in while something takes long.
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

# Each array without a name needs a descriptor until it gets one; the usual
# limit is 1024.
_MOST_UNNAMED = 64

# To let signals in meanwhile takes longer than they would wait.
_SOON_ALLOCATED = 1 << 20

Blocks = Iterable[memoryview]


class Made(NamedTuple):
    """A new file with its name.

    Attributes
    ----------
    segment : Segment
        The file, mapped.
    has_replaced : bool
        Whether another file had the name before.
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
    """Create the file of an array that has a name, and map it.

    Call it with signals deferred until the array exists, and `undo` it if one came.

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
    permissions : int, optional
        Mode bits of the file; those of what is replaced, or else 0600, without.

    Raises
    ------
    ArrayExistsError, NoSpaceError, AccessError, StorageError
        Nothing is left behind then, and nothing replaced.
    """
    layout = _Layout(new, anonymous=False)
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
        if explained is error:  # which is not its own cause
            raise
        raise explained from error
    except BaseException:  # of the contents, which are converted as they are written
        if place.in_ram:
            location.tidy_ram_directories(os.path.dirname(place.path))
        raise


def undo(made: Made) -> None:
    """Remove a new file that nobody is told of.

    What was replaced is gone for good, so the new file stays for it.
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
    """A file from its first byte until it has its name."""

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
        """Write it, map it, and give it its name."""
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
        # Both can fail, so they come before it has its name.
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
        """Bring the name to the disk, and have the mapping know it."""
        try:
            if directory is not None:
                with interrupts.allowed():
                    files.sync_directory(directory)
            segment.map_by_name()
        except BaseException:
            # What was replaced is gone for good, so the new file stays for it.
            if self._old is None:
                naming.remove(self._fd, self.place.path)
            segment.unmap()
            raise

    def _copy(self) -> None:
        """Go on with a copy that has a name, if only a temporary one."""
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
    """Create an array in RAM that ends with its last holder, and map it.

    It has no name before it is published, or `unnamed_so_far` others in this
    process have none. Call it with signals deferred.
    """
    layout = _Layout(new, anonymous=True)
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
    """Where things lie in a new file."""

    def __init__(self, new: NewHeader, *, anonymous: bool) -> None:
        self.block, self.header = new
        self.trailer = trailer.new_trailer(
            len(self.block), self.header.nbytes, anonymous=anonymous
        )
        self.trailer_offset = len(self.block) + round_up(self.header.nbytes)
        self.size = self.trailer_offset + TRAILER_SIZE

    def map(self, fd: int, place: location.Location) -> Segment:
        """Map the finished file."""
        status = files.status(fd)
        try:
            return Segment(fd, status, place, "r+", self.header, self.trailer)
        except OSError as error:
            raise explain(error, "map the new array", place.path) from error


def _write(fd: int, layout: _Layout, contents: Blocks | None, path: str) -> None:
    """Write the whole file, so that no page of it can lack room later."""
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
    page = trailer.encode(layout.trailer).ljust(TRAILER_SIZE, b"\0")
    files.write_at(fd, page, layout.trailer_offset)


def _write_contents(fd: int, layout: _Layout, contents: Blocks) -> None:
    position = len(layout.block)
    for part in contents:
        # write(2) into fresh pages is twice as fast as faulting them in.
        files.write_at(fd, part, position)
        position += part.nbytes
    files.write_at(fd, bytes(layout.trailer_offset - position), position)


def _explain(error: OSError, size: int, path: str) -> StorageError:
    if isinstance(error, StorageError):
        return error
    directory = os.path.dirname(path)
    if isinstance(error, FileNotFoundError) and not os.path.isdir(directory):
        return ArrayNotFoundError(
            f"cannot create {path!r}: there is no directory {directory!r}; create it "
            "first ('~' is not expanded, pathlib.Path.expanduser does that)",
            path,
        )
    variable = location.ENVIRONMENT_VARIABLE if location.is_in_ram(path) else ""
    return room.explain_no_room(error, "create the array", path, size, variable)
