"""A new file, from its first byte until it has its name.

Callers defer signals; see `making`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ..errors import ArrayNotFoundError, StorageError, UnsafePathError, explain
from ..names import ENVIRONMENT_VARIABLE, is_in_ram, quote
from ..system import file_systems, files, huge_pages, interrupts
from . import location, naming, replacing, room, trailer
from .cloning import Clone
from .format import TRAILER_SIZE, round_up
from .new_header import NewHeader
from .segment import Segment

# Smaller files are allocated faster than signals can be allowed and deferred again.
_SOON_ALLOCATED = 1 << 20
# Smaller files are written as one piece faster than by three calls.
_SOON_WRITTEN = 1 << 16

Blocks = Iterable[memoryview]
Contents = Blocks | Clone | None


class NewFile:
    """A new file, from its first byte until it has its name.

    Parameters
    ----------
    layout : Layout
        Its contents, apart from the data.
    place : Location
        Where it will be.
    old : os.stat_result, optional
        Status of the file that it replaces.
    overwrite : bool
        Replace a file that has the name.
    mapped_first : bool, default False
        True if processes may use the file before it has its name. So it must not be
        copied then.
    """

    def __init__(
        self,
        layout: Layout,
        place: location.Location,
        old: os.stat_result | None,
        *,
        overwrite: bool,
        mapped_first: bool = False,
    ) -> None:
        self.place = place
        self.old = old
        self._layout = layout
        self._overwrite = overwrite
        self._fd, self._temporary = naming.new_file(place, mapped_first=mapped_first)

    def create(self, contents: Contents, permissions: int | None) -> Segment:
        """Write and map the file, and give it its name."""
        try:
            self.write(contents)
            try:
                return self._map_and_finish(permissions)
            except naming.NoLinksError:
                self._copy()
                return self._map_and_finish(permissions)
        finally:
            self.close()

    def write(self, contents: Contents) -> None:
        """Write the whole file, so that all of its pages have room from now on."""
        write(self._fd, self._layout, contents, self.place.path)

    def map(self) -> Segment:
        """Map the file that is written."""
        return self._layout.map(self._fd, self.place)

    def _map_and_finish(self, permissions: int | None) -> Segment:
        segment = self.map()  # can fail, so it precedes the name
        try:
            self.finish(segment, permissions)
        except BaseException:
            segment.unmap()
            raise
        return segment

    def finish(self, segment: Segment, permissions: int | None) -> None:
        """Bring the file to the disk, and give it its name."""
        replacing.set_access(self._fd, self.old, permissions)
        if file_systems.is_volatile(self._fd, files.status(self._fd).st_dev):
            self._give_name()
            return
        with interrupts.allowed():
            files.sync_file(self._fd)
        # Opening the directory can fail, so it precedes the name.
        directory = files.open_directory(os.path.dirname(self.place.path))
        try:
            self._give_name()
            self._keep_name(segment, directory)
        finally:
            if directory is not None:
                files.close(directory)

    def close(self) -> None:
        """Close the file, which vanishes unless it has its name."""
        if self._temporary is not None:
            naming.remove(self._fd, self._temporary)
        files.close(self._fd)

    def leave(self) -> None:
        """Close the file in a forked child, and let the parent finish it."""
        files.close(self._fd)

    def _give_name(self) -> None:
        naming.give_name(self._fd, self._temporary, self.place, self._overwrite)
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
            if self.old is None:
                naming.remove(self._fd, self.place.path)
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


class Layout:
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

    def map(
        self, fd: int, place: location.Location, *, is_unnamed: bool = False
    ) -> Segment:
        """Map the finished file."""
        status = files.status(fd)
        try:
            return Segment(
                *(fd, status, place, "r+", self.header, self.trailer),
                is_unnamed=is_unnamed,
            )
        except OSError as error:
            raise explain(error, "map the new array", place.path) from error


@contextmanager
def explaining(place: location.Location, layout: Layout) -> Iterator[None]:
    """Explain the errors of making a file, and remove the directories made for it."""
    try:
        yield
    except OSError as error:
        explained = explain_failure(error, layout.size, place.path)
        if place.in_ram and not isinstance(explained, UnsafePathError):
            location.tidy_ram_directories(os.path.dirname(place.path))
        try:
            if explained is error:  # an error is not its own cause
                raise
            raise explained from error
        finally:
            del explained  # else its traceback, a cycle, would keep a mapped array
    except BaseException:  # from converting the contents, which happens while writing
        if place.in_ram:
            location.tidy_ram_directories(os.path.dirname(place.path))
        raise


def write(fd: int, layout: Layout, contents: Contents, path: str) -> None:
    """Write header, data and trailer, all of which has room from now on."""
    if layout.size < _SOON_WRITTEN and contents is None and layout.trailer:
        _write_zeros(fd, layout, layout.trailer)
        return
    room.check_room(fd, layout.size, path)
    if isinstance(contents, Clone):
        with interrupts.allowed():
            contents.into(fd, layout.size)
    elif layout.size < _SOON_ALLOCATED and contents is None:
        files.allocate(fd, layout.size)
    else:
        with interrupts.allowed():
            _write_data(fd, layout, contents)
    files.write_at(fd, layout.block, 0)  # after the zeros that allocate may write
    if layout.trailer is not None:
        files.write_at(fd, _page(layout.trailer), layout.trailer_offset)


def _page(found: trailer.Trailer) -> bytes:
    return trailer.encode(found).ljust(TRAILER_SIZE, b"\0")


def _write_zeros(fd: int, layout: Layout, found: trailer.Trailer) -> None:
    """Write a small file of zeros; its pages have room then, as from `allocate`."""
    # If there is no room, or less than that is allowed (ulimit -f), the call fails.
    start = layout.block.ljust(layout.trailer_offset, b"\0")
    files.write_at(fd, start + _page(found), 0)


def _write_data(fd: int, layout: Layout, contents: Blocks | None) -> None:
    in_ram = layout.trailer is not None
    is_huge = in_ram and huge_pages.fill(fd, layout.size)
    if contents is None or is_huge:
        files.allocate(fd, layout.size)
    if contents is None:
        return
    position = len(layout.block)
    if is_huge:
        # After the room for all of it: a store to a page without would raise SIGBUS.
        huge_pages.store(fd, contents, position, layout.size)
        return
    # write(2) to new pages is twice as fast as page faults on them.
    end = files.write_all_at(fd, contents, position)
    if in_ram:
        files.allocate(fd, layout.size, end)


def explain_failure(error: OSError, size: int, path: str) -> StorageError:
    """Return the error of making a file of this size."""
    if isinstance(error, StorageError):
        return error
    directory = os.path.dirname(path)
    if isinstance(error, FileNotFoundError) and not os.path.isdir(directory):
        return ArrayNotFoundError(
            f"cannot create {quote(path)}: there is no directory {directory!r}; call "
            f"os.makedirs({directory!r}) first ('~' is not expanded; "
            "os.path.expanduser does that)",
            path,
        )
    variable = ENVIRONMENT_VARIABLE if is_in_ram(path) else ""
    return room.explain_no_room(error, "create the array", path, size, variable)
