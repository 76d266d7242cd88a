"""Holders of a file, and where its pages are in them."""

from __future__ import annotations

from typing import NamedTuple

from ...notebook.text import count
from ...system.mappings import Mapping
from ...system.process_names import Process


class Holder(NamedTuple):
    """A process that has a file mapped.

    Attributes
    ----------
    pid : int
        Its number.
    command : str
        Its command line.
    mappings : tuple of Mapping
        Where; more than once if it has opened the file more than once.
    process : Process
        What it is: a program, a notebook, or a worker of another process. `name` is
        this in words.

    Examples
    --------
    >>> import sharray as sh
    >>> sh.inspect(sh.zeros(3)).holders
    (<Holder this process, 1 mapping>,)
    """

    pid: int
    command: str
    mappings: tuple[Mapping, ...]
    process: Process

    def __repr__(self) -> str:
        return f"<Holder {self.name}, {count(len(self.mappings), 'mapping')}>"

    @property
    def name(self) -> str:
        """Return what people call it, such as "python train.py (1234)".

        Whoever asks is "this process" or "this notebook", and the workers of its teams
        are named without their owner: "worker 3 of team t".
        """
        return str(self.process)


class PageView(NamedTuple):
    """One page of a file, as one process sees it.

    Attributes
    ----------
    pid : int
        Number of the process.
    address : int
        The virtual address.
    frame : int or None
        Number of the physical page; None if the process has not touched it yet, or
        who asks is not root.
    """

    pid: int
    address: int
    frame: int | None
