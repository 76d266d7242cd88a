"""numba's copy of cloudpickle, for programs that have no other one."""

from __future__ import annotations

from numba.cloudpickle import cloudpickle

Pickler = cloudpickle.Pickler
