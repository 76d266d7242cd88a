"""Whether sharray is installed as ordered, in the tests' process and its children."""

from __future__ import annotations

import multiprocessing
import sys
import unittest
from multiprocessing import queues, reduction
from typing import Any

from peers.reporting import read_order


def installed() -> tuple[int | None, bool]:
    """Return the threshold of this process, and whether queues have our pickler."""
    options = None
    if "sharray.passing.options" in sys.modules:
        from sharray.passing.options import State

        options = State.options
    pickler = queues._ForkingPickler  # type: ignore[attr-defined]
    return options and options.threshold, pickler is not reduction.ForkingPickler


def tell(pipe: Any) -> None:
    """The target of a process: send what is installed in it, and some memory."""
    import numpy as np

    pipe.send((*installed(), np.ones(1000)))
    pipe.close()


class TestInstallation(unittest.TestCase):
    """Run by `peers.unittest_program`, whose order says what is to be found."""

    def setUp(self) -> None:
        order = read_order(sys.argv[1])
        self.methods = order.methods
        self.expected = (order.threshold, order.threshold is not None)

    def test_here(self) -> None:
        assert installed() == self.expected

    def test_in_children(self) -> None:
        for method in self.methods:
            with self.subTest(method):
                context = multiprocessing.get_context(method)
                here, there = context.Pipe(duplex=False)
                child = context.Process(target=tell, args=(there,))
                child.start()
                there.close()
                sent = bytes(here.recv_bytes())
                here.close()
                *found, _ = reduction.ForkingPickler.loads(sent)
                assert tuple(found) == self.expected
                by_memory = b"open_message" in sent
                assert by_memory == (self.expected[0] == 0)
                child.join()
                assert child.exitcode == 0
