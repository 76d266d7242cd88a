"""The members of a team: its workers, and the caller if it works.

They do one run at a time. A lock belongs to the thread whose run it is::

    free  -- acquire -->  a thread's run  -- the members have left it -->  free
      |                       |
      | close                 | the same thread asks again, as in a progress function:
      v                       | an error, since it would wait for itself
    ended
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from ..errors import TeamError
from ..kernels.kernel import Kernel
from ..notebook import text
from ..system import interrupts
from ..system.thread_locks import Lock
from . import forgotten, serial
from .arguments import look_at
from .functions import threads
from .functions.plan import CallPlan
from .functions.prepared import Prepared
from .futures import Background, RunFuture
from .options import check_options, seconds_until
from .plan import Plan, Plans
from .progress import Bar, ShowProgress
from .run import Run
from .workers.crew import Crew

_this_thread = threading.get_ident


class Members:
    """The members of a team, which do one run at a time.

    Parameters
    ----------
    workers : int
        The number of worker processes.
    caller_works : bool
        Whether the calling process is a member.
    name : str
        The name of the team.

    Raises
    ------
    TeamError
        The workers did not start.
    """

    def __init__(self, workers: int, *, caller_works: bool, name: str) -> None:
        self.size = workers + caller_works
        self.ended = ""  # why the team cannot be used any more
        self.is_new = False  # whether older teams are to end first: see `forgotten`
        self._caller_works = caller_works
        self._threads = threads.for_each(self.size)
        # An RLock knows its owner, and refuses `release` by any other thread. So after
        # an interrupt, before or after `acquire`, calling `release` is always safe.
        self._lock = Lock(reentrant=True)
        self._runner = 0  # the thread that holds the lock
        self._running: Kernel | str | None = None  # what it runs
        self._by_value: set[str] = set()  # modules whose functions go by value
        self._submitting = Lock()
        self._background: Background | None = None
        self.crew = Crew(workers, int(caller_works), name)
        self._plans = Plans(self.crew.segments.number)
        self.crew.segments.when_gone = _forgetter(weakref.ref(self))
        # Twice: an interrupt at the first instruction skips a finalizer for good.
        # Without the other one, the workers would not end.
        weakref.finalize(self, self.crew.end)
        weakref.finalize(self, self.crew.end)
        try:
            self.crew.start()
            self._run = Run(self.crew, self.size, caller_works)
            _all_members.add(self)
        except BaseException:
            self.crew.end()
            raise

    def describe(self) -> str:
        """Return how many they are, or why they have ended."""
        return self.ended or text.count(self.size, "member")

    def check_open(self) -> None:
        """Raise an error if the team has ended."""
        if self.ended:
            raise TeamError(
                f"the team {self.ended}; make another one with sharray.Team()"
            )

    def submit(self, title: str, act: Callable[[], Any]) -> RunFuture:
        """Execute a run in the background, after those submitted before."""
        with self._submitting:  # a run may hold `_lock` for long
            if self._background is None:
                refuse = functools.partial(_refuse_to_wait, weakref.ref(self))
                self._background = background = Background(refuse)
                self._run.is_cancelling = background.is_cancelling
        return self._background.submit(title, act)

    def _check_not_inside(self, wish: str) -> None:
        """Refuse a call that would wait for a run that the calling thread is inside."""
        background = self._background
        if self._runner == threading.get_ident():
            inside = f"the run of {getattr(self._running, 'title', self._running)}"
        elif background is not None and background.is_this_thread:
            inside = "the thread of submitted runs"
        else:
            return
        raise TeamError(
            f"cannot {wish} from inside {inside} of the same team, which would wait "
            "for itself; do it after that run, or use another sharray.Team()"
        )

    def execute(
        self,
        kernel: Kernel | Prepared,
        arguments: tuple[Any, ...],
        options: tuple[Any, ...],
        deadline: float | None,
        progress: bool | ShowProgress,
    ) -> Any:
        """Run a kernel or a prepared function, when the members are free.

        Parameters
        ----------
        kernel : Kernel or Prepared
            What to run.
        arguments, options : tuple
            The arguments of a kernel, and the options of `check_options`.
        deadline : float, optional
            When it must be over: see `sharray.system.clock`.
        progress : bool or callable
            See `Team.run`.
        """
        me = _this_thread()
        if self._runner == me:
            self._check_not_inside(f"run {kernel.title}")
        seconds = seconds_until(deadline)
        try:
            # Within the `try`, so that an interrupt right after it releases the lock.
            # It comes first: an error before it would release a lock that a caller of
            # this function holds.
            lock = self._lock
            if not (lock.acquire(blocking=False) or lock.acquire_within(seconds)):
                raise TimeoutError(
                    f"{kernel.title} did not begin in time, since the team was busy "
                    "with another run; use a longer timeout=, or another sharray.Team()"
                )
            # Its title, since a function comes with its arguments, to be freed.
            running = kernel if isinstance(kernel, Kernel) else kernel.title
            self._runner, self._running = me, running
            self.check_open()  # it may have been closed while this waited
            if self.is_new:
                self.is_new = False
                forgotten.end_forgotten()
            if not isinstance(kernel, Kernel):
                return self._call(kernel, deadline, progress)
            plan = self._plans.find(kernel, arguments, options)
            if plan is None:
                return self._run_here(kernel, arguments, options)
            if progress is False:
                return self._run.execute(plan, deadline, None)
            return self._execute_and_show(plan, deadline, progress)
        finally:
            # Call no Python function here: an interrupt at its first instruction would
            # leave the lock taken.
            if self._runner == me:
                self._runner = 0
            try:  # noqa: SIM105 - `suppress` is a Python function
                self._lock.release()
            except RuntimeError:
                pass  # it was not acquired
            if self.crew.segments.gone:  # arrays that were freed during the run
                self._forget_gone()

    def _call(
        self,
        prepared: Prepared,
        deadline: float | None,
        progress: bool | ShowProgress,
    ) -> Any:
        plan = prepared.plan(self.crew.segments.number, self._by_value)
        if self.size == 1 or not self._caller_works:
            return self._execute_and_show(plan, deadline, progress)
        with threads.limited(self._threads):
            return self._execute_and_show(plan, deadline, progress)

    def _execute_and_show(
        self,
        plan: Plan | CallPlan,
        deadline: float | None,
        progress: bool | ShowProgress,
    ) -> Any:
        if progress is not True:
            return self._run.execute(plan, deadline, progress or None)
        with Bar(plan.name, plan.unit) as bar:
            return self._run.execute(plan, deadline, bar.show)

    def _run_here(
        self, kernel: Kernel, arguments: tuple[Any, ...], options: tuple[Any, ...]
    ) -> Any:
        checked = check_options(*options)
        found = look_at(kernel, arguments, checked)
        return serial.run_here(kernel, found, checked, self.size)

    # -- its end -------------------------------------------------------------

    def close(self) -> None:
        """See `Team.close`."""
        if self.ended:
            return
        self._check_not_inside("close the team")
        background = self._background
        if background is not None:
            background.wait()
        with self._lock:
            self._end()
        if background is not None:
            background.join()

    def _end(self, reason: str = "is closed") -> None:
        """End the worker processes; the calling thread holds the lock."""
        with interrupts.deferred():
            if self.ended:
                return
            self._runner, self._running = _this_thread(), None
            try:
                self._run.clean_up()
                self.ended = reason
                self._plans.clear()
                if self._background is not None:
                    self._background.end()
                self.crew.end()
            finally:
                self._runner = 0

    def end_if_idle(self, reason: str = "is closed") -> None:
        """End the worker processes, unless a run is under way."""
        with interrupts.deferred():
            if self._runner != _this_thread() and self._lock.acquire(blocking=False):
                try:
                    self._end(reason)
                finally:
                    self._lock.release()

    def _forget_gone(self) -> None:
        # The garbage collector may call this in the middle of a run of this thread,
        # which the RLock would not keep out. The next run does it then.
        me = _this_thread()
        if self.ended or self._runner == me:
            return
        with interrupts.deferred():
            if not self._lock.acquire(blocking=False):
                return  # the thread that has the lock does it
            self._runner, self._running = me, None
            try:
                if not self.ended:
                    with interrupts.allowed():
                        self._run.forget_gone()
            except Exception:
                pass  # a worker has died: the next run replaces it
            finally:
                self._runner = 0
                self._lock.release()


# Those of the teams of this process. A forked child cannot use its parent's.
_all_members: weakref.WeakSet[Members] = weakref.WeakSet()


# A forked child keeps the parent's teams alive. Dropping the last reference to compiled
# code calls LLVM, whose lock another thread of the parent may have held. The child
# would wait for it for ever, before its first line.
_left_behind: list[Members] = []


def _disown_after_fork() -> None:
    _left_behind.extend(_all_members)
    for members in _left_behind:
        if not members.ended:
            members.ended = "belongs to the process that this one was forked from"
            members.crew.disown()


os.register_at_fork(after_in_child=_disown_after_fork)


def _refuse_to_wait(members: weakref.ref[Members]) -> None:
    found = members()
    if found is not None:
        found._check_not_inside("wait for a submitted run")


def _forgetter(members: weakref.ref[Members]) -> Callable[[], None]:
    def forget() -> None:
        found = members()
        if found is not None:
            found._forget_gone()

    return forget
