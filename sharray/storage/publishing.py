"""Publishing: a file that is filled through its mapping before it gets its name.

::

     begin                      the block                 finish
     -----                      ---------                 ------
     file without a name,  -->  stores through the  -->   access rights, fsync, name,
     written and mapped         mapping                   fsync of the directory

     readers of the name:       the old file              | the new file

The name changes in one step, by a rename. A process that is killed before it leaves the
old file; the new one vanishes, since it has no name. File systems without such files
lack that last part: see `naming`.

Invariants

- The file that is mapped is the one that gets the name: it is never copied in between.
- No handle leads to the file before it has its name: see `Segment.check_reachable`.
- Only the process that began gives the name, and not a forked child that leaves the
  block as well.
- A write error during the block is one of `finish`: the descriptor is open since before
  the first store, so fsync(2) reports it, or the fault of a flush does.
"""

from __future__ import annotations

import os

from ..errors import StorageError
from ..names import quote
from ..system import interrupts
from . import flushing, location, naming, replacing
from .new_file import Blocks, Layout, NewFile, explaining
from .new_header import NewHeader


class Unpublished:
    """A file without a name, mapped. Call all of this with signals deferred.

    Parameters
    ----------
    place : Location
        Where it will be.
    new : NewHeader
        From `sharray.storage.new_header.encode`.
    contents : iterable of memoryview, optional
        Initial data; zeros by default.

    Attributes
    ----------
    segment : Segment
        The mapped file; it is not unmapped by this class.

    Raises
    ------
    NoSpaceError, AccessError, ArrayExistsError, StorageError
        The file cannot be made, or could not get its name.
    """

    def __init__(
        self,
        place: location.Location,
        new: NewHeader,
        contents: Blocks | None,
    ) -> None:
        self._pid = os.getpid()
        self._layout = Layout(new, in_ram=place.in_ram, anonymous=False)
        with explaining(place, self._layout):
            target, old = replacing.target(place, overwrite=True)
        with explaining(target, self._layout):
            self._file = NewFile(
                self._layout, target, old, overwrite=True, mapped_first=True
            )
            try:
                self._file.write(contents)
                self.segment = self._file.map()
            except BaseException:
                self._file.close()
                raise
        self.segment.awaits_name = True

    def finish(self, permissions: int | None) -> None:
        """Bring the file to the disk, and give it its name.

        Raises
        ------
        FlushError
            A flush has failed before.
        StorageError
            The file is not published. After an error of the directory's fsync, it is,
            if it has replaced another.
        """
        place = self._file.place
        if os.getpid() != self._pid:
            raise StorageError(
                f"cannot publish {quote(place.path)} in a forked child: the process "
                f"{self._pid} began the block and publishes at its end; let the child "
                "end within the block, by os._exit",
                place.path,
            )
        flushing.raise_fault(self.segment)
        with explaining(place, self._layout):
            self._look_again()
            interrupts.check()  # the last chance to stop
            try:
                self._file.finish(self.segment, permissions)
            except naming.NoLinksError as error:
                raise StorageError(
                    f"cannot publish {quote(place.path)}: its file system has refused "
                    "to name a file without a name, which it did before; publish it "
                    "again",
                    place.path,
                    getattr(error.__cause__, "errno", None),
                ) from error

    def _look_again(self) -> None:
        """Find the file to replace once more, since the block may have taken hours."""
        place = self._file.place
        found, self._file.old = replacing.target(place, overwrite=True)
        if found.path != place.path:
            raise StorageError(
                f"cannot publish {quote(place.path)}: it has become a symbolic link to "
                f"{quote(found.path)} meanwhile; publish it again",
                place.path,
            )

    def close(self) -> None:
        """Close the file, which vanishes unless it was published."""
        self.segment.awaits_name = False
        if os.getpid() == self._pid:
            self._file.close()
        else:
            self._file.leave()
