"""New processes: they install sharray before they begin."""

from __future__ import annotations

from typing import Any

from .options import Options


class Starting:
    """A process object that installs sharray in the process which unpickles it."""

    def __init__(self, process: Any, options: Options) -> None:
        self._process = process
        self._options = options

    def __reduce__(self) -> Any:
        return _install_and_start, (tuple(self._options), self._process)


def _install_and_start(options: tuple[int, int | None], process: Any) -> Any:
    # Late, as installing needs this module.
    from .installing import install_in_worker

    install_in_worker(Options(*options))
    return process
