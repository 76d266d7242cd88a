"""A warning of a lost array comes only if the array is removed."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

import sharray as sh
from sharray.storage.lifetime import lease, lost
from sharray.system import files, processes


@pytest.fixture
def path() -> Iterator[str]:
    """The file of an array that nobody holds, with a pickle left."""
    array: Any = sh.ones(3)
    pickle.dumps(array)
    path = array._root.segment.path
    del array
    yield path
    assert lost._lost == []
    if os.path.exists(path):
        os.unlink(path)


def reap(path: str) -> bool:
    return lease.reap(path, ending=processes.own_stamp())


def test_an_array_that_cannot_be_removed_is_not_lost(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise PermissionError  # as in a directory that is append-only

    with monkeypatch.context() as patch:
        patch.setattr(files, "unlink", refuse)
        assert not reap(path)
    assert lost._lost == []
    assert os.path.exists(path)


def test_an_array_that_is_removed_is_lost_once(path: str) -> None:
    assert reap(path)
    assert not reap(path)
    with pytest.warns(RuntimeWarning, match=r"float64 of shape \(3,\)"):
        lost.warn()
