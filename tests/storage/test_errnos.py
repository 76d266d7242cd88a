"""Each error of each system call is said rightly, and leaves nothing behind."""

from __future__ import annotations

import errno
import os
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
from hostile import _ADVICE

import sharray as sh
from sharray.errors import explain
from sharray.storage import location, naming
from sharray.storage.messages import inbox
from sharray.system import directories, file_systems, files, locks, memory

CODES = sorted(set(errno.errorcode) - {errno.EINTR})


def _publish(name: str) -> None:
    with sh.publish(name, 3) as new:
        new[:] = 1


_OPEN: dict[str, Callable[[], Any]] = {
    "open": lambda: sh.open("there.npy"),
    "open r": lambda: sh.open("there.npy", mode="r"),
    "open c": lambda: sh.open("there.npy", mode="c"),
    "inspect": lambda: sh.inspect("there.npy"),
    "open ram": lambda: sh.open("shm://there"),
}
_CREATE: dict[str, Callable[[], Any]] = {
    "create": lambda: sh.create("new.npy", 3),
    "create full": lambda: sh.create("new.npy", 3, fill_value=1),
    "overwrite": lambda: sh.create("there.npy", 3, fill_value=1, overwrite=True),
    "create ram": lambda: sh.create("shm://a/new", 3),
    "publish over": lambda: _publish("there.npy"),
    "publish ram": lambda: _publish("shm://a/new"),
    "snapshot": lambda: sh.snapshot(sh.open("there.npy"), "new.npy"),
    "zeros": lambda: sh.zeros(3),
    "send": lambda: pickle.loads(pickle.dumps(sh.ones(3))),
}
_OTHER: dict[str, Callable[[], Any]] = {
    "unlink": lambda: sh.unlink("old.npy"),
    "list": lambda: sh.list("."),
    "gc": lambda: sh.gc(),
}
ACTS = _OPEN | _CREATE | _OTHER
# Those that raise OSError as the kernel says it.
CALLS: list[tuple[ModuleType, str]] = [
    *((files, name) for name in ("open_existing", "status", "read_at", "write_at")),
    *((files, name) for name in ("open_unnamed", "open_new", "link_unnamed", "link")),
    *((files, name) for name in ("rename", "unlink", "set_permissions", "allocate")),
    *((files, name) for name in ("sync_file", "sync_directory", "open_directory")),
    (files, "clone_contents"),
    (file_systems, "free_bytes"),
    (directories, "make_private_directory"),
    *((locks, name) for name in ("lock_shared", "lock_exclusive")),
    (memory, "map_file"),
]


@pytest.fixture(autouse=True)
def _there() -> Iterator[None]:
    sh.create("there.npy", 3, fill_value=7)
    sh.create("old.npy", 3)
    sh.create("shm://there", 3, fill_value=7)
    yield
    sh.unlink("shm://there")


@contextmanager
def _failing(module: ModuleType, name: str, code: int) -> Iterator[list[str]]:
    """Have a call fail each time; gives the list of calls that did."""
    called: list[str] = []

    def fail(*_: Any, **__: Any) -> None:
        called.append(name)
        raise OSError(code, os.strerror(code))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(naming, "_can_name", {})
        patch.setattr(module, name, fail)
        yield called


def _files() -> list[str]:
    return sorted(
        os.path.join(top, name)
        for place in (".", location.ram_directory())
        for top, _, names in os.walk(place)
        for name in names
    )


def _attempt(act: Callable[[], Any]) -> sh.SharrayError | None:
    try:
        act()
    except sh.SharrayError as error:
        return error
    return None


def _is_endless(name: str, call: str, code: int) -> bool:
    """Whether the same call is made again and again after such an error."""
    if code == errno.EEXIST and call in ("open_new", "link", "link_unnamed"):
        return True  # the next name is tried
    # The directory is made again, for some seconds.
    return code == errno.ENOENT and name in (
        "create ram",
        "zeros",
        "send",
        "publish ram",
    )


