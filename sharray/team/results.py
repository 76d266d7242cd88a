"""The result of a run: the value of the kernel, or the error to raise."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

from ..errors import WorkerDied
from ..kernels import outcome
from ..kernels.failures import Failure
from ..system import interrupts
from .functions.call import Raised
from .functions.plan import CallPlan
from .plan import Plan
from .schedule import NOT_REACHED, Chunking
from .workers.crew import Crew
from .workers.process import Worker


def value_of(
    crew: Crew, plan: Plan | CallPlan, members: int, taken: dict[int, bytes]
) -> Any:
    """Return the combined values of the members, combined in their order.

    `taken` has the blocks of the members' arrays, if a kernel returns arrays.
    """
    if isinstance(plan, CallPlan):
        gathered = [plan.taker.gathered]
        for worker in crew.workers:
            if worker.has_sent:
                gathered.append(plan.read(worker.sent()))
        return plan.taker.merge(gathered)
    kind = plan.compiled.value
    assert kind is not None, "the caller has checked it"
    total = (ctypes.c_char * outcome.SIZE)()
    address = ctypes.addressof(total)
    if kind.ndim:
        return _array_of(plan, address, [taken[member] for member in sorted(taken)])
    for member in range(members):
        stored = crew.control.outcome(member)
        if plan.reducer is not None:
            _merge(plan, address, stored)
        elif ctypes.c_int64.from_address(stored).value:
            ctypes.memmove(address, stored, outcome.SIZE)
    return outcome.read(kind, bytes(total))


def _array_of(plan: Plan, total: int, taken: list[bytes]) -> Any:
    """Return the array that the blocks of members make; `total` is an empty outcome."""
    with interrupts.deferred():  # nothing else would free the block of `total`
        try:
            for block in taken:
                held = outcome.holding(block)
                _merge(plan, total, ctypes.addressof(held))
            return outcome.read(plan.compiled.value, ctypes.string_at(total, 16))
        finally:
            outcome.release(total)


def _merge(plan: Plan, total: int, stored: int) -> None:
    """Combine the outcome at address `total` with another one."""
    failure = plan.compiled.merge(total, stored)
    if failure is not None:
        raise plan.kernel.error_of(failure, "combining its values")


def first_error(
    crew: Crew,
    plan: Plan | CallPlan,
    chunking: Chunking,
    failure: Failure | Raised | None,
) -> BaseException:
    """Return the error that the kernel raised, of the first chunk if of several.

    `failure` is the error in the calling process.
    """
    found: list[tuple[tuple[int, int], Any]] = []
    if failure is not None:
        found.append((crew.control.chunk(0), failure))
    for worker in crew.workers:
        if worker.has_raised:
            found.append((worker.chunk, plan.read(worker.sent())))
    errors = []
    for chunk, one in sorted(found, key=lambda one: one[0]):
        errors.append(plan.error_of(one, _where(plan, chunking, chunk)))
    # The other members waited at a barrier; its end as broken is not the cause.
    causes = [e for e in errors if not isinstance(e, threading.BrokenBarrierError)]
    return (causes or errors)[0]


def death_of(
    worker: Worker, plan: Plan | CallPlan, chunking: Chunking | None
) -> WorkerDied:
    """Return the error for a worker that ended during a run."""
    how = worker.how_it_ended()
    where = _where(plan, chunking, worker.chunk)
    error = WorkerDied(
        f"worker process {worker.pid} {how} in a run of {plan.title}"
        f"{where and ', '}{where}; results written before stay in the arrays, and the "
        "next run starts a new worker"
    )
    error.signal, error.kernel = worker.signal_name(), plan.name
    error.chunk = worker.chunk if where else None
    return error


def _where(
    plan: Plan | CallPlan, chunking: Chunking | None, chunk: tuple[int, int]
) -> str:
    """Return the part that a chunk is, in words; empty if the run has no parts."""
    begin, end = chunk
    if chunking is None or chunking is NOT_REACHED or not plan.is_split:
        return ""
    # A worker that was killed before its first chunk left -1 here. One that was killed
    # between two chunks may have left the begin of the second and the end of the first.
    if begin < 0 or (begin >= end and chunking.length > 0):
        return ""
    return plan.unit.where(begin, end, chunking.length)
