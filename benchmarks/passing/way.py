"""Ways to have another process work on an array: of multiprocessing, and of sharray."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import numpy as np

MOST = 1_000_000_000  # the largest array that is sent

Array = np.ndarray[Any, Any]
# The caller uses the result while it exists.
Use = Callable[[Any], Any]
Call = Callable[[], object]


class Way(NamedTuple):
    """The calls that a contender offers."""

    # Name of the task, the array, and what to do with the result.
    run: Callable[[str, Any, Use], Any]
    # A call that sends an array again that is already shared.
    again: Callable[[Array], AbstractContextManager[Call]] | None = None


# -- in the worker -----------------------------------------------------------


def _nothing(x: Any) -> int:
    return 0


def _take(x: Any) -> int:
    """Take an argument without reading it."""
    return int(x.nbytes)


def _give(x: Any) -> Any:
    return x


def _read(x: Any) -> float:
    return float(x.sum())


def _change(x: Any) -> Any:
    x += 1
    return x


def _double(x: Any) -> Any:
    return x * 2


def _full(n: int) -> Any:
    return np.full(n, 1.5)


TASKS: dict[str, Callable[[Any], Any]] = {
    "empty": _nothing,
    "take": _take,
    "give": _give,
    "read": _read,
    "change": _change,
    "double": _double,
    "full": _full,
}


def argument(task: str, x: Array) -> Any:
    """Return what a task gets if all tasks are about the same array."""
    return {"empty": None, "full": x.size}.get(task, x)


# -- multiprocessing, as it is and with sharray ------------------------------


@contextmanager
def pool_of_one(maker: Any | None = None) -> Iterator[Any]:
    """Yield a pool of one worker, and terminate it only after an error."""
    pool = (maker or multiprocessing.get_context("spawn").Pool)(1)
    try:
        yield pool
        pool.close()
    except BaseException:
        pool.terminate()
        raise
    finally:
        pool.join()


@contextmanager
def plain() -> Iterator[Way]:
    """Multiprocessing as it is."""
    with pool_of_one() as pool:

        def run(task: str, x: Any, use: Use) -> Any:
            return use(pool.apply(TASKS[task], (argument(task, x),)))

        @contextmanager
        def again(x: Array) -> Iterator[Call]:
            yield lambda: pool.apply(_take, (x,))

        yield Way(run, again)


@contextmanager
def ours(threshold: int | None = None) -> Iterator[Way]:
    """Make the same calls after `sharray.install`; `share` arrays sent again."""
    import sharray as sh

    sh.install(threshold)
    with plain() as way:
        send_again = way.again
        assert send_again is not None
        yield Way(way.run, lambda x: send_again(sh.share(x)))
    sh.uninstall()


@contextmanager
def memcpy() -> Iterator[Way]:
    """Copy in this process: the rate of the machine."""
    target = np.empty(0)

    def run(task: str, x: Array, use: Use) -> Any:
        nonlocal target
        if task == "full":
            return use(TASKS[task](x.size))
        if target.shape != x.shape:
            target = np.zeros_like(x)
            target[...] = 1  # has its pages, too
        np.copyto(target, x)
        return use(x if task == "give" else x.nbytes)

    yield Way(run)
