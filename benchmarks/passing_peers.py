"""Ways to have another process work on an array: the peers, and all by their names."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from .passing_ways import (
    MOST,
    TASKS,
    Array,
    Call,
    Use,
    Way,
    by_hand,
    by_hand_kept,
    memcpy,
    ours,
    plain,
    pool_of_one,
    shared_array,
)

PLAIN = "plain pickle"
OURS = "sharray.install()"
SHARED = "install(), all shared"
MEMCPY = "memcpy"
BY_HAND = "SharedMemory"
REUSED = "SharedMemory, reused"
LEAST_SHARED = 1024  # bytes, of what is all shared


@contextmanager
def _joblib(**options: Any) -> Iterator[Way]:
    joblib = importlib.import_module("joblib")
    loky = importlib.import_module("joblib.externals.loky")

    # In RAM, as by default, but where it is removed in any case.
    options["temp_folder"] = os.environ.get("SHARRAY_RAM_DIR")

    def run(task: str, x: Any, use: Use) -> Any:
        # With one job, it would all happen in this process.
        parallel = joblib.Parallel(2, **options)
        return use(parallel([joblib.delayed(TASKS[task])(x)])[0])

    try:
        yield Way(run)
    except BaseException:
        loky.get_reusable_executor().shutdown(wait=True, kill_workers=True)
        raise
    loky.get_reusable_executor().shutdown(wait=True)


def _on_tensor(task: str, tensor: Any) -> Any:
    found = TASKS[task](tensor.numpy())
    if task == "give":
        found = importlib.import_module("torch").from_numpy(found)
    return found


@contextmanager
def _torch() -> Iterator[Way]:
    torch = importlib.import_module("torch")
    maker = importlib.import_module("torch.multiprocessing").get_context("spawn").Pool
    with pool_of_one(maker) as pool:

        def run(task: str, x: Any, use: Use) -> Any:
            found = pool.apply(_on_tensor, (task, torch.from_numpy(x)))
            return use(found.numpy() if task == "give" else found)

        @contextmanager
        def again(x: Array) -> Iterator[Call]:
            tensor = torch.from_numpy(x.copy()).share_memory_()
            yield lambda: pool.apply(_on_tensor, ("take", tensor))

        yield Way(run, again)


@contextmanager
def _ray() -> Iterator[Way]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = importlib.import_module("ray")
    # Short, since there will be sockets below it.
    with tempfile.TemporaryDirectory(prefix="ray-") as directory:
        ray.init(
            num_cpus=1,
            object_store_memory=int(4.5 * MOST),
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=directory,
        )
        tasks = {name: ray.remote(function) for name, function in TASKS.items()}

        def run(task: str, x: Any, use: Use) -> Any:
            return use(ray.get(tasks[task].remote(x)))

        @contextmanager
        def again(x: Array) -> Iterator[Call]:
            reference = ray.put(x)
            yield lambda: ray.get(tasks["take"].remote(reference))

        try:
            yield Way(run, again)
        finally:
            ray.shutdown()


class Peer(NamedTuple):
    """A contender, and the module without which there is none."""

    module: str
    start: Callable[[], AbstractContextManager[Way]]


ALWAYS: dict[str, Peer] = {
    PLAIN: Peer("multiprocessing", plain),
    OURS: Peer("sharray", ours),
    MEMCPY: Peer("numpy", memcpy),
    BY_HAND: Peer("multiprocessing", by_hand),
}
FULL_ONLY: dict[str, Peer] = {
    "SharedArray": Peer("SharedArray", shared_array),
    REUSED: Peer("multiprocessing", by_hand_kept),
    "joblib": Peer("joblib", _joblib),
    "joblib, max_nbytes=None": Peer("joblib", lambda: _joblib(max_nbytes=None)),
    "torch.multiprocessing": Peer("torch", _torch),
    "ray": Peer("ray", _ray),
}
# Not among those that are compared: for the size from which on it pays.
HELPERS: dict[str, Peer] = {SHARED: Peer("sharray", lambda: ours(LEAST_SHARED))}
PEERS: dict[str, Peer] = {**ALWAYS, **FULL_ONLY, **HELPERS}
