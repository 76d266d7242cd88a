"""Values of kernels, and their combination."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import team_tools
from team_kernels import increment, one_more, total
from team_tools import needs_jit, team_of

import sharray as sh

settled = team_tools.settled
team = team_of(2)
# Plain Python, without numba, warns of NaN.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning"),
]


@sh.kernel
def sum_of(x: Any) -> Any:
    found = x[0]
    for i in range(1, x.shape[0]):
        found += x[i]
    return found


@sh.kernel
def least(x: Any) -> Any:
    found = x[0]
    for i in range(1, x.shape[0]):
        if x[i] < found or x[i] != x[i]:
            found = x[i]
        if found != found:
            break
    return found


@sh.kernel
def greatest(x: Any) -> Any:
    found = x[0]
    for i in range(1, x.shape[0]):
        if x[i] > found or x[i] != x[i]:
            found = x[i]
        if found != found:
            break
    return found


@sh.kernel
def both_ends(x: Any) -> Any:
    return x.min(), x.max(), x.shape[0]


@sh.kernel
def number_and_total(x: Any) -> Any:
    return x.shape[0], x.sum()


@sh.kernel
def larger_total(left: Any, right: Any) -> Any:
    return left if left[1] >= right[1] else right


@sh.kernel
def multiply(left: Any, right: Any) -> Any:
    return left * right


@sh.kernel
def not_both_even(left: Any, right: Any) -> Any:
    if left % 2 == 0 and right % 2 == 0:
        raise ValueError("both are even")
    return left + right


@sh.kernel
def first(x: Any) -> Any:
    return x[0]


@sh.kernel
def is_long(x: Any) -> Any:
    return x.shape[0] > 5


KERNELS = {"sum": (sum_of, np.sum), "min": (least, np.min), "max": (greatest, np.max)}
RUNS = [
    {"schedule": schedule, "chunk": chunk}
    for schedule in ("static", "dynamic")
    for chunk in (None, 7)
]


@pytest.mark.parametrize("reduce", KERNELS)
@pytest.mark.parametrize("dtype", ["i4", "u1", "i8", "f4", "f8", "c16"])
def test_values_are_combined_as_numpy_does(team: Any, dtype: str, reduce: str) -> None:
    kernel, oracle = KERNELS[reduce]
    if reduce != "sum" and dtype == "c16":
        pytest.skip("complex numbers have no order")
    if dtype == "u1" and team_tools.is_disabled():
        pytest.skip("scalars of NumPy wrap around")
    values = np.random.default_rng(0).integers(0, 100, 1000)
    x = sh.array(values.astype(dtype))
    for options in RUNS:
        found = team.run(kernel, x, reduce=reduce, **options)
        assert found == oracle(x.astype("c16" if dtype == "c16" else "f8"))


def test_sums_do_not_wrap_around_where_numpys_do_not(team: Any) -> None:
    x = sh.full(100, 2**30, "i4")
    if team_tools.is_disabled():
        pytest.skip("plain Python adds scalars of NumPy, which do wrap around")
    assert team.run(sum_of, x, reduce="sum", chunk=1) == np.sum(x) == 100 * 2**30


@pytest.mark.parametrize("where", [0, 1, 500, 999, None])
def test_nan_wins_as_in_numpy(team: Any, where: int | None) -> None:
    x = sh.array(np.random.default_rng(0).random(1000))
    if where is not None:
        x[where] = math.nan
    for reduce, (kernel, oracle) in KERNELS.items():
        for options in RUNS:
            found = team.run(kernel, x, reduce=reduce, **options)
            np.testing.assert_allclose(found, oracle(x), rtol=1e-12)


def test_infinities_are_combined(team: Any) -> None:
    x = sh.array([math.inf, -math.inf] * 10)
    assert team.run(least, x, reduce="min", chunk=1) == -math.inf
    assert team.run(greatest, x, reduce="max", chunk=1) == math.inf
    assert math.isnan(team.run(sum_of, x, reduce="sum", chunk=1))


@needs_jit
def test_truth_values_are_combined(team: Any) -> None:
    x = sh.zeros(17)
    assert team.run(is_long, x, reduce="sum", chunk=6) == 2
    assert team.run(is_long, x, reduce="min", chunk=6) == 0
    assert team.run(is_long, x, reduce="max", chunk=6) == 1


def test_tuples_are_combined_item_by_item(team: Any) -> None:
    x = sh.array(np.random.default_rng(0).random(1000))
    for options in RUNS:
        low, high, n = team.run(both_ends, x, reduce="max", **options)
        assert high == x.max()
        assert x.min() <= low <= high
        assert 1 <= n <= 1000
        n, found = team.run(number_and_total, x, reduce="sum", **options)
        assert (n, type(n)) == (1000, int)
        assert found == pytest.approx(x.sum())


def test_a_kernel_combines_whole_values(team: Any) -> None:
    x = sh.zeros(1000)
    x[721] = 5
    for options in RUNS:
        n, found = team.run(number_and_total, x, reduce=larger_total, **options)
        assert found == 5
        assert 1 <= n <= 1000
    x = sh.array([2.0, 3.0, 5.0, 7.0])
    assert team.run(first, x, reduce=multiply, chunk=1) == 210


def test_a_reducer_that_raises_is_named(team: Any) -> None:
    x = sh.array([2, 4, 8, 6, 10, 2])
    for schedule in ("static", "dynamic"):
        with pytest.raises(ValueError, match="both are even"):
            team.run(first, x, reduce=not_both_even, chunk=1, schedule=schedule)
        x_odd = sh.array([1, 2])
        assert team.run(first, x_odd, reduce=not_both_even, schedule="static") == 3


def test_a_static_schedule_gives_the_same_bits_each_time(team: Any) -> None:
    scale = 10.0 ** (np.arange(100_000) % 7)
    x = sh.array(np.random.default_rng(2).random(100_000) * scale)
    for chunk in (None, 313):
        found = {
            team.run(total, x, reduce="sum", schedule="static", chunk=chunk).hex()
            for _ in range(100)
        }
        assert len(found) == 1
        assert float.fromhex(found.pop()) == pytest.approx(x.sum())


def test_a_single_chunk_gives_its_value(team: Any) -> None:
    x = sh.array([1.5])
    for reduce in ("sum", "min", "max", multiply):
        assert team.run(first, x, reduce=reduce) == 1.5
    assert team.run(total, sh.zeros(0), reduce="sum") == 0


def test_a_value_of_chunks_needs_a_way_to_combine_it(team: Any) -> None:
    with pytest.raises(sh.KernelError, match=r"returns a value.*reduce='sum'"):
        team.run(total, sh.zeros(3))


def test_nothing_cannot_be_combined(team: Any) -> None:
    for n in (3, 3000):
        with pytest.raises(sh.KernelError, match=r"returns nothing.*reduce="):
            team.run(increment, sh.zeros(n), reduce="sum")


@needs_jit
def test_values_that_cannot_be_combined_are_refused(team: Any) -> None:
    with pytest.raises(sh.KernelError, match="cannot be reduced"):
        team.run(
            first, sh.zeros(3), reduce=sh.kernel(lambda left, right: (left, right))
        )
    with pytest.raises(sh.KernelError, match="expected nothing, a number, an array"):
        team.run(sh.kernel(lambda x: [x]), sh.zeros(3), reduce="sum")


@pytest.mark.parametrize("schedule", ["dynamic", "static"])
def test_a_kernel_without_anything_to_split_runs_once(team: Any, schedule: str) -> None:
    x = sh.zeros(3)
    options: Any = {"schedule": schedule, "timeout": 5}
    assert team.run(one_more, 41, **options) == 42
    assert team.run(number_and_total, sh.whole(x), **options) == (3, 0)
    team.run(increment, sh.whole(x), **options)
    assert x.tolist() == [1, 1, 1]
    assert team.run(one_more, 41, reduce="sum", **options) == 42
    assert team.run(one_more, 1.5, **options) == 2.5
    assert team.run(one_more, 1j, **options) == 1 + 1j
