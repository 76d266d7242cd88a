"""The declaration of an executor for the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from .patches import Replacement


class Hooks(NamedTuple):
    """A package with functions that sharray replaces.

    Attributes
    ----------
    package : str
        Name of the package.
    used_if : str
        The module that is imported if a program uses the package.
    replacements : callable
        Return all replacements, with those that tell new processes of sharray. It is
        called once, and imports the modules that it needs, but not NumPy.
    processes : str or None
        The module whose `current_process` has another name than ``MainProcess`` in a
        worker of this executor; None if it starts no processes.
    """

    package: str
    used_if: str
    replacements: Callable[[], Iterable[Replacement]]
    processes: str | None
