"""Names of arrays as users write them: paths, and ``shm://`` for the RAM directory.

This module only computes names. `sharray.storage.location` checks them.
"""

from __future__ import annotations

import functools
import os

SCHEME = "shm://"
ENVIRONMENT_VARIABLE = "SHARRAY_RAM_DIR"
ANONYMOUS = ".anonymous"
_OURS = f"sharray-{os.getuid()}"


def ram_directory(chosen: str) -> str:
    """Return the path of our RAM directory, which need not exist.

    Parameters
    ----------
    chosen : str
        Value of the environment variable; empty for /dev/shm.
    """
    parent = chosen or "/dev/shm"
    if not chosen and not os.path.isdir(parent):
        import tempfile  # costs 5 ms, and few machines have no /dev/shm

        parent = tempfile.gettempdir()
    return os.path.join(os.path.abspath(parent), _OURS)


_remembered = functools.lru_cache(maxsize=16)(ram_directory)


def is_in_ram(path: str) -> bool:
    """Tell whether an absolute path is in our RAM directory."""
    # For most paths, the first test saves reading the environment.
    return _OURS in path and path.startswith(current_ram_directory() + os.sep)


def current_ram_directory() -> str:
    """Return the path of the RAM directory that the environment chooses now."""
    return _remembered(os.environ.get(ENVIRONMENT_VARIABLE, ""))


def display_name(path: str) -> str:
    """Return a path as the user would write it: ``shm://...`` if it is in RAM."""
    if not is_in_ram(path):
        return path
    return SCHEME + path.removeprefix(current_ram_directory() + os.sep)


def quote(path: str) -> str:
    """Return an array's path for a message: quoted, and as the user would write it.

    Other files in the RAM directory keep their paths, since no ``shm://`` name opens
    them.

    Examples
    --------
    >>> quote("/data/field.npy")
    "'/data/field.npy'"
    """
    name = display_name(path)
    first, *rest = name.removeprefix(SCHEME).split("/")
    is_hidden = first.startswith(".") and first != ANONYMOUS
    if is_hidden or any(part.startswith(".") for part in rest):
        return repr(path)
    return repr(name)
