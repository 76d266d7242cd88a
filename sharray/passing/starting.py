"""New processes: they install sharray before they begin."""

from __future__ import annotations

from typing import Any

from ..system import processes
from .options import Options, State


class Starting:
    """A process object, for a process that installs sharray before it unpickles it.

    Before: what is in its arguments, as a bound `Connection.send`, is looked up then.
    """

    def __init__(self, process: Any, options: Options) -> None:
        self._process = process
        self._options = options

    def __reduce__(self) -> Any:
        return _second, (_Installing(self._options), self._process)


class _Installing:
    def __init__(self, options: Options) -> None:
        self._options = options

    def __reduce__(self) -> Any:
        return _install, (processes.family_identity(), *self._options)


def _install(family: int, *options: Any) -> None:
    # Late, as installing needs this module.
    from .installing import install_in_worker

    install_in_worker(Options(*options), family)


def _second(_: None, process: Any) -> Any:
    # Unpickling the process may have imported packages that have hooks of their own.
    if State.options is not None:
        from .hooks.standard import set_hooks

        set_hooks()
    return process
