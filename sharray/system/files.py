"""Files: open, allocate and name them, and bring names to the disk."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
from collections.abc import Iterable

from . import standard_io
from .c_library import c_function, raise_errno
from .optional import is_unsupported

_O_TMPFILE = getattr(os, "O_TMPFILE", 0)
_O_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_ZEROS_AT_ONCE = 1 << 20
_FICLONE = 0x40049409  # linux/fs.h
_renameat2 = c_function(
    "renameat2",
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_uint,
)


def open_existing(path: str, *, writable: bool, follow: bool = True) -> int:
    """Open an existing file; do not wait, not even for the writer of a FIFO.

    Raise OSError as open(2) does, ELOOP for a symbolic link if not `follow`.
    """
    flags = os.O_RDWR if writable else os.O_RDONLY
    flags |= os.O_CLOEXEC | _O_NONBLOCK
    if not follow:
        flags |= os.O_NOFOLLOW
    return standard_io.move_beyond(os.open(path, flags))


def close(fd: int) -> None:
    """Close a descriptor."""
    os.close(fd)


def status(fd: int) -> os.stat_result:
    """Return the status of an open file: fstat(2)."""
    return os.fstat(fd)


def may_see_pages(path: str, status: os.stat_result) -> bool:
    """Return whether mincore(2) tells this user which pages are in memory.

    It tells other users that all pages are.
    """
    owns = os.geteuid() in (0, status.st_uid)
    return owns or os.access(path, os.W_OK, effective_ids=True)


def allocated_bytes(status: os.stat_result) -> int:
    """Return the bytes that a file occupies: less than its size if it has holes."""
    return status.st_blocks * 512  # whatever st_blksize says: inode(7)


def is_regular(status: os.stat_result) -> bool:
    """Return whether this is a plain file: no directory, device, FIFO or socket."""
    return stat.S_ISREG(status.st_mode)


def is_pipe(status: os.stat_result) -> bool:
    """Return whether this is a pipe or a FIFO."""
    return stat.S_ISFIFO(status.st_mode)


def has_name(status: os.stat_result, path: str) -> bool:
    """Return whether the file that was opened by `path` still has that name.

    Some FUSE programs report zero links for every file; then the path decides.
    """
    if status.st_nlink > 0:
        return True
    return names_same_file(path, status.st_dev, status.st_ino)


def is_exhausted(error: OSError) -> bool:
    """Return whether this process or the system is out of descriptors or memory."""
    return error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def read_at(fd: int, nbytes: int, offset: int) -> bytes:
    """Return a private copy of a range, which nobody can change later: pread(2)."""
    return os.pread(fd, nbytes, offset)


def do_not_read_ahead(fd: int) -> None:
    """Make the system read only the requested pages: posix_fadvise(2)."""
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)


def write_at(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` with as many calls as that takes: pwrite(2)."""
    done = os.pwrite(fd, data, offset)
    if done == (data.nbytes if isinstance(data, memoryview) else len(data)):
        return
    view = memoryview(data).cast("B")
    while done < len(view):
        done += os.pwrite(fd, view[done:], offset + done)


def write_all_at(fd: int, parts: Iterable[memoryview], position: int) -> int:
    """Write parts one after the other from `position` on; return where they end."""
    for part in parts:
        write_at(fd, part, position)
        position += part.nbytes
    return position


def open_unnamed(directory: str) -> int | None:
    """Create and open a file without a name in `directory`: open(2), O_TMPFILE.

    Return None where the file system has no such files.
    """
    if not _O_TMPFILE:
        return None
    try:
        flags = _O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
        return standard_io.move_beyond(os.open(directory, flags, 0o600))
    except OSError as error:
        # A kernel without O_TMPFILE takes this for opening the directory to write.
        if is_unsupported(error, errno.EISDIR) and os.path.isdir(directory):
            return None
        raise


