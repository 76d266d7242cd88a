"""Tasks of workers that have not imported NumPy; this module must not import it."""

from __future__ import annotations

import os
import sys
from typing import Any


def has_numpy(_: Any = None) -> bool:
    """Return whether this worker has imported NumPy."""
    return sys.modules.get("numpy") is not None


def is_installed() -> bool:
    """Return whether sharray is installed in this worker."""
    options = sys.modules.get("sharray.passing.options")
    return options is not None and options.State.options is not None


def make_bytes(nbytes: int) -> bytes:
    """Return bytes, the same as `bytes(range(256))` again and again."""
    return (bytes(range(256)) * (nbytes // 256 + 1))[:nbytes]


def make_array(length: int) -> Any:
    """Import NumPy only now, and return an array."""
    import numpy as np

    return np.arange(float(length))


def has_numpy_in_child() -> bool:
    """Return whether a forked child of this worker has imported NumPy."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if has_numpy() else 1)
    return os.waitpid(pid, 0)[1] == 0


def send_back(obj: Any) -> Any:
    """Return the argument."""
    return obj


class _NoImports:
    """A finder that makes all imports fail."""

    def find_spec(self, name: str, *_: Any) -> None:
        raise ImportError(f"{name} cannot be read")


def answer_as(user: int, pipe: Any) -> None:
    """Change the user, lose the ability to import, and send objects back until None."""
    pipe.send(has_numpy())
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    sys.meta_path.insert(0, _NoImports())  # type: ignore[arg-type]
    while (obj := pipe.recv()) is not None:
        pipe.send(obj)
    pipe.close()
