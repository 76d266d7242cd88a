"""Send arrays in messages between processes that are killed at any moment.

A program: ``python -m torture.messages SECONDS [MUTANT]``, in an empty directory and
with a SHARRAY_RAM_DIR of its own. It prints a JSON object of counts; a mutant is
run until it is noticed.
"""

from __future__ import annotations

import json
import mmap
import multiprocessing
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import sharray as sh
from sharray.storage import ending, location
from sharray.storage.lifetime import transit

from .correspondents import (
    CHANNELS,
    COUNTS,
    Correspondent,
    Table,
    open_packet,
    read_packet,
)
from .message_mutants import BY_NAME, MUTANTS
from .remains import arrays_below

_PROCESSES = 6
_LONGEST_PAUSE = 0.02
# What a run must have seen, or it says little, however long that takes ...
KILLS = 500
SIGHTS = ("sent", "received", "again", "forked")
SEEN = 100
LONGEST = 240.0  # ... up to so many seconds
_SPARED = 0.9  # how often the first one is: someone has to send for longer


class Driver:
    """A process without threads, whose children write to each other."""

    def __init__(self) -> None:
        rows = 2 * _PROCESSES + 1
        memory = mmap.mmap(-1, rows * len(COUNTS) * 8)
        # A row for each process, one for those that it forks, one for this here.
        self.counts: Table = np.frombuffer(memory, np.int64).reshape(rows, -1)
        self.pairs: list[tuple[socket.socket, ...]] = [
            socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for _ in range(CHANNELS)
        ]
        # It ends when nobody has the other end any more.
        self.lives, self._life = os.pipe()
        self.context = multiprocessing.get_context("fork")
        self.processes: list[Any] = [None] * _PROCESSES
        self.seeds = 0
        self.kills = 0

    def start(self, slot: int) -> None:
        """Start a new process in a slot."""
        self.seeds += 1
        rows = self.counts[2 * slot : 2 * slot + 2]
        self.processes[slot] = self.context.Process(
            target=_live, args=(self.seeds, rows, self.pairs)
        )
        self.processes[slot].start()

    def bury(self, slot: int) -> None:
        """Wait for the end of a process; count a kill or a crash."""
        process = self.processes[slot]
        process.join()
        if process.exitcode == -signal.SIGKILL:
            self.kills += 1
        elif process.exitcode != 0:
            self.count("crashed")
        process.close()

    def kill(self, slot: int) -> None:
        """Kill a process at a random moment."""
        self.processes[slot].kill()
        self.bury(slot)

    def run(self, seconds: float, until: str = "") -> None:
        """Run for a minimum time and number of kills, or until a count is above 0."""
        for slot in range(_PROCESSES):
            self.start(slot)
        start = time.monotonic()
        while not (until and self.total(until)):
            passed = time.monotonic() - start
            if passed > LONGEST or (passed > seconds and self.has_seen_enough()):
                break
            time.sleep(random.random() * _LONGEST_PAUSE)
            for slot in range(_PROCESSES):
                if not self.processes[slot].is_alive():
                    self.bury(slot)
                    self.start(slot)
            victim = random.randrange(_PROCESSES)
            if victim or random.random() > _SPARED:
                self.kill(victim)
                self.start(victim)
            if random.random() < 0.05:
                sh.gc()
        for slot in range(_PROCESSES):
            self.kill(slot)
        os.close(self._life)
        assert os.read(self.lives, 1) == b""

    def read_what_is_under_way(self) -> None:
        """Open the messages that are left; their senders are dead."""
        for _, reader in self.pairs:
            while (packet := read_packet(reader)) is not None:
                open_packet(packet, self.counts[-1])

    def close(self) -> None:
        """Close the channels."""
        os.close(self.lives)
        for each in sum(self.pairs, ()):
            each.close()

    def count(self, what: str, times: int = 1) -> None:
        """Add to a count."""
        self.counts[-1, COUNTS.index(what)] += times

    def has_seen_enough(self) -> bool:
        """Return whether everything has happened; a busy machine takes longer."""
        return self.kills >= KILLS and min(map(self.total, SIGHTS)) > SEEN

    def total(self, what: str) -> int:
        """Return the sum of a count so far."""
        return int(self.counts[:, COUNTS.index(what)].sum())


def _live(seed: int, rows: Table, pairs: Any) -> None:
    Correspondent(seed, rows, pairs).live()


def main(seconds: str, mutant: str = "") -> None:
    """Run, and print the counts."""
    assert "SHARRAY_RAM_DIR" in os.environ, "mutants would reap this user's arrays"
    # Messages last as long as somebody may read them, and not a moment longer.
    transit.GRACE = transit.OVERFLOW_GRACE = 0
    driver = Driver()
    if mutant:
        BY_NAME[mutant]()
        driver.run(float(seconds), until=MUTANTS[BY_NAME[mutant]])
    else:
        driver.run(float(seconds))
        driver.read_what_is_under_way()
        sh.gc()
        ending.end()
        driver.count("left", len(arrays_below(location.ram_directory())))
    driver.close()
    counts = {what: driver.total(what) for what in COUNTS}
    errors = [path.read_text() for path in Path().glob("error-*")]
    print(json.dumps({"kills": driver.kills, "errors": errors[:3], **counts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
