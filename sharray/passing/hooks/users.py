"""Replacements of the calls that change the user of a process."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

from ...errors import SharrayError
from ..options import State
from ..wire import light
from .declaration import Hooks
from .patches import Replacement

_NAMES = ("setuid", "seteuid", "setreuid", "setresuid")


def _replacements() -> Iterator[Replacement]:
    """Yield replacements in the module os, and in the module it imports them from.

    Both are needed, since pickle looks a function up in the module that it names.
    """
    for name in _NAMES:
        if hasattr(os, name):
            for module in (os, import_module(os.name)):
                yield Replacement(module, name, _hooked)


@functools.cache
def _hooked(original: Any) -> Any:
    @functools.wraps(original)
    def change(*users: Any) -> None:
        if State.options is None or os.geteuid() != 0:
            original(*users)
            return
        # All that messages need: the new user may be unable to import it.
        privileges: Any = None
        with suppress(OSError, ImportError, SharrayError):
            light.load()
            privileges = import_module("sharray.storage.messages.privileges")
            privileges.prepare_for_change()
        try:
            original(*users)
        finally:
            if privileges is not None and os.geteuid() == 0:
                privileges.withdraw()

    return change


HOOKS = Hooks(
    package="os",
    used_if="os",
    replacements=_replacements,
    processes=None,
)
