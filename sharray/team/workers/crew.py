"""The worker processes of a team together: started, told, replaced, ended."""

from __future__ import annotations

import pickle
from typing import Any

from ...errors import KernelError
from ...system import clock, files, interrupts, processes
from ..control import layout as at
from ..control.page import ControlBlock, create
from ..control.protocol import lead_here, serve_code
from ..plan import Plan
from .process import Worker, WorkerGone
from .tables import Programs, Segments, nothing

_SPIN_NS = 25_000  # about what falling asleep and being woken takes
_END_SECONDS = 2.0
_END_SECONDS_AFTER_AN_INTERRUPT = 0.2


class Crew:
    """The workers, and what they know.

    It begins without any; `start` starts them, and `end` ends them, also if `start`
    did not come to its end.

    Parameters
    ----------
    count : int
        How many worker processes.
    first : int
        Number of the first among the members of the team.

    Attributes
    ----------
    control : ControlBlock
        What they and this process share.
    state : int
        Grows when a worker is replaced, which then knows nothing.
    """

    def __init__(self, count: int, first: int) -> None:
        self.state = 0
        self.programs = Programs()
        self.segments = Segments()
        self._first = first
        self._members = first + count
        busy = self._members > processes.count_cores()
        self.spin_ns = 0 if busy else _SPIN_NS
        self._run = 0
        self._left_behind: list[Worker] = []
        self._control_fd = -1
        self.control: ControlBlock
        self.workers: list[Worker] = []

    def start(self) -> None:
        """Start all workers."""
        with interrupts.deferred():
            self._control_fd, self.control = create(max(self._members, 1))
            self.control.words[at.GATE] = at.CLOSED
            self.workers = self._start(range(self._first, self._members))

    def _start(self, members: Any) -> list[Worker]:
        """Start worker processes at the same time, and wait until all are ready.

        To be called while signals are deferred.
        """
        started: list[Worker] = []
        try:
            for member in members:
                started.append(Worker(member, self._control_fd, self.control))
            with interrupts.allowed():
                for worker in started:
                    worker.greet(self._members, self.spin_ns, serve_code())
                lead_here()  # compiled while they start
                for worker in started:
                    worker.wait_until_ready()
        except BaseException:
            for worker in started:
                worker.kill()
            raise
        return started

    def next_number(self) -> int:
        """A number for a run or a command, other than those before."""
        self._run = 1 if self._run == at.LAST_RUN else self._run + 1
        return self._run

    # -- what they need for a run --------------------------------------------

    def prepare(self, plan: Plan) -> None:
        """Have all workers know the program and the segments of a plan."""
        if self.segments.gone:
            self.forget_gone()
        if plan.ready_for == self.state:
            return
        number = self.programs.number(plan.compiled)
        program = self._program(plan, number)
        commands = {}
        for worker in self.workers:
            missing = [n for n in plan.segments if n not in worker.segments]
            commands[worker] = [self._attaching(n) for n in missing]
            if number not in worker.programs:
                commands[worker].append(program)
        if any(commands.values()):
            self._command(commands)
            self._read_answers()
        # Behind the answers. After an interrupt before this, workers are told once
        # more; noted before, a worker would run a program that it has never got.
        for worker in self.workers:
            worker.programs.add(number)
            worker.segments.update(plan.segments)
        plan.ready_for = self.state

    def _program(self, plan: Plan, number: int) -> tuple[Any, ...]:
        compiled = plan.compiled
        if not compiled.reason:
            return "load_program", number, compiled.code
        if plan.kernel.pickled() is None:
            raise KernelError(
                f"kernel {plan.kernel.__name__!r} cannot be sent to workers: its "
                f"machine code cannot, since {compiled.reason}, nor its source, since "
                f"{plan.kernel.source.why_not_sent()}"
            )
        sent = pickle.dumps((plan.kernel, plan.reducer))
        return "compile_program", number, sent, plan.keys

    def _attaching(self, number: int) -> tuple[Any, ...]:
        segment = self.segments.root(number).segment
        segment.publish()  # before: the worker opens it by its name
        return "attach", number, segment.path, segment.identity, segment.mode

    def forget_gone(self) -> None:
        """Have workers unmap what this process has unmapped."""
        gone = self.segments.numbers_gone()
        commands: dict[Worker, list[tuple[Any, ...]]] = {}
        for worker in self.workers:
            known = worker.segments.intersection(gone)
            commands[worker] = [("forget", number) for number in known]
        if any(commands.values()):
            self._command(commands)  # the answers are read before the next ones
        # After an interrupt until here, workers are told once more, which does no harm.
        with interrupts.deferred():
            for worker in self.workers:
                worker.segments.difference_update(gone)
            self.segments.free(len(gone))

    def _command(self, commands: dict[Worker, list[tuple[Any, ...]]]) -> None:
        """Send each worker its commands; all of them listen."""
        # Before they are woken: one that waits for a message that was never sent, since
        # an interrupt came, would take the next one for it, and join no run.
        for worker in self.workers:
            worker.announce()
        # First wake them, so that a long message does not wait for a sleeper.
        self.control.words[at.COMMANDS] += 1
        self.control.ring(self.next_number())
        gone = []
        for worker in self.workers:  # all of them, since all wait for a message now
            try:
                worker.request(commands[worker])
            except WorkerGone as error:
                gone.append(error)
        if gone:
            raise gone[0]

    def _read_answers(self) -> None:
        errors = [
            error
            for worker in self.workers
            for error in worker.answers()
            if error is not None
        ]
        if errors:
            raise errors[0]

    # -- when things go wrong ------------------------------------------------

    def replace_the_dead(self) -> None:
        """Start new workers for those that have ended or are in mid-conversation."""
        with interrupts.deferred():
            self.kill_the_stuck(0)
            ended = [worker for worker in self.workers if worker.has_ended]
            if not ended:
                return
            # Before others get their places in the control block, and write there.
            for worker in ended:
                worker.forget()
            members = [worker.member for worker in ended]
            remaining = [worker for worker in self.workers if worker not in ended]
            self.workers = sorted(
                remaining + self._start(members), key=lambda worker: worker.member
            )
            # Last. If no worker could be started, the old ones are still in the list,
            # and the next run tries again. Plans that were ready before are so no more.
            self.state += 1

    def kill_the_stuck(self, run: int) -> None:
        """End those that are still inside a run, or in the middle of a message.

        To be called while signals are deferred.
        """
        for worker in self.workers:
            if worker.is_inside(run) or not worker.is_in_sync:
                worker.kill()
        # Only now that nobody inside lives. A worker that leaves later would count down
        # from 0, and the gate would never be finished again.
        if not self.control.is_finished:
            self.control.words[at.GATE] = run << 32 | at.CLOSED

    def end(self) -> None:
        """End all workers; nothing is left behind, also after an interrupt.

        No-op if they have ended, or have never been started.
        """
        with interrupts.deferred():
            if self._control_fd < 0:
                return
            self.control.words[at.CALLER] = 0  # whoever looks sees no team any more
            # Before the bell: a worker that is woken looks at it, and sleeps again if
            # not.
            self.control.words[at.STOP] = 1
            self.control.ring(self.next_number())
            try:
                with interrupts.allowed():
                    self._wait_for_ends(_END_SECONDS)
            except BaseException:
                self._wait_for_ends(_END_SECONDS_AFTER_AN_INTERRUPT)
                raise
            finally:
                for worker in self.workers:
                    worker.kill()  # no-op on those that have ended
                self._close()
                self.segments.when_gone = nothing  # nor at the end of the interpreter
                # A finalizer that was interrupted keeps this crew for ever.
                del self.control

    def _wait_for_ends(self, seconds: float) -> None:
        until = clock.monotonic() + seconds
        for worker in self.workers:
            worker.wait_for_end(max(0.0, until - clock.monotonic()))

    def disown(self) -> None:
        """Let go of all workers in a fork of the team's process."""
        for worker in self.workers:
            worker.disown()
        self._left_behind = self.workers  # no finalizer runs while a process forks
        self._close()

    def _close(self) -> None:
        self.workers = []
        files.close(self._control_fd)
        self._control_fd = -1
