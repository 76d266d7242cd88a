"""Plans of runs of functions: a call, ready to be sent, and its chunks."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any

from ...arrays.root import Root
from ...errors import TeamError
from ...kernels.failures import drop_notes
from ..options import RunOptions
from ..schedule import DYNAMIC, SINGLE, Chunking
from ..units import RUNS, unit_of
from . import sending
from .arguments import Found
from .call import Call, Raised, with_cells
from .modules import Differ, users_of
from .values import Taker


class Chunks(Enum):
    """The chunks that a run executes."""

    ALL = "all"
    FIRST = "the first"
    REST = "all but the first"


class CallPlan:
    """A call, ready to be sent, and its chunks.

    Parameters
    ----------
    name : str
        Name of the function.
    call : Call
        The call.
    found : Found
        Its arguments.
    options : RunOptions
        The options of the run.
    segment_number : callable
        Return the number by which workers know a mapped file.
    by_value : set of str
        Modules that go by value; grows when workers have other versions.
    part : Chunks
        The chunks to execute.

    Attributes
    ----------
    body : Body
        The message for workers.
    call : Call
        The call as this process executes it.
    segments : list of int
        The mapped files that it needs.
    title : str
        What people call it.
    """

    entry_address = 0  # Python calls the function
    loop = None
    has_value = True
    pace = 0  # no run before tells how long a row takes
    returns_array = False  # in the memory of members

    def __init__(
        self,
        name: str,
        call: Call,
        found: Found,
        options: RunOptions,
        segment_number: Callable[[Root], int],
        by_value: set[str],
        part: Chunks = Chunks.ALL,
    ) -> None:
        self.name = name
        self.title = f"function {name!r}"
        self.is_split = found.length is not None
        self.length = found.length
        self.schedule = options.schedule if self.is_split else DYNAMIC
        self.unit = unit_of(found.split_arrays) if self.is_split else RUNS
        self.barriers: list[Any] = []
        self.part = part
        self.first = 1 if part is Chunks.REST else 0
        self._split_arrays = found.split_arrays
        self._sent = call
        self._segment_number = segment_number
        self._by_value = by_value
        self._pack()

    def _pack(self) -> None:
        packed = sending.pack(
            self._sent, self.name, self._segment_number, self._by_value
        )
        users = users_of(self._by_value, packed.body.versions)
        if not self._by_value.issuperset(users):
            self._by_value.update(users)
            self._pack()
            return
        self.body = packed.body
        self._block = packed.block  # keeps its memory until the run is over
        self._roots = {self._segment_number(root): root for root in packed.roots}
        self.segments = list(self._roots)
        root_of = self._roots.__getitem__
        self.call: Call = sending.unpack(self.body, root_of, self._by_value)

    def pack_again(self, differ: Differ) -> None:
        """Pack the call with modules by value of which workers have other versions."""
        if self._by_value.issuperset(differ.names):
            raise TeamError(
                f"workers have other versions of the modules {differ.names}; close the "
                "team and make another one with sharray.Team()"
            )
        self._by_value.update(differ.names)
        self._pack()

    @property
    def taker(self) -> Taker:
        """Return what takes the values in this process."""
        return self.call.taker

    def chunking(self, members: int, length: int | None) -> Chunking:
        """Return the chunks of a run."""
        if length is None:
            return SINGLE
        self.call.members = members
        chunking = self.schedule.split(length, members, self._split_arrays)
        if self.call.seed is not None:
            chunking = self.schedule.fixed(length)
        return chunking._replace(chunks=1) if self.part is Chunks.FIRST else chunking

    def check_barriers(self, chunking: Chunking, members: int) -> None:
        """Do nothing: a function gets no barriers."""

    def error_of(self, failure: Raised, where: str) -> BaseException:
        """Return an exception of the function, with a note that says where."""
        begin = f"raised in {self.title}"
        error = failure.error
        with suppress(Exception):  # its class may refuse notes
            drop_notes(error, begin)
            text = begin + (f", {where}" if where else "")
            trace = with_cells(failure.text())
            error.add_note(f"{text}\n\n{trace}" if trace else text)
        return error

    def read(self, message: bytes) -> Any:
        """Return what a worker has sent: what it has gathered, or what was raised."""
        return pickle.loads(message)  # safe: our own worker wrote it
