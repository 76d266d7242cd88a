"""The control page: what processes of a user share about a file on a disk.

A file on a disk has nothing but a header and data, as `numpy.save` writes it. What its
users have to tell each other is in a page in RAM, named after the file's identity::

    <RAM directory>/.control/<identity>

It is made on first need (a flush that failed), and held by a lease like an array in
RAM. Who finds no page knows that nothing was said.

::

     no page  -- make: complete, leased, then named -->  held
        ^                                                |   ^
        |                                                |   |  find: lease, then look
        |                          the last lease ends   v   |  whether it has its name
        +-- sweep, drop: unlink, under <--------------  unheld
            the exclusive lock, unless
            somebody has the array mapped

Killed before the page has its name, `make` leaves nothing. Killed later, it leaves an
unheld page, which the next one that looks for it takes over: the fault is known until
nobody has the array mapped and somebody sweeps.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress

from ..errors import BusyError, StorageError
from ..names import ENVIRONMENT_VARIABLE, quote
from ..system import file_identity, files, locks, memory
from . import header_rows, location, naming, room
from .lifetime import lease

_MAGIC = b"\x93SHARCTL"
_START = struct.Struct("<8sQ32s")  # magic, version, identity of the file
_VERSION = 1
_SIZE = 8192
# Positions of 64-bit words. Each process reads and writes them with single stores.
_FAULT_WORD = 192 // 8
# Of growable arrays; written with the file's lock for appending only: `growing`.
GROWS_WORD = 256 // 8  # 1: the words below hold
ROWS_WORD = 264 // 8  # rows that are complete
PENDING_WORD = 272 // 8  # where the file may end while rows are written; 0: nowhere
OFFSET_WORD = 280 // 8  # where row 0 begins in the file
ROW_SIZE_WORD = 288 // 8
BELL_WORD = 320 // 8  # changes with each append
WAITING_WORD = 328 // 8  # 1: somebody sleeps on the bell; anybody writes it
_PATH = 4096  # where the path of the file begins, to look whether it is still used
_LONGEST_PATH = _SIZE - _PATH - 1
_ATTEMPTS = 100


class ControlPage:
    """A control page, mapped and held.

    Parameters
    ----------
    fd : int
        Its open file, leased; may be closed after.
    """

    __slots__ = ("_mapping", "bell", "words")

    def __init__(self, fd: int) -> None:
        self._mapping = memory.map_file(fd, _SIZE, writable=True, private=False)
        self.words = memoryview(self._mapping).cast("Q")
        self.bell = memory.address_of(self._mapping) + BELL_WORD * 8

    @property
    def fault(self) -> int:
        """The errno of the first flush that failed since the last `clear_fault`."""
        return self.words[_FAULT_WORD]

    @fault.setter
    def fault(self, code: int) -> None:
        self.words[_FAULT_WORD] = code

    def close(self) -> None:
        """Unmap it; the lease ends with that."""
        self.words.release()
        self._mapping.close()


def find(identity: bytes) -> ControlPage | None:
    """Hold the control page of a file, None if there is none.

    Call it with signals deferred.
    """
    path = _path_of(identity)
    try:
        fd = files.open_existing(path, writable=True, follow=False)
    except OSError:
        return None
    try:
        location.check_ram_directories(path)
        lease.hold(fd, path)
        # After the lease: somebody may have removed the page between open and lock.
        if not files.has_name(files.status(fd), path) or not _is_complete(fd, identity):
            return None
        return ControlPage(fd)
    finally:
        files.close(fd)


def make(identity: bytes, path: str) -> ControlPage:
    """Hold the control page of a file, a new one if there is none.

    Call it with signals deferred.

    Parameters
    ----------
    identity : bytes
        From `sharray.storage.identity.identity_of`, or `file_identity`.
    path : str
        Where the file is, for `sweep`.
    """
    for _ in range(_ATTEMPTS):
        found = find(identity)
        if found is not None:
            return found
        try:
            return _make_new(identity, path)
        except FileExistsError:  # another process was faster, or it is no page
            drop(identity)
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise room.explain_no_room(
                *(error, "make the control page", _path_of(identity), _SIZE),
                ENVIRONMENT_VARIABLE,
            ) from error
    raise BusyError(
        f"cannot use {quote(path)}: another program keeps a file in place of its "
        f"control page, {_path_of(identity)!r}; remove that",
        path,
    )


def fault_of(identity: bytes | None) -> int:
    """Return the fault of a file, 0 for none, without a lease on its control page."""
    if identity is None:
        return 0
    try:
        fd = files.open_existing(_path_of(identity), writable=False, follow=False)
    except OSError:
        return 0
    try:
        if not _is_complete(fd, identity):
            return 0
        return int.from_bytes(files.read_at(fd, 8, _FAULT_WORD * 8), "little")
    finally:
        files.close(fd)


def forget_rows(identity: bytes) -> None:
    """Forget how a file has grown, since another program has rewritten it."""
    page = find(identity)
    if page is not None:
        page.words[GROWS_WORD] = 0
        page.close()


def drop(identity: bytes, path: str | None = None) -> None:
    """Remove the control page of a file that nobody has mapped any more.

    Call it with signals deferred.

    Parameters
    ----------
    identity : bytes
        See `make`.
    path : str, optional
        Where the file is now, if that is known.
    """
    _reap(_path_of(identity), dry_run=False, path=path)


def sweep(*, dry_run: bool = False) -> list[str]:
    """Remove the control pages of files that nobody has mapped any more."""
    directory = location.control_directory()
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    paths = [os.path.join(directory, name) for name in sorted(names)]
    return [path for path in paths if _reap(path, dry_run=dry_run)]


def _path_of(identity: bytes) -> str:
    """Return the path of a page: it is the file's, whatever the header says now."""
    name = file_identity.without_rest(identity).hex()
    return os.path.join(location.control_directory(), name)