@pytest.mark.parametrize("name", ACTS)
def test_each_error_at_each_call_is_an_error_of_this_library(name: str) -> None:
    before, descriptors = _files(), len(os.listdir("/proc/self/fd"))
    for module, call in CALLS:
        if name == "send" and call in ("open_existing", "read_at"):
            continue  # the array stays: nobody can look whether it may go
        for code in CODES:
            if _is_endless(name, call, code):
                continue
            with _failing(module, call, code) as called:
                error = _attempt(ACTS[name])
            if error is not None:
                _check(error, code)
                del error
                if call != "unlink":  # which is how what is left is removed
                    assert _files() == before, (errno.errorcode[code], called)
            _restore(before)
            if not called:
                break  # it does without this call
    assert len(os.listdir("/proc/self/fd")) == descriptors


def _check(error: sh.SharrayError, code: int) -> None:
    assert isinstance(error, OSError | ValueError), error
    if isinstance(error, sh.StorageError):
        assert error.errno in (code, errno.EEXIST), error
        assert _ADVICE.search(str(error)), error
    error.__traceback__ = error.__cause__ = None


def _restore(before: list[str]) -> None:
    for path in set(_files()) - set(before):
        os.unlink(path)
    if sh.open("there.npy").tolist() != [7] * 3:
        sh.create("there.npy", 3, fill_value=7, overwrite=True)
    if not os.path.exists("old.npy"):
        sh.create("old.npy", 3)


# What may be said only about what it is true of.
_FOR_OPENING = re.compile(r"open (it|the array) with mode='r'")
_ABOUT_LOCKS = "another program has locked it"


DOING = (
    "create the array",
    "open the array",
    "map the array",
    "map the new array",
    "map a private copy of",
    "name the array",
    "remove the array",
    "inspect the array",
    "list the arrays in",
    "create the directory",
    "use for messages",
)


@pytest.mark.parametrize("doing", DOING)
def test_no_remedy_is_for_something_else(doing: str) -> None:
    for code in CODES:
        text = str(explain(OSError(code, os.strerror(code)), doing, "/a.npy"))
        assert text.startswith(f"cannot {doing} '/a.npy': ")
        assert _ADVICE.search(text), text
        if doing.split()[0] not in ("open", "map"):
            assert not _FOR_OPENING.search(text), text
        if doing.startswith("map"):
            assert _ABOUT_LOCKS not in text
        if doing not in ("open the array", "map the array", "map the new array"):
            assert "mode='c'" not in text


def test_a_shared_mapping_that_is_refused_points_to_private_ones() -> None:
    for code in (errno.ENODEV, errno.EINVAL, errno.EACCES, errno.EPERM, errno.ENOSYS):
        with _failing(memory, "map_file", code):
            for mode in ("r", "r+"):
                error = _attempt(lambda mode=mode: sh.open("there.npy", mode=mode))
                assert "mode='c'" in str(error)
            error = _attempt(lambda: sh.open("there.npy", mode="c"))
            assert "mode='c'" not in str(error)
            error = _attempt(lambda: sh.create("new.npy", 3))
            assert "numpy.save" in str(error)


def test_a_list_that_lacks_descriptors_is_not_a_short_list() -> None:
    for code in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        with _failing(files, "open_existing", code):
            for place in (".", "shm://"):
                error = _attempt(lambda place=place: sh.list(place))
                assert isinstance(error, sh.StorageError)
                assert error.errno == code


def test_a_message_that_cannot_be_received_leaves_no_descriptor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    array = sh.ones(3)
    sent = pickle.dumps(array)
    segment = array._root.segment
    descriptors = len(os.listdir("/proc/self/fd"))

    def fail(_: str) -> None:
        raise MemoryError

    monkeypatch.setattr(inbox.ending, "watch", fail)
    with pytest.raises(MemoryError) as caught:
        inbox._attach(segment.path, segment.identity)
    del caught
    assert len(os.listdir("/proc/self/fd")) == descriptors
    monkeypatch.undo()
    assert pickle.loads(sent).tolist() == [1, 1, 1]


def test_a_socket_is_called_so() -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket.npy")
    for mode in ("r", "r+"):
        error = _attempt(lambda mode=mode: sh.open("socket.npy", mode=mode))
        assert "socket" in str(error)
        assert "regular file" in str(error)
