"""Clocks that a program cannot mock.

Tests of user programs replace `time.monotonic` and `time.time` by mocks, or freeze them
with freezegun, which replaces the functions in every module. The library must not use
up the values of a mock, nor wait for a frozen clock. So it takes these functions from a
private copy of the module `time`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec, module_from_spec
from types import ModuleType


def _private_time() -> ModuleType:
    spec = find_spec("time")
    if spec is None or spec.loader is None:  # the program replaced the whole module
        import time

        return time
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_time = _private_time()

monotonic: Callable[[], float] = _time.monotonic
monotonic_ns: Callable[[], int] = _time.monotonic_ns
sleep: Callable[[float], None] = _time.sleep
time_ns: Callable[[], int] = _time.time_ns
