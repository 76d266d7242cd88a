"""The program that runs NumPy's tests on shared arrays reports differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from peers.numpy import accepted, arrays, run, running

import sharray as sh

TESTS = """
import numpy as np
from numpy import zeros
import os, pytest, sys


def test_passes():
    assert np.array([1, 2]).sum() == 3


def test_fails_with_all():
    assert False


def test_fails_with_subclasses():
    assert type(zeros(3)) is np.ndarray


def test_fails_with_shared_arrays(request):
    assert type(zeros(3)).__name__ != "SharedArray"


def test_ends_the_process_with_shared_arrays():
    if type(np.arange(3)).__name__ == "SharedArray":
        os._exit(3)


@pytest.mark.parametrize("name", ["a", "b"])
def test_with_parameters(name):
    assert name == "a" or not hasattr(np.ones(3), "is_shared")
"""


@pytest.fixture
def outcomes(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "test_made.py"
    path.write_text(TESTS)
    found = run.differences(running.run("shared", [str(path)]), [str(path)], False)
    return {test.rpartition("::")[2]: why for test, why in found.items()}


def test_only_what_no_control_fails_is_a_difference(outcomes: dict[str, str]) -> None:
    assert set(outcomes) == {
        "test_fails_with_shared_arrays",
        "test_ends_the_process_with_shared_arrays",
        "test_with_parameters[b]",
    }
    assert outcomes["test_ends_the_process_with_shared_arrays"].endswith("ended")


def test_what_is_listed_has_to_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepted, "_LISTED", {"one", "two", "three", "not run"})
    found = {"one[a]": "passed", "one[b]": "failed", "two": "passed", "three": "failed"}
    differing = {"one[b]": "why", "three": "why", "four": "why"}
    listed, unlisted, vanished = accepted.sort(found, differing)
    assert set(listed) == {"one[b]", "three"}
    assert set(unlisted) == {"four"}
    assert vanished == ["two"]


@pytest.mark.parametrize("name", sorted(set(arrays.KINDS) - {"plain"}))
def test_arrays_are_replaced_by_equal_ones(name: str) -> None:
    kind = arrays.KINDS[name]
    assert kind is not None
    module = arrays.Module(kind)
    for array in (
        module.arange(6.0).reshape(2, 3),
        module.zeros((2, 0)),
        module.eye(2),
    ):
        assert type(array) is not np.ndarray
        assert isinstance(array, sh.SharedArray) == (name == "shared")
    assert module.array([1, None]).dtype == object
    np.testing.assert_array_equal(module.linspace(0, 1, 3), [0, 0.5, 1])
