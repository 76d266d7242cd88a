"""Threads that open, send and drop one array, in all orders of the lines of arrays."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from interleaving import Actor, explore
from line_steps import StepLock, nothing_but_the_order, thread_of

import sharray as sh
from sharray.arrays import handle, root
from sharray.storage import attaching, ending, file_sharing, kept, location, segment
from sharray.storage.lifetime import lease
from sharray.system import finalizing

MODULES = [ending, file_sharing, finalizing, handle, kept, lease, root, segment]
LOCKS: dict[ModuleType, str] = {
    file_sharing: "_changing",
    root: "_attaching",
    segment: "_publishing",
}
VALUES = np.arange(64.0)


@pytest.fixture(autouse=True)
def _steps() -> Iterator[None]:
    with nothing_but_the_order(LOCKS):
        yield
    kept.clear()


class Threads:
    """A process with handles of one array, and what its threads do with it.

    Parameters
    ----------
    handles : int, default 1
        How many have been sent to this process.
    is_here : bool, default True
        Whether this process has the array.
    is_elsewhere : bool, default True
        Whether another process has it, too.
    was_open : bool, default False
        Whether this process has opened it twice, so that it keeps the mapping.
    """

    def __init__(
        self,
        *,
        handles: int = 1,
        is_here: bool = True,
        is_elsewhere: bool = True,
        was_open: bool = False,
    ) -> None:
        kept.clear()
        kept._opened.clear()
        self._others = ending.count_held()
        self.array: list[Any] = [sh.array(VALUES)]
        its_segment = self.array[0]._root.segment
        its_segment.publish()
        self.other = None
        if is_elsewhere:
            place = location.locate(its_segment.path)
            self.other = attaching.attach(place, "r+")
        del its_segment
        self.handles = [pickle.dumps(self.array[0]) for _ in range(handles)]
        warm = [pickle.dumps(self.array[0]) for _ in range(2 * was_open)]
        if not is_here:
            self.array.clear()
        for one in warm:
            self._check(pickle.loads(one))
        self.opened: list[Any] = []

    # -- what they do -----------------------------------------------------------

    def open(self) -> None:
        """Open the array of a handle."""
        self.opened.append(pickle.loads(self.handles.pop()))

    def open_and_drop(self) -> None:
        """Open the array of a handle, and need it no more."""
        self._check(pickle.loads(self.handles.pop()))

    def send(self) -> None:
        """Send the array to this process, if it is still here."""
        self.handles += [pickle.dumps(array) for array in self.array]

    def drop(self) -> None:
        """Need the array no more."""
        self.array.clear()

    def drop_elsewhere(self) -> None:
        """Let the other process drop it."""
        assert self.other is not None
        self.other.release()
        self.other = None

    def give_back(self) -> None:
        """Give back all memory that nothing needs."""
        sh.gc()

    # -- what becomes of it -----------------------------------------------------

    def _check(self, array: Any) -> None:
        np.testing.assert_array_equal(array, VALUES)

    def check_end(self) -> None:
        """Check that all arrays show the same memory, and that nothing else is kept.

        The end of the test looks for files and mappings that are left.
        """
        for handle_left in self.handles:
            self.opened.append(pickle.loads(handle_left))
        assert len({x._root.address for x in self.opened + self.array}) <= 1
        while self.opened:
            self._check(self.opened.pop())
        self.array.clear()
        if self.other is not None:
            self.drop_elsewhere()
        assert ending.count_held() == self._others
        assert not kept._moving


# What there is at first, and what the threads do.
SCENARIOS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "opened and dropped": ({"is_elsewhere": False}, ["open", "drop"]),
    "opened twice": ({"handles": 2, "is_here": False}, ["open", "open"]),
    "kept and taken": (
        {"handles": 2, "is_here": False, "was_open": True},
        ["open_and_drop", "open_and_drop"],
    ),
    "kept and used": (
        {"handles": 2, "is_here": False, "was_open": True},
        ["open_and_drop", "open"],
    ),
    "kept and given back": (
        {"is_here": False, "was_open": True},
        ["open_and_drop", "give_back"],
    ),
    "kept, and its last holder drops it": (
        {"is_here": False, "was_open": True},
        ["open_and_drop", "drop_elsewhere"],
    ),
    "sent and dropped": (
        {"handles": 0, "is_elsewhere": False},
        ["send", "drop"],
    ),
    "dropped and given back": (
        {"handles": 0, "is_elsewhere": False},
        ["drop", "give_back"],
    ),
}


def check_orders(name: str) -> int:
    """Run a scenario in all orders with one switch; return how many there are."""
    beginning, acts = SCENARIOS[name]

    def scenario() -> tuple[list[Actor], Callable[[], None]]:
        threads = Threads(**beginning)
        actors = [thread_of(getattr(threads, act), MODULES) for act in acts]
        return actors, threads.check_end

    return explore(scenario, switches=1)


@pytest.mark.parametrize("name", SCENARIOS)
def test_threads_open_and_drop_one_array(name: str) -> None:
    assert check_orders(name) > 20


def do_not_wait(self: StepLock) -> None:
    self._depth += 1


def test_a_missing_lock_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(StepLock, "__enter__", do_not_wait)
        with pytest.raises(AssertionError, match="assert 2 <= 1"):
            check_orders("opened twice")
    gc.collect()
