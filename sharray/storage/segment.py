"""A segment: one array file, mapped by this process."""

from __future__ import annotations

import mmap
import os
from contextlib import suppress

from ..errors import ArrayGoneError, StorageError, explain
from ..names import quote
from ..system import (
    clock,
    file_systems,
    files,
    forks,
    huge_pages,
    interrupts,
    mappings,
    memory,
    remapping,
)
from ..system.thread_locks import Lock
from . import location
from . import trailer as trailer_page
from .file_sharing import FileSharing
from .header import Header
from .identity import identity_of
from .lifetime import lease, transit
from .trailer import Trailer

_LOOK_INTERVAL = 0.01
# Addresses for a growable array: 64 GiB cost nothing, and 1,000 of them fit.
_ROOM = 1 << 36
# Names that NFS and FUSE give to a removed file while it is in use.
_NAMES_OF_REMOVED = (".nfs", ".fuse_hidden")
# Reentrant: garbage collection may run a __del__ that sends another array.
_publishing = Lock(reentrant=True)


class Segment(FileSharing):
    """One array file, mapped as a whole.

    Attributes
    ----------
    path : str
        Absolute path of the file. An anonymous array's file has it only after
        `publish`. Other processes may have changed it since; see `find_path`.
    mode : str
        ``r``, ``r+`` or ``c``, as in `numpy.memmap`.
    mapping : mmap.mmap
        The file from its first byte to its last, and perhaps addresses behind it.
    header : Header
        Header at the time of mapping.
    trailer : Trailer or None
        None for a file on a disk.
    identity : bytes
        See `identity_of`. Two segments with equal identities are the same file.
    volatile : bool
        True if the file is in memory, so that flushing has no effect.
    unlinked : bool
        True if this process has removed the file by `sharray.unlink`.
    awaits_name : bool
        True while `sharray.publish` fills the file: `path` is its future name.
    keepable : bool
        True if `sharray.storage.kept` may keep the mapping: only the first page has the
        lease.

    Parameters
    ----------
    fd : int
        The file, open, with the lease unless `lease_fd` is given.
    status : os.stat_result
        Its status.
    place : Location
        Its path, or for a new anonymous array the path that it may get.
    mode, header, trailer
        See above.
    is_unnamed : bool, default False
        The file is a new anonymous array's, and gets its name when it is published.
    lease_fd : int, optional
        The file, open with the lease. Then `fd` has none: see `keepable`.
    """

    __slots__ = (
        "_first_page",
        "_reachable_until",
        "_unnamed_fd",
        "_unnamed_since",
        "anonymous",
        "awaits_name",
        "keepable",
        "mapping",
        "unlinked",
    )

    def __init__(
        self,
        fd: int,
        status: os.stat_result,
        place: location.Location,
        mode: str,
        header: Header,
        trailer: Trailer | None,
        *,
        is_unnamed: bool = False,
        lease_fd: int | None = None,
    ) -> None:
        path, in_ram = place
        self.path = path
        self.mode = mode
        self.header = header
        self.trailer = trailer
        self.size = status.st_size
        # Position of the first byte of the data, and of the byte after the last.
        self.data_range = header.data_offset, header.data_offset + header.nbytes
        self.device, self.inode = status.st_dev, status.st_ino
        self.identity = identity_of(fd, status, header, trailer)
        self.volatile = file_systems.is_volatile(fd, status.st_dev, is_known=in_ram)
        # A user's copy of such a file elsewhere is not anonymous, and never removed.
        self.anonymous = (
            trailer is not None
            and trailer.anonymous
            and (is_unnamed or location.is_anonymous(path))
        )
        self.unlinked = False
        self.awaits_name = False
        self._unnamed_fd: int | None = None
        self._words: memoryview[int] | None = None
        self._share_nothing()
        self._reachable_until = 0.0
        self.mapping: mmap.mmap = self._map(fd, is_unnamed)
        if header.growing is not None:
            self.size = len(self.mapping)
        # While this exists, mapping.close() raises an error instead of crashing.
        self._pin = memoryview(self.mapping)
        self.keepable = lease_fd is not None
        if lease_fd is not None:
            self._first_page = self.address()
            self.renew_lease(lease_fd)
            # Before the lease ends: a reaper with the lock looks for the word.
            self.words[trailer_page.KEPT_WORD] = 1

    def _map(self, fd: int, is_unnamed: bool) -> mmap.mmap:
        access = {"writable": self.mode != "r", "private": self.mode == "c"}
        if self.header.growing is None:
            map_file = huge_pages.map_file if self.volatile else memory.map_file
            return map_file(fd, self.size, one_of_few=is_unnamed, **access)
        return memory.map_beyond(fd, self.size, max(_ROOM, 16 * self.size), **access)

    @property
    def data(self) -> memoryview:
        """The bytes of the data."""
        first, end = self.data_range
        return self._pin[first:end]

    # -- where the file is ---------------------------------------------------

    def find_path(self) -> str | None:
        """Return the file's present path; None if it has none.

        It was removed or replaced, or does not have its name yet.

        An array follows its file. The file or a directory of its path may have been
        renamed, or a symbolic link in the path changed. Then `path` becomes the present
        path.
        """
        same = self.device, self.inode
        if files.names_same_file(self.path, *same):
            return self.path
        if self.anonymous or self.unlinked or self.awaits_name:
            return None
        # The system has the name after a rename; this reads the table of all mappings.
        found = mappings.path_at(self.address())
        if found is None or os.path.basename(found).startswith(_NAMES_OF_REMOVED):
            return None
        if files.names_same_file(found, *same):
            self.path = found
            return found
        if found.endswith(mappings.DELETED) or not files.is_out_of_sight(found):
            return None
        return self.path  # it has a name, but we have no permission to look it up

    def map_by_name(self) -> None:
        """Map a new file again, at the same address, by its present name.

        The system shows a mapped file under the name by which it was opened. A new file
        had no name, or another one, so `find_path` would take it for deleted. If this
        fails, it does, but the array stays usable.
        """
        with suppress(OSError):  # another process has removed it already
            fd = files.open_existing(self.path, writable=True)
            try:
                status = files.status(fd)
                if (status.st_dev, status.st_ino) == (self.device, self.inode):
                    lease.hold(
                        fd, self.path
                    )  # first: the old lease ends with the old mapping
                    remapping.map_over(self.address(), len(self.mapping), fd)
            finally:
                files.close(fd)

    @property
    def durable(self) -> bool:
        """True if flushing writes the data to a named file on a disk."""
        if self.volatile or self.anonymous or self.mode == "c":
            return False
        return self.find_path() is not None

    def address(self) -> int:
        """Return the address of the mapping."""
        return memory.address_of(self.mapping)

    # -- anonymous arrays ----------------------------------------------------

    def keep_unnamed(self, fd: int) -> None:
        """Keep the file unnamed; take over `fd`, which `publish` needs."""
        self._unnamed_fd = fd
        self._unnamed_since = forks.count()

    @property
    def is_unnamed(self) -> bool:
        """True if the file never had a name by which others could open it."""
        return self._unnamed_fd is not None

    def publish(self) -> None:
        """Give an anonymous array's file its name, so that others can map it.

        Before this, the file has no name. If its last holder is killed, even by
        SIGKILL, the system frees the memory at once.
        """
        # In this order, so that Ctrl-C interrupts the wait for another thread.
        with _publishing, interrupts.deferred():
            fd = self._unnamed_fd
            if fd is None:
                return
            try:
                location.link_into_ram_directory(fd, self.path)
            except FileExistsError:
                pass  # a forked child or parent has published the same file
            except StorageError:
                raise
            except OSError as error:
                raise explain(error, "name the array", self.path) from error
            self._unnamed_fd = None
            files.close(fd)

    def check_reachable(self) -> None:
        """Refuse to send a handle that no process could open.

        An error in the receiver would be too late. There, `multiprocessing.Pool`
        interprets an OSError as the end of its queue, and waits forever.

        Raises
        ------
        ArrayGoneError
            The file was removed or replaced. Processes that have it mapped keep it.
        StorageError
            The file has no name yet.
        """
        # A look-up takes 2 us, so its result is reused for a short time. If a file is
        # removed in that time, it could as well be removed while the handle is sent,
        # which nothing can prevent.
        now = clock.monotonic()
        if now < self._reachable_until:
            return
        if self.awaits_name:
            raise StorageError(
                f"cannot send the array that will be {quote(self.path)}: until the "
                "block of sharray.publish ends, its file has no name by which other "
                "processes could open it; send it after the block, or let them fill "
                "an array of sharray.empty and copy that within the block",
                self.path,
            )
        self._reachable_until = now + _LOOK_INTERVAL
        if self.find_path() is None:
            self._reachable_until = 0.0
            raise ArrayGoneError(
                f"cannot send the array {quote(self.path)}: its file was removed or "
                "replaced, so other processes cannot open it any more; keep the file "
                "until all have opened it, or send a copy (array.copy())",
                self.path,
            )

    def record_sent(
        self, *, to_strangers: bool = False, maybe_kept: bool = False
    ) -> int:
        """Record that a handle of an anonymous array will be sent; return its token.

        An array that was opened read-only by its path cannot record it: the token is 0.

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
        """Record that the handle with this token has arrived."""
        if token and self.anonymous and self.mode == "r+":
            transit.record_received(self.words, token)

    def release(self) -> None:
        """Unmap; also remove the file of an anonymous array without other holders.

        If another object still uses the mapping's buffer, the file stays mapped as long
        as that object lives. Then garbage collection removes the file.
        """
        is_unmapped = self.unmap()
        # A process that was forked meanwhile may have named the file.
        has_name = True
        if self._unnamed_fd is not None:
            has_name = forks.count() != self._unnamed_since
            files.close(self._unnamed_fd)
            self._unnamed_fd = None
        if is_unmapped and self.anonymous and has_name:
            lease.reap(self.path)

    def unmap(self) -> bool:
        """Unmap and do nothing else; return False if the buffer is still in use."""
        self._drop_words()
        # Before the mapping ends, which knows where the file is.
        has_control_page = self.has_control_page
        path = self.find_path() if has_control_page else None
        self._pin.release()
        try:
            self.mapping.close()
        except BufferError:
            return False
        if has_control_page:
            self._drop_control(path)
        return True

    # -- mappings that are kept: see `sharray.storage.kept` -------------------

    def is_of(self, status: os.stat_result) -> bool:
        """Return whether a file is the one that is mapped, and as long."""
        same = status.st_dev, status.st_ino, status.st_size
        return same == (self.device, self.inode, self.size)

    def renew_lease(self, fd: int) -> None:
        """Let the first page have the lease of an open file, for writing."""
        remapping.map_over(self._first_page, memory.PAGE_SIZE, fd)

    def give_up_lease(self) -> bool:
        """Give up the lease but keep the mapping; return False if that cannot be.

        Then another object uses the buffer of the mapping, or the system has no room
        for more mappings.
        """
        self._drop_words()
        self._pin.release()
        try:
            # An error in any case. It tells whether somebody else uses the buffer.
            self.mapping.resize(-1)
        except BufferError:
            return False
        except (TypeError, ValueError):
            self._pin = memoryview(self.mapping)
        with suppress(OSError):
            remapping.map_nothing(self._first_page, memory.PAGE_SIZE)
            return True
        return False

    def _drop_words(self) -> None:
        words, self._words = self._words, None
        if words is not None:
            words.release()

    def let_go(self, *, ending: int, descriptors: remapping.Descriptors) -> None:
        """Give up the lease while arrays on the mapping still exist.

        This is for the end of a process. Its arrays continue to show the same memory.
        The file of an anonymous array is removed if this process was its last holder,
        and so is the control page of a file on a disk.

        Parameters
        ----------
        ending : int
            See `sharray.storage.lifetime.transit.is_awaited`.
        descriptors : Descriptors
            From `sharray.system.remapping.descriptors_of_mappings`.
        """
        if self.mode == "c" or (self.anonymous and self.mode == "r"):
            return  # opened by its path; the next process removes it
        try:
            # Without a view of it, another thread could unmap the file meanwhile, and
            # map its own data there, which the new mapping would replace.
            pin = memoryview(self.mapping)
        except ValueError:
            return  # it is unmapped
        with pin:
            self._let_go(self.address(), descriptors)
        if self.anonymous:
            lease.reap(self.path, ending=ending)
        else:
            self._drop_control(self.find_path())

    def _let_go(self, address: int, descriptors: remapping.Descriptors) -> None:
        try:
            fd = files.open_existing(
                self.path, writable=self.mode == "r+", follow=not self.anonymous
            )
        except OSError:
            return  # it has no name, so it ends with the process
        try:
            same = (self.device, self.inode)
            status = files.status(fd)
            if (status.st_dev, status.st_ino) == same:
                if self.anonymous:
                    self.keepable = False  # it will show its data without a lease
                    lease.show(fd)
                kept = descriptors.get(same, ())
                writable = self.mode == "r+"
                remapping.replace_mapping(
                    address, len(self.mapping), same, fd, kept, writable=writable
                )
                if self._unnamed_fd is not None:  # a forked child has published it
                    files.close(self._unnamed_fd)
                    self._unnamed_fd = None
        finally:
            files.close(fd)


def _renew_lock_after_fork() -> None:
    # Another thread of the parent may have held it at the fork.
    global _publishing
    _publishing = Lock(reentrant=True)


os.register_at_fork(after_in_child=_renew_lock_after_fork)
