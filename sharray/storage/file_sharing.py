"""What a segment shares with other processes: a fault, and rows that are appended.

A file in RAM has words for it in its trailer. A file on a disk has a control page.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from ..errors import ArrayGoneError, SharrayError, StorageError
from ..names import quote
from ..system import interrupts, memory
from ..system.thread_locks import Lock
from . import control_page, trailer
from .control_page import ControlPage
from .format import TRAILER_SIZE, round_up
from .growing import Growth
from .header import Header
from .trailer import Trailer

_LARGEST_ERRNO = 4095  # errno(3); the word in the file can have any value
_changing = Lock(reentrant=True)  # what segments share: one thread at a time


class FileSharing:
    """The part of a `Segment` that other processes write, too."""

    __slots__ = (
        "_control",
        "_growth",
        "_local_fault",
        "_pin",
        "_words",
        "data_range",
        "device",
        "header",
        "identity",
        "inode",
        "mode",
        "path",
        "size",
        "trailer",
        "volatile",
    )

    # Of the segment; see there.
    _pin: memoryview
    _words: memoryview[int] | None
    data_range: tuple[int, int]
    device: int
    header: Header
    identity: bytes
    inode: int
    mode: str
    path: str
    size: int
    trailer: Trailer | None
    volatile: bool

    def _share_nothing(self) -> None:
        self._local_fault = 0
        self._control: ControlPage | None = None
        self._growth: Growth | None = None

    def find_path(self) -> str | None:
        """Return the file's present path; None if it was removed or replaced."""
        raise NotImplementedError  # `Segment` has it

    @property
    def words(self) -> memoryview[int]:
        """The trailer page as 64-bit words, for segments with a trailer only."""
        if self._words is None:
            # A mapping for huge pages is longer than the file: SIGBUS.
            first = self.size - TRAILER_SIZE
            self._words = self._pin[first : self.size].cast("Q")
        return self._words

    # -- faults --------------------------------------------------------------

    @property
    def fault(self) -> int:
        """The errno of the first flush that failed since the last `clear_fault`."""
        if self.trailer is not None:
            code = self.words[trailer.FAULT_WORD]
        else:
            code = self._fault_on_page()
        return code if code <= _LARGEST_ERRNO else errno.EIO

    def set_fault(self, code: int) -> None:
        """Record for all processes that data was lost; 0 clears the record."""
        if self.trailer is not None:
            self.words[trailer.FAULT_WORD] = code
            return
        self._local_fault = code
        with interrupts.deferred():
            page = self._find_control()
            if page is None and code:
                # Without room in RAM, at least this process remembers it.
                with suppress(OSError, SharrayError):
                    page = self._control = control_page.make(self.identity, self.path)
            if page is not None:
                page.fault = code

    @property
    def has_control_page(self) -> bool:
        """True if this segment holds the control page of its file."""
        return self._control is not None or self._growth is not None

    def _fault_on_page(self) -> int:
        if self.volatile:
            return 0
        if self.mode != "r+":  # its end could not let go of the page
            return control_page.fault_of(self.identity)
        with interrupts.deferred():
            page = self._find_control()
            return self._local_fault if page is None else page.fault

    def _find_control(self) -> ControlPage | None:
        if self._growth is not None and self._growth.page is not None:
            return self._growth.page
        if self._control is None:
            self._control = control_page.find(self.identity)
        return self._control

    # -- growable arrays -----------------------------------------------------

    @property
    def growth(self) -> Growth | None:
        """What `grow` has returned; None before."""
        return self._growth

    def grow(self) -> Growth:
        """Return what appends to this file; call it with signals deferred."""
        # Under a lock: of two growths of two threads, nobody would close one.
        with _changing:
            if self._growth is None:
                self._growth = self._new_growth()
                page, self._control = self._control, None
                if page is not None:  # the growth holds the same one
                    page.close()
            return self._growth

    def _new_growth(self) -> Growth:
        path = self.find_path()
        if path is None:
            raise ArrayGoneError(
                f"the file {quote(self.path)} was removed or replaced, so it cannot "
                "grow any more; save the data with numpy.save(path, array)",
                self.path,
            )
        return Growth(
            *(path, self.device, self.inode, self.identity, self.header),
            writable=self.mode == "r+",
        )

    def refresh(self) -> None:
        """Let `header` and `data_range` have the rows that are complete by now."""
        growth = self._growth
        if growth is None:
            with interrupts.deferred():
                growth = self.grow()
        rows = growth.rows
        if rows > self.header.rows:
            # Under a lock: of two threads, the one that has looked first might store
            # last, and views with more rows would lie outside of the file.
            with _changing:
                self._show(growth, rows)

    def _show(self, growth: Growth, rows: int) -> None:
        if rows <= self.header.rows:
            return
        header = self.header.with_rows(rows)
        end = header.data_offset + header.nbytes
        if end > self.size:
            raise StorageError(
                f"{quote(self.path)} has outgrown the {self.size} addresses that this "
                "process has for it; open it again",
                self.path,
            )
        if self.mode == "c":
            # A store has made the page of the last row private: appends to the file
            # do not reach it any more.
            first = self.data_range[1]
            last = min(end, round_up(first, memory.PAGE_SIZE))
            self._pin[first:last] = growth.read(first, last)
        self.header = header
        self.data_range = header.data_offset, end

    def _drop_control(self, path: str | None) -> None:
        """Let go of the control page, which ends with the file's last holder."""
        if not self.has_control_page:
            return
        if self._growth is not None:
            self._growth.close()
            self._growth = None
        if self._control is not None:
            self._control.close()
            self._control = None
        control_page.drop(self.identity, path)


def _renew_lock_after_fork() -> None:
    # Another thread of the parent may have held it at the fork.
    global _changing
    _changing = Lock(reentrant=True)


os.register_at_fork(after_in_child=_renew_lock_after_fork)
