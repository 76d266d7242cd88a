"""Optional system calls: errors that mean that a file system lacks a call.

Network and FUSE file systems, FAT and sandboxes lack some of Linux's calls. Each
reports that with another error. The library then continues without the guarantee that
depends on the call; docs/promises.md has the table.
"""

from __future__ import annotations

import errno

_ENOTSUPP = 524  # internal to the kernel, but some drivers return it to programs

_UNSUPPORTED = {
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
    _ENOTSUPP,
    errno.ENOTTY,
    # CIFS and samba: fsync of a directory; 9p: fallocate.
    errno.EINVAL,
    # FAT and CIFS: fchmod, link. Sandboxes: any call.
    errno.EPERM,
    # NFS: an exclusive flock through a descriptor that cannot write.
    errno.EBADF,
    # NFS without a lock manager.
    errno.ENOLCK,
}


def is_unsupported(error: OSError, *more: int) -> bool:
    """Return whether an optional call failed because it is missing here.

    Use it only for calls on files that this process has opened or made. For these,
    EPERM and EINVAL have no other cause.

    Parameters
    ----------
    error : OSError
        The error of the call.
    more : int
        Further numbers that mean the same for this call.

    Examples
    --------
    >>> is_unsupported(OSError(errno.EOPNOTSUPP, "not supported"))
    True
    >>> is_unsupported(OSError(errno.EIO, "input/output error"))
    False
    """
    return error.errno in _UNSUPPORTED or error.errno in more
