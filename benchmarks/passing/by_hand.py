"""Ways with shared memory by hand: the standard library's blocks, and SharedArray."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from ..harness.children import name_in_ram
from .way import TASKS, Array, Call, Use, Way, pool_of_one


def new_name() -> str:
    """Return a name from which `harness.children` knows what to remove."""
    return f"{name_in_ram()}-{os.urandom(4).hex()}"


@contextmanager
def _block(x: Array) -> Iterator[tuple[str, Array]]:
    """Make a new block of shared memory as large as an array."""
    block = SharedMemory(new_name(), create=True, size=x.nbytes)
    try:
        view = np.ndarray(x.shape, x.dtype, block.buf)
        yield block.name, view
        del view
        block.close()
    finally:
        block.unlink()


def _in_block(task: str, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """Run a task on what a block holds; an array goes back in a block of its own."""
    block = SharedMemory(name)
    x: Array = np.ndarray(shape, dtype, block.buf)
    found = TASKS[task](x)
    if task == "give":
        answer = SharedMemory(new_name(), create=True, size=found.nbytes)
        np.ndarray(shape, dtype, answer.buf)[...] = found
        found = answer.name
        answer.close()
    del x
    block.close()
    return found


@contextmanager
def by_hand() -> Iterator[Way]:
    """Send arrays in the standard library's blocks, a new one for each array."""
    with pool_of_one() as pool:

        def run(task: str, x: Any, use: Use) -> Any:
            with _block(x) as (name, view):
                view[...] = x
                found = pool.apply(_in_block, (task, name, x.shape, x.dtype))
            if task != "give":
                return use(found)
            block = SharedMemory(found)
            block.unlink()
            used = use(np.ndarray(x.shape, x.dtype, block.buf))
            block.close()
            return used

        @contextmanager
        def again(x: Array) -> Iterator[Call]:
            with _block(x) as (name, view):
                view[...] = x
                yield lambda: pool.apply(_in_block, ("take", name, x.shape, x.dtype))

        yield Way(run, again)


_kept: dict[str, SharedMemory] = {}  # in the worker


def _in_kept_blocks(task: str, names: list[str], shape: tuple[int, ...]) -> Any:
    if not set(names) <= set(_kept):
        while _kept:
            _kept.popitem()[1].close()
        _kept.update({name: SharedMemory(name) for name in names})
    argument, result = (np.ndarray(shape, buffer=_kept[name].buf) for name in names)
    if task not in _INTO:
        return TASKS[task](argument)
    _INTO[task](argument, result)
    return None


# As by hand, results are written where the caller finds them. A changed argument is
# there already.
_INTO: dict[str, Callable[[Array, Array], object]] = {
    "give": lambda x, out: np.copyto(out, x),
    "change": lambda x, out: np.add(x, 1, out=x),
    "double": lambda x, out: np.multiply(x, 2, out=out),
    "full": lambda x, out: out.fill(1.5),
}


@contextmanager
def by_hand_kept() -> Iterator[Way]:
    """Two blocks that all calls use, so that only one call can run at a time."""
    blocks: list[SharedMemory] = []

    def drop_blocks() -> None:
        while blocks:
            blocks[-1].close()
            blocks.pop().unlink()

    def run(task: str, x: Any, use: Use) -> Any:
        if not blocks or blocks[0].size != x.nbytes:
            drop_blocks()
            blocks[:] = [
                SharedMemory(new_name(), create=True, size=x.nbytes) for _ in range(2)
            ]
        if task != "full":
            np.ndarray(x.shape, buffer=blocks[0].buf)[...] = x
        names = [block.name for block in blocks]
        found = pool.apply(_in_kept_blocks, (task, names, x.shape))
        if task in _INTO:
            filled = blocks[0 if task == "change" else 1]
            found = np.ndarray(x.shape, buffer=filled.buf)
        return use(found)

    with pool_of_one() as pool:
        try:
            yield Way(run)
        finally:
            drop_blocks()


def _in_shared_array(task: str, name: str) -> Any:
    module = importlib.import_module("SharedArray")
    found = TASKS[task](module.attach(name))
    if task != "give":
        return found
    module.create(name + "-result", found.shape, found.dtype)[...] = found
    return name + "-result"


def _delete(module: Any, *names: str) -> None:
    for name in names:
        with suppress(FileNotFoundError):
            module.delete(name)


@contextmanager
def shared_array() -> Iterator[Way]:
    """Send arrays by the C extension, with a new shared array for each."""
    module = importlib.import_module("SharedArray")
    name = f"shm://{name_in_ram()}"
    names = [name, f"{name}-result"]
    with pool_of_one() as pool:

        @contextmanager
        def again(x: Array) -> Iterator[Call]:
            try:
                module.create(name, x.shape, x.dtype)[...] = x
                yield lambda: pool.apply(_in_shared_array, ("take", name))
            finally:
                _delete(module, name)

        def run(task: str, x: Any, use: Use) -> Any:
            try:
                module.create(name, x.shape, x.dtype)[...] = x
                found = pool.apply(_in_shared_array, (task, name))
                if task == "give":
                    found = module.attach(found)
            finally:
                _delete(module, *names[: 2 if task == "give" else 1])
            return use(found)

        yield Way(run, again)
