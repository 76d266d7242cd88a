"""Random tasks in two workers, of which some keep their arguments.

The oracle is the same function in this process, on the same arrays, and pickle.
"""

from __future__ import annotations

import collections
import random
from typing import Any

import ownership_tasks as tasks
import ownership_work as work
import pytest
from ownership_looks import describe, overwrite
from ownership_pools import numbered, pool_of, submit, value_of
from passing_objects import through_pickle

import sharray as sh

# Python 3.12 and later warn of forks in a process with threads, which pools have.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:the matrix:PendingDeprecationWarning"),
]
TASKS = 600
WAITING = 5  # tasks that are not awaited yet
KEPT = 12
TABLE = {**tasks.PARTS, **tasks.SEVERAL}
NAMES = [name for name in TABLE if "cannot be pickled" not in name]


class Program:
    """A caller that starts tasks, and keeps or drops what they return, at random."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._waiting: collections.deque[Any] = collections.deque()
        self._kept: list[Any] = []
        self.wrong: list[str] = []

    def start(self, pool: Any) -> None:
        """Start a task, and note its name and the description of its result."""
        name = self._random.choice(NAMES)
        nbytes = self._random.choice([600_000, 2_500_000, 4_000_000])
        order = self._random.choice("CF")
        count = TABLE[name].__code__.co_argcount
        numbers = [self._random.randrange(1000) for _ in range(count)]
        arrays = [numbered(number, order, nbytes) for number in numbers]
        kind = self._random.randrange(12)
        wait = submit(pool, work.do_and_keep, name, kind, *arrays)
        again = [numbered(number, order, nbytes) for number in numbers]
        want = value_of(lambda: tasks.do(name, *again))
        self._waiting.append((name, describe(through_pickle(want)), wait))

    def finish(self) -> None:
        """Check the result of the oldest task; keep it, drop it, or write to it."""
        name, want, wait = self._waiting.popleft()
        found = value_of(wait)
        self._check(name, found, want)
        choice = self._random.randrange(4)
        if choice == 0:
            overwrite([found])
            want = describe(found)
        if choice < 3:
            self._kept.append((name, found, want))
        while len(self._kept) > KEPT:
            self._check(*self._kept.pop(self._random.randrange(KEPT)))

    def _check(self, name: str, found: Any, want: Any) -> None:
        if describe(found) != want:
            self.wrong.append(name)

    def end(self) -> None:
        """Check all results that are left."""
        while self._waiting:
            self.finish()
        for each in self._kept:
            self._check(*each)
        self._kept.clear()


@pytest.mark.parametrize("kind", ["Pool fork", "executor fork"])
def test_random_tasks(kind: str) -> None:
    program = Program(seed=5)
    with sh.installed(), pool_of(kind, 2) as pool:
        for i in range(TASKS):
            program.start(pool)
            if i >= WAITING:
                program.finish()
        program.end()
    assert program.wrong == []
