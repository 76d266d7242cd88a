"""The standard library's `multiprocessing`, installed.

``from sharray import multiprocessing`` instead of ``import multiprocessing`` is all
that a program needs: importing this calls `sharray.install`.

Examples
--------
>>> import sharray as sh
>>> from sharray import multiprocessing
>>> multiprocessing.Queue is __import__("multiprocessing").Queue
True
>>> sh.uninstall()
"""

import multiprocessing as _multiprocessing
from multiprocessing import *  # noqa: F403  # all of it, whatever it is
from typing import Any

from .passing.installing import install

__all__ = _multiprocessing.__all__  # a list there, as it should be


def __getattr__(name: str) -> Any:
    return getattr(_multiprocessing, name)


install()
