"""Holding the control page of a growable array, and refusing other containers.

Processes of one user find the page of a file by its identity, in RAM. Those of another
user, or in a container with its own /dev/shm, do not: they would count other rows, and
write over each other's. So whoever holds a page also holds a shared lock on the byte
HOLD of the file, which all of them see::

              HOLD for itself
    appender  -------------->  enter the rows of the header, HOLD shared  -->  holding
        |  others have it
        v              page found
    HOLD shared  ------------------------------------------------------->  holding
        |  no page: the holder is elsewhere, or has just gone
        v
    try again, for 5 s

A reader takes HOLD only if there is a page. Without one, the rows are those of the
header, and the first appender must have HOLD for itself. Killed at any step, a process
leaves no lock. It may leave a page without rows, which the next one with HOLD for
itself fills.
"""

from __future__ import annotations

import os
import weakref

from ..errors import ArrayGoneError, BusyError, explain
from ..names import quote
from ..system import clock, files, forks, interrupts, locks
from ..system.thread_locks import Lock
from . import control_page, header_rows, rows_field
from .control_page import (
    GROWS_WORD,
    OFFSET_WORD,
    PENDING_WORD,
    ROW_SIZE_WORD,
    ROWS_WORD,
    ControlPage,
)
from .header import Header
from .header_rows import HOLD

_TIMEOUT = 5.0  # s, for the lock on HOLD, which is kept for microseconds
_holders: weakref.WeakSet[PageHolder] = weakref.WeakSet()


