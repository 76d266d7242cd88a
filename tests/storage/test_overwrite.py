"""`create` never destroys: what it replaces, and what stays of that."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import faults
import numpy as np
import pytest
from hostile import refused
from hypothesis import given
from hypothesis import strategies as st
from torture.dying import die_at, system_functions
from torture.remains import arrays_below, still_locked_below

import sharray as sh
from sharray.storage import naming, replacing
from sharray.storage.location import ram_directory
from sharray.system import files

OLD, NEW, N = 7.0, 8.0, 1000
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may give files")


def _mode(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


# -- symbolic links ------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("absolute", [False, True])
def test_the_target_of_a_link_is_replaced(depth: int, absolute: bool) -> None:
    os.mkdir("data")
    old = sh.create("data/field.npy", 3, fill_value=OLD)
    target: Path = Path("data/field.npy")
    for number in range(depth):
        link = Path(f"link{number}.npy")
        link.symlink_to(target.absolute() if absolute else target)
        target = link
    before = sorted(os.listdir()), os.readlink(target)
    new = sh.create(target, 2, "i2", fill_value=NEW, overwrite=True)
    assert np.load("data/field.npy").tolist() == [NEW, NEW]
    assert sh.open(target).tolist() == [NEW, NEW]
    assert old.tolist() == [OLD] * 3
    assert new.filename == os.path.abspath("data/field.npy")
    assert (sorted(os.listdir()), os.readlink(target)) == before
    assert os.listdir("data") == ["field.npy"]


def test_a_link_is_not_followed_unless_overwriting() -> None:
    sh.create("field.npy", 3, fill_value=OLD)
    os.symlink("field.npy", "link.npy")
    refused(sh.ArrayExistsError, lambda: sh.create("link.npy", 3), "overwrite")
    assert np.load("field.npy").tolist() == [OLD] * 3


def test_a_dangling_link_is_called_so() -> None:
    os.symlink("nowhere/field.npy", "link.npy")
    says = r"symbolic link to 'nowhere/field\.npy', which does not exist"
    refused(sh.ArrayExistsError, lambda: sh.create("link.npy", 3), says, "link.npy")
    for act in (
        lambda: sh.create("link.npy", 3, overwrite=True),
        lambda: sh.open("link.npy"),
        lambda: sh.inspect("link.npy"),
        lambda: sh.unlink("link.npy"),
    ):
        refused(sh.ArrayNotFoundError, act, says, "link.npy")
    assert os.listdir() == ["link.npy"]


def test_a_link_to_itself_is_called_so() -> None:
    os.symlink("link.npy", "link.npy")
    for act in (
        lambda: sh.create("link.npy", 3, overwrite=True),
        lambda: sh.open("link.npy"),
    ):
        refused(sh.UnsafePathError, act, "leads back to itself", "link.npy")
    refused(sh.ArrayExistsError, lambda: sh.create("link.npy", 3), "symbolic link")


def test_a_link_into_the_ram_directory_is_followed_and_none_within_it() -> None:
    array = sh.create("shm://real", 3, fill_value=OLD)
    path = Path(str(array.filename))
    os.symlink(path, "link.npy")
    sh.create("link.npy", 3, fill_value=NEW, overwrite=True)
    assert sh.open("shm://real").tolist() == [NEW] * 3
    path.with_name("within").symlink_to(path)
    refused(
        sh.UnsafePathError, lambda: sh.create("shm://within", 3, overwrite=True), "link"
    )
    path.with_name("within").unlink()
    sh.unlink("shm://real")


@needs_root
def test_a_link_that_the_kernel_does_not_follow_is_not_followed() -> None:
    """In a /tmp, somebody else's link could name any file of this user."""
    if Path("/proc/sys/fs/protected_symlinks").read_text().strip() != "1":
        pytest.skip("this kernel follows all links: fs.protected_symlinks is 0")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        place = Path(name)
        place.chmod(0o1777)
        os.chown(place, 65534, 65534)
        sh.create("mine.npy", 3, fill_value=OLD)
        link = place / "link.npy"
        link.symlink_to(Path("mine.npy").absolute())
        os.chown(link, 65533, 65533, follow_symlinks=False)
        refused(
            sh.UnsafePathError,
            lambda: sh.create(link, 3, overwrite=True),
            "may not follow",
        )
        assert np.load("mine.npy").tolist() == [OLD] * 3


