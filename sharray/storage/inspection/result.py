"""What is told of a file: `sharray.storage.inspection.inspector` finds it out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from ...system import pages
from ...system.mappings import Mapping
from ...system.memory import PAGE_SIZE


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
    """

    pid: int
    command: str
    mappings: tuple[Mapping, ...]


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


class Inspection(NamedTuple):
    """What `sharray.inspect` and `sharray.list` tell of an array's file.

    Attributes
    ----------
    name : str
        As it is opened: a path, or ``shm://...``.
    path : str or None
        The file; None if it has no name: an anonymous array that was never sent to
        another process, or a file that was removed.
    stale : str or None
        How an array of this process differs from the file of its name, such as "its
        file was replaced by another". None if it does not, and for files inspected by
        name.
    dtype : numpy.dtype
    shape : tuple of int
    order : {'C', 'F'}
        Of the elements in the file.
    growable : bool
        Whether rows can be appended. Then `shape` has those that are complete now.
    nbytes : int
        Size of the data.
    file_size : int
        Of all the file.
    data_offset : int
        Where the data begins in the file.
    durable : bool
        Whether the file is on a disk, under a name.
    anonymous : bool
        Whether it ends with its last holder.
    created : datetime or None
        None if the file system does not know it.
    modified : datetime or None
        What the file system says; None if the file has no name, or a time that no
        calendar has.
    uuid : str or None
        Of an array in RAM; None for a file on a disk.
    generation : int
        How often the file was used anew.
    state : str
        ``clean`` or ``updating``; of one that carries messages also ``in flight``,
        ``held``, ``retired``.
    owner : int or None
        Number of the process that carries messages in it.
    in_transit : int
        How many handles are on their way to another process.
    fault : str or None
        Why a flush has failed.
    allocated : int or None
        How much room the file takes, on its disk or in RAM, bytes: less than its size
        if it has holes. None if it has no name.
    resident : int or None
        How much of the file is in memory, bytes; None if this user may not know, or
        the system does not tell. Room
        in RAM that was never touched is taken, but not counted here.
    dirty : int or None
        How much is not on the disk yet, bytes; None for arrays in RAM, and where the
        system (before Linux 5.14) does not tell.
    in_use : bool or None
        Whether any process has it mapped; None where nobody can tell, since the file
        system has no locks. Take None for True before you remove anything.
    holders : tuple of Holder
        Those of them that this user may see.
    """

    name: str
    path: str | None
    stale: str | None
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: str
    growable: bool
    nbytes: int
    file_size: int
    data_offset: int
    durable: bool
    anonymous: bool
    created: datetime | None
    modified: datetime | None
    uuid: str | None
    generation: int
    state: str
    owner: int | None
    in_transit: int
    fault: str | None
    allocated: int | None
    resident: int | None
    dirty: int | None
    in_use: bool | None
    holders: tuple[Holder, ...] = ()

    def page(self, index: int = 0) -> list[PageView]:
        """Return where a page of the data is in each process that has it mapped.

        Parameters
        ----------
        index : int, default 0
            Number of the page, of 4096 bytes. Page 0 has the first element. In a file
            on a disk, it begins with the header.

        Returns
        -------
        list of PageView
            The virtual address of the page in each process, and, for root only, the
            number of the physical page, which is the same for all.

        Raises
        ------
        IndexError
            The data has no such page.

        Examples
        --------
        >>> import os
        >>> import sharray as sh
        >>> a = sh.ones(1000)
        >>> [view] = sh.inspect(a).page(1)
        >>> view.pid == os.getpid(), view.address == a.ctypes.data + 4096
        (True, True)
        """
        first = self.data_offset // PAGE_SIZE
        end = self.data_offset + self.nbytes
        count = -(-end // PAGE_SIZE) - first if self.nbytes else 0
        if not 0 <= index < count:
            raise IndexError(f"expected a page from 0 to {count - 1}, got {index}")
        position = (first + index) * PAGE_SIZE
        return [
            PageView(one.pid, address, pages.frame(one.pid, address))
            for holder in self.holders
            for one in holder.mappings
            if one.offset <= position < one.offset + one.nbytes
            for address in [one.address + position - one.offset]
        ]
