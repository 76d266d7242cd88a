"""Mappings of files: they keep no descriptor, and their limits are named."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import numpy as np
import pytest
from workers import run_python

import sharray as sh
from sharray.system import memory, remapping

PAGE = memory.PAGE_SIZE
CONTENT = np.random.default_rng(1).bytes(2 * PAGE + 5)


@pytest.fixture
def fd(tmp_ram: str) -> Iterator[int]:
    number = os.open(tmp_ram, os.O_TMPFILE | os.O_RDWR)
    os.pwrite(number, CONTENT, 0)
    yield number
    os.close(number)


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("nbytes", [1, PAGE, 2 * PAGE + 5])
@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("writable", [False, True])
def test_a_mapping_shows_the_file_and_keeps_no_descriptor(
    fd: int, nbytes: int, private: bool, writable: bool
) -> None:
    before = descriptors()
    found = memory.map_file(fd, nbytes, writable=writable, private=private)
    assert descriptors() == before
    assert found[:] == CONTENT[:nbytes]
    if writable:
        found[0] ^= 255
        assert (os.pread(fd, 1, 0) == CONTENT[:1]) is private
    else:
        with pytest.raises(TypeError):
            found[0] = 0
    found.close()


def test_a_mapping_that_is_one_of_few_shows_the_file(fd: int) -> None:
    found = memory.map_file(fd, PAGE, writable=True, private=False, one_of_few=True)
    assert found[:] == CONTENT[:PAGE]
    found.close()


@pytest.mark.parametrize("way", ["map_file", "_map_tracked"])
def test_a_file_that_was_truncated_meanwhile_is_not_mapped(fd: int, way: str) -> None:
    with pytest.raises(OSError, match="truncated") as raised:
        getattr(memory, way)(fd, len(CONTENT) + 1, writable=True, private=False)
    assert raised.value.errno == errno.ENODATA


def test_arrays_need_no_descriptor_each() -> None:
    code = (
        "import pickle, resource\n"
        "import sharray as sh\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))\n"
        "arrays = [sh.full(3, i) for i in range(600)]\n"
        "for a in arrays[:100]: pickle.loads(pickle.dumps(a))\n"
        "print(sum(a.sum() for a in arrays) == 3 * sum(range(600)))\n"
    )
    assert run_python(code) == "True\n"


def test_the_limit_on_mappings_is_named_and_leaves_nothing() -> None:
    # Each other page of a large mapping becomes one of its own, up to the limit.
    code = (
        "import ctypes, mmap, os, pathlib\n"
        "import sharray as sh\n"
        "a = sh.zeros(10)\n"
        "limit = int(pathlib.Path('/proc/sys/vm/max_map_count').read_text())\n"
        "pages = mmap.mmap(-1, 2 * limit * mmap.PAGESIZE, mmap.MAP_PRIVATE)\n"
        "start = ctypes.addressof(ctypes.c_char.from_buffer(pages))\n"
        "protect = ctypes.CDLL(None).mprotect\n"
        "protect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int\n"
        "for i in range(0, 2 * limit, 2):\n"
        "    if protect(start + i * mmap.PAGESIZE, mmap.PAGESIZE, 0): break\n"
        "before = os.listdir('/proc/self/fd')\n"
        "held = []\n"
        "try:\n"
        "    while True: held.append(sh.zeros(10))\n"
        "except sh.StorageError as error:\n"
        "    print('vm.max_map_count' in str(error), len(held) < 5)\n"
        "held.clear()\n"
        "print(os.listdir('/proc/self/fd') == before)\n"
        "protect(start, 2 * limit * mmap.PAGESIZE, 3)\n"
        "b = sh.full(10, 2)\n"
        "print(a.sum(), b.sum())\n"
    )
    assert run_python(code) == "True True\nTrue\n0.0 20\n"


@pytest.mark.skipif(
    bool(memory._UNTRACKED), reason="since Python 3.13, no mapping keeps a descriptor"
)
def test_without_room_for_addresses_a_mapping_keeps_a_descriptor() -> None:
    # As where memory is not overcommitted: 64 MiB of private memory are too many, and
    # the same of a shared file are not.
    code = (
        "import pathlib, resource\n"
        "import sharray as sh\n"
        "from sharray.system import huge_pages, memory, remapping\n"
        "huge_pages.size = lambda: 0\n"
        "a = sh.create('shm://a', 10)\n"
        "sh.unlink('shm://a')\n"
        "print(memory.keeps_descriptors(), remapping.descriptors_of_mappings())\n"
        "statm = pathlib.Path('/proc/self/statm').read_text().split()\n"
        "data = int(statm[5]) * 4096\n"
        "limits = data + (32 << 20), resource.RLIM_INFINITY\n"
        "resource.setrlimit(resource.RLIMIT_DATA, limits)\n"
        "b = sh.full(64 << 20, 1, 'u1')\n"
        "key = b._root.segment.device, b._root.segment.inode\n"
        "print(memory.keeps_descriptors())\n"
        "print(len(remapping.descriptors_of_mappings()[key]))\n"
        "print(b[:9].sum(), b[-9:].sum())\n"
    )
    assert run_python(code) == "False {}\nTrue\n2\n9 9\n"


def test_no_descriptors_are_listed_while_no_mapping_keeps_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a = sh.zeros(3)
    monkeypatch.setattr(memory, "_keeps_descriptors", False)
    assert remapping.descriptors_of_mappings() == {}
    assert a.sum() == 0
