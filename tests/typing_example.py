"""Code of a user, which must pass `mypy --strict`."""

from pathlib import Path
from typing import Any

import numpy as np

import sharray as sh


def first(x: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    return float(x[0])


a = sh.create("field.npy", (3, 4), "f4", fill_value=1.5, overwrite=True)
b = sh.open(Path("field.npy"), mode="r")
c: sh.SharedArray[Any, np.dtype[np.float64]] = sh.zeros(3)
total: float = first(c) + first(sh.full_like(c, 2.0))
name: str | None = a.filename
where: int | None = a[1:].offset
durable: bool = a.durable
with sh.array([1, 2, 3]) as d:
    d += 1
    d.flush(wait=False)
infos: list[sh.ArrayInfo] = sh.list()
removed: list[str] = sh.gc()
try:
    sh.unlink("field.npy")
except sh.ArrayNotFoundError as error:
    path: str | None = error.path
