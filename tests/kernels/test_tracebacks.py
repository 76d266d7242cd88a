"""Tracebacks of kernels' errors: they end in the line that raised."""

from __future__ import annotations

import gc
import inspect
import pickle
import sys
import traceback
import weakref
from typing import Any

import numba
import numpy as np
import pytest
import team_tools
from kernels_elsewhere import as_received
from team_tools import team_of

import sharray as sh
from sharray.kernels.places import Place
from sharray.kernels.tracebacks import ending_at

settled = team_tools.settled
team = team_of(1)
pytestmark = [pytest.mark.slow, team_tools.needs_jit]


@sh.kernel
def invert(v: Any) -> Any:
    return 1 // v  # here


def divide(x: Any) -> None:
    for i in range(x.shape[0]):
        1 // int(x[i])  # here


def modulo(x: Any) -> None:
    for i in range(x.shape[0]):
        x[i] = 1.0 % x[i]  # here


def beyond(x: Any) -> None:
    x[x.shape[0] + 1] = 1  # here


def missing_key(x: Any) -> None:
    table = {1: 2}
    x[0] = table[5]  # here


def no_inverse(x: Any) -> None:
    x[0] = np.linalg.inv(np.zeros((2, 2)))[0, 0]  # here


def shapes(x: Any) -> None:
    x[0] = (np.ones(x.shape[0] + 1) + np.ones(x.shape[0] + 2))[0]  # here


def in_a_helper(x: Any) -> None:
    x[0] = invert(int(x[0]))


def over_a_range(x: Any) -> None:
    for i in sh.prange(x.shape[0]):
        x[i] = 1 // int(x[i])  # here


FAILING = [
    (divide, divide),
    (modulo, modulo),
    (beyond, beyond),
    (missing_key, missing_key),
    (no_inverse, no_inverse),
    (shapes, shapes),
    (in_a_helper, invert.py_func),
    (over_a_range, over_a_range),
]


def catch(function: Any, *args: Any) -> BaseException:
    try:
        function(*args)
    except Exception as error:
        return error
    raise AssertionError("it raised nothing")


@pytest.mark.parametrize("way", ["called", "received", "run", "submitted"])
@pytest.mark.parametrize(("function", "raising"), FAILING)
def test_a_traceback_ends_in_the_line_that_raised(
    team: Any, function: Any, raising: Any, way: str
) -> None:
    kernel = sh.kernel(boundscheck=True)(function)
    # numba itself keeps arguments alive after errors in its own functions.
    x: Any = np.zeros(3) if way == "called" else sh.zeros(3)
    calls = {
        "called": lambda: kernel(x),
        "received": lambda: as_received(kernel.compile(x))(x),
        "run": lambda: team.run(kernel, x),
        "submitted": lambda: team.submit(kernel, x).result(),
    }
    error = catch(calls[way])
    lines, first = inspect.getsourcelines(raising)
    line = first + next(n for n, text in enumerate(lines) if "# here" in text)
    last = traceback.extract_tb(error.__traceback__)[-1]
    name = raising.__name__
    assert (last.name, last.filename, last.lineno) == (name, __file__, line)
    assert last.line == lines[line - first].strip()
    (note,) = error.__notes__
    assert note.startswith(
        f"raised in kernel {function.__name__!r} ({name}, {__file__}:{line})"
    )
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.args) == (type(error), error.args)
    assert again.__notes__ == error.__notes__


def test_frames_of_this_package_are_few(team: Any) -> None:
    frames = traceback.extract_tb(
        catch(team.run, sh.kernel(divide), sh.zeros(3)).__traceback__
    )
    assert [frame.name for frame in frames] == ["catch", "run", "divide"]


def test_an_error_of_the_compiler_ends_in_the_line_it_refuses(team: Any) -> None:
    @sh.kernel
    def refused(x: Any) -> None:
        x.nothing()

    for call in (refused, lambda x: team.run(refused, x)):
        error = catch(call, sh.zeros(3))
        assert isinstance(error, numba.errors.TypingError)
        last = traceback.extract_tb(error.__traceback__)[-1]
        assert (last.name, last.line) == ("refused", "x.nothing()")
        assert f"kernel 'refused' (refused, {__file__}:" in error.__notes__[-1]
        assert "numba/" not in "".join(traceback.format_tb(error.__traceback__))


def test_frames_of_the_users_functions_stay(team: Any) -> None:
    def show(done: int, total: int) -> None:
        raise LookupError(total)

    error = catch(lambda: team.run(invert_all, sh.ones(3), progress=show))
    assert traceback.extract_tb(error.__traceback__)[-1].name == "show"
    assert not hasattr(error, "__notes__")


@sh.kernel
def invert_all(x: Any) -> None:
    for i in range(x.shape[0]):
        x[i] = invert(int(x[i]))


def test_an_error_keeps_no_array_alive(team: Any) -> None:
    x = sh.zeros(3)
    gone = weakref.ref(x)
    gc.disable()
    try:
        error = catch(lambda x=x: team.run(invert_all, x))
        error = error.with_traceback(None)
        del x
    finally:
        gc.enable()
    gc.collect()
    assert gone() is None
    assert error.__notes__


class StubbornError(Exception):
    __slots__ = ()

    def with_traceback(self, traceback: Any) -> Any:
        raise RuntimeError("no")

    def add_note(self, note: str) -> None:
        raise RuntimeError("no")


@sh.kernel
def be_stubborn(x: Any) -> None:
    raise StubbornError("so")


def test_a_class_that_refuses_notes_and_tracebacks_is_raised(team: Any) -> None:
    for call in (be_stubborn, lambda x: team.run(be_stubborn, x)):
        error = catch(call, sh.zeros(3))
        assert (type(error), error.args) == (StubbornError, ("so",))


@pytest.mark.parametrize("line", [1, 2, 63, 64, 5000])
@pytest.mark.parametrize("first", [0, 1, 60, 5000])
def test_a_place_may_be_in_any_line(line: int, first: int) -> None:
    error = ending_at(ValueError("x"), Place("f", "nowhere.py", line, first))
    (frame,) = traceback.extract_tb(error.__traceback__)
    assert (frame.name, frame.filename, frame.lineno) == ("f", "nowhere.py", line)
    assert "f\nValueError: x" in "".join(traceback.format_exception(error))


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="frames refer to callers")
def test_no_frame_refers_to_the_error() -> None:
    error = ending_at(UnreferencedError(), Place("f", "nowhere.py", 1))
    gone = weakref.ref(error)
    gc.disable()
    try:
        del error
        assert gone() is None
    finally:
        gc.enable()


class UnreferencedError(Exception):
    pass
