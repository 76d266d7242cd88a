"""Growing arrays whose appenders are killed, whose readers load, whose power is cut.

Each row says who wrote it and which of its rows it is, and has a check of both, so
that a torn, lost or repeated row shows. The suite runs each part for a short time::

    python -m torture.growing --kills 300 --appends 100000 --cuts 100 DIRECTORY
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import select
import signal
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import sharray as sh
from sharray.storage import location

WIDTH = 16  # numbers in a row of 128 bytes
_ACK = struct.Struct("q")
_fork = multiprocessing.get_context("fork")


def rows_of(who: int, first: int, count: int) -> np.ndarray[Any, Any]:
    """Return the next rows of an appender."""
    rows = np.empty((count, WIDTH), "i8")
    rows[:, 0] = who
    rows[:, 1] = np.arange(first, first + count)
    rows[:, 2:] = (rows[:, 0] * 10**9 + rows[:, 1])[:, None]
    return rows


def wrong_rows(rows: np.ndarray[Any, Any]) -> int:
    """Count the rows that nobody has written so."""
    expected = (rows[:, 0] * 10**9 + rows[:, 1])[:, None]
    return int((rows[:, 2:] != expected).any(axis=1).sum() + (rows[:, 0] == 0).sum())


def own_rows(rows: np.ndarray[Any, Any], who: int) -> int:
    """Return how many rows an appender has in an array; all of them, in order."""
    found = rows[rows[:, 0] == who, 1]
    assert (found == np.arange(len(found))).all(), f"rows of {who} are lost or repeated"
    return len(found)


def append_for_ever(path: str, who: int, acks: int, flush_each: int) -> None:
    """Append, and say after each append, or flush, how many rows are there for sure."""
    with suppress(
        sh.StorageError
    ):  # of a disk without power; a parent that waits fails
        _append_for_ever(sh.open(path), who, acks, flush_each)


def _append_for_ever(array: Any, who: int, acks: int, flush_each: int) -> None:
    rng, done, number = random.Random(who), 0, 0
    while True:
        count = rng.choice((1, 3, 200))
        array.append(rows_of(who, done, count))
        done, number = done + count, number + 1
        if flush_each:
            if number % flush_each:
                continue
            array.flush()
        os.write(acks, _ACK.pack(done))


class Appender:
    """A process that appends until it is killed."""

    def __init__(self, path: str, who: int, *, flush_each: int = 0) -> None:
        self.who, self.acknowledged = who, 0
        self._acks, theirs = os.pipe()
        arguments = path, who, theirs, flush_each
        self.process = _fork.Process(target=append_for_ever, args=arguments)
        self.process.start()
        os.close(theirs)

    def wait(self, acks: int) -> None:
        """Wait for acknowledgements, at most 60 s for each."""
        for _ in range(acks):
            ready, _, _ = select.select([self._acks], [], [], 60)
            assert ready, f"the appender {self.who} hangs"
            ack = os.read(self._acks, _ACK.size)
            assert ack, f"the appender {self.who} has failed"
            self.acknowledged = _ACK.unpack(ack)[0]

    def kill(self) -> None:
        """Kill it, and take the acknowledgements that are left."""
        assert self.process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()
        while ack := os.read(self._acks, _ACK.size):
            self.acknowledged = _ACK.unpack(ack)[0]
        os.close(self._acks)


def kill_appenders(path: str, kills: int, *, at_once: int = 3) -> int:
    """Kill appenders at random moments; return the number of rows that are there."""
    rng = random.Random(kills)
    living = [Appender(path, who) for who in range(1, at_once + 1)]
    dead: list[Appender] = []
    try:
        while len(dead) < kills:
            victim = rng.choice(living)
            victim.wait(rng.randrange(1, 40))
            living.remove(victim)
            victim.kill()
            dead.append(victim)
            living.append(Appender(path, at_once + len(dead)))
    finally:
        for left in living:
            left.kill()
    array = sh.open(path)
    array.append(rows_of(10**6, 0, 1))  # whatever the killed have left
    rows = array.latest()
    assert wrong_rows(rows) == 0
    for one in dead + living:
        assert own_rows(rows, one.who) >= one.acknowledged
    return len(rows)


def load_for_ever(path: str, pipe: Any) -> None:
    """Load the file again and again, and tell what was wrong."""
    loads = last = 0
    mistakes = []
    while not pipe.poll():
        rows = np.load(path, mmap_mode="r" if loads % 2 else None)
        loads += 1
        if len(rows) < last:
            mistakes.append(f"{len(rows)} rows after {last}")
        if wrong_rows(rows[max(0, last - 1) :]):
            mistakes.append(f"wrong rows between {last} and {len(rows)}")
        last = len(rows)
    pipe.send((loads, mistakes))


def append_beside_readers(path: str, appends: int, *, flush_each: int = 10) -> int:
    """Append rows while a process loads the file; return how often it has."""
    ours, theirs = _fork.Pipe()
    reader = _fork.Process(target=load_for_ever, args=(path, theirs))
    reader.start()
    try:
        array = sh.open(path)
        for number in range(appends):
            array.append(rows_of(1, number, 1))
            if number % flush_each == 0:
                array.flush()
        ours.send("end")
        loads, mistakes = ours.recv()
        array.flush()
    finally:
        reader.terminate()
        reader.join()
        ours.close()
        theirs.close()
    assert mistakes == []
    assert own_rows(np.load(path), 1) == appends
    return int(loads)


def forget_pages() -> None:
    """Remove all control pages, as a restart of the machine does."""
    with suppress(FileNotFoundError):
        for name in os.listdir(location.control_directory()):
            os.unlink(os.path.join(location.control_directory(), name))


def cut_power(disk: Any, cuts: int) -> int:
    """Cut the power while a process appends and flushes; return the rows kept."""
    rng, kept = random.Random(cuts), 0
    path = str(disk.path / "power.npy")
    sh.create(path, (0, WIDTH), "i8", growable=True)
    for number in range(cuts):
        appender = Appender(path, number + 1, flush_each=rng.randrange(1, 5))
        appender.wait(rng.randrange(1, 6))
        disk.cut_power(appender.kill)
        forget_pages()
        rows = np.load(path)
        assert wrong_rows(rows) == 0
        assert own_rows(rows, appender.who) >= appender.acknowledged
        assert len(rows) >= kept
        kept = len(rows)
    return kept


def main() -> None:
    """Run the parts that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    for part in ("kills", "appends", "cuts"):
        parser.add_argument(f"--{part}", type=int, default=0)
    options = parser.parse_args()
    path = str(options.directory / "torture.npy")
    shape = 0, WIDTH
    if options.kills:
        sh.create(path, shape, "i8", growable=True, overwrite=True)
        print(options.kills, "kills,", kill_appenders(path, options.kills), "rows")
    if options.appends:
        sh.create(path, shape, "i8", growable=True, overwrite=True)
        loads = append_beside_readers(path, options.appends)
        print(options.appends, "appends beside", loads, "loads")
    if options.cuts:
        import disks

        with disks.disk(options.directory) as disk:
            print(options.cuts, "cuts,", cut_power(disk, options.cuts), "rows")


if __name__ == "__main__":
    main()
