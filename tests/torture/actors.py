"""Processes that share arrays at random, check them, and may be killed."""

from __future__ import annotations

import os
import pickle
import random
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

import sharray as sh
from sharray.storage import ending, kept, location, trailer
from sharray.storage.lifetime import lease
from sharray.system import files, locks, memory

COUNTS = [
    "name_lost",  # an array is held, and its name gone or another file's
    "content_wrong",
    "incomplete",  # a file is visible and no complete array
    "sent_lost",  # a handle was sent, its sender lives, and the array is gone
    "wrong_error",
    "crashed",  # an actor died otherwise than by our hands
    "left",  # something remains when all are dead
    # The rest tells that there was something to go wrong.
    "created",
    "attached",
    "gone",
    "taken",
    "collected",
    "reused",  # a mapping that was kept
    "outdated",  # a mapping that was kept of a file that is gone
]
VIOLATIONS = COUNTS[: COUNTS.index("created")]

N = 100
_NAMES = 3  # few, so that names come back and every race has its chance
_MOST_HELD = 2
NAMED = ["shm://run/x", "shm://run/y", "disk.npy"]
HANDLES = "handles"


class Held(NamedTuple):
    """An anonymous array, and the file that must keep its name."""

    array: Any
    value: float
    path: str
    inode: int


