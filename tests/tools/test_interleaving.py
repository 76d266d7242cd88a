"""The tool that runs functions in all orders of their steps finds races."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from interleaving import Actor, Words, explore


class Counting:
    """Two actors that add 1 to a word, each in two steps."""

    def __init__(self, *, is_killed: bool = False) -> None:
        self.found: list[int] = []
        self._is_killed = is_killed

    def scenario(self) -> tuple[list[Actor], Callable[[], None]]:
        values = [0]
        words = Words(values)

        def add() -> None:
            words[0] = words[0] + 1

        at_kill = (lambda: None) if self._is_killed else None
        actors = [Actor(add, at_kill=at_kill) for _ in range(2)]
        return actors, lambda: self.found.append(values[0])


@pytest.mark.parametrize(
    ("switches", "found"),
    [
        (0, [2, 2]),  # one after the other
        (1, [1, 1, 2, 2, 2, 2]),  # or a switch before either step of the first one
    ],
)
def test_all_orders_are_run(switches: int, found: list[int]) -> None:
    counting = Counting()
    assert explore(counting.scenario, switches=switches) == len(found)
    assert sorted(counting.found) == found


def test_actors_are_killed_before_each_step() -> None:
    counting = Counting(is_killed=True)
    explore(counting.scenario, switches=1)
    assert min(counting.found) == 1
    counting.found.clear()
    explore(counting.scenario, switches=2)
    assert min(counting.found) == 0  # both were


def test_an_error_tells_the_order() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        explore(lambda: ([Actor(fail)], lambda: None), switches=0)
    assert caught.value.__notes__ == ["order: [0]"]


def test_who_cannot_start_does_nothing() -> None:
    started: list[int] = []
    actors = [
        Actor(lambda: started.append(0)),
        Actor(lambda: started.append(1), can_start=lambda: False),
    ]
    assert explore(lambda: (actors, lambda: None), switches=0) == 1
    assert started == [0]


def test_what_depends_on_more_than_the_order_is_refused() -> None:
    words, runs = Words([0]), []

    def begin_with_less_each_time() -> None:
        runs.append(None)
        for _ in range(4 - len(runs)):
            words[0] += 1

    def scenario() -> tuple[list[Actor], Callable[[], None]]:
        actors = [Actor(begin_with_less_each_time), Actor(lambda: None)]
        return actors, lambda: None

    with pytest.raises(RuntimeError, match="cannot be repeated"):
        explore(scenario, switches=1)
