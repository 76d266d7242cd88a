"""Futures of runs in the background, and the thread that executes them.

::

    pending  -- the thread takes it -->  running  -- it ends -->  done
       |                                   |                        ^
       | cancel                            | cancel                 | the members have
       v                                   v                        | left the run
    cancelled                          cancelling  -----------------+

`cancel` of a running run returns at once. The run looks for that wish every 50 ms, and
ends as Ctrl-C ends one. Only then is the future done: before, members still write to
the arrays.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from ..system import interrupts
from ..system.thread_locks import Event, Lock


class RunFuture(Future[Any]):
    """The future of a submitted run, which can be cancelled while it runs.

    Runs of a team happen one after the other. A thread inside a run, for example in a
    progress function, would wait for a run that can only begin after this one. So
    `result` raises an error there.

    Parameters
    ----------
    title : str
        What people call the kernel or function.
    refuse : callable
        Raise the error if the calling thread is inside a run of the team.
    """

    def __init__(self, title: str, refuse: Callable[[], None]) -> None:
        super().__init__()
        self._title = title
        self._refuse = refuse
        self._deciding = Lock()
        self._is_decided = False
        self._wish = False
        # `result` of the base class may wait for ever although Ctrl-C was pressed.
        self._over = over = Event()
        self.add_done_callback(lambda _: over.set())

    def cancel(self) -> bool:
        """Cancel the run, also while it is running.

        Returns
        -------
        bool
            False if the run is over. Otherwise it ends, and `result` raises
            `concurrent.futures.CancelledError`. Results written before stay in the
            arrays. The future is done when no member of the team works any more.
        """
        with interrupts.deferred():  # both the state and `_over`
            if super().cancel():
                return True
        with self._deciding:
            if not self._is_decided:
                self._wish = True
        return self._wish

    def cancelled(self) -> bool:
        """Return whether the run was cancelled, and has ended."""
        return super().cancelled() or (self._wish and self.done())

    @property
    def is_cancelling(self) -> bool:
        """Return whether the run is to end."""
        return self._wish

    def result(self, timeout: float | None = None) -> Any:
        """Return the value of the run, or raise its error."""
        __tracebackhide__ = True  # in IPython and pytest
        with self._waiting():
            self._over.wait(timeout)
            return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error of the run; None if it succeeded."""
        with self._waiting():
            self._over.wait(timeout)
            error = super().exception(0)
        if self.cancelled():
            raise CancelledError
        return error

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        __tracebackhide__ = True
        if not self._over.is_set:
            self._refuse()
        try:
            yield
        except KeyboardInterrupt as error:
            if not self._over.is_set:
                error.add_note(
                    f"the submitted run of {self._title} goes on; call "
                    "cancel() of its future to end it, or result() to wait again"
                )
            raise

    def fulfil(self, act: Callable[[], Any]) -> None:
        """Call a function, and take its value or error."""
        value, error = None, None
        try:
            value = act()
        except BaseException as raised:
            error = raised
        with self._deciding:
            self._is_decided = True
        if self._wish:
            self.set_exception(CancelledError())
        elif error is not None:
            self.set_exception(error)
        else:
            self.set_result(value)


class Background:
    """The thread that executes the submitted runs of a team, one by one.

    Parameters
    ----------
    refuse : callable
        See `RunFuture`.
    """

    def __init__(self, refuse: Callable[[], None]) -> None:
        self._refuse = refuse
        self._thread: threading.Thread | None = None
        self._current: RunFuture | None = None
        self._executor = ThreadPoolExecutor(
            1, "sharray-team", initializer=self._note_thread
        )

    def _note_thread(self) -> None:
        self._thread = threading.current_thread()

    @property
    def is_this_thread(self) -> bool:
        """Return whether the calling thread is this one."""
        thread = self._thread
        return thread is not None and thread.ident == threading.get_ident()

    def is_cancelling(self) -> bool:
        """Return whether this thread executes a run that is to end."""
        current = self._current
        return self.is_this_thread and current is not None and current.is_cancelling

    def submit(self, title: str, act: Callable[[], Any]) -> RunFuture:
        """Execute a run in the background."""
        future = RunFuture(title, self._refuse)
        try:
            with interrupts.deferred():  # both the task and its thread
                self._executor.submit(self._fulfil, future, act)
        except BaseException:
            future.cancel()  # nobody has it; a run that has not begun never does
            raise
        return future

    def _fulfil(self, future: RunFuture, act: Callable[[], Any]) -> None:
        if future.set_running_or_notify_cancel():
            self._current = future
            try:
                future.fulfil(act)
            finally:
                self._current = None

    def wait(self) -> None:
        """Wait for all runs submitted before; others can be submitted meanwhile."""
        done = Event()
        try:
            with interrupts.deferred():
                self._executor.submit(done.set)
        except RuntimeError:
            return  # the interpreter is ending, and the thread has ended already
        done.wait()

    def end(self) -> None:
        """Make the thread end after the submitted runs."""
        self._executor.shutdown(wait=False)

    def join(self) -> None:
        """Wait until the thread has ended, after `end`."""
        thread = self._thread
        while thread is not None and thread.is_alive():
            thread.join(interrupts.SLICE)
