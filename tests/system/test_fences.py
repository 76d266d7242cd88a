"""Fences: by the kernel, or by waiting where it has none."""

from __future__ import annotations

import platform
from typing import Any

import pytest

from sharray.system import clock, fences


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long `clock.sleep` was asked to wait."""
    found: list[float] = []
    monkeypatch.setattr(clock, "sleep", found.append)
    return found


def calls_of_kernel(answer: int, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found = []

    def call(*arguments: Any) -> int:
        found.append([argument.value for argument in arguments])
        return answer

    monkeypatch.setattr(fences, "_syscall", call)
    return found


def test_the_kernel_is_asked_for_a_fence_on_all_processors(
    waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    calls = calls_of_kernel(0, monkeypatch)
    fences.fence_everywhere()
    assert (calls, waits) == ([[324, 1, 0, 0]], [])


def test_without_the_call_it_waits(
    waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls_of_kernel(-1, monkeypatch)
    fences.fence_everywhere()
    monkeypatch.setattr(fences, "_syscall", None)
    fences.fence_everywhere()
    monkeypatch.undo()
    assert len(waits) == 2
    assert min(waits) > 0


def test_on_an_unknown_machine_it_waits(
    waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "abacus")
    calls = calls_of_kernel(0, monkeypatch)
    fences.fence_everywhere()
    assert (calls, len(waits)) == ([], 1)
