"""The topics: each is a module of its name, with a function `run`."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

from .harness import Effort
from .scratch import Scratch
from .tables import Table

TOPICS = (
    "opening",
    "handles",
    "elements",
    "flushing",
    "creating",
    "importing",
    "dispatch",
    "loops",
    "reductions",
    "starting",
    "atomics",
    "scaling",
    "passing",
)


def describe(topic: str) -> str:
    """What the first line of its docstring says; to import it takes long.

    Examples
    --------
    >>> describe("handles")
    'pickling a view, and unpickling it where the array is mapped.'
    """
    source = Path(__file__).with_name(f"{topic}.py").read_text(encoding="utf-8")
    first_line = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
    return first_line.partition(": ")[2]


def measure(topic: str, scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Its tables, one after the other."""
    module = importlib.import_module(f".{topic}", __package__)
    tables: Iterator[Table] = module.run(scratch, effort)
    return tables
