"""Messages that sharray never wrote, or that come too late: a clear error for each.

None is an OSError or EOFError: `multiprocessing.Pool` takes these for the end of its
pipe, and would wait for ever.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import multiprocessing
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from pathlib import Path
from typing import Any

import numpy as np
import passing_pressure as pressure
import pytest
from belongings import files_in_ram
from hostile import assert_survives_pickling
from passing_pressure import HELD, MIB, Unloadable, checksum, passed, payload, sent

import sharray as sh
from sharray.passing.hooks import registry
from sharray.passing.options import State
from sharray.passing.wire.receiving import open_message

pytestmark = pytest.mark.slow

PARTS = list(inspect.signature(open_message).parameters)
SPAWN = multiprocessing.get_context("spawn")
GIANT = 16**6000

Arguments = dict[str, Any]


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    pressure.forget_outbox()
    with sh.installed():
        yield
    pressure.forget_outbox()


class _Reader(pickle.Unpickler):
    """Returns the arguments of a message instead of opening it."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "open_message":
            return lambda *arguments: dict(zip(PARTS, arguments, strict=True))
        return super().find_class(module, name)


def arguments_of(message: bytes) -> Arguments:
    """Return the arguments with which a message calls `open_message`."""
    found: Arguments = _Reader(io.BytesIO(message)).load()
    return found


def refused(action: Callable[[], Any]) -> sh.SharrayError:
    """Return the error that opening a message raises."""
    with pytest.raises((sh.MessageError, sh.HandleError)) as caught:
        action()
    error: sh.SharrayError = caught.value
    assert not isinstance(error, OSError | EOFError)
    assert len(str(error)) < 1000
    assert_survives_pickling(error)
    return error


def check_that_the_file_still_works(nbytes: int = HELD) -> None:
    """Check that later messages can use the file, and that no mapping is left."""
    for seed in range(2, 5):
        x = payload(seed, nbytes)
        assert checksum(passed(x)) == checksum(x)
    found = files_in_ram()
    assert len(found) == 1
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    opened = [os.readlink(link) for link in links if os.path.islink(link)]
    # Sender and receiver; up to Python 3.12 each mapping has another one.
    assert opened.count(found[0]) <= 4


DAMAGED: dict[str, Arguments] = {
    # Where.
    "path None": {"path": None},
    "path bytes": {"path": b"/dev/shm/x"},
    "path number": {"path": 3},
    "path empty": {"path": ""},
    "path NUL": {"path": "/a\0b"},
    "path relative": {"path": "a.npy"},
    "path with scheme": {"path": "shm://a"},
    "path of a directory": {"path": "/dev/shm"},
    "path of a device": {"path": "/dev/zero"},
    "path of a text file": {"path": "/etc/passwd"},
    "path of nothing": {"path": "/dev/shm/nothing"},
    "path surrogate": {"path": "/\ud800"},
    "path long": {"path": "/" + "a" * 5000},
    "path giant": {"path": GIANT},
    # Which file.
    "identity None": {"identity": None},
    "identity short": {"identity": b"x"},
    "identity zeros": {"identity": bytes(32)},
    "identity text": {"identity": "x" * 32},
    "identity list": {"identity": [0] * 32},
    "identity giant": {"identity": GIANT},
    # Which message.
    "generation of the future": {"generation": 1 << 20},
    "generation negative": {"generation": -1},
    "generation giant": {"generation": GIANT},
    "generation float": {"generation": 1.5},
    "generation text": {"generation": "1"},
    "generation None": {"generation": None},
    "token text": {"token": "x"},
    "token float": {"token": 1.5},
    "token None": {"token": None},
    # How much.
    "places None": {"places": None},
    "places number": {"places": 3},
    "places text": {"places": "3"},
    "place number": {"places": (HELD,)},
    "place None": {"places": (None,)},
    "place text": {"places": ("03",)},
    "place list": {"places": ([0, HELD],)},
    "place of one number": {"places": ((HELD,),)},
    "place of three numbers": {"places": ((0, 1, HELD),)},
    "place negative": {"places": ((-1, HELD),)},
    "place very negative": {"places": ((-MIB, 0),)},
    "place backwards": {"places": ((HELD, 0),)},
    "places that cancel": {"places": ((0, -GIANT), (0, GIANT))},
    "places that nearly cancel": {"places": ((0, -64 * MIB), (0, 64 * MIB + HELD))},
    "place float": {"places": ((0, float(HELD)),)},
    "place nan": {"places": ((0, float("nan")),)},
    "place with text": {"places": ((0, "3"),)},
    "place with None": {"places": ((None, HELD),)},
    "place bool": {"places": ((False, True),)},
    "place NumPy's": {"places": ((0, np.int64(HELD)),)},
    "place too large": {"places": ((0, MIB),)},
    "place too late": {"places": ((HELD, 2 * HELD),)},
    "one place of two too large": {"places": ((0, HELD), (0, 2 * HELD))},
    "place 2**62": {"places": ((0, 1 << 62),)},
    "place 2**64": {"places": ((0, 1 << 64),)},
    "place giant": {"places": ((0, GIANT),)},
    "place far away": {"places": ((GIANT, GIANT + HELD),)},
}