def open_new(path: str) -> int:
    """Create and open a file that must not exist yet."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    return standard_io.move_beyond(os.open(path, flags, 0o600))


def link_unnamed(fd: int, path: str) -> None:
    """Give an open file its name: linkat(2) through /proc.

    Raise OSError as linkat does: EEXIST if the name is taken, ENOSYS where no /proc
    is mounted.
    """
    _link_unnamed(fd, path)


def try_link_unnamed(fd: int, path: str) -> None:
    """Give an open file a name and remove it again, to find out whether that works."""
    _link_unnamed(fd, path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _link_unnamed(fd: int, path: str) -> None:
    # AT_EMPTY_PATH would not need /proc, but needs CAP_DAC_READ_SEARCH.
    # A dst_dir_fd makes os.link use linkat; an absolute path ignores it.
    try:
        os.link(f"/proc/self/fd/{fd}", path, dst_dir_fd=0, follow_symlinks=True)
    except FileNotFoundError as error:
        if os.path.exists(f"/proc/self/fd/{fd}"):
            raise
        raise OSError(errno.ENOSYS, "no /proc is mounted") from error


def cannot_link(error: OSError) -> bool:
    """Return whether `link` or `link_unnamed` failed for lack of such links.

    Use `rename_new` or a copy then.
    """
    # EACCES comes from a security module: a user who may not write to the directory
    # could not have made the file. EMLINK: a file can have one link only.
    return is_unsupported(error, errno.EACCES, errno.EXDEV, errno.EMLINK)


def link(source: str, path: str) -> None:
    """Give a file a second name; raise EEXIST if it is taken: link(2)."""
    os.link(source, path, follow_symlinks=False)


def rename(source: str, path: str) -> None:
    """Rename a file and atomically replace the one that has the name: rename(2)."""
    os.rename(source, path)


def rename_new(source: str, path: str) -> bool:
    """Rename a file to a free name: renameat2(2), RENAME_NOREPLACE.

    Raise EEXIST if the name is taken. Return False where the file system cannot.
    """
    if _renameat2 is None:
        return False
    old, new = os.fsencode(source), os.fsencode(path)
    if _renameat2(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_NOREPLACE) == 0:
        return True
    try:
        raise_errno()
    except OSError as error:
        if not is_unsupported(error):
            raise
    return False


def cut_off(fd: int) -> None:
    """Make a file empty, which frees its memory although it is mapped: ftruncate(2).

    To read a mapping of it raises SIGBUS from then on.
    """
    os.ftruncate(fd, 0)


def unlink(path: str) -> None:
    """Remove a name of a file, which lives as long as it is mapped: unlink(2)."""
    os.unlink(path)


def set_permissions(fd: int, permissions: int) -> None:
    """Set the permissions, if the file system has such a call: fchmod(2).

    open(2) alone would subtract the umask.
    """
    try:
        os.fchmod(fd, permissions)
    except OSError as error:
        if not is_unsupported(error):
            raise


def set_owner(fd: int, user: int, group: int) -> bool:
    """Set user and group, -1 keeps one; return False if not permitted: fchown(2)."""
    try:
        os.fchown(fd, user, group)
    except OSError:
        return False
    return True


def allocate(fd: int, nbytes: int, start: int = 0) -> None:
    """Make the file `nbytes` long and reserve its blocks from `start` on.

    A full disk raises ENOSPC here. After a bare ftruncate(2), the first store to a
    page without a block would raise SIGBUS. So zeros are written where
    posix_fallocate(3) is missing.
    """
    if nbytes <= start:
        return
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(fd, start, nbytes - start)
            return
        except OSError as error:
            if not is_unsupported(error):
                raise
    zeros = memoryview(bytes(min(nbytes - start, _ZEROS_AT_ONCE)))
    for offset in range(start, nbytes, _ZEROS_AT_ONCE):
        write_at(fd, zeros[: nbytes - offset], offset)


def copy_contents(source: int, target: int) -> None:
    """Copy all bytes of a file into an empty one."""
    offset = 0
    while part := os.pread(source, _ZEROS_AT_ONCE, offset):
        write_at(target, part, offset)
        offset += len(part)


def clone_contents(source: int, target: int) -> bool:
    """Let an empty file share the blocks of another one: ioctl_ficlone(2).

    Return False where the file system has no such call, or not for these two files.
    """
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if is_unsupported(error, errno.EXDEV, errno.ETXTBSY):
            return False
        raise
    return True


def is_unlinked(fd: int) -> bool:
    """Return whether an open file has no name any more."""
    return os.fstat(fd).st_nlink == 0


def names_same_file(path: str, device: int, inode: int, *, follow: bool = True) -> bool:
    """Return whether `path` is the file with this st_dev and st_ino."""
    try:
        found = os.stat(path, follow_symlinks=follow)
    except OSError:
        return False
    return found.st_ino == inode and found.st_dev == device


def is_out_of_sight(path: str) -> bool:
    """Return whether this process lacks permission to see whether a file exists."""
    try:
        os.stat(path)
    except PermissionError:
        return True
    except OSError:
        pass
    return False


def sync_file(fd: int) -> None:
    """Bring a file to the disk where the file system has such a call: fsync(2)."""
    try:
        os.fsync(fd)
    except OSError as error:
        if not is_unsupported(error):
            raise


def open_directory(path: str) -> int | None:
    """Open a directory for `sync_directory`; return None if it may not be read."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return None


def sync_directory(fd: int) -> None:
    """Bring the names in a directory to the disk where there is such a call.

    The fsync of a file need not bring its name to the disk: see fsync(2).
    """
    try:
        os.fsync(fd)
    except OSError as error:
        if not is_unsupported(error, errno.EISDIR):
            raise
