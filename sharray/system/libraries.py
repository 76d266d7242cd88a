"""Places of functions in shared libraries, valid in every process.

Each process loads a library at another address. So a function is sent as the path of
its library and the offset from the library's base address: dladdr(3), dlinfo(3).
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from importlib import import_module
from typing import NamedTuple

_LINK_MAP = 2  # RTLD_DI_LINKMAP of dlinfo(3)


class Place(NamedTuple):
    """The place of a function, for any process of this machine.

    Attributes
    ----------
    path : str
        Path of the library.
    offset : int
        Bytes from the base address of the library.
    version : tuple of (int, int)
        Size and modification time of the file. Another build may have the function
        at another offset.
    module : str
        Name of the library as an extension module; empty if it is none.
    """

    path: str
    offset: int
    version: tuple[int, int]
    module: str


class _Info(ctypes.Structure):
    """Dl_info of dladdr(3)."""

    _fields_ = (
        ("path", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def place_of(address: int) -> Place | None:
    """Return the place of the function at an address; None if in no library's file.

    The callbacks that ctypes makes of Python functions are in no library.
    """
    path = _library_at(address)
    if path is None:
        return None
    try:
        return Place(path, address - _base(path), _version(path), _module(path))
    except (OSError, AttributeError):  # the file was removed; there is no dlinfo
        return None


def address_of(place: Place) -> int:
    """Return the address of a function in this process; load its library if necessary.

    Raises
    ------
    OSError, ImportError
        The library cannot be loaded, or it is another build.
    """
    if _version(place.path) != place.version:
        raise OSError(f"the library {place.path!r} is not the one that was used before")
    if place.module:  # its functions may need what its import prepares
        import_module(place.module)
    address = _base(place.path) + place.offset
    if _library_at(address) != place.path:
        raise OSError(f"the library {place.path!r} has no function at {place.offset}")
    return address


def _library_at(address: int) -> str | None:
    info = _Info()
    try:
        found = ctypes.CDLL(None).dladdr(ctypes.c_void_p(address), ctypes.byref(info))
    except AttributeError:  # this C library has none
        return None
    if not found or not info.path:
        return None
    path = os.fsdecode(info.path)
    # For the program itself, dladdr gives the name of the command, maybe not a path.
    return path if os.path.isabs(path) and os.path.isfile(path) else None


@functools.cache
def _base(path: str) -> int:
    """Return the base address of a library; load it if necessary."""
    handle = ctypes.c_void_p(ctypes.CDLL(path)._handle)
    link_map = ctypes.c_void_p()
    dlinfo = ctypes.CDLL(None).dlinfo
    if dlinfo(handle, _LINK_MAP, ctypes.byref(link_map)) != 0 or not link_map.value:
        raise OSError(f"the address of the library {path!r} is not known")
    # l_addr, the first field of struct link_map; 0 for a library that is not relocated.
    return ctypes.c_size_t.from_address(link_map.value).value


def _version(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def _module(path: str) -> str:
    for name, module in sys.modules.copy().items():
        if getattr(module, "__file__", None) == path:
            return name
    return ""
