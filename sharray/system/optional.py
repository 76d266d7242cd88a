"""Optional system calls: which errors mean that a file system lacks a call.

Many file systems do without some of Linux's calls: network and FUSE file systems,
FAT, sandboxes. Each says so with another error. The library then goes on, and loses
the one guarantee that depended on the call; docs/promises.md has the table.
"""

from __future__ import annotations

import errno

_ENOTSUPP = 524  # the kernel's own number, which some drivers let through

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
    """Tell whether an optional call failed because it is missing here.

    Only for calls on files that this process has opened or made: there, EPERM and
    EINVAL have no other cause.

    Parameters
    ----------
    error : OSError
        What the call raised.
    more : int
        Further errors that mean the same for this call.

    Examples
    --------
    >>> is_unsupported(OSError(errno.EOPNOTSUPP, "not supported"))
    True
    >>> is_unsupported(OSError(errno.EIO, "input/output error"))
    False
    """
    return error.errno in _UNSUPPORTED or error.errno in more
