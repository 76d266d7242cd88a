"""The registry of executors, and of those that have hooks now.

=================  =========================================================
module             executor
=================  =========================================================
`multiprocessing`  multiprocessing; also concurrent.futures, whose processes,
                   queues and pipes are those of multiprocessing
`multiprocess`     multiprocess: multiprocessing with dill
`loky`             loky
`joblib`           joblib, which has its own copy of loky
=================  =========================================================

To support another executor, write a module with its `Hooks` beside these, and add it to
`EXECUTORS`. The functions of `multiprocessing` and `loky` that return replacements take
the name of a package. So a copy of these packages needs a declaration only.

Shared arrays reach an executor's workers without hooks. Two other modules may have to
know a new executor. `sharray.arrays.pickling` needs its package, to tell its
undelivered pickles from kept ones. `sharray.storage.ending` needs its copy of
multiprocessing.util, if its workers run the finalizers of one.

Only packages that are imported before `install` get hooks. Importing joblib would cost
other programs a tenth of a second.
"""

from __future__ import annotations

import sys
from collections.abc import Set

from ...system import interrupts
from ..wire.delivering import Relaying
from . import joblib, loky, multiprocess, multiprocessing, users
from .patches import Patches

EXECUTORS = (
    multiprocessing.HOOKS,
    multiprocess.HOOKS,
    loky.HOOKS,
    joblib.HOOKS,
)

_ALL = {hooks.package: hooks for hooks in (users.HOOKS, *EXECUTORS)}

# Patches of packages that ever had hooks, and the packages that have them now.
_patches: dict[str, Patches] = {}
_hooked: set[str] = set()


def hooked_packages() -> frozenset[str]:
    """Return the packages that have hooks now."""
    return frozenset(_hooked)


def set_hooks() -> None:
    """Set the hooks of all packages that this program uses."""
    used = {
        package
        for package, hooks in _ALL.items()
        if package in _patches or hooks.used_if in sys.modules
    }
    set_hooks_of(_hooked | used)


def remove_hooks() -> None:
    """Restore all functions."""
    set_hooks_of(frozenset())


def set_hooks_of(packages: Set[str]) -> None:
    """Set the hooks of these packages, and remove all others."""
    # An interrupt between setting a hook and noting it would leave the hook for good.
    with interrupts.deferred():
        if _hooked - packages:
            Relaying.send_waiting()  # its loop will call the original `get`
        for package in _hooked - packages:
            _patches[package].remove()
            _hooked.discard(package)
        for package in packages:
            if package not in _patches:
                _patches[package] = Patches(_ALL[package].replacements())
            _patches[package].set()
            _hooked.add(package)


def is_worker() -> bool:
    """Return whether one of the executors has started this process."""
    names = {hooks.processes for hooks in EXECUTORS}
    imported = [sys.modules[name] for name in names if name and name in sys.modules]
    return any(one.current_process().name != "MainProcess" for one in imported)
