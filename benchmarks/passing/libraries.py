"""Ways of other libraries: joblib, torch and ray."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from .way import MOST, TASKS, Array, Call, Use, Way, argument, pool_of_one


@contextmanager
def with_joblib(**options: Any) -> Iterator[Way]:
    """Call joblib's loky; options are those of `joblib.Parallel`."""
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
def with_torch() -> Iterator[Way]:
    """Send tensors through a pool of torch.multiprocessing."""
    torch = importlib.import_module("torch")
    with _torch_pool() as pool:

        def run(task: str, x: Any, use: Use) -> Any:
            found = pool.apply(_on_tensor, (task, torch.from_numpy(x)))
            return use(found.numpy() if task == "give" else found)

        @contextmanager
        def again(x: Array) -> Iterator[Call]:
            tensor = torch.from_numpy(x.copy()).share_memory_()
            yield lambda: pool.apply(_on_tensor, ("take", tensor))

        yield Way(run, again)


def _torch_pool() -> AbstractContextManager[Any]:
    multiprocessing = importlib.import_module("torch.multiprocessing")
    return pool_of_one(multiprocessing.get_context("spawn").Pool)


def _on_tensordict(task: str, data: Any) -> Any:
    found = _on_tensor(task, data["x"])
    return _consolidated(found) if task == "give" else found


def _consolidated(tensor: Any) -> Any:
    """Return a dictionary of tensors that is one block of shared memory."""
    data = importlib.import_module("tensordict").TensorDict({"x": tensor})
    return data.consolidate(share_memory=True)


@contextmanager
def with_tensordict() -> Iterator[Way]:
    """Send a TensorDict of one tensor through a pool of torch.multiprocessing."""
    torch = importlib.import_module("torch")
    with _torch_pool() as pool:

        def run(task: str, x: Any, use: Use) -> Any:
            data = _consolidated(torch.from_numpy(x))
            found = pool.apply(_on_tensordict, (task, data))
            return use(found["x"].numpy() if task == "give" else found)

        @contextmanager
        def again(x: Array) -> Iterator[Call]:
            data = _consolidated(torch.from_numpy(x))
            yield lambda: pool.apply(_on_tensordict, ("take", data))

        yield Way(run, again)


@contextmanager
def with_ray() -> Iterator[Way]:
    """Call a remote function of ray."""
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
            return use(ray.get(tasks[task].remote(argument(task, x))))

        @contextmanager
        def again(x: Array) -> Iterator[Call]:
            reference = ray.put(x)
            yield lambda: ray.get(tasks["take"].remote(reference))

        try:
            yield Way(run, again)
        finally:
            ray.shutdown()
