"""Plans: the parts of a run that later runs with the same arguments can reuse.

Making a plan takes 50 us. A loop that runs a kernel repeatedly on the same arrays makes
it once.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays.root import Root
from ..errors import KernelError
from ..kernels.argument_keys import NumberKey, number_slots
from ..kernels.compiled import Compiled
from ..kernels.failures import Failure
from ..kernels.jit import is_disabled
from ..kernels.kernel import Kernel
from ..kernels.seeding import NOT_SEEDED, SEED_WORDS, words_of
from ..native.machine_code import RangeLoop
from ..sync.barrier import Barrier
from .arguments import Arguments, Whole, check_value, look_at
from .control import layout as at
from .options import RunOptions, check_options
from .schedule import DYNAMIC, NOT_REACHED, SINGLE, Chunking
from .units import ITERATIONS, RUNS, unit_of

_LIMIT = 1 << 63
_MOST_PLANS = 256


class Plan:
    """A kernel, its arguments in slots, and its chunks."""

    first = 0  # the first chunk

    def __init__(
        self,
        kernel: Kernel,
        found: Arguments,
        options: RunOptions,
        segment_number: Callable[[Root], int],
    ) -> None:
        schedule, reducer = options.schedule, options.reducer
        self.kernel = kernel
        self.name = kernel.__name__
        self.title = f"kernel {self.name!r}"
        self.reducer = reducer
        self.keys = found.keys
        self.compiled: Compiled = kernel.compiled_for(found.keys, reducer)
        self.loop = self.compiled.code.loop
        if self.loop is not None and self.loop.refusal:
            raise KernelError(
                f"kernel {kernel.__name__!r} cannot be split: {self.loop.refusal}"
            )
        self._repeats = "" if self.loop is None else _repeated(self.loop, found)
        self.is_split = found.length is not None or self.loop is not None
        # A kernel that is not split has one chunk: the first member takes it.
        self.schedule = schedule if self.is_split else DYNAMIC
        self.has_value = self.compiled.value is not None
        check_value(kernel, self.has_value, self.is_split, reducer)
        slots, starts = found.slots(segment_number)
        self.is_seeded = options.seed is not None
        slots += NOT_SEEDED
        if len(slots) > at.MOST_SLOTS:
            raise KernelError(
                f"kernel {kernel.__name__!r}: expected arguments of at most "
                f"{at.MOST_SLOTS} words, got {len(slots)}; put numbers into an array"
            )
        self.slots = np.array(slots, np.int64)
        self.slot_bytes = self.slots.view(np.uint8).data
        self._slots_address = int(self.slots.ctypes.data)
        self.segments = [segment_number(root) for root in found.roots()]
        self.numbers = [
            (position, key, start)
            for position, (key, start) in enumerate(
                zip(found.keys, starts, strict=True)
            )
            if isinstance(key, NumberKey)
        ]
        # Whether the words of a run may differ from those of the run before.
        self.changes = bool(self.numbers) or self.is_seeded
        self.returns_array = self.compiled.returns_array
        self.copies = found.copies
        self.barriers = [value for value in found.values if isinstance(value, Barrier)]
        self._arrays = [
            (position, _identify(value))
            for position, value in enumerate(found.values)
            if isinstance(value, np.ndarray)
        ]
        self._split_arrays = [
            (weakref.ref(array), axis) for array, axis in found.split_arrays
        ]
        self.unit = RUNS if found.length is None else unit_of(found.split_arrays)
        if self.loop is not None:
            self.unit = ITERATIONS
        # None if each run has to count its iterations.
        self.length = found.length if self.loop is None else None
        self._last_chunking: Chunking | None = None
        self.pace = 0  # see `sharray.team.control.claims`; 0 if it never ran
        self.ready_for = -1  # `Crew.state` whose workers have its program and segments
        self.counting: Plan | None = self._counting()

    @property
    def entry_address(self) -> int:
        """Return the address of the kernel's code in this process."""
        return self.compiled.entry_address

    def error_of(self, failure: Failure, where: str) -> BaseException:
        """Return the exception of a failure, with a note that says where."""
        return self.kernel.error_of(failure, where)

    def read(self, message: Failure) -> Failure:
        """Return what a worker has sent."""
        return message

    def fits(self, arguments: tuple[Any, ...]) -> bool:
        """Return whether the arrays are the same, with the same shape and dtype."""
        for position, (reference, shape, strides, dtype, writeable) in self._arrays:
            array = arguments[position]
            if type(array) is Whole:
                array = array.value
            if (
                reference() is not array
                or array.shape != shape
                or array.strides != strides
                or array.dtype is not dtype
                or array.flags.writeable is not writeable
            ):
                return False
        return True

    def take_numbers(self, arguments: tuple[Any, ...]) -> None:
        """Write the numbers among the arguments into the slots."""
        for position, key, start in self.numbers:
            value = arguments[position]
            if type(value) is Whole:
                value = value.value
            words = number_slots(value, key)
            self.slots[start : start + len(words)] = words

    def take_seed(self, seed: Any) -> None:
        """Write the words of a seed into the slots."""
        self.slots[-SEED_WORDS:] = words_of(seed)

    def _counting(self) -> Plan | None:
        """Return the plan by which a worker counts the iterations.

        Return None if the caller can count them: that is mere arithmetic.
        """
        count = self.compiled.count
        if self.loop is None or self.loop.is_plain or count is None or count.reason:
            return None
        plan = copy.copy(self)
        plan.compiled, plan.loop, plan.reducer = count, None, None
        plan.has_value, plan.returns_array = True, False
        plan.counting = None
        plan.schedule, plan.is_split = DYNAMIC, False
        plan.barriers = []
        return plan

    def count(self, bases: int) -> int:
        """Return the length of the loop over `prange`; -1 if it is not reached.

        `bases` is the address of the table of the segments' addresses.
        """
        length, failure = self.compiled.iterations(self._slots_address, bases)
        if failure is not None:
            raise self.kernel.error_of(failure, "before its loop over prange")
        return length

    def chunking(self, members: int, length: int | None) -> Chunking:
        """Return the chunks of a run; `members` must be the same in each call."""
        if length is None:
            return SINGLE
        if length < 0:
            return NOT_REACHED
        # Keep the last one only: a loop may have another length in each run.
        chunking = self._last_chunking
        if chunking is None or chunking.length != length:
            arrays = [
                (array, axis)
                for reference, axis in self._split_arrays
                if (array := reference()) is not None
            ]
            repeats = self._repeats
            if repeats and members == 1:
                chunking = Chunking(length, max(length, 1), 0, 1)
            else:
                chunking = self.schedule.split(length, members, arrays)
                if self.is_seeded:
                    chunking = self.schedule.fixed(length)
            if repeats and chunking.chunks > 1:
                raise KernelError(
                    f"kernel {self.kernel.__name__!r} {repeats}, which each of its "
                    "parts would repeat; do it in a kernel of its own, or in Python, "
                    "before or after the run"
                )
            self._last_chunking = chunking
        return chunking

    def check_barriers(self, chunking: Chunking, members: int) -> None:
        """Refuse barriers that not all members reach, each once."""
        for barrier in self.barriers:
            together = self.schedule.is_static and chunking.chunks <= members
            if not self.is_split or not together or barrier.parties != chunking.chunks:
                raise ValueError(
                    f"kernel {self.kernel.__name__!r} has a barrier for "
                    f"{barrier.parties} parties, but would run in {chunking.chunks} "
                    f"chunks by {members} members, so that some would wait for ever; "
                    "use schedule='static' without chunk=, at least as many elements "
                    "as members, and Barrier(team.size)"
                )