def test_a_link_that_may_not_be_followed_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same on kernels that follow all of them."""
    sh.create("mine.npy", 3, fill_value=OLD)
    os.symlink("mine.npy", "link.npy")
    real = os.stat

    def refuse(path: Any, **options: Any) -> os.stat_result:
        if str(path).endswith("link.npy") and options.get("follow_symlinks", True):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, **options)

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(sh.UnsafePathError, match="may not follow"):
        sh.create("link.npy", 3, overwrite=True)
    assert np.load("mine.npy").tolist() == [OLD] * 3


# -- what is no file -----------------------------------------------------------


def _socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)


@pytest.mark.parametrize("through_link", [False, True])
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, _socket])
def test_what_is_no_file_is_never_replaced(
    make: Callable[[str], Any], overwrite: bool, through_link: bool
) -> None:
    make("special")
    kind = stat.S_IFMT(os.stat("special").st_mode)
    name = "special"
    if through_link:
        name = "link"
        os.symlink("special", name)
    with pytest.raises(sh.StorageError, match=r"expected|open it") as caught:
        sh.create(name, 3, overwrite=overwrite)
    assert caught.value.errno in (errno.EEXIST, errno.EISDIR)
    assert stat.S_IFMT(os.stat("special").st_mode) == kind
    assert set(os.listdir()) <= {"special", "link"}


@needs_root
def test_a_device_is_never_replaced() -> None:
    os.symlink("/dev/null", "link")
    for path in ("/dev/null", "link"):
        refused(
            sh.ArrayExistsError, lambda path=path: sh.create(path, 3, overwrite=True)
        )
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


# -- owner, group and mode -----------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o640, 0o444, 0o644, 0o606, 0o777, 0])
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o777])
def test_mode_is_kept(mode: int, umask: int) -> None:
    np.save("a.npy", np.arange(3.0))
    os.chmod("a.npy", mode)
    before = os.umask(umask)
    try:
        sh.create("a.npy", 3, overwrite=True)
    finally:
        os.umask(before)
    assert _mode("a.npy") == mode


def test_mode_that_is_given_wins_and_new_files_are_private() -> None:
    sh.create("a.npy", 3)
    assert _mode("a.npy") == 0o600
    os.chmod("a.npy", 0o666)
    sh.create("a.npy", 3, overwrite=True, permissions=0o640)
    assert _mode("a.npy") == 0o640
    sh.create("b.npy", 3, overwrite=True)
    assert _mode("b.npy") == 0o600


@needs_root
@pytest.mark.parametrize("missing", [[], ["tmpfile"], ["linkat"]])
def test_owner_and_group_are_kept(missing: list[str]) -> None:
    sh.create("a.npy", 3)
    os.chmod("a.npy", 0o664)
    os.chown("a.npy", 1234, 5678)
    os.symlink("a.npy", "link.npy")
    with faults.failing(dict.fromkeys(missing, 95), os.getcwd()):
        sh.create("link.npy", 3, overwrite=True)
    found = os.stat("a.npy")
    assert (found.st_uid, found.st_gid, _mode("a.npy")) == (1234, 5678, 0o664)
    sh.create("a.npy", 3, overwrite=True, permissions=0o600)
    found = os.stat("a.npy")
    assert (found.st_uid, found.st_gid, _mode("a.npy")) == (1234, 5678, 0o600)


@needs_root
def test_nobody_can_open_it_before_it_has_owner_and_mode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sh.create("a.npy", 3)
    os.chmod("a.npy", 0o660)
    os.chown("a.npy", 1234, 5678)
    seen = []

    def watched(name: str) -> Any:
        real = getattr(files, name)

        def call(fd: int, *args: Any) -> Any:
            found = os.fstat(fd)
            seen.append((name, found.st_uid, stat.S_IMODE(found.st_mode)))
            return real(fd, *args)

        return call

    for name in ("write_at", "set_owner", "set_permissions", "sync_file"):
        monkeypatch.setattr(files, name, watched(name))
    sh.create("a.npy", 3, overwrite=True, fill_value=1)
    by_name = {name: state for name, *state in seen}
    assert by_name["write_at"] == by_name["set_owner"] == [0, 0o600]
    assert by_name["set_permissions"] == [1234, 0o600]
    assert by_name["sync_file"] == [1234, 0o660]


def _status(mode: int, user: int, group: int) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, user, group, 0, 0, 0, 0))


def _access(mode: int, user: int, group: int, who: int, groups: set[int]) -> int:
    """What a user may do, as the kernel decides it."""
    if who == user:
        return mode >> 6 & 7
    return (mode >> 3 if group in groups else mode) & 7


@given(
    st.integers(0, 0o777),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 2, 3]),
    st.sets(st.sampled_from([10, 20, 30])),
)
def test_nobody_else_gets_more_access_than_before(
    mode: int, owner_kept: bool, group_kept: bool, who: int, groups: set[int]
) -> None:
    user, group = 1 if owner_kept else 2, 10 if group_kept else 20
    new = replacing._mode_of(_status(mode, 1, 10), _status(0o600, user, group))
    if owner_kept and group_kept:
        assert new == mode
    if who != user or owner_kept:  # the new owner made the file
        allowed = _access(mode, 1, 10, who, groups)
        assert _access(new, user, group, who, groups) & ~allowed == 0


@needs_root
def test_what_may_not_be_kept_is_not_widened() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        place = Path(name)
        place.chmod(0o777)
        path = place / "a.npy"
        sh.create(path, 3, permissions=0o674)
        os.chown(path, 1234, 5678)
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                sh.create(path, 3, overwrite=True)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        found = os.stat(path)
        assert (found.st_uid, found.st_gid) == (65534, 65534)
        assert _mode(path) == 0o644


# -- every step ----------------------------------------------------------------


LACKING: dict[str, list[str]] = {
    "nothing": [],
    "O_TMPFILE": ["tmpfile"],
    "linkat": ["linkat"],
    "links": ["tmpfile", "link"],
    "renameat2": ["tmpfile", "link", "renameat2"],
}


@pytest.fixture(params=LACKING.values(), ids=LACKING)
def _lacking(request: pytest.FixtureRequest) -> Iterator[None]:
    with faults.failing(dict.fromkeys(request.param, 95), os.getcwd()):
        yield


def _start(*, overwrite: bool) -> None:
    if overwrite:
        sh.create("field.npy", N, fill_value=OLD)
    if overwrite and not os.path.islink("link.npy"):
        os.symlink("field.npy", "link.npy")


def _create(*, overwrite: bool) -> None:
    name = "link.npy" if overwrite else "field.npy"
    sh.create(name, N, fill_value=NEW, overwrite=overwrite)


def _publish(*, overwrite: bool) -> None:
    with sh.publish("link.npy" if overwrite else "field.npy", N) as new:
        new[:] = NEW


ways = pytest.mark.parametrize("make", [_create, _publish])


def _check(*, overwrite: bool) -> None:
    if overwrite or os.path.exists("field.npy"):
        found = np.load("field.npy")
        assert found.shape == (N,)
        assert set(found) in ({NEW}, {OLD})
    if overwrite:
        assert os.readlink("link.npy") == "field.npy"


def _killed(make: Callable[..., None], moment: str, n: int, *, overwrite: bool) -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            die_at(moment, n)
            make(overwrite=overwrite)
        finally:
            os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert not still_locked_below(os.getcwd())
    return status == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.usefixtures("_lacking")
@pytest.mark.parametrize("moment", ["before", "after"])
@ways
def test_killed_at_any_call_the_file_is_old_or_new(
    make: Callable[..., None], moment: str
) -> None:
    n, died = 0, True
    while died:
        n += 1
        _start(overwrite=True)
        died = _killed(make, moment, n, overwrite=True)
        _check(overwrite=True)
        _create(overwrite=True)  # as the next process does, which tidies up
        assert sorted(os.listdir()) == ["field.npy", "link.npy"]
        os.unlink("field.npy")
    assert n > 10


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("missing", [[], ["tmpfile"], ["tmpfile", "link"]])
@ways
def test_killed_at_any_call_a_new_file_is_complete_or_not_there(
    make: Callable[..., None], moment: str, missing: list[str]
) -> None:
    with faults.failing(dict.fromkeys(missing, 95), os.getcwd()):
        n, died = 0, True
        while died:
            n += 1
            died = _killed(make, moment, n, overwrite=False)
            _check(overwrite=False)
            sh.create("field.npy", N, overwrite=True)
            assert os.listdir() == ["field.npy"]
            os.unlink("field.npy")
    assert n > 10


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_while_it_tries_links_it_leaves_nothing(moment: str) -> None:
    """Which the first array in RAM of each process does."""
    n, died = 0, True
    while died:
        n += 1
        pid = os.fork()
        if pid == 0:
            try:
                naming._can_name.clear()
                die_at(moment, n)
                sh.zeros(3)
            finally:
                os._exit(0)
        died = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        assert not still_locked_below(ram_directory())
        sh.gc()
        assert arrays_below(ram_directory()) == {}
    assert n > 10


class _Failing:
    """Fails at the n-th call of the operating system, but for those that tidy up."""

    def __init__(self, n: int, kind: type[BaseException]) -> None:
        self.left, self.kind, self.name = n, kind, ""

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for module, name, function in system_functions():
            if name not in ("close", "unlink"):
                patch.setattr(module, name, self._wrap(name, function))

    def _wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                self.name = name
                raise self.kind(errno.EIO, "Input/output error")
            return function(*args, **kwargs)

        return call


@pytest.mark.usefixtures("_lacking")
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt, MemoryError])
@ways
def test_an_exception_at_any_call_leaves_old_or_new_and_nothing_else(
    make: Callable[..., None], kind: type[BaseException], overwrite: bool
) -> None:
    n, failed = 0, True
    while failed:
        n += 1
        _start(overwrite=overwrite)
        before = sorted(os.listdir()), len(os.listdir("/proc/self/fd"))
        failing = _Failing(n, kind)
        with pytest.MonkeyPatch.context() as patch:
            failing.install(patch)
            raised = True
            with suppress(sh.StorageError, kind):
                make(overwrite=overwrite)
                raised = False
        failed = failing.left <= 0
        _check(overwrite=overwrite)
        assert len(os.listdir("/proc/self/fd")) == before[1], failing.name
        if raised or overwrite:
            assert sorted(os.listdir()) == before[0], failing.name
        if os.path.exists("field.npy"):
            os.unlink("field.npy")
    assert n > 8
