"""What `install` was told, and whether it was told at all."""

from __future__ import annotations

import operator
import os
from typing import NamedTuple, SupportsIndex

# Where a message by shared memory begins to be faster; `make bench` measures it.
CROSSOVER = 128 << 10


class Options(NamedTuple):
    """How messages are sent.

    Attributes
    ----------
    threshold : int
        Bytes of arrays from which on a message goes through shared memory.
    budget : int or None
        Bytes that this process may keep there; None: a quarter of what is free.
    """

    threshold: int = CROSSOVER
    budget: int | None = None


class State:
    """What this process has been told."""

    # None if not installed.
    options: Options | None = None
    # Whether install or uninstall was called here: then no message does it.
    decided = False
    # Whether the user was told that memory is short.
    warned = False


def _forget_uninstall_after_fork() -> None:
    """A parent that installs later means its workers, too."""
    if State.options is None:
        State.decided = False


os.register_at_fork(after_in_child=_forget_uninstall_after_fork)


def check(threshold: SupportsIndex | None, budget: SupportsIndex | None) -> Options:
    """The arguments of `install`, or a clear refusal."""
    return Options(
        CROSSOVER if threshold is None else _bytes(threshold, "threshold"),
        None if budget is None else _bytes(budget, "budget"),
    )


def _bytes(value: SupportsIndex, name: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name} must be a number of bytes, got one of type {type(value).__name__}"
        ) from None
    if number < 0:
        raise ValueError(f"{name} must be a number of bytes, 0 or more, got {number}")
    return number
