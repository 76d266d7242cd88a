"""One run of a kernel by a team, up to its end by a value, an error or Ctrl-C."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

from ..errors import TeamError
from ..kernels import outcome
from ..kernels.failures import Failure, call_native, capture, python_error
from ..system import clock, interrupts
from . import results
from .control import layout as at
from .control.page import own_words
from .control.protocol import lead_here
from .functions.call import FORKED, Raised
from .functions.modules import Differ
from .functions.plan import CallPlan
from .plan import Plan
from .progress import ShowProgress
from .schedule import Chunking
from .workers.crew import Crew
from .workers.process import WorkerGone

_PATIENCE = 0.1  # seconds for workers to finish their chunk after a run is cancelled
_LOOK_INTERVAL = 0.05
_STATIC_LOOK_INTERVAL = 0.001


class Run:
    """Executes plans, one at a time.

    An interrupt may come at any moment, even at the first instruction of `clean_up`,
    which then does nothing. So plain stores mark unfinished work: `_under_way` and
    `_number` mark a run, and 0.0 in `_looked` marks a conversation with workers. The
    next run sees the marks, and cleans up first. Workers begin no further chunk until
    then.

    Parameters
    ----------
    crew : Crew
        The workers.
    members : int
        Number of members, with the caller if it works.
    caller_works : bool
        Whether the caller works.
    """

    def __init__(self, crew: Crew, members: int, caller_works: bool) -> None:
        self._crew = crew
        self._members = members
        self._caller_works = caller_works
        self._words = crew.control.words
        self._own_array = own_words()
        self._own = self._own_array.data
        self._own[at.SPIN_NS] = crew.spin_ns
        self._lead = lead_here()
        self._addresses = [
            ctypes.c_void_p(crew.control.address),
            ctypes.c_void_p(self._own_array.ctypes.data),
            ctypes.c_void_p(crew.segments.bases.ctypes.data),
        ]
        self._bases = int(crew.segments.bases.ctypes.data)
        self._looked = 0.0  # time of the last check of the workers; 0.0 forces one
        self._written: tuple[Plan | None, Chunking | None] = None, None
        self._under_way: Plan | CallPlan | None = None
        self._number = 0  # number of its run; 0 if its gate was not opened
        self._aside: threading.Thread | None = None
        # Whether the future of the run was cancelled; None if none was ever submitted.
        self.is_cancelling: Callable[[], bool] | None = None

    def execute(
        self, plan: Plan | CallPlan, deadline: float | None, show: ShowProgress | None
    ) -> Any:
        """Execute a plan, and return the value of the kernel."""
        if self._under_way is not None:
            self.clean_up()
        self._check_cancelled()  # while it waited for another run, or for the compiler
        # Two stores right before `try`: see `sharray.system.interrupts`.
        self._number, self._under_way = 0, plan
        try:
            # A static run needs all workers; others can do without one that has died.
            often = _STATIC_LOOK_INTERVAL if plan.schedule.is_static else _LOOK_INTERVAL
            if clock.monotonic() > self._looked + often:
                self._look_for_the_dead()
            self._prepare(plan)
            length = plan.length
            if plan.loop is not None:
                length = self._count(plan, deadline)
            chunking = plan.chunking(self._members, length)
            plan.check_barriers(chunking, self._members)
            self._number = run = self._crew.next_number()
            self._write(plan, chunking, run)
            failure = self._work(plan, chunking, run, deadline, show)
            if self._words[at.CANCEL]:
                raise results.first_error(self._crew, plan, chunking, failure)
            # Before the end of `try`: workers may have sent values, which must be read.
            taken = self._take_arrays() if plan.returns_array else {}
            value = None
            if plan.has_value:
                value = results.value_of(self._crew, plan, self._members, taken)
        except WorkerGone as gone:
            self.clean_up()
            raise results.death_of(gone.worker, plan, None) from None
        except BaseException:
            if self._crew.is_disowned:  # the run is that of the parent
                raise
            # First: no chunk begins any more, even if `clean_up` is interrupted.
            self._words[at.CANCEL] = 1
            self.clean_up()
            raise
        self._under_way = None
        return value

    def _take_arrays(self) -> dict[int, bytes]:
        """Return the blocks of the arrays that kernels returned, by members."""
        # As in `forget_gone`.
        looked, self._looked = self._looked, 0.0
        taken = self._crew.take_arrays()
        self._looked = looked
        if self._caller_works and self._words[at.member(0) + at.OUTCOME]:
            taken[0] = outcome.take_block(self._crew.control.outcome(0))
        return taken

    def forget_gone(self) -> None:
        """Make workers unmap the files that this process has unmapped."""
        # 0.0 until all answers are read. After an interrupt, the next run then replaces
        # a worker that is in the middle of a message.
        looked, self._looked = self._looked, 0.0
        self._crew.forget_gone()
        self._looked = looked

    def _count(self, plan: Plan | CallPlan, deadline: float | None) -> int:
        """Count the iterations of a loop over `prange`, here or in a worker."""
        assert isinstance(plan, Plan)
        if plan.counting is not None and self._crew.workers:
            self._under_way = None  # otherwise `execute` would clean this run up
            count = int(self.execute(plan.counting, deadline, None))
            self._number, self._under_way = 0, plan
            return count
        return plan.count(self._bases)

    def _prepare(self, plan: Plan | CallPlan) -> None:
        """Send the workers what they need; replace those that have died."""
        try:
            self._crew.prepare(plan)
        except WorkerGone:
            self._crew.replace_the_dead()
            self._crew.prepare(plan)
        except Differ as differ:
            if not isinstance(plan, CallPlan):
                raise
            plan.pack_again(differ)
            self._prepare(plan)

    def _write(self, plan: Plan | CallPlan, chunking: Chunking, run: int) -> None:
        """Write the words of a run, which members read once the gate is open."""
        words, own = self._words, self._own
        own[at.PHASE] = at.OPENING
        own[at.RUN] = run
        written_plan, written_chunking = self._written
        if plan is written_plan and chunking is written_chunking:
            if written_plan.changes:
                self._write_slots(written_plan)
            return
        # An interrupt before the last word leaves None here, so that the next run
        # writes all words again.
        self._written = None, None
        if isinstance(plan, Plan):
            self._write_slots(plan)
        if written_plan is not None:
            written_plan.pace = words[at.PACE]
        words[at.PACE] = plan.pace
        self._crew.control.show(plan.name)
        words[at.PROGRAM] = self._crew.program_of(plan)
        words[at.LENGTH] = chunking.length
        words[at.CHUNK] = chunking.size
        words[at.SHIFT] = chunking.shift
        words[at.CHUNKS] = chunking.chunks
        words[at.STATIC] = plan.schedule.is_static
        words[at.ADAPTS] = chunking.adapts
        words[at.MEMBERS] = self._members
        own[at.FIRST] = plan.first
        own[at.ENTRY] = plan.entry_address
        # A worker runs a kernel that is not split, since Ctrl-C can stop it there.
        alone = not self._crew.workers
        own[at.TAKES_PART] = alone or (self._caller_works and plan.is_split)
        # `_written` would keep barriers, copies and the arguments of a function alive.
        if isinstance(plan, Plan) and not plan.barriers and not plan.copies:
            self._written = plan, chunking

    def _write_slots(self, plan: Plan) -> None:
        self._crew.control.slots[: len(plan.slot_bytes)] = plan.slot_bytes

    # -- while it lasts ------------------------------------------------------

    def _work(
        self,
        plan: Plan | CallPlan,
        chunking: Chunking,
        run: int,
        deadline: float | None,
        show: ShowProgress | None,
    ) -> Failure | Raised | None:
        """Lead the run until it is over; return the failure of the kernel here."""
        failure: Failure | Raised | None = None
        look_at = 0.0
        aside = plan.barriers and self._own[at.TAKES_PART]
        if show is not None and chunking.length > 0:
            show(chunking.edge(plan.first), chunking.length)
        while True:
            if self._crew.is_disowned:
                # This child would claim chunks of its parent.
                raise TeamError(FORKED) from getattr(failure, "error", None)
            raised = None
            if aside:
                reason, raised = self._step_aside(plan, chunking, run, deadline)
            else:
                try:
                    reason = self._lead(*self._addresses)
                except (
                    SystemError
                ) as error:  # as `call_native`, without its microsecond
                    reason, raised = at.KERNEL_RAISED, python_error(error)
            if reason == at.FINISHED_RUN:
                break
            if reason == at.CALL:
                if not look_at:  # kernels need no clock here: `lead` has one
                    look_at = clock.monotonic() + _LOOK_INTERVAL
                failure = self._call(plan)
                if clock.monotonic() < look_at:
                    continue
                look_at = 0.0
            elif reason == at.KERNEL_RAISED or raised is not None:
                if isinstance(plan, Plan):
                    failure = capture(self._own[at.STATUS], self._own[at.ERROR], raised)
                self._release_barriers(plan)
                continue
            self._look_around(plan, chunking, run, deadline)
            if show is not None:
                self._show(plan, chunking, show)
        if show is not None:
            self._show(plan, chunking, show)
        return failure

    def _call(self, plan: Plan | CallPlan) -> Raised | None:
        """Call the function for the chunk that this process has claimed."""
        assert isinstance(plan, CallPlan)
        self._own[at.STATUS] = 1
        try:
            plan.call.execute(self._own[at.BEGIN], self._own[at.END])
        except Exception as error:  # others, such as Ctrl-C, end the run
            return Raised(error)
        self._own[at.STATUS] = 0
        return None

    def _check_cancelled(self) -> None:
        if self.is_cancelling is not None and self.is_cancelling():
            raise CancelledError

    def _release_barriers(self, plan: Plan | CallPlan) -> None:
        """Break the barriers, so that nobody waits for a member that has stopped."""
        for barrier in plan.barriers:
            barrier.abort()

    def _step_aside(
        self,
        plan: Plan | CallPlan,
        chunking: Chunking,
        run: int,
        deadline: float | None,
    ) -> tuple[int, BaseException | None]:
        """Call `lead` in another thread, while this one looks for deaths.

        Without that, the caller's kernel would wait for ever at a barrier for a worker
        that has died.
        """
        found: list[tuple[int, BaseException | None]] = []
        thread = threading.Thread(
            target=lambda: found.append(call_native(self._lead, *self._addresses))
        )
        with interrupts.deferred():  # `clean_up` must know each thread that has started
            thread.start()
            self._aside = thread
        while thread.is_alive():
            thread.join(_LOOK_INTERVAL)
            self._look_around(plan, chunking, run, deadline)
        self._aside = None
        return found[0]

    def _look_around(
        self,
        plan: Plan | CallPlan,
        chunking: Chunking,
        run: int,
        deadline: float | None,
    ) -> None:
        """Check for a death, an error of a kernel, a cancellation, and the deadline."""
        if self._words[at.CANCEL]:
            self._release_barriers(plan)
        self._check_cancelled()
        if deadline is not None and clock.monotonic() > deadline:
            raise TimeoutError(
                f"{plan.title} did not finish in time; results written before stay in "
                "the arrays"
            )
        alive = 0
        for worker in self._crew.workers:
            if not worker.has_ended:
                alive += 1
            # In a dynamic run, others take the chunks of a worker that died outside.
            # In a static run, nobody else does its chunks.
            elif worker.is_inside(run) or plan.schedule.is_static:
                raise results.death_of(worker, plan, chunking)
        # No member is left to take a chunk, and nobody would close the gate.
        if not alive and not self._own[at.TAKES_PART]:
            raise results.death_of(self._crew.workers[0], plan, None)

    def _show(
        self, plan: Plan | CallPlan, chunking: Chunking, show: ShowProgress
    ) -> None:
        """Show how much is done, in rows, elements or iterations."""
        if chunking.length < 1:
            return  # nothing to count
        members = range(self._members)
        done = sum(self._words[at.member(number) + at.DONE] for number in members)
        show(chunking.edge(plan.first) + done, chunking.length)

    def _look_for_the_dead(self) -> None:
        self._crew.replace_the_dead()
        self._looked = clock.monotonic()

    def clean_up(self) -> None:
        """Cancel an unfinished run, so that another one can begin.

        This is a no-op if there is none.
        """
        plan = self._under_way
        if plan is not None:
            with interrupts.deferred():
                self._give_up(plan, self._number)
                self._under_way = None  # last: if interrupted, the next run repeats it

    def _give_up(self, plan: Plan | CallPlan, run: int) -> None:
        control = self._crew.control
        if run != 0:
            self._wait_for_thread(plan)
            if not control.is_finished:
                control.cancel()
                self._release_barriers(plan)
            until = clock.monotonic() + _PATIENCE
            while self._is_somebody_inside(run) and clock.monotonic() < until:
                clock.sleep(0.001)
        # A failure that stays unread would be taken for the answer to the next command.
        # A worker whose failure does not come in time is out of sync, and is killed.
        with suppress(WorkerGone, TimeoutError):
            for worker in self._crew.workers:
                if worker.has_sent and not worker.has_ended:
                    worker.sent(_PATIENCE)
        self._crew.kill_the_stuck(run)
        # Workers free theirs when a later run replaces it.
        if self._caller_works and plan.returns_array:
            outcome.release(control.outcome(0))
        for barrier in plan.barriers if run != 0 else ():
            barrier.reset()  # only now: no member is inside the kernel any more
        self._written = None, None
        self._looked = 0.0

    def _wait_for_thread(self, plan: Plan | CallPlan) -> None:
        """Wait for the thread of `_step_aside`, if there is one."""
        thread = self._aside
        while thread is not None and thread.is_alive():
            # In each turn: the thread may open the gate, and reset CANCEL, only now.
            self._crew.control.cancel()
            self._release_barriers(plan)
            with interrupts.allowed():  # its chunk may take long
                thread.join(_LOOK_INTERVAL)
        self._aside = None

    def _is_somebody_inside(self, run: int) -> bool:
        workers = self._crew.workers
        return any(one.is_inside(run) and not one.has_ended for one in workers)
