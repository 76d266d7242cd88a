"""All worker processes of a team: start, command, replace and end them."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

from ...errors import KernelError
from ...system import (
    clock,
    files,
    interrupts,
    process_names,
    processes,
    standard_io,
)
from ..control import layout as at
from ..control.page import ControlBlock, create
from ..control.protocol import lead_here, serve_code
from ..functions import threads
from ..functions.plan import CallPlan
from ..plan import Plan
from . import fork_server
from .fork_server import ForkServer
from .process import Worker, WorkerGone
from .tables import CALL, Programs, Segments, nothing

_SPIN_NS = 25_000  # about the time to fall asleep and wake up
_END_SECONDS = 2.0
_END_SECONDS_AFTER_AN_INTERRUPT = 0.2


class Crew:
    """The workers of a team, with their programs and segments.

    It has no workers at first. `start` starts them, and `end` ends them, even if
    `start` failed.

    Parameters
    ----------
    count : int
        Number of worker processes.
    first : int
        Number of the first worker among the members of the team.
    name : str
        Name of the team, for people.

    Attributes
    ----------
    control : ControlBlock
        The memory that the workers and this process share.
    state : int
        Grows when a worker is replaced: the new one has no programs and segments.
    is_disowned : bool
        Whether this process is a fork of the team's process.
    """

    def __init__(self, count: int, first: int, name: str) -> None:
        self.state = 0
        self.programs = Programs()
        self.segments = Segments()
        self._name = name
        self._first = first
        self._members = first + count
        busy = self._members > processes.count_cores()
        self.spin_ns = 0 if busy else _SPIN_NS
        self._run = 0
        self._left_behind: list[Worker] = []
        self._control_fd = -1
        self._is_ending = False
        self.is_disowned = False
        self._server: ForkServer | None = None
        self.control: ControlBlock
        self.workers: list[Worker] = []

    def start(self) -> None:
        """Start all workers."""
        with interrupts.deferred():
            self._control_fd, self.control = create(max(self._members, 1), self._name)
            self.control.words[at.GATE] = at.CLOSED
            self.workers = self._start(range(self._first, self._members))

    def _start(self, members: Any) -> list[Worker]:
        """Start worker processes at the same time, and wait until all are ready.

        Call this while signals are deferred.
        """
        started: list[Worker] = []
        standard_io.open_all()  # otherwise a channel could be a worker's output
        self._change_server()
        try:
            for member in members:
                number = member - self._first + 1  # people count workers from 1
                words = process_names.arguments_of_worker(number, self._name)
                started.append(
                    Worker(member, self._control_fd, self.control, words, self._server)
                )
            with interrupts.allowed():
                for worker in started:
                    worker.greet(self._members, self.spin_ns, serve_code())
                for worker in started:
                    worker.wait_until_ready()
        except BaseException:
            for worker in started:
                worker.kill()
            raise
        return started

    def _change_server(self) -> None:
        """Get a fork server for workers that start now, and end the one before."""
        before, self._server = self._server, None
        if self._members > self._first:
            self._server = fork_server.acquire(threads.environment(self._members))
        if before is not None:
            fork_server.release(before)
        with interrupts.allowed():
            serve_code(), lead_here()  # compile them while it starts
            is_ready = self._server is not None and self._server.wait_until_ready()
        if not is_ready:
            self._release_server()

    def _release_server(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            fork_server.release(server)

    def next_number(self) -> int:
        """Return a new number for a run or a command."""
        self._run = 1 if self._run == at.LAST_RUN else self._run + 1
        return self._run

    # -- what they need for a run --------------------------------------------

    def program_of(self, plan: Plan | CallPlan) -> int:
        """Return the number by which workers know the code of a plan."""
        return (
            CALL if isinstance(plan, CallPlan) else self.programs.number(plan.compiled)
        )

    def prepare(self, plan: Plan | CallPlan) -> None:
        """Send the program and the segments of a plan to workers that lack them."""
        if self.segments.gone:
            self.forget_gone()
        if isinstance(plan, CallPlan):
            self._prepare_call(plan)
            return
        if plan.ready_for == self.state:
            return
        number = self.programs.number(plan.compiled)
        program = self._program(plan, number)
        commands = {}
        for worker in self.workers:
            missing = [n for n in plan.segments if n not in worker.segments]
            # Before they are sent. An interrupt before the answers leaves a worker that
            # has mapped them, and that must be told to forget them.
            worker.offered.update(missing)
            commands[worker] = [self._attaching(n) for n in missing]
            if number not in worker.programs:
                commands[worker].append(program)
        if any(commands.values()):
            self._command(commands)
            self._read_answers()
        # Only after the answers. An interrupt before this makes the next run send all
        # once more. In the other order, a worker could run a program that it lacks.
        for worker in self.workers:
            worker.programs.add(number)
            worker.segments.update(plan.segments)
        plan.ready_for = self.state

    def _prepare_call(self, plan: CallPlan) -> None:
        commands: dict[Worker, list[tuple[Any, ...]]] = {}
        for worker in self.workers:
            missing = [n for n in plan.segments if n not in worker.segments]
            worker.offered.update(missing)  # before they are sent: see `prepare`
            commands[worker] = [self._attaching(n) for n in missing]
            if worker.call != plan.body:
                worker.call = None
                commands[worker].append(("take_call", plan.body))
        if any(commands.values()):
            self._command(commands)
            self._read_answers()
        for worker in self.workers:
            worker.segments.update(plan.segments)
            worker.call = plan.body

    def _program(self, plan: Plan, number: int) -> tuple[Any, ...]:
        compiled = plan.compiled
        if not compiled.reason:
            return "load_program", number, compiled.code
        if plan.kernel.pickled() is None:
            raise KernelError(
                f"cannot send kernel {plan.kernel.__name__!r} to workers: not as "
                f"machine code, since {compiled.reason}, and not as source, since "
                f"{plan.kernel.source.why_not_sent()}"
            )
        sent = pickle.dumps((plan.kernel, plan.reducer))
        return "compile_program", number, sent, plan.keys

    def _attaching(self, number: int) -> tuple[Any, ...]:
        segment = self.segments.root(number).segment
        segment.publish()  # first: the worker opens it by its name
        return "attach", number, segment.path, segment.identity, segment.mode

    def forget_gone(self) -> None:
        """Make workers unmap the segments that this process has unmapped."""
        gone = self.segments.numbers_gone()
        commands: dict[Worker, list[tuple[Any, ...]]] = {}
        for worker in self.workers:
            known = worker.offered.intersection(gone)
            commands[worker] = [("forget", number) for number in known]
        if any(commands.values()):
            self._command(commands)  # `answers` skips these answers later
        # An interrupt before this makes the team send the commands once more. A worker
        # that forgets a segment twice does nothing the second time.
        with interrupts.deferred():
            for worker in self.workers:
                if not worker.offered.isdisjoint(gone):
                    worker.call = None  # it forgets that as well
                worker.offered.difference_update(gone)
                worker.segments.difference_update(gone)
            self.segments.free(len(gone))

    def take_arrays(self) -> dict[int, bytes]:
        """Return the blocks of the arrays that kernels returned, by members."""
        holders = [worker for worker in self.workers if worker.has_array]
        if not holders:
            return {}
        self._command(
            {one: [("hand_over",)] * (one in holders) for one in self.workers}
        )
        answers = self._read_answers()
        return {worker.member: answers[worker][0] for worker in holders}

    def _command(self, commands: dict[Worker, list[tuple[Any, ...]]]) -> None:
        """Send each worker its commands, an empty list if there are none."""
        # Before the bell. If an interrupt keeps a message from being sent, its worker
        # waits for one and joins no run, and would take a later message for it. Being
        # out of sync, it is replaced.
        for worker in self.workers:
            worker.announce()
        # The bell before the messages: a long message needs an awake reader. COMMANDS
        # before the bell: a worker that wakes up and finds the old one would not read.
        self.control.words[at.COMMANDS] += 1
        self.control.ring(self.next_number())
        gone = []
        for worker in self.workers:  # every worker waits for a message now
            try:
                worker.request(commands[worker])
            except WorkerGone as error:
                gone.append(error)
        try:
            if gone:
                raise gone[0]
        finally:
            gone.clear()  # see `_read_answers`

    def _read_answers(self) -> dict[Worker, list[Any]]:
        found = {worker: worker.answers() for worker in self.workers}
        answers = itertools.chain(*found.values())
        errors = [answer for answer in answers if isinstance(answer, Exception)]
        if errors:
            found.clear()
            raise errors.pop(0)  # its traceback leads to this frame, and to `errors`
        return found

    # -- when things go wrong ------------------------------------------------

    def replace_the_dead(self) -> None:
        """Replace the workers that have ended or are out of sync."""
        if self._is_sound():  # looks at them, and changes nothing
            return
        with interrupts.deferred():
            self.kill_the_stuck(0)
            ended = [worker for worker in self.workers if worker.has_ended]
            if not ended:
                return
            # First: the new workers write to the same words of the control block.
            for worker in ended:
                worker.forget()
            members = [worker.member for worker in ended]
            remaining = [worker for worker in self.workers if worker not in ended]
            self.workers = sorted(
                remaining + self._start(members), key=lambda worker: worker.member
            )
            # Last. If a start fails, the ended workers are still in the list, and the
            # next run tries again. A new state makes plans send their programs again.
            self.state += 1

    def _is_sound(self) -> bool:
        return self.control.is_finished and not any(
            worker.has_ended or not worker.is_in_sync for worker in self.workers
        )

    def kill_the_stuck(self, run: int) -> None:
        """Kill the workers that are still inside a run, or out of sync.

        Call this while signals are deferred.
        """
        for worker in self.workers:
            if worker.is_inside(run) or not worker.is_in_sync:
                worker.kill()
        # Only now that all workers inside are dead. A worker that left later would
        # subtract 1 from a count of 0, and the gate would never be finished again.
        if not self.control.is_finished:
            self.control.words[at.GATE] = run << 32 | at.CLOSED

    def end(self) -> None:
        """End all workers, and leave nothing behind, even after an interrupt.

        This is a no-op if they have ended, or have never been started.
        """
        with interrupts.deferred():
            if self._control_fd < 0 or self._is_ending:
                return
            self._is_ending = True  # another thread may call this at the same time
            self.control.words[at.CALLER] = 0  # `sharray.teams` leaves this team out
            # Before the bell: a worker that wakes up reads STOP, and would sleep again.
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
                self._release_server()
                self.segments.when_gone = nothing  # arrays may be freed after this
                # A finalizer that was interrupted keeps this crew for ever. Let it not
                # keep the memory, too.
                del self.control

    def _wait_for_ends(self, seconds: float) -> None:
        until = clock.monotonic() + seconds
        for worker in self.workers:
            worker.wait_for_end(max(0.0, until - clock.monotonic()))

    def disown(self) -> None:
        """Forget all workers in a fork of the team's process."""
        self.is_disowned = True
        for worker in self.workers:
            worker.disown()
        self._left_behind = self.workers  # run no finalizer during a fork
        self._close()

    def _close(self) -> None:
        self.workers = []
        files.close(self._control_fd)
        self._control_fd = -1
