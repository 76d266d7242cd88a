"""Similar runs share a plan, and each uses its own arguments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import team_tools
from team_kernels import add, add_arrays, count_in_range, increment, total
from team_tools import needs_jit, team_of

import sharray as sh

pytestmark = pytest.mark.slow


settled = team_tools.settled
team = team_of(2)


@sh.kernel
def fill(x: Any, value: Any) -> None:
    for i in range(x.shape[0]):
        x[i] = value


@sh.kernel
def fill_with_quotient(x: Any, value: Any) -> None:
    for i in range(x.shape[0]):
        x[i] = value / 2


@sh.kernel
def copy_signs(x: Any, value: Any) -> None:
    for i in range(x.shape[0]):
        x[i] = math.copysign(1.0, value)


def make_fill(number: int) -> Any:
    @sh.kernel
    def fill_with_own(x: Any) -> None:
        for i in range(x.shape[0]):
            x[i] = number

    return fill_with_own


def test_the_same_arrays_again_and_again(team: Any) -> None:
    x, y = sh.zeros(1000), sh.ones(1000)
    for _ in range(100):
        team.run(add_arrays, x, y)
    assert x.tolist() == [100] * 1000


def test_two_arrays_in_turn(team: Any) -> None:
    x, y = sh.zeros(700), sh.ones(700)
    expected = [0.0, 1.0]
    for _ in range(20):
        team.run(add_arrays, x, y)
        expected[0] += expected[1]
        x, y = y, x
        expected.reverse()
    assert (x.tolist(), y.tolist()) == ([expected[0]] * 700, [expected[1]] * 700)


def test_numbers_that_change(team: Any) -> None:
    x = sh.zeros(1000)
    for value in (1.0, 2.0, -0.0, 0.0, math.inf, 3.0):
        team.run(fill, x, value)
        assert x.tolist() == [value] * 1000
    for value in (0.0, -0.0, 0.0):
        team.run(copy_signs, x, value)
        assert x[999] == math.copysign(1.0, value)


def test_numbers_whose_type_changes(team: Any) -> None:
    x = sh.zeros(1000)
    values: list[Any] = [1, 1.5, True, 3, False, np.float32(0.1), np.int8(-4), 7]
    for value in values + values[::-1]:
        team.run(fill_with_quotient, x, value)
        assert x[999] == pytest.approx(float(value) / 2, rel=1e-6), value
    z = sh.zeros(10, "c16")
    for number in (1, 1j, 2.0, True, np.complex64(3j)):
        team.run(fill, z, number)
        assert z[9] == number


@needs_jit
def test_integers_of_64_bits_with_and_without_a_sign(team: Any) -> None:
    x = sh.zeros(10, "u8")
    for value in (1, 2**63, 2, 2**64 - 1):
        team.run(fill, x, value)
        assert x.tolist() == [value] * 10
    x = sh.zeros(10, "i8")
    with pytest.raises((TypeError, OverflowError)):
        team.run(fill, x, 2**64)
    team.run(fill, x, -1)
    assert x.tolist() == [-1] * 10


@needs_jit
def test_dates_of_different_units(team: Any) -> None:
    for unit in ("s", "D", "ms", "s"):
        date = np.datetime64("2020-01-01", unit)
        assert team.run(same, date) == date


@sh.kernel
def same(n: Any) -> Any:
    return n


def test_other_options_on_the_same_arrays(team: Any) -> None:
    x = sh.zeros((30, 40))
    count = 0
    for axis in (0, 1, -1):
        for chunk in (None, 1, 7):
            for schedule in ("static", "dynamic"):
                team.run(increment, x, axis=axis, chunk=chunk, schedule=schedule)
                count += 1
    assert (x == count).all()
    assert team.run(total, x, reduce="sum") == count * 1200
    assert team.run(total, x, reduce="max", chunk=30) == count * 1200


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_a_shape_or_type_changed_in_place(team: Any) -> None:
    x = sh.zeros(1200)
    team.run(increment, x)
    for shape in ((30, 40), (2, 600), (1200,)):
        x.shape = shape
        team.run(increment, x)
    assert x.tolist() == [4] * 1200
    x[...] = 0
    x.dtype = np.int64
    team.run(increment, x)
    assert x.tolist() == [1] * 1200
    x.dtype = np.float64
    x[...] = 0
    team.run(increment, x)
    assert x.tolist() == [1] * 1200


@needs_jit
def test_an_array_that_becomes_read_only(team: Any) -> None:
    from numba import TypingError

    x = sh.zeros(100)
    team.run(increment, x)
    x.flags.writeable = False
    with pytest.raises(TypingError):
        team.run(increment, x)
    assert x.tolist() == [1] * 100


def test_an_array_in_the_place_of_another_that_is_gone(team: Any) -> None:
    for n in range(50):
        x = sh.full(10 + n % 3, float(n))
        team.run(add, x, 1.0)
        assert x.tolist() == [n + 1] * len(x)
        view = x[2:5]
        team.run(add, view, 1.0)
        assert view.tolist() == [n + 2] * 3
        del x, view


def test_kernels_with_one_name_are_not_confused(team: Any) -> None:
    kernels = [make_fill(number) for number in range(5)]
    x = sh.zeros(1000)
    for _ in range(2):
        for number, kernel in enumerate(kernels):
            team.run(kernel, x, schedule="static")
            assert x.tolist() == [number] * 1000


def test_split_and_whole_are_not_confused(team: Any) -> None:
    x, y = sh.zeros(100), sh.array(np.arange(100.0))
    for _ in range(2):
        x[...] = 0
        team.run(add_arrays, x, y, chunk=50)
        assert x.tolist() == list(range(100))
        x[...] = 0
        team.run(add_arrays, x, sh.whole(y), chunk=50)
        assert x.tolist() == 2 * list(range(50))


def test_ranges_and_arrays_in_turn(team: Any) -> None:
    x = sh.zeros(1000)
    for _ in range(5):
        team.run(count_in_range, x)
        team.run(increment, x)
        team.run(count_in_range, x[:10])
    assert x.tolist() == [15] * 10 + [10] * 990
