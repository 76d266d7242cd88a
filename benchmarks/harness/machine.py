"""The machine on which the figures are measured."""

from __future__ import annotations

import os
import platform
import time
from importlib import metadata

# The versions of these are part of the results.
_PACKAGES = (
    *("sharray", "numpy", "numba", "pandas"),
    *("SharedArray", "joblib", "ray", "torch", "tensordict", "shm-ring-buffer"),
    *("h5py", "npy-append-array", "tables", "zarr"),
)


def describe() -> dict[str, str | int | float]:
    """Return processor, system, versions, date and load."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: found for name in _PACKAGES if (found := _version(name))},
        "date": time.strftime("%Y-%m-%d"),
        "load": round(os.getloadavg()[0], 2),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as table:
        for line in table:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()  # only x86 has that line
