"""Work that the main thread leaves to another one, so that Ctrl-C ends the wait."""

from __future__ import annotations

import importlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sharray.kernels import background
from sharray.notebook import ipython


@pytest.fixture(autouse=True)
def _in_ipython(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipython, "shell", object)


def interrupted(act: Callable[[], object]) -> tuple[threading.Event, KeyboardInterrupt]:
    """Interrupt a call during its work, which then waits for an event."""
    go_on = threading.Event()

    def work() -> object:
        os.kill(os.getpid(), signal.SIGINT)
        go_on.wait()
        return act()

    with pytest.raises(KeyboardInterrupt) as caught:
        background.call("key", work, "scale")
    return go_on, caught.value


def test_another_thread_works_with_the_context_of_the_main_one() -> None:
    def work() -> tuple[int, str]:
        return threading.get_ident(), np.geterr()["divide"]

    with np.errstate(divide="raise"):
        thread, divide = background.call("key", work, "scale")
    assert thread != threading.get_ident()
    assert divide == "raise"


def test_other_threads_work_themselves() -> None:
    found: list[tuple[int, int]] = []

    def run() -> None:
        worked = background.call("key", threading.get_ident, "scale")
        found.append((worked, threading.get_ident()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found[0][0] == found[0][1]


def test_outside_of_ipython_the_main_thread_works_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ipython, "shell", lambda: None)
    worked = background.call("key", threading.get_ident, "scale")
    assert worked == threading.get_ident()


MODULE = """
import sharray as sh

@sh.kernel
def half(x):
    for i in range(x.shape[0]):
        x[i] /= 2

half.compile(sh.ones(3))
"""


@pytest.mark.parametrize("again", [False, True], ids=["import", "reload"])
def test_a_module_compiles_while_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """In another thread, numba would wait for the end of the import."""
    monkeypatch.syspath_prepend(tmp_path)
    name = f"compiles_{again}"
    text = MODULE.replace("half.compile", "pass; half.py_func") if again else MODULE
    path = tmp_path / f"{name}.py"
    path.write_text(text)
    module = importlib.import_module(name)
    if again:
        path.write_text(MODULE + "\n")
        importlib.invalidate_caches()
        module = importlib.reload(module)
    assert len(module.half.shipped) == 1


def test_an_error_is_raised_each_time() -> None:
    def fail() -> None:
        raise ValueError("no")

    for _ in range(100):
        with pytest.raises(ValueError, match="no"):
            background.call("key", fail, "scale")


def test_the_next_call_waits_for_the_same_work() -> None:
    go_on, error = interrupted(lambda: "of the first")
    assert error.__notes__ == [
        "the compilation of kernel 'scale' goes on in the background; the next run "
        "uses it"
    ]
    threading.Timer(0.01, go_on.set).start()
    assert background.call("key", lambda: "of the second", "scale") == "of the first"
    assert background.call("key", lambda: "of the third", "scale") == "of the third"


def test_a_work_that_failed_while_this_thread_went_on_is_done_again() -> None:
    def fail() -> None:
        raise RuntimeError("dictionary changed size during iteration")

    go_on, _ = interrupted(fail)
    threading.Timer(0.01, go_on.set).start()
    assert background.call("key", lambda: "of the second", "scale") == "of the second"


def test_a_fork_waits_for_the_work() -> None:
    done: list[bool] = []
    go_on, _ = interrupted(lambda: done.append(True))
    threading.Timer(0.01, go_on.set).start()
    child = os.fork()
    if child == 0:
        os._exit(0 if done and not background._under_way else 1)
    assert os.waitpid(child, 0)[1] == 0
