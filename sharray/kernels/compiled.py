"""A kernel compiled for certain types and loaded in this process."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numpy as np

from ..native.machine_code import ENTRY_TYPE, MERGE_TYPE, MachineCode, load
from . import outcome
from .failures import Failure, call_native, capture
from .outcome import FIRST_CELL, ValueType
from .prange import ALL

COUNT_TYPE = ValueType((np.dtype(np.int64),), False)
_VALUE = slice(FIRST_CELL, FIRST_CELL + 8)
_NO_BASES = np.zeros(1, np.int64)  # with base 0, slots hold plain addresses


class Compiled:
    """Entry and merge functions of a kernel, to call here or send elsewhere.

    Parameters
    ----------
    entry_address, merge_address : int
        Addresses of functions of `ENTRY_TYPE` and `MERGE_TYPE`; 0 if there is none.
    value : ValueType, optional
        Type of the value that the kernel returns.
    code : MachineCode
        The same functions for other processes.
    reason : str
        Why other processes cannot load the code; empty if they can.
    keep : object
        An object that keeps the addresses valid.
    count : Compiled, optional
        A kernel that counts the iterations of the loop over `prange`.
    """

    def __init__(
        self,
        entry_address: int,
        merge_address: int,
        value: ValueType | None,
        code: MachineCode,
        reason: str = "",
        keep: object = None,
        count: Compiled | None = None,
    ) -> None:
        self.entry_address = entry_address
        self.value = value
        self.code = code
        self.reason = reason
        self.count = count
        self._keep = keep
        self._entry = ENTRY_TYPE(entry_address)
        self._merge = MERGE_TYPE(merge_address) if merge_address else None

    @classmethod
    def loaded(cls, code: MachineCode, value: ValueType | None) -> Compiled:
        """Load machine code that another process compiled."""
        count = None
        if code.loop is not None and code.loop.counting is not None:
            count = cls.loaded(code.loop.counting, COUNT_TYPE)
        return cls(*load(code), value, code, count=count)

    @property
    def returns_array(self) -> bool:
        """Return whether the value of the kernel is an array."""
        return self.value is not None and self.value.ndim > 0

    def call(self, slots: np.ndarray[Any, Any]) -> tuple[Any, Failure | None]:
        """Run the kernel here on whole arrays; slots hold addresses.

        The kernel must not return arrays.

        Returns
        -------
        value : object
            The value that the kernel returned.
        failure : Failure or None
            The exception that it raised.
        """
        out, failure = self._run(slots.ctypes.data, _NO_BASES.ctypes.data)
        return (None if failure else outcome.read(self.value, out)), failure

    def iterations(self, slots: int, bases: int) -> tuple[int, Failure | None]:
        """Count the iterations of the loop over `prange`.

        Parameters
        ----------
        slots, bases : int
            Addresses of the slots and of the bases.

        Returns
        -------
        length : int
            Number of iterations; -1 if the kernel does not reach the loop.
        failure : Failure or None
            The exception that the kernel would raise before the loop.
        """
        assert self.count is not None
        out, failure = self.count._run(slots, bases)
        return int.from_bytes(out[_VALUE], sys.byteorder, signed=True), failure

    def _run(self, slots: int, bases: int) -> tuple[bytes, Failure | None]:
        made = outcome.empty()
        error = ctypes.c_void_p()
        status, raised = call_native(
            self._entry,
            slots,
            bases,
            0,
            ALL,
            ctypes.addressof(made) + outcome.PLACE,
            ctypes.addressof(error),
        )
        failed = status != 0
        failure = capture(status, error.value or 0, raised) if failed else None
        return bytes(made[outcome.PLACE :]), failure

    def merge(self, out: int, other: int) -> Failure | None:
        """Merge the outcome at address `other` into that at `out`; return a failure."""
        if self._merge is None:
            return None
        error = ctypes.c_void_p()
        status, raised = call_native(self._merge, out, other, ctypes.addressof(error))
        return None if status == 0 else capture(status, error.value or 0, raised)
