"""Nothing grows with the square of the number of arrays."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import cli_tools
import numpy as np
import pytest
import workers

import sharray as sh
from sharray.storage.lifetime import lease
from sharray.system import files, mappings

FEW = 250
NAMES = [f"{number}.npy" for number in range(20)]
# Not in proportion are processes that run, modules that are imported late, and the
# first 64 arrays, which get no name. The square of the number would add 125,000.
CONSTANT = 40_000
MOST_LOOKS = 5


Counts = dict[str, tuple[int, int]]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Counts, Counts]:
    """Steps and looks, each for few and for twice as many arrays."""
    few, many = (
        _count(number, tmp_path_factory.mktemp("files")) for number in (FEW, 2 * FEW)
    )
    steps, looks = (
        {name: (one[name], other[name]) for name in one}
        for one, other in zip(few, many, strict=True)
    )
    return steps, looks


def _count(number: int, directory: Path) -> list[dict[str, int]]:
    code = f"import counting; counting.main({number}, {str(directory)!r})"
    found: list[dict[str, int]] = json.loads(workers.run_python(code))
    return found


STEPS = [
    "make",
    "send",
    "receive",
    "send memory",
    "list",
    "list files",
    "send files",
    "receive files",
    "inspect each",
    "receive elsewhere",
    "end elsewhere",
    "sweep",
    "drop",
    "gc",
    "end",
]


@pytest.mark.parametrize("step", STEPS)
def test_twice_as_many_arrays_take_twice_as_much(
    step: str, both: tuple[Counts, Counts]
) -> None:
    few, many = both[0][step]
    assert few > FEW
    assert many <= 2 * few + CONSTANT


@pytest.mark.parametrize("step", STEPS)
def test_tables_of_this_process_are_not_read_for_each(
    step: str, both: tuple[Counts, Counts]
) -> None:
    # Each has a line for each array.
    _, many = both[1][step]
    assert many <= MOST_LOOKS


def test_tables_of_processes_are_not_searched_for_each_file(
    both: tuple[Counts, Counts],
) -> None:
    few, many = both[1]["searches in tables"]
    assert few > 0
    assert many < few + FEW


def test_sweep_looks_at_no_file_that_this_process_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held, dropped = [sh.zeros(3) for _ in range(5)], sh.zeros(3)
    for array in (*held, dropped):
        pickle.loads(pickle.dumps(array))
    path = dropped._root.segment.path  # type: ignore[union-attr]
    opened = []
    open_existing = files.open_existing

    def note(path: str, **options: Any) -> int:
        opened.append(path)
        return open_existing(path, **options)

    monkeypatch.setattr(files, "open_existing", note)
    with monkeypatch.context() as patch:
        patch.setattr(lease, "reap", lambda _: False)  # as if it had been killed
        del array, dropped
    assert sh.gc() == [path]
    assert opened == [path]
    assert len(held) == len(sh.list())


COMMANDS = {
    "ls, each named": ["ls", *NAMES],
    "ls, a directory": ["ls", "."],
    "rm, each named": ["rm", *NAMES],
    "rm, a pattern": ["rm", "--yes", "*.npy"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_commands_look_at_all_processes_once_or_twice(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        np.save(name, [1])
    passes = []
    all_processes = mappings.all_processes

    def note() -> list[int]:
        passes.append(1)
        return all_processes()

    monkeypatch.setattr(mappings, "all_processes", note)
    done = cli_tools.call(*command)
    assert (done.code, done.err) == (0, "")
    assert all(name in done.out for name in NAMES)
    assert 1 <= len(passes) <= 2
