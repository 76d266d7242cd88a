"""Futures of runs in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ..system import interrupts


class RunFuture(Future[Any]):
    """A future that raises an error instead of waiting for itself.

    Runs of a team happen one after the other. A thread inside a run, for example in a
    progress function, would wait for a run that can only begin after this one.

    Parameters
    ----------
    refuse : callable
        Raise the error if the calling thread is inside a run of the team.
    """

    def __init__(self, refuse: Callable[[], None]) -> None:
        super().__init__()
        self._refuse = refuse

    def result(self, timeout: float | None = None) -> Any:
        """Return the value of the run, or raise its error."""
        if not self.done():
            self._refuse()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error of the run; None if it succeeded."""
        if not self.done():
            self._refuse()
        return super().exception(timeout)


class Background:
    """The thread that executes the submitted runs of a team, one by one.

    Parameters
    ----------
    refuse : callable
        See `RunFuture`.
    """

    def __init__(self, refuse: Callable[[], None]) -> None:
        self._refuse = refuse
        self._thread = 0
        self._executor = ThreadPoolExecutor(
            1, "sharray-team", initializer=self._note_thread
        )

    def _note_thread(self) -> None:
        self._thread = threading.get_ident()

    @property
    def is_this_thread(self) -> bool:
        """Return whether the calling thread is this one."""
        return self._thread == threading.get_ident()

    def submit(
        self, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> RunFuture:
        """Call a function in the background."""
        future = RunFuture(self._refuse)
        try:
            with interrupts.deferred():  # both the task and its thread
                self._executor.submit(_fulfil, future, function, args, kwargs)
        except BaseException:
            future.cancel()  # nobody has it; a run that has not begun never does
            raise
        return future

    def wait(self) -> None:
        """Wait for all runs submitted before; others can be submitted meanwhile."""
        done = threading.Lock()
        done.acquire()
        try:
            with interrupts.deferred():
                self._executor.submit(done.release)
        except RuntimeError:
            return  # the interpreter is ending, and the thread has ended already
        done.acquire()

    def end(self) -> None:
        """Make the thread end after the submitted runs."""
        self._executor.shutdown(wait=False)

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._executor.shutdown(wait=True)


def _fulfil(
    future: RunFuture, function: Callable[..., Any], args: Any, kwargs: Any
) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        value = function(*args, **kwargs)
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(value)
