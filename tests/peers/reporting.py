"""What the programs of all suites do: read an order, write a report.

A report has one line of JSON for each event, written at once.

A process that dies has then written all that it knew. Children that fork may
run on in the code of a test, so only the process that made a report writes to it.
"""

from __future__ import annotations

import importlib
import json
import os
import random
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from time import perf_counter  # here, as tests may patch the module
from types import SimpleNamespace
from typing import Any


def read_order(path: str) -> Any:
    """Return the order of `peers.running`, its members as attributes."""
    with open(path, encoding="utf-8") as file:
        return SimpleNamespace(**json.load(file))


def set_up(order: Any) -> None:
    """Import what an order names, and install sharray if it says so."""
    for name in order.imports:
        importlib.import_module(name)  # sharray installs itself in what is there
    if order.threshold is None:
        return
    import sharray

    sharray.install(threshold=order.threshold)
    if order.every_message:
        from sharray.passing.wire import sending

        sending.CROSSOVER = 0  # else short messages without arrays are plain


class Report:
    """Appends to a report file.

    Parameters
    ----------
    path : str
        Of the file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._owner = os.getpid()
        self._started = 0.0

    def start(self, test: str) -> None:
        """Write that a test begins."""
        self._started = perf_counter()
        self.write(test, "started")

    def stop(self, test: str) -> None:
        """Write that a test has ended, and how long it took."""
        self.write(test, "stopped", seconds=perf_counter() - self._started)

    def write(self, test: str, event: str, detail: str = "", **more: float) -> None:
        """Write one event."""
        if os.getpid() != self._owner:
            return
        line = {"test": test, "event": event, "detail": detail, **more}
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def is_chosen(test: str, order: Any) -> bool:
    """Return whether an order asks for a test."""
    if test in order.skip or not fnmatchcase(test, order.pattern):
        return False
    return order.only is None or test in order.only


def shuffled(tests: Iterable[Any], names: Any, seed: int) -> list[Any]:
    """Return tests in random order, those of one module and of one class together.

    Each test has the same place among others whichever others there are.

    Parameters
    ----------
    tests : iterable
        In any order.
    names : callable
        From a test to the names of its module, class and of itself.
    seed : int
        Same seed, same order.
    """

    def place(test: Any) -> Sequence[float]:
        parts = names(test)
        upto = ["/".join(parts[: index + 1]) for index in range(len(parts))]
        return [random.Random(f"{seed} {name}").random() for name in upto]

    return sorted(tests, key=place)
