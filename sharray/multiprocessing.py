"""The standard library's `multiprocessing`, with `sharray.install` called.

In a program, replace ``import multiprocessing`` by ``from sharray import
multiprocessing``. Nothing else changes: importing this module calls `sharray.install`.

Examples
--------
>>> import sharray as sh
>>> from sharray import multiprocessing
>>> multiprocessing.Queue is __import__("multiprocessing").Queue
True
>>> sh.uninstall()
"""

import multiprocessing as _multiprocessing
from multiprocessing import *  # noqa: F403  # every public name
from typing import Any

from .passing.installing import install

__all__ = _multiprocessing.__all__  # already a list


def __getattr__(name: str) -> Any:
    return getattr(_multiprocessing, name)


install()
