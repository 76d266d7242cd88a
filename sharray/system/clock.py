"""Clocks that a program cannot mock.

Tests of user programs replace `time.monotonic` and `time.time` by mocks, or freeze them
with freezegun, which replaces the functions in every module. The library must not use
up the values of a mock, nor wait for a frozen clock. So it takes these functions from a
private copy of the module `time`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import BuiltinImporter
from types import ModuleType


def _private_time() -> ModuleType:
    spec = BuiltinImporter.find_spec("time")
    module = None if spec is None else BuiltinImporter.create_module(spec)
    if module is None:  # this interpreter has it in a file
        import time

        return time
    BuiltinImporter.exec_module(module)
    return module


_time = _private_time()

monotonic: Callable[[], float] = _time.monotonic
monotonic_ns: Callable[[], int] = _time.monotonic_ns
sleep: Callable[[float], None] = _time.sleep
time_ns: Callable[[], int] = _time.time_ns
