"""What every test gets: a RAM directory of its own, and a check for leaks."""

from __future__ import annotations

import builtins
import faulthandler
import gc
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from types import FrameType

import hypothesis
import pytest
from belongings import files_in_ram, mapped_arrays, open_descriptors

import sharray as sh
from sharray.passing.options import State
from sharray.team.default import close_default_team

_PATIENCE = 60.0  # seconds; a machine may be busy


# A shell that starts this in the background has SIGINT ignored, and nohup SIGHUP;
# all processes below would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for _number in (signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


# Not by time: the first example may compile, and a machine may be busy.
hypothesis.settings.register_profile("sharray", deadline=None)
hypothesis.settings.load_profile("sharray")


_stderr = -1  # the real one, while pytest captures what tests print


def pytest_configure() -> None:
    """Keep standard error, as pytest captures nothing yet."""
    global _stderr
    _stderr = os.dup(2)


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer() -> Generator[None, bool, bool]:
    """End the process of a test that waits on although its time is over.

    The timeout raises in the main thread. If a ``finally`` there waits for a thread
    that never ends, so does the suite, and nobody sees where.
    """
    is_set = yield
    fail = signal.getsignal(signal.SIGALRM)
    if callable(fail):  # there are timeouts without a signal

        def fail_or_exit(number: int, frame: FrameType | None) -> None:
            faulthandler.dump_traceback_later(_PATIENCE, exit=True, file=_stderr)
            fail(number, frame)

        signal.signal(signal.SIGALRM, fail_or_exit)
    return is_set


@pytest.hookimpl(wrapper=True)
def pytest_timeout_cancel_timer() -> Generator[None, bool, bool]:
    """Let the process live if the test has ended."""
    faulthandler.cancel_dump_traceback_later()
    return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run long tests first, so that no core waits at the end for another."""
    items.sort(key=lambda item: item.get_closest_marker("torture") is None)


@pytest.fixture(scope="session", autouse=True)
def _private_ram_directory() -> Iterator[None]:
    """Keep the tests apart from the arrays that this user has in RAM."""
    parent = tempfile.mkdtemp(prefix="sharray-tests-", dir="/dev/shm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHARRAY_RAM_DIR", parent)
        yield
    shutil.rmtree(parent)


@pytest.fixture(scope="session", autouse=True)
def _helpers_of_multiprocessing(_private_ram_directory: None) -> None:
    """Start the helper processes of multiprocessing before leaks are checked."""
    resource_tracker.ensure_running()
    forkserver.ensure_running()
    _uninstall()  # doctests are collected by importing sharray.multiprocessing, too


@pytest.fixture(autouse=True)
def _work_in_a_temporary_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let examples create files by relative names."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tmp_ram() -> Iterator[str]:
    """Return a directory in RAM, where many files cost no disk writes."""
    with tempfile.TemporaryDirectory(dir=os.environ["SHARRAY_RAM_DIR"]) as name:
        yield name


def _uninstall() -> bool:
    """Restore multiprocessing; return whether sharray was installed."""
    was_installed = State.options is not None
    sh.uninstall()
    State.decided = False
    return was_installed


def _remove_empty_ram_directories() -> None:
    """Remove empty directories, so that no test depends on those of earlier tests."""
    ours = os.path.join(os.environ["SHARRAY_RAM_DIR"], f"sharray-{os.getuid()}")
    for top, _, _ in os.walk(ours, topdown=False):
        with suppress(OSError):
            os.rmdir(top)


def _leaks(descriptors: set[str], mappings: set[str]) -> dict[str, object]:
    """Return things that exist now and did not before a test, by their description."""
    found = {
        "arrays left in RAM": files_in_ram(),
        "descriptors left open": set(open_descriptors()) - descriptors,
        "files left mapped": set(mapped_arrays()) - mappings,
        "processes left running": multiprocessing.active_children(),
    }
    return {fault: left for fault, left in found.items() if left}


def _lasting_leaks(descriptors: set[str], mappings: set[str]) -> dict[str, object]:
    """Return such things after workers have had time to end and to close arrays."""
    until = time.monotonic() + _PATIENCE
    while True:
        sh.gc()
        leaks = _leaks(descriptors, mappings)
        if not leaks or time.monotonic() > until:
            return leaks
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def _no_leaks(
    request: pytest.FixtureRequest, _private_ram_directory: None
) -> Iterator[None]:
    """Fail a test that leaves descriptors, mappings, files or processes behind."""
    gc.freeze()  # the collection below then looks at this test's objects only
    descriptors, mappings = set(open_descriptors()), set(mapped_arrays())
    yield
    close_default_team()
    assert not _uninstall(), "multiprocessing left with sharray installed"
    request.node.funcargs.clear()  # pytest keeps what fixtures gave
    vars(builtins).pop("_", None)  # the last value that a doctest has shown
    gc.collect()
    leaks = _lasting_leaks(descriptors, mappings)
    for path in files_in_ram():
        os.unlink(path)  # else every later test would fail too
    _remove_empty_ram_directories()
    assert leaks == {}
