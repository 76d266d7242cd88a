"""The options of `install`, and whether it was called."""

from __future__ import annotations

import operator
import os
from typing import NamedTuple, SupportsIndex

# From this size on, shared memory is faster than a pipe; `make bench` measures it.
CROSSOVER = 128 << 10


class Options(NamedTuple):
    """The options of messages.

    Attributes
    ----------
    threshold : int
        Messages with so many bytes of arrays, or more, go through shared memory.
    budget : int or None
        Bytes that this process may keep there; None for a quarter of the free memory.
    """

    threshold: int = CROSSOVER
    budget: int | None = None


class State:
    """The state of `install` in this process."""

    # None if not installed.
    options: Options | None = None
    # Whether install or uninstall was called here; if so, messages do not install.
    decided = False
    # Whether the warning about lack of memory was shown.
    warned = False


def _forget_uninstall_after_fork() -> None:
    """Let messages install here, if the parent installs later."""
    if State.options is None:
        State.decided = False


os.register_at_fork(after_in_child=_forget_uninstall_after_fork)


def check(threshold: SupportsIndex | None, budget: SupportsIndex | None) -> Options:
    """Check the arguments of `install`, and return its options."""
    return Options(
        CROSSOVER if threshold is None else _bytes(threshold, "threshold"),
        None if budget is None else _bytes(budget, "budget"),
    )


def _bytes(value: SupportsIndex, name: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name} must be a number of bytes, got {type(value).__name__}; pass an int"
        ) from None
    if number < 0:
        raise ValueError(
            f"{name} must be a number of bytes, 0 or more, got {number}; leave it out "
            "for the default"
        )
    return number
