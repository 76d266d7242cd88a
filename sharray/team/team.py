"""`Team`: worker processes that run kernels on shared arrays."""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from ..errors import KernelError, TeamError
from ..kernels.kernel import Kernel
from ..system import clock, interrupts
from . import serial
from .arguments import look_at
from .copying import Copies
from .futures import Background
from .options import check_options, seconds_until, worker_count
from .plan import Plans
from .progress import Bar, ShowProgress
from .run import Run
from .workers.crew import Crew
from .workers.process import START_METHODS

_this_thread = threading.get_ident


class Team:
    """Worker processes that run kernels in place on shared arrays.

    Kernels reach the workers as machine code, arrays as handles. A run starts within
    microseconds, since workers wait in machine code.

    Parameters
    ----------
    workers : int, optional
        Number of worker processes. Without, one less than there are cores, since the
        calling process works too.
    start_method : {'spawn'}
        How worker processes start. They are always new interpreters, which do not
        run the main module: neither a fork of a process with threads, which may
        hang, nor a need for ``if __name__ == "__main__"``.
    caller_works : bool, default True
        Whether the calling process does its part of each run. If not, it only waits:
        Ctrl-C then ends even a kernel that does not come to the end of a chunk, and
        one that crashes takes a worker with it and not this process.

    Raises
    ------
    ValueError
        A number of workers or a start method that is not possible.
    TeamError
        The workers did not start.

    Examples
    --------
    >>> import sharray as sh
    >>> @sh.kernel
    ... def double(x):
    ...     for i in range(x.shape[0]):
    ...         x[i] *= 2
    >>> x = sh.array([1.0, 2.0, 3.0])
    >>> with sh.Team(1) as team:
    ...     team.run(double, x)
    >>> x.tolist()
    [2.0, 4.0, 6.0]
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        start_method: str = "spawn",
        caller_works: bool = True,
    ) -> None:
        if start_method not in START_METHODS:
            raise ValueError(
                f"expected start_method='spawn', got {start_method!r}: workers are "
                "new interpreters, since a fork of a process with threads may hang"
            )
        count = worker_count(workers, caller_works)
        self._caller_works = caller_works
        self._members = count + caller_works
        # It knows its owner: `release` by another thread is refused. So it can be
        # released without knowing whether an interrupt came before or after `acquire`.
        self._lock = threading.RLock()
        self._runner = 0  # the thread that holds the lock, and what it runs
        self._running: Kernel | None = None
        self._submitting = threading.Lock()
        self._background: Background | None = None
        self._ended = ""  # why it cannot be used any more
        self._crew = Crew(count, first=int(caller_works))
        self._plans = Plans(self._crew.segments.number)
        self._crew.segments.when_gone = _forgetter(weakref.ref(self))
        # Twice: an interrupt at the beginning of a finalizer is dropped, and nobody
        # calls that finalizer again. Without the other one, workers would stay.
        weakref.finalize(self, self._crew.end)
        weakref.finalize(self, self._crew.end)
        try:
            self._crew.start()
            self._run = Run(self._crew, self._members, caller_works)
            _teams.add(self)
        except BaseException:
            self._crew.end()
            raise

    def __repr__(self) -> str:
        return f"<sharray team, {self._ended or f'{self._members} members'}>"

    @property
    def size(self) -> int:
        """How many work: the worker processes, and the caller if it does."""
        return self._members

    def pids(self) -> list[int]:
        """Numbers of the worker processes."""
        return [worker.pid for worker in self._crew.workers]

    # -- running -------------------------------------------------------------

    def run(
        self,
        kernel: Kernel,
        /,
        *args: Any,
        axis: int = 0,
        schedule: str = "dynamic",
        chunk: int | None = None,
        reduce: str | Kernel | None = None,
        progress: bool | ShowProgress = False,
        timeout: float | None = None,
        copy: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Run a kernel on shared arrays, in all members of the team.

        The arrays are split together along `axis`, and the kernel gets a chunk of
        each at a time, as a view that begins at 0. A kernel with a loop over
        `sharray.prange` gets all arrays whole, and its range is split instead. One
        that has neither runs once, in one worker.

        Parameters
        ----------
        kernel : Kernel
            From `sharray.kernel`.
        *args, **kwargs : object
            Its arguments: shared arrays, which are split; `sharray.whole` around
            those that are not; numbers, tuples, counters, barriers.
        axis : int, default 0
            Along which the arrays are split.
        schedule : {'dynamic', 'static'}
            Whether members take the next chunk when they are ready for it, or each
            has its own from the start: one, if `chunk` is not given. Reductions of
            floating-point numbers are then the same each time.
        chunk : int, optional
            How many elements along the axis, or iterations, make a chunk.
        reduce : {'sum', 'min', 'max'} or Kernel, optional
            How to combine what the kernel returns for each chunk: numbers, or tuples
            of them. A kernel of two values must be associative.
        progress : bool or callable, default False
            Show a bar, for which tqdm is needed; or call this, every 50 ms or so, with
            how many chunks are done and how many there are.
        timeout : float, optional
            Seconds.
        copy : bool, default False
            Take arrays that are not shared too: copied before, and back afterwards.

        Returns
        -------
        object
            What the kernel returned, combined if it ran in chunks; None if nothing.

        Raises
        ------
        NotSharedError
            An array is not shared, and `copy` was not asked for.
        ValueError
            The arrays have different lengths along the axis, or an option is wrong.
        KernelError, numba.errors.NumbaError
            The kernel cannot be used or compiled so.
        TeamError
            The team is closed, or this thread is inside a run of it.
        WorkerDied
            A worker process ended in the middle. What it had written stays.
        TimeoutError
            The time is over; what was done until then stays.
        Exception
            What the kernel raised; it says where.
        """
        if not isinstance(kernel, Kernel):
            raise KernelError(
                f"expected a kernel to run, got {type(kernel).__name__}; decorate "
                "the function with @sharray.kernel"
            )
        self._check_open()
        arguments = kernel.bind(args, kwargs)
        options = axis, schedule, chunk, reduce
        deadline = None if timeout is None else clock.monotonic() + timeout
        if not copy:
            return self._execute(kernel, arguments, options, deadline, progress)
        copies = Copies(arguments)
        value = self._execute(kernel, copies.arguments, options, deadline, progress)
        copies.copy_back()
        return value

    def submit(self, kernel: Kernel, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a kernel in the background.

        Parameters
        ----------
        kernel, *args, **kwargs : object
            As those of `run`.

        Returns
        -------
        concurrent.futures.Future
            With what `run` returns or raises. Runs that were submitted happen one
            after the other.

        Examples
        --------
        >>> import sharray as sh
        >>> @sh.kernel
        ... def total(x):
        ...     found = 0.0
        ...     for i in range(x.shape[0]):
        ...         found += x[i]
        ...     return found
        >>> with sh.Team(1) as team:
        ...     future = team.submit(total, sh.ones(1000), reduce="sum")
        ...     future.result()
        1000.0
        """
        self._check_open()
        with self._submitting:  # not the lock of a run, which may take long
            if self._background is None:
                refuse = functools.partial(_refuse_to_wait, weakref.ref(self))
                self._background = Background(refuse)
        return self._background.submit(self.run, kernel, *args, **kwargs)

    def _check_open(self) -> None:
        if self._ended:
            raise TeamError(
                f"the team {self._ended}; make another one with sharray.Team()"
            )

    def _check_not_inside(self, wish: str) -> None:
        """Refuse what would wait for a run that the calling thread is inside of."""
        background = self._background
        if self._runner == threading.get_ident():
            name = getattr(self._running, "__name__", "")
            inside = f"the run of kernel {name!r}"
        elif background is not None and background.is_this_thread:
            inside = "the thread of submitted runs"
        else:
            return
        raise TeamError(
            f"cannot {wish} from inside {inside} of the same team, which would wait "
            "for itself; do it after that run, or use another sharray.Team()"
        )

    def _execute(
        self,
        kernel: Kernel,
        arguments: tuple[Any, ...],
        options: tuple[Any, ...],
        deadline: float | None,
        progress: bool | ShowProgress,
    ) -> Any:
        me = _this_thread()
        if self._runner == me:
            self._check_not_inside(f"run kernel {kernel.__name__!r}")
        seconds = seconds_until(deadline)
        try:
            # Within the `try`, where an interrupt right after it releases the lock. And
            # first: before it, `release` might undo what a caller further up has done.
            if not self._lock.acquire(timeout=seconds):
                raise TimeoutError(
                    f"kernel {kernel.__name__!r} did not begin in time, since the team "
                    "was busy with another run"
                )
            self._runner, self._running = me, kernel
            self._check_open()  # it may have been closed while this waited
            plan = self._plans.find(kernel, arguments, options)
            if plan is None:
                return self._run_here(kernel, arguments, options)
            if progress is not True:
                return self._run.execute(plan, deadline, progress or None)
            with Bar(kernel.__name__) as bar:
                return self._run.execute(plan, deadline, bar.show)
        finally:
            # No function in Python: an interrupt at its first instruction would leave
            # the lock as it is.
            if self._runner == me:
                self._runner = 0
            try:  # noqa: SIM105 - not `suppress`, for the same reason
                self._lock.release()
            except RuntimeError:
                pass  # it was not acquired
            if self._crew.segments.gone:  # arrays that were dropped meanwhile
                self._forget_gone()

    def _run_here(
        self, kernel: Kernel, arguments: tuple[Any, ...], options: tuple[Any, ...]
    ) -> Any:
        checked = check_options(*options)
        found = look_at(kernel, arguments, checked)
        return serial.run_here(kernel, found, checked, self._members)

    # -- its end -------------------------------------------------------------

    def close(self) -> None:
        """End the worker processes; runs that were submitted are finished first."""
        if self._ended:
            return
        self._check_not_inside("close the team")
        background = self._background
        if background is not None:
            background.wait()
        with self._lock:
            self._end()
        if background is not None:
            background.join()

    def _end(self) -> None:
        """End the worker processes; the calling thread holds the lock."""
        with interrupts.deferred():
            if self._ended:
                return
            self._runner, self._running = _this_thread(), None
            try:
                self._run.clean_up()
                self._ended = "is closed"
                self._plans.clear()
                if self._background is not None:
                    self._background.end()
                self._crew.end()
            finally:
                self._runner = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except BaseException:
            self._end_if_idle()  # nobody calls `close` again
            raise

    def _end_if_idle(self) -> None:
        with interrupts.deferred():
            if self._runner != _this_thread() and self._lock.acquire(blocking=False):
                try:
                    self._end()
                finally:
                    self._lock.release()

    def _forget_gone(self) -> None:
        # From a garbage collection, so perhaps in the middle of a run of this very
        # thread, which its lock would let in; the next run sees to it then.
        me = _this_thread()
        if self._ended or self._runner == me:
            return
        with interrupts.deferred():
            if not self._lock.acquire(blocking=False):
                return  # another thread is about to do it
            self._runner, self._running = me, None
            try:
                if not self._ended:
                    with interrupts.allowed():
                        self._run.forget_gone()
            except Exception:
                pass  # a worker has died: the next run finds out
            finally:
                self._runner = 0
                self._lock.release()


# Of this process; after a fork, the child cannot use those of the parent.
_teams: weakref.WeakSet[Team] = weakref.WeakSet()


# All that teams of the parent refer to stays in the child. Dropping the last reference
# to compiled code calls LLVM, whose lock another thread of the parent may have held:
# the child would wait for it for ever, before its first line.
_left_behind: list[Team] = []


def _disown_after_fork() -> None:
    _left_behind.extend(_teams)
    for team in _left_behind:
        if not team._ended:
            team._ended = "belongs to the process that this one was forked from"
            team._crew.disown()


os.register_at_fork(after_in_child=_disown_after_fork)


def _refuse_to_wait(team: weakref.ref[Team]) -> None:
    found = team()
    if found is not None:
        found._check_not_inside("wait for a submitted run")


def _forgetter(team: weakref.ref[Team]) -> Callable[[], None]:
    def forget() -> None:
        found = team()
        if found is not None:
            found._forget_gone()

    return forget
