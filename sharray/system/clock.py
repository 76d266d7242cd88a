"""Clocks that a program cannot stop.

Tests replace `time.monotonic` and `time.time` by mocks, or freeze them with freezegun,
which looks for the real functions in every module. What depends on these functions
must not use up the values of a mock, nor wait until a frozen clock moves on. So they
come from a private copy of the module, which nobody else has.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec, module_from_spec
from types import ModuleType


def _private_time() -> ModuleType:
    spec = find_spec("time")
    if spec is None or spec.loader is None:  # it was replaced as a whole
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
