"""Processes that send each other arrays at random, and may be killed at any line."""

from __future__ import annotations

import math
import os
import pickle
import random
import signal
import socket
import sys
import time
import traceback
import zlib
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

import sharray as sh
from sharray.passing.options import Options
from sharray.passing.wire.sending import write
from sharray.storage import ending

COUNTS = [
    "content_wrong",  # an array has changed, or was never right
    "lost",  # a message that was written completely could not be opened
    "opened_twice",  # by who read it first, and by who got it again
    "inherited",  # a forked child could write to what others have sent or got
    "crashed",  # a process died otherwise than by our hands, or raised
    "left",  # files remain when all are dead
    # The rest tells that there was something to go wrong.
    "sent",
    "received",
    "again",
    "forked",
    "inline",
]
VIOLATIONS = COUNTS[: COUNTS.index("sent")]
CHANNELS = 3

Table = np.ndarray[Any, np.dtype[np.int64]]

_OPTIONS = Options(threshold=1024)
# Copied by the receiver, kept by it where it is, and both in one message.
_LENGTHS = [500, 5_000, 40_000]
_MOST_HELD = 5
_LONGEST_LIFE = 4_000  # in lines
_MOST_BYTES = 60_000  # of a packet
_FRESH, _AGAIN = b"f", b"a"
_WATCHED = {
    f"sharray.{name}"
    for name in (
        "passing.wire.packing",
        "passing.wire.receiving",
        "passing.wire.sending",
        "storage.ending",
        "storage.messages.inbox",
        "storage.lifetime.lease",
        "storage.messages.outbox",
        "storage.segment",
        "storage.lifetime.transit",
    )
}


class Parcel(NamedTuple):
    """The arrays of a message, and their expected checksums."""

    arrays: list[Any]
    checksums: list[int]

    def is_right(self) -> bool:
        """Return whether the arrays have their expected values."""
        return self.checksums == [zlib.crc32(array) for array in self.arrays]

    def write_to(self) -> Parcel:
        """Change the arrays, as their holder may; return them as a new parcel."""
        for array in self.arrays:
            array += 1
        return Parcel(self.arrays, [zlib.crc32(array) for array in self.arrays])


def read_packet(reader: socket.socket) -> bytes | None:
    """Return the next packet of a channel, which no other process gets."""
    try:
        return reader.recv(_MOST_BYTES + 1, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None


def open_packet(packet: bytes, counts: Table) -> Parcel | None:
    """Return the message in a packet; None if it was opened before."""
    was_opened = packet[:1] == _AGAIN
    try:
        found: Parcel = pickle.loads(packet[1:])
    except sh.MessageError:
        if not was_opened:
            counts[COUNTS.index("lost")] += 1
            Path(f"error-{os.getpid()}").write_text(traceback.format_exc())
        return None
    if was_opened:
        counts[COUNTS.index("opened_twice")] += 1
    if not found.is_right():
        counts[COUNTS.index("content_wrong")] += 1
    return found


def shared_mappings() -> list[str]:
    """Return the mappings of message files that others can see."""
    with open("/proc/self/maps", encoding="utf-8") as table:
        return [line for line in table if "rw-s" in line and ".anonymous" in line]


class Correspondent:
    """A process; `rows` are its counts, and those of its forked children."""

    def __init__(self, seed: int, rows: Table, pairs: Any) -> None:
        self.random = random.Random(seed)
        self.counts, self.counts_of_child = rows
        self.pairs = pairs
        self.held: list[Parcel] = []
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for children
        if self.random.random() < 0.8:
            ending._next_sweep = math.inf  # who starts looks at all files there are
        self.lines_left = self.random.randrange(1, _LONGEST_LIFE)
        if self.random.random() < 0.3:
            sys.settrace(self.trace)  # which makes everything slower

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        """At each line of the protocol, let others run, or kill this process."""
        if frame.f_globals.get("__name__") not in _WATCHED:
            return None
        if event == "line":
            self.lines_left -= 1
            if self.lines_left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.random.random() < 0.005:
                time.sleep(self.random.random() * 2e-3)
        return self.trace

    def count(self, what: str) -> None:
        """One more of these."""
        self.counts[COUNTS.index(what)] += 1

    def live(self) -> None:
        """Take random actions, then end normally."""
        things = [self.send, self.receive, self.check, self.drop, self.write]
        things += [self.fork, sh.gc]
        weights = [20, 24, 8, 10, 6, 2, 1]
        try:
            while self.random.random() > 0.002:
                self.random.choices(things, weights)[0]()
            ending.end()
            self.check()
        except BaseException:
            Path(f"error-{os.getpid()}").write_text(traceback.format_exc())
            raise

    def send(self) -> None:
        """Send a message to any process; the channel may be full."""
        some = self.random
        arrays = [
            np.full(some.choice(_LENGTHS), some.getrandbits(30))
            for _ in range(some.randrange(1, 4))
        ]
        parcel = Parcel(arrays, [zlib.crc32(array) for array in arrays])
        message = write(parcel, _OPTIONS)
        if message.outgoing is None:
            self.count("inline")  # too much is under way: not what is tried here
        elif self.put(_FRESH + message.data):
            self.count("sent")
        else:
            message.outgoing.recall()

    def send_some(self) -> None:
        """Send some messages; parent and child do this at once after a fork."""
        for _ in range(5):
            self.send()

    def put(self, packet: bytes) -> bool:
        """Put a packet into a channel; return whether there was room."""
        writer, _ = self.random.choice(self.pairs)
        try:
            writer.send(packet, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return True

    def receive(self) -> None:
        """Open the message of any process, and keep it for a while."""
        _, reader = self.random.choice(self.pairs)
        packet = read_packet(reader)
        parcel = packet and open_packet(packet, self.counts)
        if not packet or not parcel:
            return
        self.count("received")
        self.held.append(parcel)
        del parcel
        if len(self.held) > _MOST_HELD:
            self.drop()
        # A message that is delivered twice is opened once.
        if self.random.random() < 0.1 and self.put(_AGAIN + packet[1:]):
            self.count("again")

    def check(self) -> None:
        """Check that all held arrays are unchanged."""
        for parcel in self.held:
            if not parcel.is_right():
                self.count("content_wrong")

    def drop(self) -> None:
        """Drop arrays, so that the sender can use the memory again."""
        if self.held:
            self.check()
            self.held.pop(self.random.randrange(len(self.held)))

    def write(self) -> None:
        """Change held arrays; no other process may see that."""
        if self.held:
            place = self.random.randrange(len(self.held))
            self.held[place] = self.held[place].write_to()

    def fork(self) -> None:
        """Fork; the child gets its own copy of held arrays, and its own outbox."""
        self.count("forked")
        self.random.seed(self.random.getrandbits(60))
        if os.fork():
            self.send_some()
            return
        status = 1
        try:
            self.counts = self.counts_of_child
            if shared_mappings():
                self.count("inherited")
            self.random.seed(os.getpid())
            self.send_some()
            for _ in range(self.random.randrange(20)):
                things = [self.send, self.receive, self.check, self.write, self.drop]
                self.random.choice(things)()
                time.sleep(1e-3)
            status = 0
        except BaseException:
            Path(f"error-{os.getpid()}").write_text(traceback.format_exc())
        finally:
            os._exit(status)
