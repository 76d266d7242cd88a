"""Adapting a library when a program imports it, before sharray or after.

To import joblib costs a tenth of a second, which programs without it need not pay;
and it has no entry points. So a finder stands first in `sys.meta_path`, finds nothing
itself, and has the adapter of a library run right after the library.
"""

from __future__ import annotations

import functools
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def when_imported(library: str, adapter: str) -> None:
    """Import a module as soon as a library is there, at once if it is already.

    Parameters
    ----------
    library : str
        Name of a top-level package.
    adapter : str
        Full name of the module that adapts it, by its function `register`.
    """
    if sys.modules.get(library) is not None:  # None forbids it
        _register(adapter)
    # An import of sharray that was interrupted, and made again, must not leave two:
    # each would look for the library by the other.
    if not any(_is_for(finder, library) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(library, adapter))


def _is_for(finder: Any, library: str) -> bool:
    return isinstance(finder, _Finder) and finder.library == library


def _register(adapter: str) -> None:
    import_module(adapter).register()


class _Finder:
    """Finds one library where the other finders find it."""

    def __init__(self, library: str, adapter: str) -> None:
        self.library = library
        self._adapter = adapter

    def find_spec(
        self, name: str, path: Any = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The library's own spec, which also runs the adapter; none for all else."""
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
        """Run the adapter after what this loader executes.

        By an attribute of this one object, whose class stays what tools expect.
        """
        if hasattr(loader, "exec_module"):
            loader.exec_module = functools.partial(self._execute, loader)

    def _execute(self, loader: Any, module: ModuleType) -> None:
        del loader.exec_module
        loader.exec_module(module)
        _register(self._adapter)
