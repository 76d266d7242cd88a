"""A kernel compiled for certain types, as it stands in this process."""

from __future__ import annotations

import ctypes
import sys
import threading
from typing import Any

import numpy as np

from .arguments import WORD
from .failures import Failure, capture
from .machine_code import ENTRY_TYPE, MERGE_TYPE, MachineCode, load
from .outcome import SIZE, ValueType, read
from .prange import ALL, COUNT, COUNTED

_NO_BASES = np.zeros(1, np.int64)  # slots then hold addresses


class Compiled:
    """Entry and merge of a kernel, to be called here or sent elsewhere.

    Parameters
    ----------
    entry_address, merge_address : int
        Of the functions `ENTRY_TYPE` and `MERGE_TYPE`; 0 if there is none.
    value : ValueType, optional
        What the kernel returns.
    code : MachineCode
        The same functions for other processes.
    reason : str
        Why other processes cannot load it; empty if they can.
    keep : object
        What keeps the addresses valid.

    Attributes
    ----------
    lock : threading.Lock
        To be held while a kernel with a `prange` runs: its bounds are in the code.
    """

    def __init__(
        self,
        entry_address: int,
        merge_address: int,
        value: ValueType | None,
        code: MachineCode,
        reason: str = "",
        keep: object = None,
    ) -> None:
        self.entry_address = entry_address
        self.value = value
        self.code = code
        self.reason = reason
        self.lock = threading.Lock()
        self._keep = keep
        self._entry = ENTRY_TYPE(entry_address)
        self._merge = MERGE_TYPE(merge_address) if merge_address else None

    @classmethod
    def loaded(cls, code: MachineCode, value: ValueType | None) -> Compiled:
        """From machine code that another process compiled."""
        return cls(*load(code), value, code)

    def call(self, slots: np.ndarray[Any, Any]) -> tuple[Any, Failure | None]:
        """Run the kernel here on whole arrays; slots hold addresses.

        Returns
        -------
        value : object
            What the kernel returned.
        failure : Failure or None
            What it raised.
        """
        status, out, failure = self._run(slots, _NO_BASES, ALL)
        return (read(self.value, out) if status == 0 else None), failure

    def count(
        self, slots: np.ndarray[Any, Any], bases: np.ndarray[Any, Any]
    ) -> tuple[int, Failure | None]:
        """The length of the kernel's `prange`, and what it raised before that."""
        status, out, failure = self._run(slots, bases, COUNT)
        if status == COUNTED:
            return int.from_bytes(out[:WORD], sys.byteorder), None
        return 1, failure  # it did not come to its loop

    def _run(
        self, slots: np.ndarray[Any, Any], bases: np.ndarray[Any, Any], end: int
    ) -> tuple[int, bytes, Failure | None]:
        out = (ctypes.c_char * SIZE)()
        error = ctypes.c_void_p()
        with self.lock:
            status = self._entry(
                slots.ctypes.data,
                bases.ctypes.data,
                0,
                end,
                ctypes.addressof(out),
                ctypes.addressof(error),
            )
            failed = status not in (0, COUNTED)
            failure = capture(status, error.value or 0) if failed else None
        return status, bytes(out), failure

    def merge(self, out: int, other: int) -> Failure | None:
        """Combine the outcome at an address with another one; returns its failure."""
        if self._merge is None:
            return None
        error = ctypes.c_void_p()
        status = self._merge(out, other, ctypes.addressof(error))
        return None if status == 0 else capture(status, error.value or 0)
