"""NumPy arrays shared between processes.

A map of the package; each layer imports only from those below it:

- ``sharray.cli``: the command ``sharray``
- ``sharray.array``: `SharedArray`, its constructors, its handles
- ``sharray.storage``: the file format, and how long a file lives
- ``sharray.system``: the operating system's calls
- ``sharray.errors``: every error that is raised on purpose
"""

from .array.catalog import ArrayInfo, clear_fault, gc, list, unlink
from .array.core import SharedArray
from .array.creation import (
    array,
    empty,
    empty_like,
    full,
    full_like,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from .array.named import create, open
from .errors import (
    AccessError,
    ArrayExistsError,
    ArrayGoneError,
    ArrayNameError,
    ArrayNotFoundError,
    BusyError,
    DtypeError,
    FlushError,
    FormatError,
    HandleError,
    NoSpaceError,
    NotSharedError,
    ShapeError,
    SharrayError,
    StorageError,
    UnsafePathError,
)

__version__ = "0.1.0.dev0"

__all__ = [
    "AccessError",
    "ArrayExistsError",
    "ArrayGoneError",
    "ArrayInfo",
    "ArrayNameError",
    "ArrayNotFoundError",
    "BusyError",
    "DtypeError",
    "FlushError",
    "FormatError",
    "HandleError",
    "NoSpaceError",
    "NotSharedError",
    "ShapeError",
    "SharedArray",
    "SharrayError",
    "StorageError",
    "UnsafePathError",
    "array",
    "clear_fault",
    "create",
    "empty",
    "empty_like",
    "full",
    "full_like",
    "gc",
    "list",
    "ones",
    "ones_like",
    "open",
    "unlink",
    "zeros",
    "zeros_like",
]
