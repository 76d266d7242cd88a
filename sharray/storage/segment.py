"""A segment: one array file, mapped by this process."""

from __future__ import annotations

import errno
import mmap
import os
import struct
import threading
from contextlib import suppress

import numpy as np

from ..errors import ArrayGoneError, explain
from ..system import clock, file_systems, files, interrupts, mappings, memory
from . import location, trailer
from .format import TRAILER_SIZE
from .header import Header
from .lifetime import lease, transit
from .trailer import Trailer

_LOOK_INTERVAL = 0.01
IDENTITY_SIZE = 32  # what `identity_of` returns
_LARGEST_ERRNO = 4095  # errno(3); the word may hold anything
# Names that NFS and FUSE give to a removed file until its last user lets go of it.
_NAMES_OF_REMOVED = (".nfs", ".fuse_hidden")
# Reentrant: garbage collection may run a __del__ that sends another array.
_publishing = threading.RLock()


class Segment:
    """One array file, mapped whole.

    Attributes
    ----------
    path : str
        Absolute path of the file, which an anonymous array has only once it
        was `publish`-ed. Others may have changed it since; see `find_path`.
    mode : str
        ``r``, ``r+`` or ``c``, as in `numpy.memmap`.
    mapping : mmap.mmap
        The file from its first byte to its last.
    header : Header
        As it was when the file was mapped.
    trailer : Trailer or None
        None for a foreign ``.npy`` file.
    identity : bytes
        Device, inode and uuid: equal for equal memory only.
    volatile : bool
        Whether the file is in memory and flushing means nothing.
    unlinked : bool
        Whether this program has removed the file itself, by `sharray.unlink`.
    """

    __slots__ = (
        "_local_fault",
        "_pin",
        "_reachable_until",
        "_unnamed_fd",
        "_words",
        "anonymous",
        "data_range",
        "device",
        "header",
        "identity",
        "inode",
        "mapping",
        "mode",
        "path",
        "size",
        "trailer",
        "unlinked",
        "volatile",
    )

    def __init__(
        self,
        fd: int,
        status: os.stat_result,
        place: location.Location,
        mode: str,
        header: Header,
        trailer: Trailer | None,
    ) -> None:
        path, in_ram = place
        self.path = path
        self.mode = mode
        self.header = header
        self.trailer = trailer
        self.size = status.st_size
        # First byte of the data in the file, and the first behind it.
        self.data_range = header.data_offset, header.data_offset + header.nbytes
        self.device, self.inode = status.st_dev, status.st_ino
        self.identity = identity_of(status, header, trailer)
        self.volatile = file_systems.is_volatile(fd, status.st_dev, is_known=in_ram)
        # A copy of such a file elsewhere is its owner's, and not ours to remove.
        self.anonymous = (
            trailer is not None and trailer.anonymous and location.is_anonymous(path)
        )
        self.unlinked = False
        self._unnamed_fd: int | None = None
        self._words: memoryview[int] | None = None
        self._local_fault = 0
        self._reachable_until = 0.0
        self.mapping: mmap.mmap = memory.map_file(
            fd, self.size, writable=mode != "r", private=mode == "c"
        )
        # While this exists, mapping.close() is an error instead of a crash.
        self._pin = memoryview(self.mapping)

    @property
    def words(self) -> memoryview[int]:
        """The trailer page as 64-bit words; of segments with a trailer only."""
        if self._words is None:
            self._words = self._pin[self.size - TRAILER_SIZE :].cast("Q")
        return self._words

    @property
    def data(self) -> memoryview:
        """All bytes of the data."""
        first, end = self.data_range
        return self._pin[first:end]

    # -- where the file is ---------------------------------------------------

    def find_path(self) -> str | None:
        """Return the file's present path; None if it was removed or replaced.

        An array follows its file. If that was renamed, or a directory of its path, or
        if a symbolic link in it leads elsewhere now, `path` becomes the present one.
        """
        same = self.device, self.inode
        if files.names_same_file(self.path, *same):
            return self.path
        if self.anonymous or self.unlinked:
            return None
        # Others know of a rename only by the name: this costs a look at all mappings.
        found = mappings.path_at(self._address())
        if found is None or os.path.basename(found).startswith(_NAMES_OF_REMOVED):
            return None
        if files.names_same_file(found, *same):
            self.path = found
            return found
        if found.endswith(mappings.DELETED) or not files.is_out_of_sight(found):
            return None
        return self.path  # it has a name, and we may not look at it

    def map_by_name(self) -> None:
        """Map a new file once more, in the same place, by the name that it has now.

        The system knows a mapped file by the name that it was opened by. A new file
        had none, or another one, and would count as deleted for `find_path`. Where
        this fails, that is so, and the array is usable all the same.
        """
        with suppress(OSError):  # somebody has removed it already
            fd = files.open_existing(self.path, writable=True)
            try:
                status = files.status(fd)
                if (status.st_dev, status.st_ino) == (self.device, self.inode):
                    lease.hold(fd, self.path)  # before: the old mapping's goes with it
                    memory.map_over(self._address(), self.size, fd)
            finally:
                files.close(fd)

    @property
    def durable(self) -> bool:
        """Whether flushing brings the data to a disk where it can be found again."""
        if self.volatile or self.anonymous or self.mode == "c":
            return False
        return self.find_path() is not None

    def _address(self) -> int:
        """Where the mapping begins in memory."""
        view = np.frombuffer(self._pin, np.uint8)
        return int(view.__array_interface__["data"][0])

    @property
    def fault(self) -> int:
        """The errno of the first flush that failed since the last `clear_fault`."""
        if self.trailer is None:
            return self._local_fault
        code = self.words[trailer.FAULT_WORD]
        return code if code <= _LARGEST_ERRNO else errno.EIO

    def set_fault(self, code: int) -> None:
        """Remember for all processes that data was lost; 0 forgets it."""
        if self.trailer is None:
            self._local_fault = code
        else:
            self.words[trailer.FAULT_WORD] = code

    # -- anonymous arrays ----------------------------------------------------

    def keep_unnamed(self, fd: int) -> None:
        """Stay without a name; `fd` is what `publish` will need, and ours now."""
        self._unnamed_fd = fd

    def publish(self) -> None:
        """Give an anonymous array's file its name, so that others can map it.

        Until then the file has none, and even SIGKILL to its last holder frees
        the memory at once.
        """
        # In this order, so that Ctrl-C ends the wait for another thread.
        with _publishing, interrupts.deferred():
            fd = self._unnamed_fd
            if fd is None:
                return
            try:
                location.link_into_ram_directory(fd, self.path)
            except FileExistsError:
                pass  # a forked child or parent has published the same file
            except OSError as error:
                raise explain(error, "name the array", self.path) from error
            self._unnamed_fd = None
            files.close(fd)

    def check_reachable(self) -> None:
        """Refuse to send a handle that nobody could open.

        In the receiver it would be too late: `multiprocessing.Pool` takes an
        OSError there for the end of its queue, and waits for ever.

        Raises
        ------
        ArrayGoneError
            The file was removed or replaced; who has it mapped keeps it.
        """
        # Looking costs 2 us. Who removes a file within this interval could as well
        # have done so with the handle under way, which nobody can prevent.
        now = clock.monotonic()
        if now < self._reachable_until:
            return
        self._reachable_until = now + _LOOK_INTERVAL
        if self.find_path() is None:
            self._reachable_until = 0.0
            raise ArrayGoneError(
                f"cannot send the array {self.path!r}: its file was removed or "
                "replaced, and other processes can open it no more; keep the file "
                "until all have opened it, or send a copy",
                self.path,
            )

    def record_sent(
        self, *, to_strangers: bool = False, maybe_kept: bool = False
    ) -> int:
        """A handle of an anonymous array is about to leave: the token for it.

        One that was opened read-only by its path cannot note down anything.

        Parameters
        ----------
        to_strangers, maybe_kept : bool
            See `sharray.storage.lifetime.transit.record_sent`.
        """
        if self.mode != "r+":
            return 0
        if self._unnamed_fd is not None:
            self.publish()
        words = self._words or self.words
        return transit.record_sent(
            words, to_strangers=to_strangers, maybe_kept=maybe_kept
        )

    def record_received(self, token: int) -> None:
        """The handle with this token has arrived."""
        if token and self.anonymous and self.mode == "r+":
            transit.record_received(self.words, token)

    def release(self) -> None:
        """Unmap, and remove the file of an anonymous array that was the last.

        If somebody has exported the mapping's buffer past us, it stays mapped
        until that is gone too, and garbage collection removes the file.
        """
        is_unmapped = self.unmap()
        if self._unnamed_fd is not None:
            files.close(self._unnamed_fd)
            self._unnamed_fd = None
        if is_unmapped and self.anonymous:
            lease.reap(self.path)

    def unmap(self) -> bool:
        """Give up the mapping and nothing else; False if others use its buffer."""
        if self._words is not None:
            self._words.release()
        self._pin.release()
        try:
            self.mapping.close()
        except BufferError:
            return False
        return True

    def let_go(
        self, address: int, *, ending: int, descriptors: memory.Descriptors
    ) -> None:
        """Give up the lease while arrays on the mapping still exist.

        For the end of a process: they go on showing the same memory, and the
        file of an anonymous array is removed if this was its last holder.

        Parameters
        ----------
        address : int
            Where the mapping begins.
        ending : int
            See `sharray.storage.lifetime.transit.is_awaited`.
        descriptors : Descriptors
            From `sharray.system.memory.descriptors_of_mappings`.
        """
        if self.mode != "r+":
            return  # was opened by its path; the next process sweeps it up
        try:
            fd = files.open_existing(self.path, writable=True, follow=False)
        except OSError:
            return  # it has no name, and ends with the process
        try:
            same = (self.device, self.inode)
            status = files.status(fd)
            if (status.st_dev, status.st_ino) == same:
                kept = descriptors.get(same, ())
                memory.replace_mapping(address, self.size, same, fd, kept)
                if self._unnamed_fd is not None:  # a forked child has published it
                    files.close(self._unnamed_fd)
                    self._unnamed_fd = None
        finally:
            files.close(fd)
        lease.reap(self.path, ending=ending)


def identity_of(
    status: os.stat_result, header: Header, trailer: Trailer | None
) -> bytes:
    """32 bytes that are equal for the same file only.

    The uuid alone would not do, since copying a file copies it; nor the inode
    alone, since it comes back. A foreign file has no uuid, but at least it must
    not have been rewritten with another header or size.
    """
    if trailer is None:
        uuid = struct.pack("<QQ", status.st_size, header.checksum)
    else:
        uuid = trailer.uuid
    return struct.pack("<QQ16s", status.st_dev, status.st_ino, uuid)


def _renew_lock_after_fork() -> None:
    # Another thread of the parent may have held it.
    global _publishing
    _publishing = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock_after_fork)
