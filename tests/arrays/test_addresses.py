"""Which root an address belongs to, against a search through all of them."""

from __future__ import annotations

import gc
import os
import random
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sharray as sh
from sharray.arrays.addresses import Addresses
from sharray.arrays.root import find_root_at


class FakeRoot:
    """Memory that is mapped nowhere, from `address` on."""

    def __init__(self, address: int, size: int) -> None:
        self.address = address
        self.size = size


def overlaps(one: FakeRoot, other: FakeRoot) -> bool:
    return (
        one.address < other.address + other.size
        and other.address < one.address + one.size
    )


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["map", "unmap", "find"]),
        st.integers(0, 60),
        st.integers(1, 20),
    ),
    max_size=300,
)


@given(steps=STEPS)
@settings(deadline=None)
def test_it_is_the_one_that_a_search_finds(
    steps: list[tuple[str, int, int]],
) -> None:
    addresses: Addresses[FakeRoot] = Addresses()
    live: list[FakeRoot] = []
    for what, address, size in steps:
        if what == "map":
            root = FakeRoot(address, size)
            if not any(overlaps(root, other) for other in live):
                live.append(root)
                addresses.add(root, root.address, root.size)
            del root
        elif what == "unmap" and live:
            del live[address % len(live)]
        else:
            expected = [
                root
                for root in live
                if root.address <= address < root.address + root.size
            ]
            assert addresses.find(address) is next(iter(expected), None)
            del expected


def test_what_is_gone_is_forgotten() -> None:
    addresses: Addresses[FakeRoot] = Addresses()
    for number in range(5000):
        addresses.add(FakeRoot(number, 1), number, 1)
    addresses.find(0)
    assert len(addresses._starts) + len(addresses._added) < 200
    kept = [FakeRoot(number, 1) for number in range(1000)]
    for root in kept:
        addresses.add(root, root.address, root.size)
    assert addresses.find(999) is kept[999]
    del root
    kept.clear()
    for number in range(5000):
        addresses.add(FakeRoot(number, 1), number, 1)
        addresses.find(number)
    assert len(addresses._starts) + len(addresses._added) < 3000


@pytest.mark.parametrize("at_once", [1, 5, 50, 500])
def test_many_roots_are_found_in_whatever_order_they_came(at_once: int) -> None:
    addresses: Addresses[FakeRoot] = Addresses()
    starts = random.Random(at_once).sample(range(0, 5000, 10), 500)
    roots = []
    for number, start in enumerate(starts, 1):
        roots.append(FakeRoot(start, 7))
        addresses.add(roots[-1], start, 7)
        if number % at_once == 0:
            assert addresses.find(start + 6) is roots[-1]
            assert addresses._starts == sorted(addresses._at) == sorted(addresses._ends)
    for root in roots:
        assert addresses.find(root.address) is addresses.find(root.address + 6) is root
        assert addresses.find(root.address + 7) is None
    assert addresses._starts == list(range(0, 5000, 10))


def test_first_and_last_byte_and_those_beside_them() -> None:
    array = sh.zeros(1000, "u1")
    address = array.ctypes.data
    root = find_root_at(address)
    assert root is array._root
    assert root is not None
    first, end = root.address, root.address + root.segment.size
    assert find_root_at(first) is find_root_at(end - 1) is root
    assert find_root_at(first - 1) is not root
    assert find_root_at(end) is not root


class Interrupting(int):
    """An address that does something as it is compared, amid a search."""

    act: Any

    def __lt__(self, other: int) -> bool:
        self.act()
        return super().__lt__(other)


def test_search_within_a_search_finds_nothing_and_spoils_nothing() -> None:
    addresses: Addresses[FakeRoot] = Addresses()
    later = [FakeRoot(number * 100, 10) for number in range(10)]
    inner: list[Any] = []

    def act() -> None:
        for root in later:
            addresses.add(root, root.address, root.size)
        inner.append(addresses.find(0))

    outer = FakeRoot(5000, 10)
    addresses.add(outer, outer.address, outer.size)
    address = Interrupting(5005)
    address.act = act
    assert addresses.find(address) is outer
    assert set(inner) == {None}
    assert [addresses.find(root.address) for root in later] == later


def test_threads_that_map_and_search_do_not_disturb_each_other() -> None:
    addresses: Addresses[FakeRoot] = Addresses()
    wrong: list[int] = []

    def work(first: int) -> None:
        for number in range(2000):
            address = (number * 8 + first) * 100
            root = FakeRoot(address, 50)
            addresses.add(root, root.address, root.size)
            if addresses.find(address + 49) is not root:
                wrong.append(address)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_child_of_a_thread_that_searches_can_search() -> None:
    array = sh.zeros(10)
    address = array.ctypes.data
    stop = threading.Event()

    def search() -> None:
        while not stop.is_set():
            find_root_at(address)

    thread = threading.Thread(target=search)
    thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                os._exit(0 if find_root_at(address) is array._root else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        thread.join()


def test_it_keeps_nothing_alive() -> None:
    array = sh.zeros(10)
    root = weakref.ref(array._root)
    assert find_root_at(array.ctypes.data) is array._root
    plain = np.asarray(array)
    del array
    assert root() is not None
    del plain
    gc.collect()
    assert root() is None