def _make_new(identity: bytes, path: str) -> ControlPage:
    own_path = _path_of(identity)
    directory = os.path.dirname(own_path)
    fd = naming.new_nameable_file(directory, own_path)
    is_named = fd is None
    if fd is None:
        fd = naming.new_file_in_ram(own_path)
    try:
        content = _start(identity).ljust(_PATH, b"\0")
        name = os.fsencode(path)
        content += name if len(name) <= _LONGEST_PATH else b""
        files.write_at(fd, content.ljust(_SIZE, b"\0"), 0)
        page = ControlPage(fd)
        try:
            if not is_named:
                location.link_into_ram_directory(fd, own_path)
        except BaseException:
            page.close()
            raise
        return page
    finally:
        files.close(fd)


def _start(identity: bytes) -> bytes:
    return _START.pack(_MAGIC, _VERSION, file_identity.without_rest(identity))


def _is_complete(fd: int, identity: bytes) -> bool:
    """Tell whether this is a whole control page of a file."""
    start = _start(identity)
    return (
        files.read_at(fd, len(start), 0) == start and files.status(fd).st_size == _SIZE
    )


def _reap(page: str, *, dry_run: bool, path: str | None = None) -> bool:
    try:
        fd = files.open_existing(page, writable=True, follow=False)
    except OSError:
        return False
    try:
        # As `lease.reap`: only the file that has this name now, and that nobody holds.
        if not locks.lock_exclusive(fd):
            return False
        status = files.status(fd)
        if not files.names_same_file(page, status.st_dev, status.st_ino, follow=False):
            return False
        if not _settle(fd, path, dry_run=dry_run):
            return False
        if not dry_run:
            files.unlink(page)
            location.tidy_ram_directories(os.path.dirname(page))
        return True
    except OSError:
        return False
    finally:
        lease.let_go(fd)


def _settle(page: int, path: str | None, *, dry_run: bool) -> bool:
    """Write what the file of a control page still needs; False if somebody uses it.

    Who opens the file from now on waits for the page, which is locked, and then finds
    that it has no name any more.
    """
    content = files.read_at(page, _SIZE, 0)
    if len(content) != _SIZE:
        return True  # no page
    _, _, identity = _START.unpack_from(content)
    fd = _open_file(path or os.fsdecode(content[_PATH:].rstrip(b"\0")), identity)
    if fd is None:
        return True
    try:
        words = memoryview(content[:_PATH]).cast("Q")
        # Whoever has the file mapped without the page only looks at it.
        if words[GROWS_WORD] == 1 and not dry_run:
            layout = words[OFFSET_WORD], words[ROW_SIZE_WORD]
            header_rows.settle(fd, words[ROWS_WORD], layout, words[PENDING_WORD])
        return lease.is_held(fd) is False
    finally:
        lease.let_go(fd)


def _open_file(path: str, identity: bytes) -> int | None:
    """Open the file that a page belongs to; None if it is gone."""
    if not path:
        return None
    fd = _open_if_it_is(path, identity)
    return _search(os.path.dirname(path), identity) if fd is None else fd


def _open_if_it_is(path: str, identity: bytes) -> int | None:
    for writable in (True, False):
        with suppress(OSError):
            fd = files.open_existing(path, writable=writable)
            if file_identity.is_of(identity, fd):
                return fd
            files.close(fd)
            return None
    return None


def _search(directory: str, identity: bytes) -> int | None:
    """Open a file that was renamed in its directory, as logs are."""
    inode = file_identity.inode_of(identity)
    with suppress(OSError), os.scandir(directory) as entries:
        found = {entry.inode(): entry.path for entry in entries}
        if inode in found:
            return _open_if_it_is(found[inode], identity)
    return None


def rows_of(identity: bytes) -> int | None:
    """Return the complete rows of a growable array; None without a control page."""
    try:
        fd = files.open_existing(_path_of(identity), writable=False, follow=False)
    except OSError:
        return None
    try:
        if not _is_complete(fd, identity):
            return None
        words = memoryview(files.read_at(fd, _PATH, 0)).cast("Q")
        return words[ROWS_WORD] if words[GROWS_WORD] == 1 else None
    finally:
        files.close(fd)
