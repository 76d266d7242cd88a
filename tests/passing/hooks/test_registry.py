"""The registry uses nothing but the declaration of an executor."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import sharray as sh
from sharray.passing.hooks import registry
from sharray.passing.hooks.declaration import Hooks
from sharray.passing.hooks.patches import Replacement


def _say() -> str:
    return "original"


def _louder(original: Any) -> Any:
    return lambda: original().upper()


class _Process:
    name = "Worker-1"


@pytest.fixture
def another(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yield an executor that the registry knows by its declaration only."""
    package: Any = ModuleType("another")
    package.say = _say
    package.current_process = _Process
    hooks = Hooks(
        package="another",
        used_if="another",
        replacements=lambda: [Replacement(package, "say", _louder)],
        processes="another",
    )
    monkeypatch.setattr(registry, "EXECUTORS", (*registry.EXECUTORS, hooks))
    monkeypatch.setitem(registry._ALL, "another", hooks)
    yield package
    sh.uninstall()
    registry._patches.pop("another", None)


def test_another_executor_is_hooked_if_it_is_imported(
    another: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sh.installed():
        assert another.say() == "original"
    monkeypatch.setitem(sys.modules, "another", another)
    with sh.installed():
        assert another.say() == "ORIGINAL"
        assert "another" in registry.hooked_packages()
    assert another.say is _say


def test_its_workers_are_known(another: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not registry.is_worker()
    monkeypatch.setitem(sys.modules, "another", another)
    assert registry.is_worker()
