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

from ..system import file_identity, files, locks, memory
from . import location, naming
from .lifetime import lease

_MAGIC = b"\x93SHARCTL"
_START = struct.Struct("<8sQ32s")  # magic, version, identity of the file
_VERSION = 1
_SIZE = 8192
_FAULT_WORD = 192 // 8
_PATH = 4096  # where the path of the file begins, to look whether it is still used
_LONGEST_PATH = _SIZE - _PATH - 1


class ControlPage:
    """A control page, mapped and held.

    Parameters
    ----------
    fd : int
        Its open file, leased; may be closed after.
    """

    __slots__ = ("_mapping", "_words")

    def __init__(self, fd: int) -> None:
        self._mapping = memory.map_file(fd, _SIZE, writable=True, private=False)
        self._words = memoryview(self._mapping).cast("Q")

    @property
    def fault(self) -> int:
        """The errno of the first flush that failed since the last `clear_fault`."""
        return self._words[_FAULT_WORD]

    @fault.setter
    def fault(self, code: int) -> None:
        self._words[_FAULT_WORD] = code

    def close(self) -> None:
        """Unmap it; the lease ends with that."""
        self._words.release()
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
        From `sharray.storage.segment.identity_of`.
    path : str
        Where the file is, for `sweep`.
    """
    while True:
        found = find(identity)
        if found is not None:
            return found
        with suppress(FileExistsError):  # another process was faster
            return _make_new(identity, path)


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


def drop(identity: bytes) -> None:
    """Remove the control page of a file that nobody has mapped any more.

    Call it with signals deferred.
    """
    _reap(_path_of(identity), dry_run=False)


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
    return os.path.join(location.control_directory(), identity.hex())


def _make_new(identity: bytes, path: str) -> ControlPage:
    own_path = _path_of(identity)
    directory = os.path.dirname(own_path)
    fd = naming.new_nameable_file(directory, own_path)
    is_named = fd is None
    if fd is None:
        fd = naming.new_file_in_ram(own_path)
    try:
        content = _START.pack(_MAGIC, _VERSION, identity).ljust(_PATH, b"\0")
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


def _is_complete(fd: int, identity: bytes) -> bool:
    """Tell whether this is a whole control page of a file."""
    start = _START.pack(_MAGIC, _VERSION, identity)
    return (
        files.read_at(fd, len(start), 0) == start and files.status(fd).st_size == _SIZE
    )


def _reap(path: str, *, dry_run: bool) -> bool:
    try:
        fd = files.open_existing(path, writable=True, follow=False)
    except OSError:
        return False
    try:
        # As `lease.reap`: only the file that has this name now, and that nobody holds.
        if not locks.lock_exclusive(fd):
            return False
        status = files.status(fd)
        if not files.names_same_file(path, status.st_dev, status.st_ino, follow=False):
            return False
        if _is_used(fd):
            return False
        if not dry_run:
            files.unlink(path)
            location.tidy_ram_directories(os.path.dirname(path))
        return True
    except OSError:
        return False
    finally:
        files.close(fd)


def _is_used(page: int) -> bool:
    """Tell whether somebody has the file mapped to which a control page belongs."""
    content = files.read_at(page, _SIZE, 0)
    name = content[_PATH:].rstrip(b"\0")
    if not name:
        return False
    _, _, identity = _START.unpack_from(content)
    try:
        fd = files.open_existing(os.fsdecode(name), writable=False)
    except OSError:
        return False
    try:
        same = file_identity.identity_of(fd) == identity
        return same and lease.is_held(fd) is not False
    finally:
        files.close(fd)