class PageHolder:
    """An open file that can grow, and its control page.

    Parameters
    ----------
    path : str
        The file.
    device, inode : int
        The file that is mapped; another one under its name is refused.
    identity : bytes
        From `sharray.storage.identity.identity_of`.
    header : Header
        Of a growable array.
    writable : bool
        True to append. Otherwise a control page is used, but not made.

    Attributes
    ----------
    fd : int or None
        The file; None after `close`, and in a forked child that could not open it.
    page : ControlPage or None
        None for a reader while nobody appends.
    row_shape : tuple of int
        Shape of one row.
    """

    def __init__(
        self,
        path: str,
        device: int,
        inode: int,
        identity: bytes,
        header: Header,
        *,
        writable: bool,
    ) -> None:
        assert header.growing is not None
        self.path = path
        self.writable = writable
        self.fd: int | None = None
        self.page: ControlPage | None = None
        self._is_busy = False  # with an append or a flush
        self._same = device, inode
        self._identity = identity
        self._offset, self._row_size = header.data_offset, header.row_size
        self._field = header.growing
        before, _, after = rows_field.split(header.shape, header.fortran_order)
        self.row_shape = before + after
        self._lock = Lock(reentrant=True)
        self.open()
        _holders.add(self)

    def open(self) -> None:
        """Open the file and hold its page; call it with signals deferred.

        Raises
        ------
        ArrayGoneError, AccessError
            The file cannot be opened.
        BusyError
            Another user or container has the file open for appending.
        """
        try:
            if self.fd is None:
                self.fd = self._opened(writable=self.writable)
            self._join(self.fd)
        except BaseException:
            self.close()  # with the lock on HOLD, which would keep out all others
            raise

    def _opened(self, *, writable: bool) -> int:
        try:
            fd = files.open_existing(self.path, writable=writable)
        except FileNotFoundError as error:
            raise self._is_gone() from error
        except OSError as error:
            raise explain(error, "open for appending", self.path) from error
        status = files.status(fd)
        if (status.st_dev, status.st_ino) != self._same:
            files.close(fd)
            raise self._is_gone()
        return fd

    def _is_gone(self) -> ArrayGoneError:
        return ArrayGoneError(
            f"the file {quote(self.path)} was removed, renamed or replaced meanwhile; "
            "open it again by its present name",
            self.path,
        )

    def _join(self, fd: int) -> None:
        if not self.writable:
            self._join_as_reader(fd)
            return
        waited, pause = 0.0, 0.001 * (1 + os.getpid() % 7)
        while not self._try_to_join(fd):
            if waited > _TIMEOUT:
                raise BusyError(
                    f"cannot append to {quote(self.path)}: another user, or a process "
                    "in another container, has it open for appending; let one of them "
                    "append, and others send it their rows",
                    self.path,
                )
            clock.sleep(pause)
            interrupts.check()
            waited += pause

    def _try_to_join(self, fd: int) -> bool:
        if locks.lock_byte(fd, HOLD):
            self._make_ready(fd)
            locks.lock_byte(fd, HOLD, shared=True)
            return True
        if locks.lock_byte(fd, HOLD, shared=True):
            if self.page is None:
                self.page = control_page.find(self._identity)
            if self.page is not None and self.page.words[GROWS_WORD]:
                return True
            # The holder is elsewhere, or has just gone.
            locks.unlock_byte(fd, HOLD)
        return False

    def _join_as_reader(self, fd: int) -> None:
        """Hold the page if there is one; without it, keep nobody from making one."""
        if self.page is None and control_page.rows_of(self._identity) is None:
            return
        # The lock first: an appender elsewhere must not count from the header while
        # this process keeps a page with more rows.
        if not locks.lock_byte(fd, HOLD, shared=True):
            return
        page, self.page = self.page or control_page.find(self._identity), None
        if page is not None:
            words = page.words
            if words[GROWS_WORD] and words[ROWS_WORD] >= self.rows_in_header(fd):
                self.page = page
                return
            page.close()
        locks.unlock_byte(fd, HOLD)

    def rows_in_header(self, fd: int) -> int:
        """Return the number of rows in the header of the file."""
        return header_rows.read(fd, self._field)

    def _make_ready(self, fd: int) -> None:
        """Enter the rows of the header; call it with HOLD for this process alone."""
        page = self.page = self.page or control_page.make(self._identity, self.path)
        rows, words = self.rows_in_header(fd), page.words
        layout = self._offset, self._row_size
        known = words[OFFSET_WORD], words[ROW_SIZE_WORD]
        # Of killed holders, unless another program has rewritten the file since.
        if words[GROWS_WORD] and known == layout and words[ROWS_WORD] >= rows:
            return
        words[GROWS_WORD] = 0
        words[ROWS_WORD] = rows
        # What is behind the rows was not flushed before a power cut: nobody has been
        # told that it is kept.
        words[PENDING_WORD] = os.lseek(fd, 0, os.SEEK_END)
        words[OFFSET_WORD], words[ROW_SIZE_WORD] = layout
        words[GROWS_WORD] = 1  # last: who sees it may use the others

    def become_writable(self) -> None:
        """Open the file for writing and make a page, as nobody appends yet."""
        fd = self._opened(writable=True)
        assert self.fd is not None
        # Under the same number, which other threads may be about to use.
        os.dup2(fd, self.fd, inheritable=False)
        files.close(fd)
        self.writable = True
        self.open()

    def close(self) -> None:
        """Close the file, which ends the locks, and let go of the control page."""
        # Not within an append of another thread, which would write to whatever file
        # gets the number. If that waits for a stopped process, the kernel closes it.
        if not self._lock.acquire(timeout=_TIMEOUT):
            return
        try:
            self._close_file()
            page, self.page = self.page, None
            if page is not None:
                page.close()
        finally:
            self._lock.release()

    def _close_file(self) -> None:
        fd, self.fd = self.fd, None
        if fd is not None:
            files.close(fd)

    def renew_in_child(self) -> None:
        """Open the file again, since a forked child shares locks with its parent."""
        self._lock = Lock(reentrant=True)
        self._is_busy = False
        self._close_file()
        if self.page is None:
            return
        try:
            # At once: with the page held, and without HOLD, another container could
            # take the file for its own when the parent has ended.
            self.fd = self._opened(writable=self.writable)
            locks.lock_byte(self.fd, HOLD, shared=True)
        except OSError:
            self._close_file()  # the next call raises the error


def _renew_in_child() -> None:
    for holder in list(_holders):
        holder.renew_in_child()


forks.at_fork(after_in_child=_renew_in_child)
