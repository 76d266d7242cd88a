"""Meanings and remedies of the operating system's errors."""

from __future__ import annotations

import errno

_ELSEWHERE = "choose another directory"
_SERVER = (
    "the server or program behind its file system does not answer; check that, and "
    "mount the file system again"
)
_DAMAGED = (
    "its file system is damaged; check it (dmesg, fsck), and restore the file from a "
    "copy"
)
# The meaning and the remedy of each errno.
_HINTS: dict[str, str] = {
    "ENOENT": ("there is no such file or directory; check the path"),
    "EEXIST": (
        "the name is taken; open it with sharray.open (or sharray.create with "
        "exist_ok=True), choose another name, or pass overwrite=True"
    ),
    "EACCES": (
        "permission denied; check the owner and mode of the file and of its "
        "directories, and security modules such as SELinux (ls -lZ)"
    ),
    "EPERM": (
        "not permitted for this user; check the owner, and attributes such as "
        "immutable (lsattr)"
    ),
    "EROFS": (
        f"the file system is mounted read-only; {_ELSEWHERE}, or mount it writable"
    ),
    "ENOSPC": "there is no space left; remove files that are not needed",
    "EDQUOT": (
        "the disk quota is used up; remove files that are not needed (see quota -s)"
    ),
    "EISDIR": "it is a directory, expected a file",
    "ENOTDIR": "a part of the path is not a directory; check it",
    "ELOOP": (
        "expected no symbolic link there: in RAM none is followed, and elsewhere none "
        "that leads back to itself; remove it"
    ),
    "EMFILE": (
        "this process has too many open files; raise the limit (ulimit -n) "
        "or drop arrays that are not needed"
    ),
    "ENFILE": (
        "all processes together have too many open files; end some, or raise the "
        "limit (sysctl fs.file-max)"
    ),
    "EAGAIN": "another program has locked it; wait for that to end",
    "EBUSY": (
        "the system or another program is using it; wait for that to end, and check "
        "that nothing is mounted there"
    ),
    "ETXTBSY": ("it is a program that is running, or a swap file; choose another file"),
    "ENAMETOOLONG": "the name is too long; choose a shorter one",
    "EILSEQ": (
        "its file system does not take the characters of this name; choose plain "
        "letters and digits"
    ),
    "EFBIG": (
        "neither this process (ulimit -f) nor its file system may hold files this "
        f"large; raise the limit, or {_ELSEWHERE}"
    ),
    "EOVERFLOW": (f"its file system does not hold files this large; {_ELSEWHERE}"),
    "ENOMEM": ("the system has no memory left for it; end programs that use much"),
    "ENXIO": ("it is a socket, or a device that is not there; expected a regular file"),
    "ENODEV": ("it is a device that is not there; expected a regular file"),
    "ENODATA": ("it was truncated meanwhile; restore it from a copy"),
    "EIO": (
        "its disk or the connection to it has failed (input/output error); check them "
        "(dmesg), and restore the file from a copy"
    ),
    "ESTALE": (
        "the file server has removed or replaced it (stale file handle); open it "
        "again, or mount the file system again"
    ),
    "EUCLEAN": _DAMAGED,
    "EBADMSG": _DAMAGED,
    "ENOTCONN": _SERVER,
    "ECONNABORTED": _SERVER,
    "ETIMEDOUT": _SERVER,
    "EHOSTDOWN": _SERVER,
    "ENOKEY": (
        "the file is encrypted, and its key is not there; open its directory with the "
        "tool that encrypts it"
    ),
    "EKEYEXPIRED": (
        "the ticket for the file server has expired; make a new one (kinit)"
    ),
}
_CANNOT_SHARE = "its file system does not map files that processes share"
# Other meanings of an errno, by the verb of the operation.
_BY_VERB: dict[tuple[str, str], str] = {
    ("create", "EACCES"): (
        f"permission denied; {_ELSEWHERE}, or check the owner and mode of this one, "
        "and security modules such as SELinux (ls -ldZ)"
    ),
    ("open", "EROFS"): (
        "the file system is mounted read-only; open the array with mode='r'"
    ),
    ("open", "ETXTBSY"): (
        "it is a program that is running, or a swap file; open it with mode='r', or "
        "choose another file"
    ),
    ("create", "EINVAL"): (
        "its file system does not take this name, or this size; choose a name of plain "
        f"letters and digits, or {_ELSEWHERE}"
    ),
    ("create", "EBUSY"): (
        f"the system or another program is using this name; {_ELSEWHERE}, or another "
        "name"
    ),
    ("create", "EIO"): (
        "the disk or the connection to it has failed (input/output error); check them "
        f"(dmesg), or {_ELSEWHERE}"
    ),
    ("create", "ESTALE"): (
        "the file server has removed or replaced the directory (stale file handle); "
        "mount the file system again"
    ),
    ("map", "ENOMEM"): (
        "there is no memory or address space left to map it; drop arrays that are "
        "not needed, or raise the limits (ulimit -v, vm.max_map_count)"
    ),
    ("map", "EAGAIN"): (
        "more memory would be locked than this process may (mlockall); raise the "
        "limit (ulimit -l)"
    ),
    ("map", "EACCES"): (
        f"{_CANNOT_SHARE}, or a security module such as SELinux forbids it; open it "
        "with mode='c', or choose another directory"
    ),
    ("map", "ENODEV"): (
        f"{_CANNOT_SHARE}; open it with mode='c' (changes stay private), or copy it "
        "to another disk"
    ),
    ("map", "EINVAL"): (
        f"{_CANNOT_SHARE} and may write; open it with mode='r' or mode='c', or copy "
        "it to another disk"
    ),
}
for _name in ("EACCES", "EINVAL", "ENODEV", "ENOSYS", "ENOTSUP", "EPERM"):
    _BY_VERB.setdefault(("map", _name), _BY_VERB["map", "ENODEV"])
    _BY_VERB["map the new array", _name] = (
        f"{_CANNOT_SHARE}; {_ELSEWHERE}, or write it with numpy.save and open it with "
        "mode='c'"
    )
    _BY_VERB["map a private copy of", _name] = (
        "its file system does not map files at all; use numpy.load, or copy it to "
        "another disk"
    )


def hint(code: int, doing: str) -> str | None:
    """Return the meaning and the remedy of an errno.

    Parameters
    ----------
    code : int
        The errno.
    doing : str
        The operation, as in "cannot <doing>"; its first word is a verb.

    Returns
    -------
    str or None
        None for an errno without an entry here.

    Examples
    --------
    >>> hint(errno.EMFILE, "open the array")
    'this process has too many open files; raise the limit (ulimit -n) or drop ...'
    >>> hint(errno.EROFS, "open the array")
    "the file system is mounted read-only; open the array with mode='r'"
    """
    name = errno.errorcode.get(code, "")
    found = _HINTS.get(name)
    for key in (doing.partition(" ")[0], doing):
        found = _BY_VERB.get((key, name), found)
    return found
