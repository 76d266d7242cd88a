"""Exceptions of kernels, as they arrive here and from other processes."""

from __future__ import annotations

import inspect
import multiprocessing
import pickle
import traceback
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pytest
from kernels_defined import RefusedError, catch, fail_assertion, refuse
from kernels_elsewhere import as_received, in_fresh_python, run_script

import sharray as sh

pytestmark = pytest.mark.slow


class QuietError(Exception):
    pass


def raise_text(x):
    if x > 0:
        raise ValueError("x is positive", 3, 2.5)
    return x


def raise_class(x):
    if x > 0:
        raise IndexError
    return x


def raise_values(x):
    if x > 0:
        raise ValueError("x is", x, x + 0.5, x > 1, (x, 2), "positive")
    return x


def raise_own(x):
    if x > 0:
        raise QuietError("own", x)
    return x


def raise_changing_arguments(x):
    if x > 0:
        raise RefusedError(x)
    return x


def raise_inside_another(x):
    return _inner(x) + 1


@sh.kernel
def _inner(x):
    if x > 0:
        raise OverflowError("inside", x)
    return x


def stop(x):
    if x > 0:
        raise StopIteration
    return x


WITH_PLACE = [
    raise_text,
    raise_class,
    raise_values,
    raise_own,
    raise_changing_arguments,
    fail_assertion,
    stop,
]


def line_of(function: Any, word: str) -> int:
    first = function.__code__.co_firstlineno
    lines = inspect.getsource(function).splitlines()
    return first + next(i for i, line in enumerate(lines) if word in line)


@pytest.mark.parametrize("function", WITH_PLACE, ids=lambda x: x.__name__)
def test_exception_has_its_type_arguments_and_place(function: Any) -> None:
    expected = catch(function, 2)
    kernel = sh.kernel(function)
    here = catch(kernel, 2)
    there = catch(as_received(kernel), 2)
    assert type(here) is type(there) is type(expected)
    assert here.args == there.args == expected.args
    assert vars(there).get("number") == vars(expected).get("number")
    line = line_of(function, "assert " if "assert" in function.__name__ else "raise ")
    (note,) = there.__notes__
    name = function.__name__
    assert (
        note
        == f"raised in kernel {name!r} ({name}, {function.__code__.co_filename}:{line})"
    )
    assert note in "".join(traceback.format_exception(there))
    assert as_received(kernel)(-1) == -1


def test_place_is_that_of_the_function_which_raised() -> None:
    kernel = sh.kernel(raise_inside_another)
    assert kernel(-1) == 0
    error = catch(as_received(kernel), 2)
    assert (type(error), error.args) == (OverflowError, ("inside", 2))
    line = line_of(_inner.py_func, "raise ")
    (note,) = error.__notes__
    assert note == (
        f"raised in kernel 'raise_inside_another' (_inner, {__file__}:{line})"
    )


def divide(x):
    return 10 // x


def remainder(x):
    return 10.0 % x


def look_up(x):
    table = {1: 2}
    return table[x]


def pop(x):
    numbers = [x]
    numbers.pop()
    return numbers.pop()


def look_beyond(x):
    return np.zeros(3)[x + 10]


def unpack(x):
    a, b = np.zeros(x + 3)
    return a + b


def shapes_differ(x):
    return (np.zeros(x + 2) + np.zeros(x + 3)).sum()


FAILING = [
    (divide, ZeroDivisionError),
    (remainder, ZeroDivisionError),
    (look_up, KeyError),
    (pop, IndexError),
    (look_beyond, IndexError),
    (unpack, ValueError),
    (shapes_differ, ValueError),
]


@pytest.mark.parametrize(("function", "kind"), FAILING)
def test_errors_of_python_itself_are_raised(function: Any, kind: Any) -> None:
    kernel = sh.kernel(boundscheck=True)(function)
    here, there = catch(kernel, 0), catch(as_received(kernel), 0)
    assert type(here) is type(there) is type(catch(function, 0)) is kind
    assert here.args == there.args
    assert there.__notes__[0].startswith(f"raised in kernel {function.__name__!r}")


def test_exception_with_an_array_as_argument() -> None:
    @sh.kernel
    def complain(x):
        if x[0] > 0:
            raise ValueError("bad", x)

    x = np.array([1.0, 2.0])
    assert complain(np.zeros(1)) is None
    error = catch(as_received(complain), x)
    assert error.args[0] == "bad"
    assert np.shares_memory(error.args[1], x)


def test_kernel_works_again_after_an_exception() -> None:
    x = np.array([1.0, 5.0, 3.0])
    assert refuse(x, 10.0) == 3
    received = as_received(refuse)
    for limit in (4.0, 2.0, 0.5):
        assert catch(received, x, limit).args == ("refused", x[x > limit][0])
        assert received(x, 10.0) == 3


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_exception_arrives_from_a_worker_with_its_note(method: str) -> None:
    x = sh.array([1.0, 5.0])
    refuse.compile(x, 1.0)
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(refuse, x, 9.0).result() == 2
        error = pool.submit(refuse, x, 2.0).exception()
        static = pool.submit(refuse, x * 1000, 9000.0).exception()
    assert type(error) is type(static) is RefusedError
    assert error.args == ("refused", 5.0)
    assert static.args == ("refused", 1000.0)
    assert "raised in kernel 'refuse' (refuse, " in error.__notes__[0]


def test_exception_of_builtin_type_needs_no_numba() -> None:
    kernel = sh.kernel(raise_text).compile(1)
    error = in_fresh_python(catch, kernel, 5)
    assert (type(error), error.args) == (ValueError, ("x is positive", 3, 2.5))


MAIN = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
import sharray as sh

class OwnError(Exception):
    pass

@sh.kernel
def complain(x):
    if x > 1:
        raise OwnError("own", x)
    return x

if __name__ == "__main__":
    complain.compile(1)
    context = multiprocessing.get_context("{method}")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(complain, 1).result() == 1
        error = pool.submit(complain, 5).exception()
    print(type(error) is OwnError, error.args)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_exception_class_of_the_main_script_arrives(method: str, tmp_path: Any) -> None:
    out = run_script(tmp_path / "main.py", MAIN.format(method=method))
    assert out == "True ('own', 5)\n"


def test_failure_can_be_sent_before_it_is_rebuilt() -> None:
    from sharray.kernels.argument_keys import absolute, key_of, slots_of
    from sharray.kernels.failures import rebuild

    kernel = sh.kernel(raise_own).compile(5)
    (compiled,) = kernel._compiled.values()
    slots = np.array(slots_of(5, key_of(5), absolute), np.int64)
    value, failure = compiled.call(slots)
    assert value is None
    error, place = rebuild(pickle.loads(pickle.dumps(failure)))
    assert (type(error), error.args) == (QuietError, ("own", 5))
    assert place.function == "raise_own"
