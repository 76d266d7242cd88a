"""Functions in a module that workers import."""

from __future__ import annotations

import os
import time
from typing import Any

import sharray as sh


def add(x: Any, amount: float = 1.0) -> None:
    x += amount


def pid_of_rows(x: Any) -> None:
    x[...] = os.getpid()


def doubled(x: Any) -> Any:
    return x * 2


def hold(x: Any, gate: Any) -> None:
    """Say that it has begun, and stay until the gate opens."""
    sh.atomic.add(gate, 0, 1)
    while sh.atomic.load(gate, 1) == 0:
        time.sleep(0.001)


class FailedError(Exception):
    """An exception that cannot be unpickled: it takes two arguments, and keeps one."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one)
