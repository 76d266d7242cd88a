"""Opening: open an existing array by its name and read its first element."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.shared_memory import SharedMemory

import numpy as np

import sharray as sh

from ..harness.measuring import Contender, Effort, repeated
from ..harness.scratch import Scratch
from ..harness.tables import Table
from . import peers

_SHAPE = 1 << 20  # 8 MB
_FLOOR = "bare system calls"
_NUMPY = "np.load(path, 'r+')"
_PATH = "sh.open(path)"
_NAME = "sh.open('shm://name')"


def run(scratch: Scratch, effort: Effort) -> Iterator[Table]:
    """Measure with files in RAM, so that no disk disturbs."""
    path = str(scratch.ram / "field.npy")
    sh.create(path, _SHAPE)
    sh.create("shm://field", _SHAPE)
    with ExitStack() as stack:
        table = Table.measured(
            "opening",
            "open an array of 8 MB, read its first element and close it",
            [*_contenders(path, effort.seconds), *_peers(stack, effort.seconds)],
            effort.rounds,
            effort,
        )
    for name in (_PATH, _NAME):
        table.demand(name, 1.8, times=_FLOOR)
        table.demand(name, 0.3, times=_NUMPY)
    table.compare(
        "open an array and read an element",
        _PATH,
        group="opening",
        floors=(_FLOOR,),
        without=(_NAME,),
    )
    yield table


def _contenders(path: str, seconds: float) -> list[Contender]:
    return [
        Contender(
            _FLOOR, repeated("bare(path)", seconds, bare=_bare_system_calls, path=path)
        ),
        Contender(_PATH, repeated("sh.open(path)[0]", seconds, sh=sh, path=path)),
        Contender(_NAME, repeated("sh.open('shm://field')[0]", seconds, sh=sh)),
        Contender(
            _NUMPY, repeated("load(path, 'r+')[0]", seconds, load=np.load, path=path)
        ),
    ]


def _bare_system_calls(path: str) -> object:
    """Do as little as Python can, with the size of the header known from elsewhere."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    mapping = mmap.mmap(fd, os.fstat(fd).st_size)
    os.close(fd)
    return np.frombuffer(mapping, np.float64, offset=128)[0]


def _peers(stack: ExitStack, seconds: float) -> list[Contender]:
    block, _ = stack.enter_context(peers.standard_library_peer(_SHAPE))
    standard = repeated("attach(name)", seconds, attach=_attach, name=block)
    module = peers.shared_array_module()
    extension = None
    if module is not None:
        name, _ = stack.enter_context(peers.shared_array_peer(module, _SHAPE))
        attach = module.attach
        extension = repeated("attach(name)[0]", seconds, attach=attach, name=name)
    return [
        Contender("SharedArray.attach(name)", extension),
        Contender("multiprocessing.SharedMemory", standard),
    ]


def _attach(name: str) -> object:
    # Closed as its documentation asks for; left to the garbage collector, it
    # would complain of the array.
    block = SharedMemory(name)
    element = np.ndarray(_SHAPE, buffer=block.buf)[0]
    block.close()
    return element
