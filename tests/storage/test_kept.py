"""Mappings that a process keeps for the next handle of the same array."""

from __future__ import annotations

import errno
import gc
import os
import pickle
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from belongings import mapped_arrays
from other_holder import other_holder
from workers import start_python

import sharray as sh
from sharray.arrays import root as root_module
from sharray.errors import StorageError
from sharray.storage import kept
from sharray.system import files, processes

N = 1000


@pytest.fixture(autouse=True)
def _own_ram_directory(tmp_ram: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARRAY_RAM_DIR", tmp_ram)


def address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def path_of(array: Any) -> str:
    return str(array._root.segment.path)


def blocks(fd: int) -> int:
    return files.allocated_bytes(os.fstat(fd))


def open_and_drop(handle: bytes) -> str:
    """Open an array for the second time, so that the mapping is kept."""
    pickle.loads(handle)
    return path_of(pickle.loads(handle))


def test_an_array_that_comes_once_is_not_kept() -> None:
    with other_holder() as other:
        handle = other.handle()
        path = path_of(pickle.loads(handle))
        assert path not in mapped_arrays()
        assert path_of(pickle.loads(handle)) == path
        assert path in mapped_arrays()


def test_more_arrays_in_turn_than_are_kept_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "_MOST", 2)
    with other_holder() as a, other_holder() as b, other_holder() as c:
        for _ in range(3):
            for other in a, b, c:
                path = path_of(pickle.loads(other.handle()))
                assert path not in mapped_arrays()


def test_the_next_handle_finds_the_mapping_and_what_is_in_the_array_by_then() -> None:
    with other_holder() as other:
        pickle.loads(other.handle())
        first = pickle.loads(other.handle())
        place = address(first)
        assert np.asarray(first).tolist() == [7.0] * N
        del first
        other.fill(8.0)
        again = pickle.loads(other.handle())
        assert address(again) == place
        assert np.asarray(again).tolist() == [8.0] * N
        again[:] = 9
        other.fill(10.0)
        assert np.asarray(again).tolist() == [10.0] * N


def test_a_view_of_pages_that_were_not_touched_before() -> None:
    with other_holder(100_000) as other:
        pickle.loads(other.handle())
        assert pickle.loads(other.handle())[0] == 7
        assert np.asarray(pickle.loads(other.handle())).tolist() == [7.0] * 100_000


def test_who_keeps_a_mapping_is_no_holder() -> None:
    with other_holder() as other:
        pickle.loads(other.handle())
        array = pickle.loads(other.handle())
        path = path_of(array)
        pids = {holder.pid for holder in sh.inspect(path).holders}
        assert os.getpid() in pids
        assert len(pids) == 2
        ((ours,),) = (
            holder.mappings
            for holder in sh.inspect(path).holders
            if holder.pid == os.getpid()
        )
        assert (ours.offset, ours.nbytes) == (0, array._root.segment.size)
        del array
        assert path in mapped_arrays()
        assert {holder.pid for holder in sh.inspect(path).holders} == pids - {
            os.getpid()
        }
        assert sh.inspect(path).in_use


def test_the_last_user_frees_the_memory_at_once() -> None:
    with other_holder() as other:
        handle = other.handle()
        path = open_and_drop(handle)
        assert path in mapped_arrays()
        fd = os.open(path, os.O_RDONLY)
        try:
            assert blocks(fd) > 8 * N
            other.drop()
            assert not os.path.exists(path)
            assert blocks(fd) == 0
        finally:
            os.close(fd)
        with pytest.raises(sh.ArrayGoneError):
            pickle.loads(handle)
        assert not any(path in mapped for mapped in mapped_arrays())


def test_the_last_user_keeps_nothing() -> None:
    with other_holder() as other:
        pickle.loads(other.handle())
        array = pickle.loads(other.handle())
        path = path_of(array)
        other.drop()
        assert np.asarray(array).tolist() == [7.0] * N
        del array
        assert not os.path.exists(path)
        assert not any(path in mapped for mapped in mapped_arrays())


def test_the_memory_of_an_array_that_nobody_has_kept_is_left_to_the_system() -> None:
    array = sh.full(N, 7.0)
    pickle.loads(pickle.dumps(array))  # gives it a name, and arrives
    fd = os.open(path_of(array), os.O_RDONLY)
    try:
        del array
        assert os.fstat(fd).st_nlink == 0
        assert blocks(fd) > 0
    finally:
        os.close(fd)


def test_a_file_in_its_place_is_not_taken_for_it() -> None:
    with other_holder() as other:
        handle = other.handle()
        path = open_and_drop(handle)
        os.rename(path, f"{path}.old")
        with open(path, "wb") as new:
            new.write(bytes(os.path.getsize(f"{path}.old")))
        with pytest.raises((sh.ArrayGoneError, sh.FormatError)):
            pickle.loads(handle)
        os.rename(f"{path}.old", path)
        assert np.asarray(pickle.loads(handle)).tolist() == [7.0] * N


def test_a_file_that_somebody_has_truncated_is_not_used() -> None:
    with other_holder() as other:
        handle = other.handle()
        path = open_and_drop(handle)
        os.truncate(path, 4096)
        with pytest.raises(sh.FormatError, match="too short"):
            pickle.loads(handle)
        assert path not in mapped_arrays()


def test_those_unused_for_longest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_MOST", 2)
    with other_holder() as a, other_holder() as b, other_holder() as c:
        first, second = open_and_drop(a.handle()), open_and_drop(b.handle())
        assert open_and_drop(a.handle()) == first
        third = open_and_drop(c.handle())
        assert set(mapped_arrays()) & {first, second, third} == {first, third}


