"""Arrays of functions are freed without the garbage collector."""

from __future__ import annotations

import gc
import importlib
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from belongings import files_in_ram
from team_tools import until

import sharray as sh


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Return a module that differs from the one that workers import."""
    file = tmp_path / "module_that_differs.py"
    file.write_text("factor = 2\n\ndef scale(x):\n    x *= factor\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(file.stem)
    module.factor = 3  # type: ignore[attr-defined]
    yield module
    del sys.modules[file.stem]


def test_a_call_that_workers_have_refused_keeps_no_array(edited: ModuleType) -> None:
    gc.collect()
    gc.disable()
    try:
        with sh.Team(2, caller_works=False) as team:
            x = sh.ones(100)
            team.run(edited.scale, x)
            assert x.sum() == 300
            del x
            until(lambda: files_in_ram() == [])
    finally:
        gc.enable()


def test_arguments_are_freed_without_a_collection() -> None:
    gc.collect()
    gc.disable()
    try:
        with sh.Team(1) as team:
            x, table = sh.ones(100), np.ones(100_000)
            assert team.run(look_up, x, sh.whole(table), reduce="sum") == 100
            watched = weakref.ref(table)
            del x, table
            assert watched() is None
            until(lambda: files_in_ram() == [])
    finally:
        gc.enable()


def look_up(x: Any, table: Any) -> Any:
    return table[x.astype(int)].sum()
