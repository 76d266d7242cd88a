"""The running IPython, of a notebook or a terminal, if there is one."""

from __future__ import annotations

import sys
from typing import Any


def shell() -> Any | None:
    """Return the shell of IPython that runs in this process, or None.

    This imports nothing: IPython has been imported if it runs.
    """
    module = sys.modules.get("IPython")
    get = getattr(module, "get_ipython", None)  # not yet, while it is imported
    return get() if callable(get) else None


def is_notebook() -> bool:
    """Return whether the program is a notebook, or another client of a kernel."""
    return hasattr(shell(), "kernel")  # of ipykernel; a terminal has none


def cell_name(filename: str) -> str | None:
    """Return the name of a cell as IPython's tracebacks show it, such as "Cell In[9]".

    Return None if the file is no cell of the running IPython.
    """
    compiler = getattr(shell(), "compile", None)
    number = getattr(compiler, "_filename_map", {}).get(filename)
    return None if number is None else f"Cell In[{number}]"