# Such a one is opened as plain pickle would, up to where that fails.
CONTENTS: dict[str, Arguments] = {
    "none, and nothing pickled": {"places": (), "pickled": None},
    "too few places": {"places": ()},
    "place for half": {"places": ((0, HELD // 2),)},
    "pickled empty": {"pickled": b""},
    "pickled garbage": {"pickled": b"garbage"},
    "pickled text": {"pickled": "text"},
    "pickled number": {"pickled": 3},
    "pickled is the array": {"pickled": None},
    "options None": {"options": None},
    "options text": {"options": ("x", "y")},
}

# A file that is mapped already is found by its identity alone.
CHANGES = [
    pytest.param(change, known, id=f"{'known ' * known}{name}")
    for name, change in DAMAGED.items()
    for known in (False, True)
    if not (known and "path" in change)
]


def take_or_find_taken(message: bytes) -> None:
    """Open a message after its double, which may have taken it before it failed."""
    try:
        found = pickle.loads(message)
    except sh.MessageError:
        return
    assert checksum(found) == checksum(payload(1))


@pytest.mark.parametrize(("change", "known"), CHANGES)
def test_a_damaged_message_is_refused_and_the_next_ones_arrive(
    change: Arguments, known: bool
) -> None:
    if known:
        passed(payload(1))  # the file stays mapped, and need not be opened
    message = sent(payload(1))
    refused(lambda: open_message(**(arguments_of(message) | change)))
    take_or_find_taken(message)
    check_that_the_file_still_works()


def _error_of(action: Callable[[], Any]) -> type[Exception] | None:
    try:
        action()
    except Exception as error:
        return type(error)
    return None


@pytest.mark.parametrize("change", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("nbytes", [HELD - 100_000, HELD])
def test_damaged_contents_fail_and_the_next_messages_arrive(
    change: Arguments, nbytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = sent(payload(1, nbytes))
    with monkeypatch.context() as patch:
        # As in a worker that was told nothing yet.
        patch.setattr(State, "decided", False)
        patch.setattr(registry, "is_worker", lambda: True)
        error = _error_of(lambda: open_message(**(arguments_of(message) | change)))
    assert error is not None
    assert not issubclass(error, OSError | EOFError)
    with contextlib.suppress(sh.MessageError):
        pickle.loads(message)
    check_that_the_file_still_works(nbytes)


@pytest.mark.parametrize(
    "token", [-1, 0, 255, 1 << 63, 1 << 64, GIANT], ids=lambda token: f"{token:#x}"[:20]
)
def test_an_unknown_token_is_ignored(token: int) -> None:
    arguments = arguments_of(sent(payload(1)))
    found = open_message(**(arguments | {"token": token}))
    assert checksum(found) == checksum(payload(1))
    del found
    check_that_the_file_still_works()
    # Its own entry still waits for who it was for, and no longer.
    pressure.forget_outbox()
    for path in files_in_ram():
        os.unlink(path)


@pytest.mark.parametrize("nbytes", [HELD - 100_000, HELD])
def test_a_message_that_is_loaded_twice_arrives_once(nbytes: int) -> None:
    message = sent(payload(1, nbytes))
    found = pickle.loads(message)
    for _ in range(3):
        assert "received before" in str(refused(lambda: pickle.loads(message)))
    assert checksum(found) == checksum(payload(1, nbytes))
    del found
    refused(lambda: pickle.loads(message))
    check_that_the_file_still_works(nbytes)


def test_an_old_message_never_shows_the_data_of_a_new_one() -> None:
    old = sent(payload(1))
    pickle.loads(old)
    new = sent(payload(2))
    refused(lambda: pickle.loads(old))
    assert checksum(pickle.loads(new)) == checksum(payload(2))


def test_a_message_cut_short_is_refused_wherever_it_is_cut() -> None:
    message = sent({"a": payload(1), "b": list(range(100))})
    for length in range(0, len(message), 37):
        with pytest.raises((pickle.UnpicklingError, EOFError)):
            pickle.loads(message[:length])  # as plain pickle does
    assert checksum(pickle.loads(message)["a"]) == checksum(payload(1))
    check_that_the_file_still_works()


# -- files that are not those of messages -----------------------------------------


def _named(_: Path) -> sh.SharedArray[Any, Any]:
    return sh.create("shm://named", MIB, "u1")


def _anonymous(_: Path) -> sh.SharedArray[Any, Any]:
    array = sh.zeros(MIB, "u1")
    pickle.loads(pickle.dumps(array))
    return array


def _on_disk(place: Path) -> sh.SharedArray[Any, Any]:
    return sh.create(place / "a.npy", MIB, "u1")


def _foreign(place: Path) -> sh.SharedArray[Any, Any]:
    np.save(place / "b.npy", np.zeros(MIB, "u1"))
    return sh.open(place / "b.npy")


@pytest.mark.parametrize("make", [_named, _anonymous, _on_disk, _foreign])
def test_a_file_that_carries_no_messages_is_refused_and_unchanged(
    make: Callable[[Path], Any], tmp_path: Path
) -> None:
    array = make(tmp_path)
    array[...] = 7
    segment = array._root.segment
    before = Path(segment.path).read_bytes()
    own = {"path": segment.path, "identity": segment.identity}
    message = sent(payload(1))
    for generation in (0, 1):
        change = own | {"generation": generation, "token": 0}
        refused(lambda: open_message(**(arguments_of(message) | change)))  # noqa: B023
    assert Path(segment.path).read_bytes() == before
    assert checksum(pickle.loads(message)) == checksum(payload(1))
    if make is _named:
        sh.unlink("shm://named")


@pytest.mark.parametrize("how", ["copy", "link", "through a linked directory"])
def test_a_file_elsewhere_is_refused(how: str, tmp_path: Path) -> None:
    message = sent(payload(1))
    arguments = arguments_of(message)
    path = Path(arguments["path"])
    beside = path.with_name("f" * 32 + ".npy")
    other = {
        "copy": tmp_path / "copy.npy",
        "link": beside,
        "through a linked directory": tmp_path / "linked" / path.name,
    }[how]
    if how == "copy":
        shutil.copy(path, other)
    elif how == "link":
        beside.symlink_to(path)
    else:
        (tmp_path / "linked").symlink_to(path.parent)
    refused(lambda: open_message(**(arguments | {"path": str(other)})))
    if how == "link":
        beside.unlink()
    assert checksum(pickle.loads(message)) == checksum(payload(1))
    check_that_the_file_still_works()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda place: place.chmod(0o777), id="others may write"),
        pytest.param(
            lambda place: os.chown(place, 65534, 65534),
            id="another user's",
            marks=pytest.mark.skipif(os.getuid() != 0, reason="needs root to chown"),
        ),
    ],
)
def test_a_directory_that_is_not_ours_alone_is_not_trusted(
    spoil: Callable[[Path], None],
) -> None:
    message = sent(payload(1))
    place = Path(arguments_of(message)["path"]).parent
    spoil(place)
    assert "not private" in str(refused(lambda: pickle.loads(message)))
    os.chown(place, os.getuid(), os.getgid())
    place.chmod(0o700)
    assert checksum(pickle.loads(message)) == checksum(payload(1))
    check_that_the_file_still_works()


@pytest.mark.parametrize("chosen", ["missing", "other"])
def test_a_receiver_whose_ram_directory_is_another_says_so(
    chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = sent(payload(1))
    (tmp_path / "other").mkdir()
    with monkeypatch.context() as patch:
        patch.setenv("SHARRAY_RAM_DIR", str(tmp_path / chosen))
        refused(lambda: pickle.loads(message))
    assert checksum(pickle.loads(message)) == checksum(payload(1))
    check_that_the_file_still_works()


# -- files that are gone, in workers ----------------------------------------------


class Vanished:
    """An object whose message loses its file on the way."""

    def __init__(self, x: Any) -> None:
        self._message = sent(x)
        for path in files_in_ram():
            os.unlink(path)

    def __reduce__(self) -> Any:
        return pickle.loads, (self._message,)


def unloadable(sort: str) -> Any:
    """Return an object that a worker cannot unpickle: plain, or of sharray."""
    return Unloadable() if sort == "plain" else Vanished(payload(1))


@pytest.mark.parametrize("sort", ["plain", "a file that is gone"])
def test_an_executor_is_broken_by_what_its_worker_cannot_unpickle(sort: str) -> None:
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        assert pool.submit(abs, -1).result(500) == 1
        with pytest.raises(BrokenProcessPool):
            pool.submit(checksum, unloadable(sort)).result(500)


@pytest.mark.parametrize("sort", ["plain", "a file that is gone"])
def test_a_pool_replaces_a_worker_that_cannot_unpickle_its_task(sort: str) -> None:
    # The task is lost and its result never comes: multiprocessing knows no better.
    with SPAWN.Pool(1) as pool:
        worker = pool._pool[0]  # type: ignore[attr-defined]
        assert pool.apply_async(abs, (-1,)).get(60) == 1
        lost = pool.apply_async(checksum, (unloadable(sort),))
        # Not worker.join(): a thread of the pool waits for the same process, and only
        # one of them gets its status.
        assert connection.wait([worker.sentinel], 500)
        assert pool.apply_async(checksum, (payload(2),)).get(60) == checksum(payload(2))
        assert worker.exitcode == 1
        assert not lost.ready()