class Plans:
    """The plans of a team, kept for the next run on the same arguments.

    Parameters
    ----------
    segment_number : callable
        Return the number by which workers know a mapped file.
    """

    def __init__(self, segment_number: Callable[[Root], int]) -> None:
        self._segment_number = segment_number
        self._kept: dict[Any, Plan] = {}

    def find(
        self, kernel: Kernel, arguments: tuple[Any, ...], options: tuple[Any, ...]
    ) -> Plan | None:
        """Return the plan of a run, a kept one if it fits.

        Return None if numba is switched off: there is no machine code then.
        """
        key = _plan_key(kernel, options, arguments)
        try:
            plan = self._kept.get(key)
        except TypeError:  # no valid option is unhashable, so this raises
            check_options(*options)
            raise
        if plan is None or not plan.fits(arguments):
            if is_disabled():
                return None
            checked = check_options(*options)
            found = look_at(kernel, arguments, checked)
            plan = Plan(kernel, found, checked, self._segment_number)
            if key is not None and not plan.copies:
                if len(self._kept) >= _MOST_PLANS:
                    self._kept.clear()
                self._kept[key] = plan
        plan.take_numbers(arguments)
        if plan.is_seeded:
            plan.take_seed(options[4])
        return plan

    def clear(self) -> None:
        """Forget all plans."""
        self._kept.clear()


def _repeated(loop: RangeLoop, found: Arguments) -> str:
    """Return the work that each of several parts would repeat; empty if none."""
    if loop.repeats:
        return loop.repeats
    for one, other, repeats in loop.apart:
        if found.overlap(one, other):
            return repeats
    return ""


def _identify(array: np.ndarray[Any, Any]) -> tuple[Any, ...]:
    return (
        weakref.ref(array),
        array.shape,
        array.strides,
        array.dtype,
        array.flags.writeable,
    )


def _plan_key(
    kernel: Kernel, options: tuple[Any, ...], arguments: tuple[Any, ...]
) -> Any:
    """Return the key of a plan; None if it cannot be reused."""
    if options[4] is not None:
        options = (*options[:4], "seed")  # a plan serves all seeds
    parts: list[Any] = [kernel.identity, options]
    if options[3] is not None and isinstance(options[3], Kernel):
        options[3].check_watched()
        parts.append(options[3].identity)
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            parts.append(id(argument))
        elif type(argument) is Whole:
            if not isinstance(argument.value, np.ndarray):
                return None
            parts.append((Whole, id(argument.value)))
        elif isinstance(argument, (int, float, complex, np.generic)):
            # A plan serves all values of a type. numpy.datetime64 is one type with many
            # units, which its dtype tells apart.
            parts.append(getattr(argument, "dtype", type(argument)))
            if type(argument) is int:
                parts.append(-_LIMIT <= argument < _LIMIT)  # uint64 beyond
        else:
            return None
    return tuple(parts)
