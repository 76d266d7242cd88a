"""Adapting a library when a program imports it, before sharray or after.

joblib has no entry points, and importing it takes a tenth of a second. Programs without
joblib should not pay for that. So a finder stands first in `sys.meta_path`. It leaves
the search to the other finders, and runs the adapter right after the library.
"""

from __future__ import annotations

import functools
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def when_imported(library: str, adapter: str) -> None:
    """Run an adapter once a library is imported, or now if it already is.

    Parameters
    ----------
    library : str
        Name of a top-level package.
    adapter : str
        Full name of the module that adapts it, with a function `register`.
    """
    if sys.modules.get(library) is not None:  # None blocks the import
        _register(adapter)
    # If an import of sharray is interrupted and repeated, there must not be two
    # finders: each would ask the other for the library, without end.
    if not any(_is_for(finder, library) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(library, adapter))


def _is_for(finder: Any, library: str) -> bool:
    return isinstance(finder, _Finder) and finder.library == library


def _register(adapter: str) -> None:
    import_module(adapter).register()


class _Finder:
    """A finder that finds one library through the other finders."""

    def __init__(self, library: str, adapter: str) -> None:
        self.library = library
        self._adapter = adapter

    def find_spec(
        self, name: str, path: Any = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the library's own spec, which also runs the adapter; else None."""
        if name != self.library:
            return None
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    self._follow(spec.loader)
                    return spec
        return None

    def _follow(self, loader: Any) -> None:
        """Make a loader run the adapter after the library.

        This sets an attribute of the one loader. Its class stays as tools expect it.
        """
        if hasattr(loader, "exec_module"):
            loader.exec_module = functools.partial(self._execute, loader)

    def _execute(self, loader: Any, module: ModuleType) -> None:
        del loader.exec_module
        loader.exec_module(module)
        _register(self._adapter)
