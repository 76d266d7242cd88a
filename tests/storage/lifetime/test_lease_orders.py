"""In every order of the steps of holders, receivers and reapers, arrays stay and go.

They are threads, each with open files and mappings of its own; one of them may keep a
mapping. Their steps are the calls on the file, its locks and its mappings: see
`sharray.storage.lifetime.lease` and `sharray.storage.kept`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from belongings import files_in_ram
from interleaving import Actor, explore, lock_shared, step

import sharray as sh
from sharray.storage import kept, location
from sharray.storage.attaching import attach
from sharray.storage.lifetime import lease, transit
from sharray.storage.segment import Segment
from sharray.system import files, locks

VALUE = 7
CALLS: dict[Any, list[str]] = {
    files: [
        "open_existing",
        "names_same_file",
        "has_name",
        "read_at",
        "unlink",
        "cut_off",
    ],
    locks: ["lock_exclusive", "unlock"],
    transit: ["record_sent", "record_received"],
    Segment: ["unmap", "give_up_lease", "renew_lease"],
}
Scenario = tuple[list[Actor], Callable[[], None]]


@pytest.fixture(autouse=True)
def _steps(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, names in CALLS.items():
        for name in names:
            monkeypatch.setattr(module, name, after_a_step(getattr(module, name)))
    monkeypatch.setattr(locks, "lock_shared", lock_shared)


def after_a_step(function: Callable[..., Any]) -> Callable[..., Any]:
    def take_step(*arguments: Any, **more: Any) -> Any:
        step()
        return function(*arguments, **more)

    return take_step


class Processes:
    """Processes that have an anonymous array, or get handles of it.

    Attributes
    ----------
    pipe : list of int
        The tokens of handles on their way.
    """

    def __init__(self) -> None:
        array = sh.full(1000, VALUE, "u1")
        segment = array._root.segment
        segment.publish()
        self._path, self._identity = segment.path, segment.identity
        self.pipe: list[int] = []
        self._held = self._open()
        self._kept: Segment

    def _open(self, *, keepable: bool = False) -> Segment:
        return attach(
            location.Location(self._path, True),
            "r+",
            identity=self._identity,
            keepable=keepable,
        )

    def let_one_keep(self) -> None:
        """Let one process open the array in a way that it can keep the mapping."""
        self._kept = self._open(keepable=True)

    def send_and_drop(self) -> None:
        """Send a handle, and be a holder no more."""
        self.pipe.append(self._held.record_sent())
        self._held.release()

    def drop(self) -> None:
        """Be a holder no more."""
        self._held.release()

    def receive(self) -> None:
        """Open the array of a handle, and drop it."""
        token = self.pipe.pop(0)
        segment = self._open()
        segment.record_received(token)
        self._use(segment)

    def open_if_it_is_there(self) -> None:
        """Open an array that nobody keeps for this process."""
        try:
            segment = self._open()
        except sh.ArrayGoneError:
            return
        self._use(segment)

    def keep_and_receive(self) -> None:
        """Drop the array, and get another handle of it."""
        kept.keep(self._kept)
        step(lambda: bool(self.pipe))
        token = self.pipe.pop(0)
        segment = kept.take(self._identity) or self._open()
        segment.record_received(token)
        self._use(segment)

    def keep_and_open(self) -> None:
        """Drop the array, and open it again if it is there."""
        kept.keep(self._kept)
        segment = kept.take(self._identity)
        if segment is None:
            self.open_if_it_is_there()
        else:
            self._use(segment)

    def _use(self, segment: Segment) -> None:
        step()
        assert os.path.exists(self._path)
        assert set(segment.data) == {VALUE}
        if not kept.keep(segment):
            segment.release()

    def sweep(self) -> None:
        """Remove the array if nobody uses it."""
        lease.reap(self._path)

    def actors(self, acts: list[str]) -> list[Actor]:
        """Return processes, each of which does one thing."""
        return [
            Actor(
                getattr(self, act),
                can_start=lambda act=act: act != "receive" or bool(self.pipe),
            )
            for act in acts
        ]

    def check_end(self) -> None:
        """Check that the file is gone, although nobody else sweeps."""
        kept.clear()
        assert not self.pipe
        assert not os.path.exists(self._path)


SCENARIOS = {
    "sent": ["send_and_drop", "receive", "sweep"],
    "sent and opened": ["send_and_drop", "receive", "open_if_it_is_there"],
    "dropped": ["drop", "open_if_it_is_there", "sweep"],
    "opened by two": ["drop", "open_if_it_is_there", "open_if_it_is_there"],
    "kept": ["send_and_drop", "keep_and_receive", "sweep"],
    "kept and opened": ["drop", "keep_and_open", "sweep"],
}


def check_orders(name: str) -> int:
    """Run a scenario in all orders; return how many there are."""

    def scenario() -> Scenario:
        processes = Processes()
        if "kept" in name:
            processes.let_one_keep()
        return processes.actors(SCENARIOS[name]), processes.check_end

    return explore(scenario, switches=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_arrays_stay_while_they_are_used_and_go_afterwards(name: str) -> None:
    assert check_orders(name) > 500


@pytest.mark.parametrize(
    ("module", "function", "answer"),
    [
        (files, "has_name", True),
        (files, "names_same_file", False),
        (locks, "lock_exclusive", True),
        (transit, "is_awaited", False),
    ],
)
def test_a_missing_safeguard_is_noticed(
    module: ModuleType, function: str, answer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, function, lambda *_, **__: answer)
    with pytest.raises((AssertionError, sh.StorageError)):
        sum(map(check_orders, SCENARIOS))
    for path in files_in_ram():
        os.unlink(path)