def test_together_they_have_a_limited_size(monkeypatch: pytest.MonkeyPatch) -> None:
    with other_holder() as a, other_holder() as b, other_holder(10 * N) as c:
        size = pickle.loads(a.handle())._root.segment.size
        first = open_and_drop(a.handle())
        monkeypatch.setattr(processes, "spare_addresses", lambda: size)
        second, third = open_and_drop(b.handle()), open_and_drop(c.handle())
        assert set(mapped_arrays()) & {first, second, third} == {second}


def test_advice_is_not_kept() -> None:
    with other_holder() as other:
        pickle.loads(other.handle())
        array = pickle.loads(other.handle())
        path = path_of(array)
        array.advise("random")
        del array
        assert path not in mapped_arrays()


def test_gc_unmaps_them() -> None:
    with other_holder() as other:
        path = open_and_drop(other.handle())
        assert sh.gc(dry_run=True) == []
        assert path in mapped_arrays()
        sh.gc()
        assert path not in mapped_arrays()


def test_without_descriptors_they_are_unmapped(monkeypatch: pytest.MonkeyPatch) -> None:
    attach = root_module.attach

    def fail_once(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(root_module, "attach", attach)
        raise StorageError("too many open files", "", errno.EMFILE)

    with other_holder() as a, other_holder() as b:
        path = open_and_drop(a.handle())
        handle = b.handle()
        monkeypatch.setattr(root_module, "attach", fail_once)
        assert np.asarray(pickle.loads(handle)).tolist() == [7.0] * N
        assert path not in mapped_arrays()
        monkeypatch.setattr(root_module, "attach", fail_once)
        sh.gc()
        with pytest.raises(StorageError, match="too many"):
            pickle.loads(b.handle())


def test_a_buffer_that_outlives_the_array_keeps_the_file() -> None:
    with other_holder() as other:
        pickle.loads(other.handle())
        array = pickle.loads(other.handle())
        path = path_of(array)
        rest = memoryview(array._root.base)[4096 : 4096 + 8 * N].cast("d")
        del array
        other.drop()
        assert rest.tolist() == [7.0] * N
        assert os.path.exists(path)
        assert sh.gc() == []
        rest.release()
        gc.collect()
        assert sh.gc() == [path]


def in_a_child(work: Callable[[], bool]) -> tuple[Callable[[], None], int]:
    """Fork a child that waits; return what lets it go on, and its number."""
    go_end, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(end)
            os.read(go_end, 1)
            status = 0 if work() else 2
        finally:
            os._exit(status)
    os.close(go_end)
    return lambda: os.close(end), pid


def status_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_keeps_none_of_its_parents() -> None:
    with other_holder() as other:
        handle = other.handle()
        path = open_and_drop(handle)

        def check() -> bool:
            is_mapped = path in mapped_arrays()
            return not is_mapped and (pickle.loads(handle) == 7).all()

        go_on, pid = in_a_child(check)
        go_on()
        assert status_of(pid) == 0
        assert path in mapped_arrays()
        assert (pickle.loads(handle) == 7).all()


def test_a_forked_child_holds_what_its_parent_drops() -> None:
    with other_holder() as other:
        pickle.loads(other.handle())
        held = [pickle.loads(other.handle())]
        path = path_of(held[0])

        def check() -> bool:
            return bool((held[0] == 7).all())

        go_on, pid = in_a_child(check)
        held.clear()
        assert path in mapped_arrays()
        other.drop()
        assert sh.gc() == []
        assert os.path.exists(path)
        go_on()
        assert status_of(pid) == 0
        assert sh.gc() == [path]


END = """
import os, pickle, sys
import numpy as np
import sharray as sh
from other_holder import other_holder
from sharray.storage import ending
from sharray.storage.lifetime import lease

how = sys.argv[1]
if how == "no sign":
    lease.show = lambda fd: None
with other_holder() as other:
    pickle.loads(other.handle())
    array = pickle.loads(other.handle())
    path = array._root.segment.path
    ending.end()
    assert os.path.exists(path)
    if how != "sweep":
        other.drop()
if how == "sweep":
    sh.gc()
assert not os.path.exists(path)
print(np.asarray(array).sum())
"""


@pytest.mark.parametrize("how", ["drop", "sweep"])
def test_arrays_of_a_process_that_has_ended_show_their_values(how: str) -> None:
    done = start_python(END, how)
    assert (done.stdout, done.stderr) == (f"{7.0 * N}\n", "")


def test_without_a_sign_that_they_are_shown_their_memory_would_be_freed() -> None:
    assert start_python(END, "no sign").returncode == -signal.SIGBUS


# In a process of its own, since loky's helpers stay until the end.
TASKS = """
import joblib, numpy as np, sharray as sh
from kept_elsewhere import count_kept, total
# One by one, since a batch of tasks opens the array once.
options = dict(backend={backend!r}, max_nbytes=1, batch_size=1)
with joblib.Parallel(2, **options) as parallel:
    a = sh.ones(1000)  # after workers were forked, which would inherit it
    model = sh.share({{"weights": np.ones(500), "shift": np.ones(500)}})
    sums = parallel(joblib.delayed(total)({sent}) for i in range(20))
    kept = parallel(joblib.delayed(count_kept)() for i in range(20))
assert sums == [1000.0] * 20, sums
assert set(kept) <= {{0, 1}} and sum(kept), kept
"""


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
@pytest.mark.parametrize("sent", ["a", "np.asarray(a)", "model"])
def test_tasks_of_joblib_find_the_mapping(sent: str, backend: str) -> None:
    done = start_python(TASKS.format(backend=backend, sent=sent))
    assert (done.returncode, done.stderr) == (0, "")
