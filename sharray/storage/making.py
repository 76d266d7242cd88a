"""Making array files, complete and leased before another process can see them.

Callers defer signals, since a signal could skip the blocks that undo descriptors, names
and mappings. Long operations allow signals again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from ..errors import StorageError
from ..names import is_in_ram
from ..system import files
from . import location, naming, replacing
from .new_file import (
    Blocks,
    Contents,
    Layout,
    NewFile,
    explain_failure,
    explaining,
    write,
)
from .new_header import NewHeader
from .segment import Segment

# Each array without a name keeps a file descriptor open until it gets a name, and up to
# Python 3.12 another one for its mapping. The usual limit of descriptors is 1024.
_MOST_UNNAMED = 64


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
    contents: Contents,
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
        From `sharray.storage.new_header.encode`.
    contents : iterable of memoryview or Clone, optional
        All data in file order, or a file to clone; zeros by default.
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
    layout = Layout(new, in_ram=place.in_ram, anonymous=False)
    with explaining(place, layout):
        target, old = replacing.target(place, overwrite=overwrite)
    with explaining(target, layout):
        file = NewFile(layout, target, old, overwrite=overwrite)
        return Made(file.create(contents, permissions), old is not None)


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
        if is_in_ram(path):
            location.tidy_ram_directories(os.path.dirname(path))
    segment.unmap()


def create_anonymous(
    new: NewHeader, contents: Blocks | None, *, unnamed_so_far: int
) -> Segment:
    """Create an anonymous array in RAM, and map it; call this with signals deferred.

    Its file gets a name when it is published. It gets one at once if the process has
    too many files without names already, of which there are `unnamed_so_far`.
    """
    layout = Layout(new, in_ram=True, anonymous=True)
    assert layout.trailer is not None
    directory = location.anonymous_directory()
    path = f"{directory}/{location.anonymous_name(layout.trailer.uuid)}"
    fd = None
    named = True
    try:
        fd = naming.new_nameable_file(directory, path)
        named = fd is None
        if fd is None:
            fd = naming.new_file_in_ram(path)
        write(fd, layout, contents, path)
        place = location.Location(path, in_ram=True)
        stays_unnamed = not named and unnamed_so_far < _MOST_UNNAMED
        segment = layout.map(fd, place, is_unnamed=stays_unnamed)
        if named:
            return segment
        if stays_unnamed:
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
        raise explain_failure(error, layout.size, path) from error
    finally:
        if fd is not None:
            files.close(fd)
