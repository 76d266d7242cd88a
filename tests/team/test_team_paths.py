"""Workers start with any objects in ``sys.path``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import sharray as sh

pytestmark = pytest.mark.slow


@sh.kernel
def increment(x: Any) -> None:
    for i in range(x.shape[0]):
        x[i] += 1


@pytest.mark.parametrize(
    "entry", [Path("/nowhere"), b"/nowhere", None, 3, object(), "it's \\ \n here"]
)
def test_entries_of_any_type_do_no_harm(
    entry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [entry, *sys.path])
    x = sh.zeros(1000)
    with sh.Team(1, caller_works=False) as team:
        team.run(increment, x)
    assert x.tolist() == [1] * 1000
