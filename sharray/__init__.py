"""NumPy arrays shared between processes.

A map of the package; each layer imports only from those below it:

- ``sharray.cli``: the command ``sharray``
- ``sharray.integrations``: adapters, with which joblib and dask send shared arrays
- ``sharray.multiprocessing``: the standard module, with arrays in shared memory
- ``sharray.passing``: ordinary arrays between processes
- ``sharray.team``: worker processes that run kernels and functions together
- ``sharray.kernels``: functions that numba compiles once for all processes
- ``sharray.sync``: counters and barriers in shared memory
- ``sharray.arrays``: `SharedArray`, its constructors, its handles
- ``sharray.storage``: the file format, and the lifetime of files
- ``sharray.native``: machine code without numba, and `sharray.atomic`
- ``sharray.system``: the operating system's calls
- ``sharray.errors``: the errors of this library
- ``sharray.hints``: meanings and remedies of the system's errors
- ``sharray.names``: names of arrays as users write them
"""

import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

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
    KernelError,
    MessageError,
    NoSpaceError,
    NotSharedError,
    ShapeError,
    SharrayError,
    StorageError,
    TeamError,
    UnsafePathError,
    WorkerDied,
)
from .integrations import await_libraries
from .system import forks

if TYPE_CHECKING:
    from .arrays.catalog import clear_fault, gc, inspect, unlink
    from .arrays.catalog import list as list
    from .arrays.core import SharedArray
    from .arrays.creation import (
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
    from .arrays.named import create
    from .arrays.named import open as open
    from .arrays.publishing import publish
    from .arrays.snapshots import snapshot
    from .integrations.dask import to_dask
    from .kernels.decorator import kernel
    from .kernels.here import member, members, offset
    from .kernels.kernel import Kernel, Shipping
    from .kernels.prange import prange
    from .kernels.seeding import default_rng
    from .native import atomic
    from .passing.installing import install, installed, uninstall
    from .passing.sharing import share, unshare
    from .storage.inspection.holder import Holder, PageView
    from .storage.inspection.result import Inspection
    from .sync.barrier import Barrier
    from .sync.counter import Counter
    from .system.mappings import Mapping
    from .team.arguments import whole
    from .team.default import map as map
    from .team.default import run, submit
    from .team.survey import MemberStatus, TeamStatus, teams
    from .team.team import Team

__version__ = "0.1.0"

# Without `list`, `map` and `open`: like in NumPy, ``from sharray import *`` hides no
# built-in. ``sharray.list`` and the others are as public as all names.
__all__ = [
    "AccessError",
    "ArrayExistsError",
    "ArrayGoneError",
    "ArrayNameError",
    "ArrayNotFoundError",
    "Barrier",
    "BusyError",
    "Counter",
    "DtypeError",
    "FlushError",
    "FormatError",
    "HandleError",
    "Holder",
    "Inspection",
    "Kernel",
    "KernelError",
    "Mapping",
    "MemberStatus",
    "MessageError",
    "NoSpaceError",
    "NotSharedError",
    "PageView",
    "ShapeError",
    "SharedArray",
    "SharrayError",
    "Shipping",
    "StorageError",
    "Team",
    "TeamError",
    "TeamStatus",
    "UnsafePathError",
    "WorkerDied",
    "array",
    "atomic",
    "clear_fault",
    "create",
    "default_rng",
    "empty",
    "empty_like",
    "full",
    "full_like",
    "gc",
    "inspect",
    "install",
    "installed",
    "kernel",
    "member",
    "members",
    "offset",
    "ones",
    "ones_like",
    "prange",
    "publish",
    "run",
    "share",
    "snapshot",
    "submit",
    "teams",
    "to_dask",
    "uninstall",
    "unlink",
    "unshare",
    "whole",
    "zeros",
    "zeros_like",
]

# Imported on first use. Programs that only share arrays save 60 ms, and LLVM.
_LATE = {
    "Barrier": ".sync.barrier",
    "Counter": ".sync.counter",
    "Holder": ".storage.inspection.holder",
    "Inspection": ".storage.inspection.result",
    "Kernel": ".kernels.kernel",
    "Mapping": ".system.mappings",
    "MemberStatus": ".team.survey",
    "PageView": ".storage.inspection.holder",
    "SharedArray": ".arrays.core",
    "Shipping": ".kernels.kernel",
    "Team": ".team.team",
    "TeamStatus": ".team.survey",
    "array": ".arrays.creation",
    "clear_fault": ".arrays.catalog",
    "create": ".arrays.named",
    "default_rng": ".kernels.seeding",
    "empty": ".arrays.creation",
    "empty_like": ".arrays.creation",
    "full": ".arrays.creation",
    "full_like": ".arrays.creation",
    "gc": ".arrays.catalog",
    "inspect": ".arrays.catalog",
    "install": ".passing.installing",
    "installed": ".passing.installing",
    "kernel": ".kernels.decorator",
    "list": ".arrays.catalog",
    "map": ".team.default",
    "member": ".kernels.here",
    "members": ".kernels.here",
    "offset": ".kernels.here",
    "ones": ".arrays.creation",
    "ones_like": ".arrays.creation",
    "open": ".arrays.named",
    "prange": ".kernels.prange",
    "publish": ".arrays.publishing",
    "run": ".team.default",
    "share": ".passing.sharing",
    "snapshot": ".arrays.snapshots",
    "submit": ".team.default",
    "teams": ".team.survey",
    "to_dask": ".integrations.dask",
    "uninstall": ".passing.installing",
    "unlink": ".arrays.catalog",
    "unshare": ".passing.sharing",
    "whole": ".team.arguments",
    "zeros": ".arrays.creation",
    "zeros_like": ".arrays.creation",
}


def _is_worker_that_begins() -> bool:
    """Return whether multiprocessing, or a copy of it, is preparing this process."""
    for name in ("multiprocessing.process", "multiprocess.process"):
        if name in sys.modules:
            current = sys.modules[name].current_process()
            if current.name != "MainProcess" and getattr(current, "_inheriting", False):
                return True
    return False


def _load() -> None:
    """Import NumPy, and all that most programs need."""
    for name in ("catalog", "creation", "named", "publishing", "snapshots"):
        import_module(f".arrays.{name}", __name__)


def _load_before_fork() -> None:
    # If this process cannot import any more, neither can its child.
    with suppress(ImportError, OSError):
        _load()


await_libraries()
# A worker may never see an array, and importing NumPy takes a tenth of a second. All
# other programs import it here: if another thread imported it at the moment of a fork,
# the child would wait for the locks of these imports without end.
if _is_worker_that_begins():
    forks.at_fork(before=_load_before_fork)
else:
    _load()


def __getattr__(name: str) -> Any:
    if name == "atomic":
        found = import_module(".native.atomic", __name__)
    elif name in _LATE:
        found = getattr(import_module(_LATE[name], __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> Any:
    return sorted({*globals(), *_LATE, "atomic"})