def jitter(module: Any, name: str, random: random.Random, sleep: float) -> None:
    """Let others run before and after a system call, or kill this process there."""
    function = getattr(module, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        _pause(random, sleep)
        try:
            return function(*args, **kwargs)
        finally:
            _pause(random, sleep)

    setattr(module, name, call)


def _pause(random: random.Random, sleep: float = 0.05) -> None:
    chance = random.random()
    if chance < sleep:
        time.sleep(random.random() * 2e-3)
    elif chance < 2 * sleep:
        os.sched_yield()


class Actor:
    """A process; `counts` is its row of the table that the driver sums."""

    def __init__(self, seed: int, counts: Any) -> None:
        self.random = random.Random(seed)
        self.counts = counts
        self.held: list[Held] = []
        self.known: list[tuple[bytes, float]] = []  # handles that were opened
        # A uuid never comes back. These do, and with them the file names.
        trailer.os = SimpleNamespace(
            urandom=lambda n: bytes([self.random.randrange(_NAMES)]) * n
        )
        for name in "open_unnamed", "open_new", "open_existing", "write_at", "unlink":
            jitter(files, name, self.random, 0.05)
        for name in "status", "names_same_file", "link_unnamed", "rename":
            jitter(files, name, self.random, 0.05)
        jitter(memory, "map_file", self.random, 0.05)
        self.count_kept_mappings()
        # Between open and lock is where most can happen.
        for name in "lock_shared", "lock_exclusive":
            jitter(locks, name, self.random, 0.3)
        ending._next_sweep = 0.0

    def count(self, what: str) -> None:
        """Add 1 to a count."""
        self.counts[COUNTS.index(what)] += 1

    def count_kept_mappings(self) -> None:
        """Count how often a mapping that was kept is used, and how often it is not."""
        take = kept.take

        def counted(identity: bytes) -> Any:
            found = take(identity)
            self.count("outdated" if found is None else "reused")
            return found

        kept.take = counted

    def live(self) -> None:
        """Take random actions, one after the other; seldom return."""
        some = self.random.choices
        things: list[tuple[Callable[[], None], int, tuple[type[Exception], ...]]] = [
            # What it does, how often, and what races may refuse.
            (self.create, 6, (sh.ArrayExistsError,)),
            (self.attach, 6, (sh.ArrayGoneError,)),
            (self.attach_again, 6, (sh.ArrayGoneError,)),
            (self.check, 6, ()),
            (self.drop, 6, ()),
            (self.let_go_without_reaping, 2, ()),
            (self.send_and_drop, 2, (sh.ArrayExistsError,)),
            (self.look_around, 2, ()),
            (self.collect, 4, ()),
            (self.create_named, 1, (sh.ArrayExistsError,)),
            (self.overwrite_named, 1, ()),
            (self.open_named, 2, (sh.ArrayNotFoundError,)),
            (self.unlink_named, 1, (sh.ArrayNotFoundError,)),
        ]
        weights = [weight for _, weight, _ in things]
        while self.random.random() > 0.003:
            ((act, _, allowed),) = some(things, weights)
            try:
                act()
            except allowed as error:
                self.count("taken" if isinstance(error, FileExistsError) else "gone")
            except Exception:
                self.count("wrong_error")
                Path(f"error-{os.getpid()}").write_text(traceback.format_exc())
        ending.end()
        for held in self.held:
            self.check_content(held.array, held.value)

    # -- anonymous arrays ----------------------------------------------------

    def make(self) -> tuple[Held, bytes]:
        """Return a new array with its name, and a handle of it."""
        value = float(self.random.getrandbits(40))
        array = sh.full(N, value)
        segment = array._root.segment
        handle = pickle.dumps(array)
        held = Held(array, value, segment.path, segment.inode)
        if not self.has_its_name(held):
            # Another process has made an array of this uuid. No such thing happens
            # to real ones: be silent about it, and never reap the other's file.
            self.forget(held)
            raise sh.ArrayExistsError("by another process")
        self.count("created")
        return held, handle

    def create(self) -> None:
        """Make an array, and publish its handle for any process."""
        held, handle = self.make()
        if self.random.random() < 0.85:
            pickle.loads(handle)  # delivered; else this keeps it while we live
        temporary = f"{HANDLES}/.{os.getpid()}"
        Path(temporary).write_bytes(pickle.dumps((handle, held.value)))
        os.rename(temporary, f"{HANDLES}/{self.random.randrange(_NAMES)}")
        self.hold(held)

    def attach(self) -> None:
        """Open an array that another process has published."""
        published = self.published()
        if published is not None:
            self.hold(self.opened(*published))

    def attach_again(self) -> None:
        """Open an array, now or earlier, and again; others may have dropped it."""
        published = self.random.choice([*self.known, self.published()])
        if published is not None:
            self.known = [*self.known, published][-_NAMES:]
            for _ in range(2):  # it is kept from the second time on
                inode = self.opened(*published).inode
            time.sleep(self.random.choice([0, 1e-2]) * self.random.random())
            again = self.opened(*published)
            if again.inode != inode:
                self.count("content_wrong")
            self.hold(again)

    def published(self) -> tuple[bytes, float] | None:
        """Return a handle that a process has published, and the value of the array."""
        try:
            sent = Path(f"{HANDLES}/{self.random.randrange(_NAMES)}").read_bytes()
        except FileNotFoundError:
            return None
        found: tuple[bytes, float] = pickle.loads(sent)
        return found

    def opened(self, handle: bytes, value: float) -> Held:
        """Return the array of a handle."""
        array = pickle.loads(handle)
        segment = array._root.segment
        self.count("attached")
        return Held(array, value, segment.path, segment.inode)

    def hold(self, held: Held) -> None:
        """Keep an array for a while."""
        self.held.append(held)
        del held
        if len(self.held) > _MOST_HELD:
            self.drop()

    def check(self) -> None:
        """Check that all held arrays and their names are unchanged."""
        for held in self.held:
            self.check_content(held.array, held.value)
            if not self.has_its_name(held):
                self.count("name_lost")

    def drop(self) -> None:
        """Close an array; the last one removes the file."""
        if self.held:
            self.check()
            self.held.pop(self.random.randrange(len(self.held)))

    def let_go_without_reaping(self) -> None:
        """Drop an array like a process that is killed."""
        if self.held:
            self.forget(self.held.pop())

    def forget(self, held: Held) -> None:
        """Unmap without removing the name."""
        segment = held.array._root.segment
        segment.anonymous = False
        # What else shows this array goes with it. At the end, it would be taken for an
        # array with a name, whose memory nobody frees.
        self.held = [one for one in self.held if one.array._root.segment is not segment]

    def send_and_drop(self) -> None:
        """Check that a handle on its way keeps the array while the sender lives."""
        held, handle = self.make()
        value = held.value
        del held
        _pause(self.random)
        try:
            self.check_content(pickle.loads(handle), value)
        except sh.ArrayGoneError:
            self.count("sent_lost")

    def has_its_name(self, held: Held) -> bool:
        """Return whether the name still belongs to this file."""
        try:
            return os.lstat(held.path).st_ino == held.inode
        except FileNotFoundError:
            return False

    def check_content(self, array: Any, *values: float) -> None:
        """Check that all elements have the same, expected value."""
        found = np.asarray(array)
        right = found.shape == (N,) and (found == found[0]).all()
        if not right or (values and found[0] not in values):
            self.count("content_wrong")

    def collect(self) -> None:
        """Collect unused arrays, like any process now and then."""
        for _ in sh.gc():
            self.count("collected")

    def look_around(self) -> None:
        """Check that every visible file is a complete array."""
        directory = location.anonymous_directory()
        for name in os.listdir(directory) if os.path.isdir(directory) else []:
            path = os.path.join(directory, name)
            try:
                self.check_content(sh.open(path, "r"))
            except sh.ArrayNotFoundError:
                lease.reap(path)
            except sh.FormatError:
                self.count("incomplete")

    # -- arrays with a name --------------------------------------------------

    def name_and_value(self) -> tuple[str, float]:
        """Return a name, and a value that belongs to it."""
        number = self.random.choices(range(len(NAMED)), [5, 5, 1])[0]
        return NAMED[number], number + len(NAMED) * float(self.random.getrandbits(30))

    def create_named(self) -> None:
        """Create an array under a name that is free or taken."""
        name, value = self.name_and_value()
        self.check_content(sh.create(name, N, fill_value=value), value)

    def overwrite_named(self) -> None:
        """Overwrite a name, and check that old arrays stay valid."""
        name, value = self.name_and_value()
        array = sh.create(name, N, fill_value=value, overwrite=True)
        _pause(self.random)
        self.check_content(array, value)

    def open_named(self) -> None:
        """Open a name, and check that the array is complete and belongs to it."""
        name, value = self.name_and_value()
        try:
            array = sh.open(name, self.random.choice(["r", "r+", "c"]))
        except sh.FormatError:
            self.count("incomplete")
            return
        self.check_content(array)
        if (array[0] - value) % len(NAMED) != 0:
            self.count("content_wrong")

    def unlink_named(self) -> None:
        """Unlink a name that may be gone already."""
        sh.unlink(self.name_and_value()[0])
