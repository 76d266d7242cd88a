"""The random states of compiled code, which numba keeps for each thread and module.

The layout is that of ``rnd_state_t`` in numba's _random.c. numba need not be imported.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from ..native.machine_code import find_symbol

NUMPY, PYTHON = 0, 1  # the modules numpy.random and random
# Functions that return the address of the state.
GETTERS = {
    NUMPY: "numba_get_np_random_state",
    PYTHON: "numba_get_py_random_state",
}
NBYTES = 2520
# Indices of words of 32 bits. STATE is the first of `STATE_SIZE`.
INDEX, STATE, HAS_GAUSS, IS_INITIALIZED = 0, 1, 625, 628
STATE_SIZE = 624


def save() -> dict[int, bytes]:
    """Return the states of this thread by their modules; empty without numba."""
    return {
        module: ctypes.string_at(address, NBYTES)
        for module in GETTERS
        if (address := _address(module)) is not None
    }


def restore(states: dict[int, bytes]) -> None:
    """Set the states of this thread to those that `save` has returned."""
    for module, state in states.items():
        address = _address(module)
        if address is not None:
            ctypes.memmove(address, state, NBYTES)


def state_bytes(words: np.ndarray[Any, Any]) -> bytes:
    """Return a state, for `restore`, that begins with some words of 32 bits."""
    state = np.zeros(NBYTES // 4, np.uint32)
    state[INDEX] = STATE_SIZE  # all numbers of the state are used up
    state[STATE : STATE + STATE_SIZE] = words
    state[IS_INITIALIZED] = 1
    return state.tobytes()


def _address(module: int) -> int | None:
    getter = find_symbol(GETTERS[module])
    if getter is None:
        return None
    return int(ctypes.CFUNCTYPE(ctypes.c_void_p)(getter)())
