"""Growing: append rows to a file, while it is open."""

from __future__ import annotations

import importlib
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

import sharray as sh

from ..harness.measuring import Contender, Effort, Sample, repeated
from ..harness.scratch import Scratch
from ..harness.tables import Table

_COLUMNS = 128  # of float64: 1 KB a row
_FLOOR = "write(2)"
_OURS = "append()"
_LARGEST_CHUNK = 1024  # rows, for libraries that store chunks

# Open a file and return a function that appends rows to it.
Opener = Callable[[ExitStack, str, int], Callable[[Any], object]]


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure appends of a row, and of many; none waits for the disk."""
    for place, directory in (("in RAM", scratch.ram), ("on a disk", scratch.disk)):
        table = _measure(f"append 1 KB {place}", directory, 1, effort)
        _enter(table, f"append a row of 1 KB to a file {place}", 4)
        yield table
    count = effort.nbytes // 10 // (8 * _COLUMNS)
    table = _measure("append 10 MB", scratch.ram, count, effort)
    _enter(table, f"append {count * 8 * _COLUMNS / 1e6:.3g} MB to a file in RAM", 1.3)
    yield table


def _enter(table: Table, task: str, limit: float) -> None:
    table.title = task
    table.demand(_OURS, limit, times=_FLOOR)
    for peer in _PEERS:
        table.demand(_OURS, 1, times=peer)
    table.compare(task, _OURS, group="growing", floors=(_FLOOR,))


def _measure(name: str, directory: Path, count: int, effort: Effort) -> Table:
    # Random, so that compression gains nothing.
    rows = np.random.default_rng(0).random((count, _COLUMNS))
    with ExitStack() as stack:
        contenders = []
        for number, (one, (module, opener)) in enumerate(_CONTENDERS.items()):
            path = str(directory / f"{number}-{count}.npy")
            sample = None
            if module is None or _is_installed(module):
                append = opener(stack, path, min(64 * count, _LARGEST_CHUNK))
                sample = _sample(append, rows, effort)
            contenders.append(Contender(one, sample))
        rounds = effort.slow_rounds if count > 1 else max(3, effort.rounds // 4)
        return Table.measured(name, name, contenders, rounds, effort)


def _sample(append: Callable[[Any], object], rows: Any, effort: Effort) -> Sample:
    if len(rows) == 1:
        return repeated("append(rows)", effort.seconds, append=append, rows=rows)

    def sample() -> float:
        start = time.perf_counter()
        append(rows)
        return time.perf_counter() - start

    return sample


def _is_installed(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


# -- contenders ----------------------------------------------------------------


def _write(stack: ExitStack, path: str, _: int) -> Callable[[Any], object]:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    stack.callback(os.unlink, path)
    stack.callback(os.close, fd)
    return lambda rows: os.write(fd, rows)


def _tofile(stack: ExitStack, path: str, _: int) -> Callable[[Any], object]:
    stack.callback(os.unlink, path)
    file = stack.enter_context(io.FileIO(path, "ab"))
    return lambda rows: rows.tofile(file)


def _ours(stack: ExitStack, path: str, _: int) -> Callable[[Any], object]:
    array = sh.create(path, (0, _COLUMNS), growable=True)
    stack.callback(sh.unlink, path)
    return array.append


def _npy_append_array(stack: ExitStack, path: str, _: int) -> Callable[[Any], object]:
    library = importlib.import_module("npy_append_array")
    stack.callback(os.unlink, path)
    found = stack.enter_context(library.NpyAppendArray(path))
    append: Callable[[Any], object] = found.append
    return append


def _h5py(stack: ExitStack, path: str, chunk: int) -> Callable[[Any], object]:
    return _h5py_append(stack, path, chunk, shown=False)


def _h5py_shown(stack: ExitStack, path: str, chunk: int) -> Callable[[Any], object]:
    return _h5py_append(stack, path, chunk, shown=True)


def _h5py_append(
    stack: ExitStack, path: str, chunk: int, *, shown: bool
) -> Callable[[Any], object]:
    """Append without flushing, or so that other processes can read the rows."""
    library = importlib.import_module("h5py")
    stack.callback(os.unlink, path)
    file = stack.enter_context(library.File(path, "w", libver="latest"))
    data = file.create_dataset(
        "rows",
        (0, _COLUMNS),
        "f8",
        maxshape=(None, _COLUMNS),
        chunks=(chunk, _COLUMNS),
    )
    if shown:
        file.swmr_mode = True

    def append(rows: Any) -> None:
        count = len(data)
        data.resize(count + len(rows), axis=0)
        data[count:] = rows
        if shown:
            data.flush()

    return append


def _tables(stack: ExitStack, path: str, chunk: int) -> Callable[[Any], object]:
    append: Callable[[Any], object] = _earray(stack, path, chunk).append
    return append


def _tables_flushed(stack: ExitStack, path: str, chunk: int) -> Callable[[Any], object]:
    data = _earray(stack, path, chunk)

    def append(rows: Any) -> None:
        data.append(rows)
        data.flush()

    return append


def _earray(stack: ExitStack, path: str, chunk: int) -> Any:
    library = importlib.import_module("tables")
    stack.callback(os.unlink, path)
    file = stack.enter_context(library.open_file(path, "w"))
    return file.create_earray(
        *("/", "rows", library.Float64Atom(), (0, _COLUMNS)),
        chunkshape=(chunk, _COLUMNS),
    )


def _zarr(_: ExitStack, path: str, chunk: int) -> Callable[[Any], object]:
    library = importlib.import_module("zarr")
    data = library.create_array(  # a directory, which goes with the scratch directory
        path,
        shape=(0, _COLUMNS),
        chunks=(chunk, _COLUMNS),
        dtype="f8",
        compressors=None,
    )
    append: Callable[[Any], object] = data.append
    return append


# The module that a contender needs, and how it opens a file.
_CONTENDERS: dict[str, tuple[str | None, Opener]] = {
    _FLOOR: (None, _write),
    _OURS: (None, _ours),
    "ndarray.tofile()": (None, _tofile),
    "NpyAppendArray": ("npy_append_array", _npy_append_array),
    "h5py, SWMR, flush()": ("h5py", _h5py_shown),
    "tables, flush()": ("tables", _tables_flushed),
    # These leave rows in the library's own memory, where nobody else sees them.
    "h5py, unflushed": ("h5py", _h5py),
    "tables, unflushed": ("tables", _tables),
    "zarr": ("zarr", _zarr),
}
_PEERS = [name for name, (module, _) in _CONTENDERS.items() if module is not None]
