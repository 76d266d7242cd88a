"""File systems without some system calls: arrays work, as with `numpy.memmap`.

Only the guarantee that depended on the call is lost: see docs/promises.md.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pickle
from pathlib import Path

import cli_tools
import faults
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sharray as sh
from sharray.cli.commands.doctor import calls as doctor_calls
from sharray.storage import location
from sharray.system import files, memory

OPTIONAL = [name for name in faults.ALL if not name.endswith("_mmap")]


@pytest.fixture(params=["disk.npy", "shm://disk"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _places() -> tuple[str, str]:
    return os.getcwd(), location.ram_directory()


def _names_beside(path: str) -> list[str]:
    return sorted(os.listdir(os.path.dirname(path)))


def _live(name: str) -> None:
    """All that is done with an array that has a name, against plain NumPy."""
    array = sh.create(name, (3, 5), "i4", fill_value=7)
    path = str(array.filename)
    before = _names_beside(path)
    assert np.array_equal(np.load(path), np.full((3, 5), 7, "i4"))
    array[1] = 9
    array.flush(wait=False)
    for mode in ("r", "r+", "c"):
        assert np.array_equal(sh.open(name, mode=mode), np.load(path))
    with pytest.raises(sh.ArrayExistsError):
        sh.create(name, 2)
    new = sh.create(name, 4, "f8", fill_value=1.5, overwrite=True)
    assert np.load(path).tolist() == new.tolist() == [1.5] * 4
    assert array[1].tolist() == [9] * 5  # who has the old one keeps it
    assert sh.inspect(name).in_use is not False
    assert pickle.loads(pickle.dumps(new)).tolist() == [1.5] * 4
    place = "shm://" if name.startswith("shm://") else "."
    assert [found.name for found in sh.list(place)] == [sh.inspect(name).name]
    assert _names_beside(path) == before  # nothing temporary is left
    sh.unlink(name)


@pytest.mark.parametrize("call", OPTIONAL)
def test_a_call_that_is_missing_is_done_without(call: str, name: str) -> None:
    for code in faults.MISSING.values():
        with faults.failing({call: code}, *_places()):
            _live(name)


@given(
    st.dictionaries(
        st.sampled_from(OPTIONAL), st.sampled_from(sorted(faults.MISSING.values()))
    )
)
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_of_them_may_be_missing_together(codes: dict[str, int]) -> None:
    with faults.failing(codes, *_places()):
        _live("disk.npy")


@pytest.mark.parametrize("call", [name for name in OPTIONAL if name != "flock"])
def test_anonymous_arrays_do_without_it_too(call: str) -> None:
    for code in faults.MISSING.values():
        with faults.failing({call: code}, *_places()):
            array = sh.full(1000, 3.0)
            again = pickle.loads(pickle.dumps(array))
            again[0] = 4
            assert array[0] == 4
            assert sh.gc() == []
            del array, again
            assert _anonymous_files() == []


def _anonymous_files() -> list[str]:
    directory = location.anonymous_directory()
    return os.listdir(directory) if os.path.isdir(directory) else []


def test_a_missing_link_is_noticed_after_others_worked(name: str) -> None:
    sh.create(name, 3)
    with faults.failing({"linkat": 1}, *_places()):
        a = sh.create(name, 5, fill_value=2, overwrite=True)
    assert np.load(str(a.filename)).tolist() == [2] * 5
    sh.unlink(name)


# -- making room ---------------------------------------------------------------


def test_without_fallocate_every_block_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = []
    real = files.write_at
    monkeypatch.setattr(
        files,
        "write_at",
        lambda fd, data, at: (written.append((at, len(data))), real(fd, data, at)),
    )
    with faults.failing({"fallocate": 95}, os.getcwd()):
        sh.create("a.npy", 3 << 17)  # 3 MiB of data
    size = os.path.getsize("a.npy")
    covered = np.zeros(size, bool)
    for at, length in written:
        covered[at : at + length] = True
    assert covered.all()
    assert os.stat("a.npy").st_blocks * 512 >= size, "it is sparse"


@pytest.mark.parametrize("code", [22, 38, 95])
def test_a_flush_that_is_missing_raises_and_is_not_remembered(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    a = sh.create("a.npy", 3)
    with monkeypatch.context() as patch:
        patch.setattr(memory, "sync", refuse)
        for _ in range(2):
            with pytest.raises(sh.FlushError, match=r"cannot flush.*another disk"):
                a.flush()
    assert sh.inspect("a.npy").fault is None
    a.flush()


# -- names ---------------------------------------------------------------------


@pytest.mark.parametrize("missing", [["link"], ["link", "renameat2"]])
def test_without_links_a_name_is_still_never_taken_over(missing: list[str]) -> None:
    codes = dict.fromkeys(["tmpfile", *missing], 95)
    np.save("taken.npy", np.arange(3))
    real_write = files.write_at
    with faults.failing(codes, os.getcwd()), pytest.MonkeyPatch.context() as patch:
        with pytest.raises(sh.ArrayExistsError):
            sh.create("taken.npy", 3)

        def another_is_faster(fd: int, data: bytes, at: int) -> None:
            np.save("new.npy", np.arange(5))
            real_write(fd, data, at)

        patch.setattr(files, "write_at", another_is_faster)
        with pytest.raises(sh.ArrayExistsError):
            sh.create("new.npy", 3, fill_value=1)
    assert np.load("taken.npy").tolist() == [0, 1, 2]
    assert np.load("new.npy").tolist() == [0, 1, 2, 3, 4]
    assert sorted(os.listdir()) == ["new.npy", "taken.npy"]


def test_a_claim_that_somebody_has_replaced_is_theirs() -> None:
    codes = dict.fromkeys(["tmpfile", "link", "renameat2"], 95)
    real = files.names_same_file

    def replaced(path: str, *where: int, follow: bool = True) -> bool:
        if path.endswith("/a.npy"):
            np.save("theirs.npy", np.arange(4))
            os.replace("theirs.npy", path)
        return real(path, *where, follow=follow)

    with faults.failing(codes, os.getcwd()), pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "names_same_file", replaced)
        with pytest.raises(sh.ArrayExistsError):
            sh.create("a.npy", 3)
    assert np.load("a.npy").tolist() == [0, 1, 2, 3]
    assert os.listdir() == ["a.npy"]


def test_a_temporary_file_that_another_machine_took_is_not_given_the_name() -> None:
    def steal(fd: int, permissions: int) -> None:
        os.unlink(".a.npy.0.new")  # where locks hold on each machine for itself
        Path(".a.npy.0.new").write_bytes(b"half of theirs")

    with (
        faults.failing({"tmpfile": 95}, os.getcwd()),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(files, "set_permissions", steal)
        with pytest.raises(sh.StorageError, match="create the array again"):
            sh.create("a.npy", 3, overwrite=True)
    assert os.listdir() == [".a.npy.0.new"]
    assert Path(".a.npy.0.new").read_bytes() == b"half of theirs"


def test_a_directory_that_may_be_written_but_not_read_takes_arrays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = os.open

    def refuse(path: str, flags: int, *more: int) -> int:
        if flags & os.O_DIRECTORY and flags & os.O_TMPFILE != os.O_TMPFILE:
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *more)

    monkeypatch.setattr(os, "open", refuse)
    assert sh.create("a.npy", 3).tolist() == [0, 0, 0]


def test_without_proc_files_get_names(monkeypatch: pytest.MonkeyPatch) -> None:
    real_link, real_exists = os.link, os.path.exists

    def no_proc(source: str, path: str, **options: object) -> None:
        if source.startswith("/proc/"):
            raise FileNotFoundError(2, "No such file or directory")
        real_link(source, path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", no_proc)
    monkeypatch.setattr(
        os.path,
        "exists",
        lambda path: not str(path).startswith("/proc/") and real_exists(path),
    )
    with faults.failing({}):
        _live("a.npy")
        again = pickle.loads(pickle.dumps(sh.full(3, 2)))
        assert again.tolist() == [2, 2, 2]


# -- locks: yes, no, or unknown ------------------------------------------------


@pytest.mark.parametrize("code", [faults.ENOTSUPP, errno.ENOLCK, errno.EACCES])
def test_without_locks_it_is_unknown_who_holds_an_array(code: int) -> None:
    # EACCES: SELinux may forbid locks.
    with faults.failing({"flock": code}, os.getcwd()):
        a = sh.create("a.npy", 3)
        found = sh.inspect("a.npy")
        assert (found.in_use, len(found.holders)) == (True, 1)  # as it is seen
        del a
        found = sh.inspect("a.npy")
        assert (found.in_use, found.holders) == (None, ())
        assert [one.in_use for one in sh.list(".")] == [None]


def test_the_command_line_says_so_and_removes_nothing_unforced() -> None:
    with faults.failing({"flock": faults.ENOTSUPP}, os.getcwd()):
        sh.create("a.npy", 3)
        [row] = cli_tools.call("ls", "--json", ".").json
        assert row["in_use"] is None
        assert "unknown" in cli_tools.call("ls", ".").out
        assert cli_tools.call("info", "--json", "a.npy").json["in_use"] is None
        assert (
            "unknown: the file system has no locks"
            in cli_tools.call("info", "a.npy").out
        )
        for options in ([], ["--yes"], ["--dry-run"]):
            done = cli_tools.call("rm", *options, "a.npy")
            assert done.code == 1
            assert "cannot tell whether" in done.err
            assert "--force" in done.err
        assert os.path.exists("a.npy")
        assert cli_tools.call("rm", "--force", "a.npy").code == 0
        assert os.listdir() == []


def test_without_locks_in_ram_nothing_is_collected() -> None:
    with faults.failing({"flock": faults.ENOTSUPP}, location.ram_directory()):
        array = sh.ones(3)
        pickle.loads(pickle.dumps(array))
        del array
        [found] = sh.list()
        assert (found.in_use, sh.gc()) == (None, [])
        assert cli_tools.call("gc", "--json").json["arrays"] == []
        assert (
            cli_tools.call("top", "--json", "--once").json["arrays"][0]["in_use"]
            is None
        )
        assert "--force" in cli_tools.call("rm", found.name).err
        assert cli_tools.call("rm", "--force", found.name).code == 0
        assert sh.list() == []


def test_a_lock_that_only_a_writer_may_ask_for_is_unknown() -> None:
    """NFS: an exclusive flock needs a descriptor that can write."""
    sh.create("a.npy", 3)
    with faults.failing({"flock": 9}, os.getcwd()):
        assert sh.inspect("a.npy").in_use is None


def test_where_only_a_writer_may_ask_for_a_lock_a_writer_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = fcntl.flock

    def as_on_nfs(fd: int, operation: int) -> None:
        writes = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        if operation & fcntl.LOCK_EX and not writes:
            raise OSError(9, "Bad file descriptor")
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", as_on_nfs)
    a = sh.create("a.npy", 3)
    assert sh.inspect("a.npy").in_use is True
    del a
    assert sh.inspect("a.npy").in_use is False
    assert cli_tools.call("rm", "a.npy").code == 0


# -- files that say odd things of themselves -----------------------------------


def test_a_file_system_that_counts_no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """As FUSE programs that leave the number out."""
    real = files.status

    def without_links(fd: int) -> os.stat_result:
        found = real(fd)
        return os.stat_result((*found[:3], 0, *found[4:10]))

    monkeypatch.setattr(files, "status", without_links)
    with faults.failing({"tmpfile": 95}, os.getcwd()):
        sh.create("a.npy", 3, fill_value=1)
        assert sh.open("a.npy").tolist() == [1, 1, 1]
        assert os.listdir() == ["a.npy"]
    monkeypatch.undo()


def test_a_file_that_cannot_be_mapped_is_not_called_damaged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sh.create("a.npy", 3)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(np, "load", refuse)
    with faults.failing({"shared_mmap": errno.ENODEV}, os.getcwd()):
        done = cli_tools.call("verify", "a.npy")
        assert sh.inspect("a.npy").shape == (3,)
        assert sh.open("a.npy", mode="c").tolist() == [0, 0, 0]
    assert done.code == 0
    assert "mode='c'" in done.out
    assert "damaged" not in done.out


# -- what the doctor says ------------------------------------------------------


def test_the_doctor_names_what_is_missing_and_what_is_lost() -> None:
    assert doctor_calls.missing_in(os.getcwd()) == ()
    for call, named, lost in (
        ("tmpfile", "O_TMPFILE", ".NAME.0.new"),
        ("linkat", "linkat of unnamed files", ".NAME.0.new"),
        ("link", "link", "replace"),
        ("renameat2", "renameat2", "empty for a moment"),
        ("fchmod", "fchmod", "who may use a file"),
        ("fallocate", "posix_fallocate", "zeros are written"),
        ("fsync", "fsync", "flush() raises"),
        ("fsync_directory", "fsync of directories", "power cut"),
    ):
        for code in faults.MISSING.values():
            with faults.failing({call: code}, os.getcwd()):
                assert doctor_calls.missing_in(os.getcwd()) == (named,)
        finding = doctor_calls.check_calls("calls there", (named,))
        assert finding.verdict.name == "NOTE"
        assert named in finding.found
        assert lost in finding.why
    assert os.listdir() == []
