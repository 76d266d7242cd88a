"""A kernel with a loop over prange does what the direct call does, or is refused."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import prange_kernels as cases
import pytest
import team_tools
from kernels_elsewhere import as_received
from team_tools import team_of

import sharray as sh

settled = team_tools.settled
team = team_of(1)
pytestmark = team_tools.needs_jit
SCHEDULES = [{}, {"schedule": "static"}, {"chunk": 7}, {"chunk": 10_000}]


def arguments(n: int = 1000) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(1)
    return rng.random(n), rng.random(n)


@pytest.mark.parametrize("function", cases.RIGHT)
def test_a_run_does_what_the_direct_call_does(team: Any, function: Any) -> None:
    kernel = sh.kernel(function)
    for n in (5, 4, 3):
        x, y = arguments()
        kernel(x, y, n)
        for options in SCHEDULES:
            a, b = map(sh.array, arguments())
            team.run(kernel, a, b, n, **options)
            np.testing.assert_array_equal(b, y)
            np.testing.assert_array_equal(a, x)
    a, b = arguments()
    as_received(kernel, may_compile=True)(a, b, n)
    np.testing.assert_array_equal(b, y)


def test_a_long_loop_is_split(team: Any) -> None:
    """Check a loop whose jumps span more than 255 instructions."""
    lines = "".join(f"            y[i] += x[i] * {number}.0\n" for number in range(80))
    head = "def long(x, y):\n    for i in sh.prange(len(x)):\n        if x[i] > 0.5:\n"
    names: dict[str, Any] = {"sh": sh}
    exec(head + lines, names)
    kernel = sh.kernel(names["long"])
    x, y = arguments()
    a, b = map(sh.array, arguments())
    kernel(x, y)
    team.run(kernel, a, b)
    np.testing.assert_array_equal(b, y)


@pytest.mark.parametrize("function", cases.REFUSED)
def test_what_would_be_different_is_refused_and_changes_nothing(
    team: Any, function: Any
) -> None:
    kernel = sh.kernel(function)
    a, b = map(sh.array, arguments())
    with pytest.raises(sh.KernelError, match=cases.REFUSED[function]) as caught:
        team.run(kernel, a, b, 4)
    first = inspect.getsourcelines(function)[1]
    lines = range(first, first + len(inspect.getsourcelines(function)[0]))
    places = [f"{cases.__file__}:{line}" for line in lines]
    assert any(place in str(caught.value) for place in places)
    x, y = arguments()
    np.testing.assert_array_equal(b, y)
    as_received(kernel)(x, y, 4)  # a direct call is as good as before
    a, b = arguments()
    np.random.seed(1)
    function(a, b, 4)
    if function is not cases.draws_before:
        np.testing.assert_allclose(b, y)


@pytest.mark.parametrize(("function", "reduce"), cases.VALUES)
def test_a_value_is_that_of_the_direct_call(
    team: Any, function: Any, reduce: Any
) -> None:
    kernel = sh.kernel(function)
    for n in (0, 1, 2, 1000):
        x = sh.array(arguments(n)[0])
        for options in SCHEDULES:
            found = team.run(kernel, x, reduce=reduce, **options)
            np.testing.assert_allclose(found, kernel(x))


@pytest.mark.parametrize(("function", "reduce"), cases.NO_VALUES)
def test_a_value_that_parts_do_not_add_up_to_is_refused(
    team: Any, function: Any, reduce: str
) -> None:
    x = sh.array(arguments()[0])
    with pytest.raises(sh.KernelError, match="another value than a direct call"):
        team.run(sh.kernel(function), x, reduce=reduce)


def test_numbas_own_threads_are_not_mixed_in(team: Any) -> None:
    kernel = sh.kernel(parallel=True)(cases.numbas)
    with pytest.raises(sh.KernelError, match="parallel=True"):
        team.run(kernel, *map(sh.array, arguments()), 4)


@pytest.mark.parametrize(
    "function", [cases.stores_before, cases.counts_before, cases.stores_behind]
)
def test_what_happens_once_is_no_repetition(function: Any) -> None:
    kernel = sh.kernel(function)
    with sh.Team(1, caller_works=False) as alone, sh.Team(1) as team:
        for n, runner in ((1000, alone), (2, team)):
            x, y = arguments(n)
            a, b = sh.array(x), sh.array(y)
            kernel(x, y, 4)
            runner.run(kernel, a, b, 4)
            np.testing.assert_allclose(b, y)


@sh.kernel
def forever(x: Any, word: Any) -> None:
    end = 0
    while end < word[0]:
        end += 0
    for i in sh.prange(end):
        x[i] = 1


@pytest.mark.parametrize("caller_works", [True, False])
def test_bounds_that_take_forever_end_with_the_time(caller_works: bool) -> None:
    x, word = sh.zeros(10), sh.ones(1)
    with sh.Team(1, caller_works=caller_works) as team:
        forever.compile(x, word)
        with pytest.raises(TimeoutError):
            team.run(forever, x, word, timeout=0.2)
        word[0] = 0
        team.run(forever, x, word)


@sh.kernel
def divides(x: Any, n: Any) -> None:
    for i in sh.prange(x.shape[0] // n):
        x[i] = 1


@sh.kernel
def divides_by_an_element(x: Any, n: Any) -> None:
    for i in sh.prange(x.shape[0] // n[0]):
        x[i] = 1


def test_what_the_bounds_raise_is_what_the_kernel_raises(team: Any) -> None:
    x = sh.zeros(10)
    with pytest.raises(ZeroDivisionError) as caught:
        team.run(divides, x, 0)
    assert "'divides'" in caught.value.__notes__[0]
    team.run(divides, x, 5)
    zero = sh.zeros(1, "i8")
    with pytest.raises(ZeroDivisionError):
        team.run(divides_by_an_element, x, zero)
    zero[0] = 2
    team.run(divides_by_an_element, x, zero)
    assert x.tolist() == [1] * 5 + [0] * 5


@sh.kernel
def refuses(x: Any, n: Any) -> None:
    if n < 0:
        raise ValueError("expected no negative number")
    for i in sh.prange(n):
        x[i] = 1


def test_what_is_raised_before_the_loop_arrives_once(team: Any) -> None:
    with pytest.raises(ValueError, match="no negative") as caught:
        team.run(refuses, sh.zeros(3), -1)
    assert "chunk" not in caught.value.__notes__[0]


@sh.kernel
def merges(x: Any, bins: Any, count: Any) -> None:
    mine = np.zeros(bins.shape[0])
    n = 0
    for i in sh.prange(x.shape[0]):
        mine[int(x[i] * bins.shape[0])] += 1
        n += 1
    for j in range(bins.shape[0]):
        sh.atomic.add(bins, j, mine[j])
    count.add(n)


def test_parts_may_add_up_their_results_behind_the_loop(team: Any) -> None:
    x, bins, count = sh.array(arguments()[0]), sh.zeros(8), sh.Counter()
    team.run(merges, x, bins, count)
    np.testing.assert_array_equal(bins, np.histogram(x, 8, (0, 1))[0])
    assert count.value == 1000
