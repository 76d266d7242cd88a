"""Start actors, kill them at random moments, and count errors.

A program: ``python -m torture.driver SECONDS [MUTANT]``, in an empty directory and
with a SHARRAY_RAM_DIR of its own. It prints a JSON object of counts; a mutant is
run until it is noticed.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import sharray as sh
from sharray.storage import location
from sharray.storage.lifetime import transit

from .actors import COUNTS, HANDLES, NAMED, Actor, N
from .mutants import BY_NAME, MUTANTS
from .remains import arrays_below, still_locked_below

_ACTORS = 6
_LONGEST_PAUSE = 0.015
# What a run must have seen, or it says little, however long that takes ...
KILLS = 900
RACES = ("created", "attached", "gone", "taken", "reused")
RACED = 100
LONGEST = 240.0  # ... up to so many seconds


class Driver:
    """A process without threads and without arrays, whose children are actors."""

    def __init__(self) -> None:
        memory = mmap.mmap(-1, _ACTORS * len(COUNTS) * 8)
        # A row for each actor and its successors, so that nobody shares a counter.
        self.counts: Any = np.frombuffer(memory, np.int64).reshape(_ACTORS, -1)
        self.pids = [0] * _ACTORS
        self.seeds = 0
        self.kills = 0

    def start(self, slot: int) -> None:
        """Start a new actor in a slot."""
        self.seeds += 1
        self.pids[slot] = os.fork()
        if self.pids[slot] == 0:
            status = 1
            try:
                Actor(self.seeds, self.counts[slot]).live()
                status = 0
            finally:
                os._exit(status)

    def bury(self, slot: int, options: int) -> bool:
        """Return whether an actor is dead; count a crash."""
        pid, status = os.waitpid(self.pids[slot], options)
        if pid and os.waitstatus_to_exitcode(status) not in (0, -signal.SIGKILL):
            self.counts[slot, COUNTS.index("crashed")] += 1
        return pid != 0

    def run(self, seconds: float, until: str = "") -> None:
        """Run for a minimum time and number of kills, or until a count is above 0."""
        for slot in range(_ACTORS):
            self.start(slot)
        start = time.monotonic()
        while not (until and self.total(until)):
            passed = time.monotonic() - start
            if passed > LONGEST or (passed > seconds and self.has_seen_enough()):
                break
            time.sleep(random.random() * _LONGEST_PAUSE)
            for slot in range(_ACTORS):
                if self.bury(slot, os.WNOHANG):
                    self.start(slot)
            victim = random.randrange(_ACTORS)
            self.kill(victim)
            self.start(victim)
        for slot in range(_ACTORS):
            self.kill(slot)

    def kill(self, slot: int) -> None:
        """Kill an actor at a random moment."""
        os.kill(self.pids[slot], signal.SIGKILL)
        self.bury(slot, 0)
        self.kills += 1

    def has_seen_enough(self) -> bool:
        """Return whether every race has happened; a busy machine takes longer."""
        return self.kills >= KILLS and min(map(self.total, RACES)) > RACED

    def total(self, what: str) -> int:
        """Return the sum of a count so far."""
        return int(self.counts[:, COUNTS.index(what)].sum())


def count_what_is_left() -> int:
    """Clean up like the next process; return the number of errors and remains."""
    wrong = 0
    ram = location.ram_directory()
    for name in os.listdir(HANDLES):
        os.unlink(os.path.join(HANDLES, name))
    wrong += len(still_locked_below(ram, os.getcwd()))
    sh.gc()
    wrong += len(arrays_below(location.anonymous_directory()))
    for name in NAMED:
        # Finds a complete array or none, and uses the names of what was left.
        sh.create(name, N, overwrite=True)
        sh.unlink(name)
    left = arrays_below(ram) | arrays_below(os.getcwd())
    return wrong + sum(not Path(path).name.startswith("error-") for path in left)


def main(seconds: str, mutant: str = "") -> None:
    """Run, and print the counts."""
    assert "SHARRAY_RAM_DIR" in os.environ, "mutants would reap this user's arrays"
    # Who waits for a handle that a killed process has sent waits no longer: else
    # all files would stay for a minute, and no reaper would meet another.
    transit.GRACE = transit.OVERFLOW_GRACE = 0
    os.mkdir(HANDLES)
    driver = Driver()
    if mutant:
        BY_NAME[mutant]()
        driver.run(float(seconds), until=MUTANTS[BY_NAME[mutant]])
    else:
        driver.run(float(seconds))
        driver.counts[0, COUNTS.index("left")] = count_what_is_left()
    counts = {what: driver.total(what) for what in COUNTS}
    errors = [path.read_text() for path in Path().glob("error-*")]
    print(json.dumps({"kills": driver.kills, "errors": errors[:3], **counts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
