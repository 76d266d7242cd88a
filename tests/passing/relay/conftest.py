"""Fixtures of the tests of results that lie in the memory of arguments."""

from __future__ import annotations

import loky.backend.resource_tracker
import pytest

from sharray.passing.wire import relaying


@pytest.fixture(scope="session", autouse=True)
def _helper_process() -> None:
    """Start loky's helper process before leaks are checked."""
    loky.backend.resource_tracker.ensure_running()


@pytest.fixture(autouse=True)
def _relay_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let forked workers relay all that they can, whatever has become of the last."""
    monkeypatch.setattr(relaying, "_PAUSE", 0)
    monkeypatch.setattr(relaying, "_MOST_OUT", 1000)
