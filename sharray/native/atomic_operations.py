"""The table of atomic operations, with their arguments and elements.

Calls from Python (`sharray.native.atomic_elements`) and kernels
(`sharray.kernels.numba.atomic_typing`) both use it. To add an operation, add a line
here, a function in `sharray.native.atomic`, and its instruction in
`sharray.native.atomic_ir` if it is not an update. To add a kind of element, add a line
to `SIZES`, and its type and instructions in `sharray.native.atomic_ir`.
"""

from __future__ import annotations

from typing import NamedTuple

# Bytes of an element by its kind: signed, unsigned, real.
SIZES = {"i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (4, 8)}

_INTEGERS = "integers of 8, 16, 32 or 64 bits"
_NUMBERS = f"{_INTEGERS}, float32 or float64"


class Operation(NamedTuple):
    """An operation on one element of an array.

    Attributes
    ----------
    values : int
        Number of values that it takes.
    instructions : dict
        The operation of LLVM's ``atomicrmw`` for each kind of element, if it is one.
    writes : bool
        Whether the array must be writable.
    kinds : str
        The kinds of elements.
    sizes : tuple of int, optional
        Bytes of an element; by default all in `SIZES`.
    elements : str
        The elements in words, for messages.
    """

    values: int
    instructions: dict[str, str] = {}  # noqa: RUF012 - never changed
    writes: bool = True
    kinds: str = "iuf"
    sizes: tuple[int, ...] | None = None
    elements: str = _NUMBERS

    def takes(self, kind: str, nbytes: int) -> bool:
        """Return whether the operation supports elements of a kind and size."""
        sizes = SIZES.get(kind, ()) if self.sizes is None else self.sizes
        return kind in self.kinds and nbytes in sizes


def _update(signed: str, unsigned: str, real: str = "") -> Operation:
    instructions = {"i": signed, "u": unsigned}
    if not real:
        return Operation(1, instructions, kinds="iu", elements=_INTEGERS)
    return Operation(1, {**instructions, "f": real})


# Waiting is for `sharray.sync`, whose words are int32 or int64.
_WAIT = Operation(0, {}, False, "i", (4, 8), "int32 or int64")

OPERATIONS = {
    "load": Operation(0, writes=False),
    "store": Operation(1),
    "exchange": _update("xchg", "xchg", "xchg"),
    "compare_exchange": Operation(2),
    "add": _update("add", "add", "fadd"),
    "sub": _update("sub", "sub", "fsub"),
    "min": _update("min", "umin", "fmin"),
    "max": _update("max", "umax", "fmax"),
    "and_": _update("and", "and"),
    "or_": _update("or", "or"),
    "xor": _update("xor", "xor"),
}
# All operations on an element.
ON_ELEMENTS = {**OPERATIONS, "futex_wait": _WAIT, "futex_wake": _WAIT}
