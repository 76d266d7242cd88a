"""Code of a user, which must pass `mypy --strict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import sharray as sh


def first(x: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    return float(x[0])


if TYPE_CHECKING:  # nobody runs this
    a = sh.create("field.npy", (3, 4), "f4", fill_value=1.5, overwrite=True)
    b = sh.open(Path("field.npy"), mode="r")
    c: sh.SharedArray[Any, np.dtype[np.float64]] = sh.zeros(3)
    total: float = first(c) + first(sh.full_like(c, 2.0))
    name: str | None = a.filename
    where: int | None = a[1:].offset
    durable: bool = a.durable
    with sh.array([1, 2, 3]) as d:
        d[0] += 1
        d.flush(wait=False)
    with sh.publish(Path("field.npy"), 3, "f4", permissions=0o640) as new:
        new[:] = 1
    new[1:].advise("random")
    current: bool = new.is_current()
    is_cut: bool = sh.snapshot(new, "copy.npy", overwrite=True)

    @sh.kernel
    def scale(x: Any, factor: float = 2.0) -> None:
        for i in range(x.shape[0]):
            x[i] *= factor

    @sh.kernel(fastmath=True)
    def mean(x: Any) -> float:
        return float(x.mean())

    scale(c, 3.0)
    ways: dict[str, sh.Shipping] = scale.compile(c).shipped
    sh.run(scale, c, factor=0.5, progress=False, chunk=100)
    biggest: float = sh.run(mean, c, reduce="max", schedule="static")
    sh.run(np.sqrt, c, c)
    doubled: sh.SharedArray[Any, Any] = sh.map(lambda x: 2 * x, c, out=c, chunk=10)
    doubled.advise("willneed")
    place: int = sh.member() + sh.members() + sh.offset()
    noise: float = sh.default_rng().random() + place
    with sh.Team(2, caller_works=False) as team:
        team.run(scale, c, 1.5, timeout=10.0)
        team.submit(mean, sh.whole(c)).result()
        pids: list[int] = team.pids()
    counter, barrier = sh.Counter(), sh.Barrier(2)
    ticket: int = counter.add()
    sh.atomic.add(c, 0, 1.0)
    try:
        sh.run(scale, c)
    except sh.WorkerDied as died:
        signal: str | None = died.signal
    found: list[sh.Inspection] = sh.list()
    removed: list[str] = sh.gc()
    try:
        sh.unlink("field.npy")
    except sh.ArrayNotFoundError as error:
        path: str | None = error.path
