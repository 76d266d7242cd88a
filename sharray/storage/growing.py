"""Growing: rows that any number of processes append to one file.

A growable array is a ``.npy`` file whose header has a field for the number of rows (see
`rows_field`). Its control page knows how many rows are complete, and who waits. See
`page_holding` for how processes find it::

    file     | header: rows at the last flush | complete rows | rows under way |
    page     rows: complete rows   pending: where the file may end   bell   waiting

    appender                              reader in another process
    --------                              -------------------------
    lock the byte _APPEND of the file
    pending = new end
    pwrite(rows) behind the complete ones
    rows += count          ------------>  `latest` looks: views up to here are complete
    pending = 0
    bell += 1, wake        ------------>  `wait_longer` sleeps on the bell
    unlock

The header follows in `flush`, after the rows are on the disk. So a power cut leaves a
header whose rows are all there. When the last holder lets go of the control page, the
header gets the number of all complete rows, too.

=================  ==============================================================
killed             left behind
=================  ==============================================================
before ``rows +=`` a file that is too long: the next appender cuts it to its rows
after it           all rows; `pending` says no more than the file has
at any time        the kernel takes the lock back
=================  ==============================================================

Invariants

- The words change only under the lock _APPEND, apart from `waiting`.
- The file ends behind the complete rows, or not later than `pending`. Anything else was
  done by another program, and is refused.
- `rows` never shrinks while somebody holds the page.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from ..errors import AccessError, BusyError, StorageError
from ..names import ENVIRONMENT_VARIABLE, is_in_ram, quote
from ..system import clock, files, futex, interrupts, locks
from . import header_rows, room
from .control_page import (
    BELL_WORD,
    PENDING_WORD,
    ROWS_WORD,
    WAITING_WORD,
    ControlPage,
)
from .header_rows import HOLD
from .page_holding import PageHolder

_APPEND = HOLD + 1
# Waiters look again after so long, in case a wake was lost: see `_ring`.
_SLICE_NS = 100_000_000
_LOW_BITS = 0xFFFFFFFF  # futex(2) compares 32 bits


class Growth(PageHolder):
    """What a process needs to append to a file, and to see what others append.

    See `PageHolder` for the parameters.
    """

    _appending: locks.ByteLock | None = None

    def _ready(self) -> tuple[int, ControlPage, locks.ByteLock]:
        """Return what an append needs; call it with the lock of this process."""
        fd, page = self.fd, self.page
        if fd is None or page is None:  # in a forked child
            with interrupts.deferred():
                self.open()
            fd, page = self.fd, self.page
        assert fd is not None
        assert page is not None
        if self._is_busy:
            raise BusyError(
                f"cannot append to {quote(self.path)} within another append of this "
                "thread, as in a signal handler; keep the rows in the handler, and "
                "append them later",
                self.path,
            )
        if self._appending is None or self._appending.fd != fd:  # or after a fork
            self._appending = locks.ByteLock(fd, _APPEND)
        return fd, page, self._appending

    # -- reading -------------------------------------------------------------

    @property
    def rows(self) -> int:
        """Number of complete rows, of which a new view can be made."""
        fd, page = self.fd, self.page
        if fd is None or page is None:
            fd, page = self._look()
        rows = self.rows_in_header(fd) if page is None else page.words[ROWS_WORD]
        self._check_length(os.lseek(fd, 0, os.SEEK_END), rows)
        return rows

    def read(self, first: int, end: int) -> bytes:
        """Return some bytes of the file."""
        with self._lock:
            fd, _ = self._look()
            return files.read_at(fd, end - first, first)

    def _look(self) -> tuple[int, ControlPage | None]:
        """Look for a page that others have made since this process looked last."""
        with self._lock, interrupts.deferred():
            if self.fd is None or self.page is None:
                self.open()
            assert self.fd is not None
            return self.fd, self.page

    def _end(self, rows: int) -> int:
        return self._offset + rows * self._row_size

    def _check_length(self, size: int, rows: int) -> None:
        if size < self._end(rows):
            raise StorageError(
                f"{quote(self.path)} was truncated: expected {self._end(rows)} bytes "
                f"for its {rows} rows, got {size}; close it everywhere, restore it "
                "from a backup, and call sharray.gc()",
                self.path,
            )

    def wait_longer(self, rows: int, timeout: float | None) -> bool:
        """Sleep until there are so many rows; return False when the time is over."""
        until = None if timeout is None else clock.monotonic() + timeout
        page = self._page_to_wait_on()
        words, limit = page.words, _SLICE_NS
        while True:
            # In this order: an append after the look at the bell changes it, and one
            # before it has stored its rows.
            bell = words[BELL_WORD]
            if words[ROWS_WORD] >= rows:
                return True
            if until is not None:
                left = until - clock.monotonic()
                if left <= 0:
                    return False
                limit = min(_SLICE_NS, int(left * 1e9) + 1)
            words[WAITING_WORD] = 1
            futex.wait(page.bell, bell, limit)

    def _page_to_wait_on(self) -> ControlPage:
        with self._lock, interrupts.deferred():
            if self.fd is None or self.page is None:
                self.open()  # an appender may have come since
            if self.page is None:
                self._prepare_to_wait()
            assert self.page is not None
            return self.page

    def _prepare_to_wait(self) -> None:
        """Make a page, as nobody appends yet; this needs a file open for writing."""
        try:
            self.become_writable()
        except AccessError as error:
            raise AccessError(
                f"cannot wait for {quote(self.path)} to grow: nobody has it open for "
                "appending, and this user may not write to it; wait again when the "
                "appender has opened it",
                self.path,
                error.code,
            ) from error

    # -- appending -----------------------------------------------------------

    def append(self, data: memoryview, count: int) -> int:
        """Append whole rows, and return the index of the first of them.

        No signal is deferred: an interrupt at any step leaves what a kill would, except
        for the lock. That one is let go in any case, as its release is C code.
        """
        with self._lock:
            fd, page, lock = self._ready()
            self._is_busy = True
            try:
                try:
                    lock.acquire_now()
                except OSError:
                    lock.acquire()
                return self._append(fd, page.words, data, count)
            except StorageError:
                raise
            except OSError as error:
                raise self._explain(error, data.nbytes) from error
            finally:
                self._is_busy = False  # a store first: nothing comes in between
                lock.release()
                if page.words[WAITING_WORD]:
                    self._ring(page)

    def _append(self, fd: int, words: Any, data: memoryview, count: int) -> int:
        rows = int(words[ROWS_WORD])
        end = self._offset + rows * self._row_size
        if os.lseek(fd, 0, os.SEEK_END) != end:
            self._clear_behind(fd, words, rows)
        # First: killed while it writes, this process leaves a file that is too long.
        # Without the word, that would be another program's doing.
        words[PENDING_WORD] = end + data.nbytes
        try:
            done = os.pwrite(fd, data, end)
            if done < data.nbytes:
                files.write_at(fd, data[done:], end + done)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(fd, end)
                # What lies behind the rows from now on is another program's.
                words[PENDING_WORD] = 0
            raise
        # The rows are in the file before they count: a reader maps no byte behind it.
        words[ROWS_WORD] = rows + count
        words[PENDING_WORD] = 0
        words[BELL_WORD] = (words[BELL_WORD] + 1) & _LOW_BITS
        return rows

    def _explain(self, error: OSError, nbytes: int) -> OSError:
        variable = ""
        if is_in_ram(self.path):
            variable = ENVIRONMENT_VARIABLE
        doing = "append to the array"
        return room.explain_no_room(error, doing, self.path, nbytes, variable)

    def _clear_behind(self, fd: int, words: Any, rows: int) -> None:
        """Cut off what a killed appender has left; refuse what another program has."""
        size, end = os.lseek(fd, 0, os.SEEK_END), self._end(rows)
        self._check_length(size, rows)
        if size > words[PENDING_WORD]:
            raise StorageError(
                f"cannot append to {quote(self.path)}: another program has written "
                f"{size - end} bytes behind its {rows} rows; append with sharray only, "
                "or close the array everywhere and open it again",
                self.path,
            )
        os.ftruncate(fd, end)

    def _ring(self, page: ControlPage) -> None:
        """Wake those that wait, after the append has let go of its lock.

        A waiter writes `waiting` and then looks at the bell, in futex(2); an appender
        writes the bell and then looks at `waiting`. Both system calls in between order
        store and load on x86. Elsewhere a waiter may miss the wake, so it looks again
        after a while.
        """
        words = page.words
        words[WAITING_WORD] = 0
        # A waiter that set the word just before it was cleared, and does not sleep yet,
        # must not: the bell is another one by then.
        words[BELL_WORD] = (words[BELL_WORD] + 1) & _LOW_BITS
        futex.wake(page.bell)

    # -- to the disk ---------------------------------------------------------

    def flush(self) -> None:
        """Write rows to the disk, and then their number: with both, they are kept."""
        with self._lock:
            fd, page, lock = self._ready()
            rows = page.words[ROWS_WORD]
            self._check_length(os.lseek(fd, 0, os.SEEK_END), rows)
            os.fsync(fd)
            self._is_busy = True
            try:
                lock.acquire()
                # Another process may have written a higher number meanwhile.
                changed = self.rows_in_header(fd) < rows
                if changed:
                    header_rows.write(fd, self._field, rows)
            finally:
                self._is_busy = False  # a store first: nothing comes in between
                lock.release()
            if changed:
                os.fsync(fd)
