"""What stands in the place of the calls that change a process's user."""

from __future__ import annotations

import functools
import os
from contextlib import suppress
from importlib import import_module
from typing import Any

from ...errors import SharrayError
from ...storage.messages import privileges
from ..options import State
from .patches import Patches

_NAMES = ("setuid", "seteuid", "setreuid", "setresuid")


class UserHooks:
    """Hooks in the module os, and in the one that it takes these calls from.

    In both, since pickle looks for a function in the module that it names.

    Parameters
    ----------
    package : str
        ``os``.
    """

    def __init__(self, package: str) -> None:
        self._modules = [import_module(package), import_module(os.name)]
        self._patches = Patches()

    def set(self) -> None:
        """As `Hooks.set`."""
        for name in _NAMES:
            if hasattr(os, name):
                for module in self._modules:
                    self._patches.patch(module, name, _hooked)

    def remove(self) -> None:
        """As `Hooks.remove`."""
        self._patches.remove()


@functools.cache
def _hooked(original: Any) -> Any:
    @functools.wraps(original)
    def change(*users: Any) -> None:
        if State.options is None or os.geteuid() != 0:
            original(*users)
            return
        with suppress(OSError, SharrayError):
            privileges.prepare_for_change()
        try:
            original(*users)
        finally:
            if os.geteuid() == 0:
                privileges.withdraw()

    return change
