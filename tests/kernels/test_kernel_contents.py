"""What kernels may do inside, in this process and through machine code."""

from __future__ import annotations

import cmath
import math
import threading
from typing import Any

import numpy as np
import pytest
from kernels_elsewhere import as_received, by_both_roads, in_fresh_python
from workers import run_python

import sharray as sh

pytestmark = pytest.mark.slow


SCALE = 5
TABLE = np.arange(4.0)
SEQUENCE = (1.5, 2.5)


def use_temporary_arrays(n):
    a = np.zeros((n, 2))
    a[:, 1] = np.arange(n)
    b = a * 2.0 + np.ones(2)
    return b.sum(), a.max(), np.sqrt(b).mean()


def use_lists(n):
    found = [3 * i for i in range(n)]
    found.append(-1)
    found.sort()
    return len(found), found[0], found[-1], sum(found)


def use_dictionaries(n):
    table = {0: 0.5}
    for i in range(n):
        table[i * i] = table.get(i, 1.0) + i
    total = 0.0
    for key, value in table.items():
        total += key * value
    return len(table), total


def use_sets(n):
    found = set()
    for i in range(n):
        found.add(i % 3)
    return len(found)


def use_text(n):
    text = "a" * n + str(n)
    return len(text), text.count("a"), text.endswith("5")


def use_sorting(n):
    a = np.cos(np.arange(float(n)))
    order = np.argsort(a)
    return np.sort(a)[0], order[0], np.median(a), np.searchsorted(np.sort(a), 0.0)


def use_functions(n):
    x = n + 0.25
    return (
        math.gamma(x),
        math.lgamma(x),
        math.erf(x / 10),
        math.erfc(x / 10),
        math.hypot(x, 2.0),
        math.atan2(x, -2.0),
        math.expm1(x / 9),
        math.copysign(x, -3.0),
        math.ldexp(x, 3),
        x**2.5,
        n // -3,
        n % -3,
        np.arctan(x),
    )


def use_complex_functions(n):
    x = complex(n, -0.5)
    return x**2.5, cmath.exp(x), cmath.sqrt(-x), abs(x), x.conjugate(), cmath.phase(x)


def use_globals(n):
    return SCALE * n + TABLE[n - 2] + SEQUENCE[1] + math.pi


def use_inner_functions(n):
    def square(x):
        return x * x + n

    return square(n) + square(2)


def use_exceptions(n):
    try:
        if n > 2:
            raise ValueError("caught")
        found = 1
    except Exception:
        found = 2
    return found


def use_casts(n):
    return np.int8(n * 50), np.uint32(-n), np.float32(0.1) * n, int(-2.7), bool(n)


INSIDE = [
    use_temporary_arrays,
    use_lists,
    use_dictionaries,
    use_sets,
    use_sorting,
    use_functions,
    use_complex_functions,
    use_globals,
    use_inner_functions,
    use_exceptions,
]


@pytest.mark.parametrize("function", INSIDE, ids=lambda function: function.__name__)
def test_kernel_computes_what_python_does(function: Any) -> None:
    here, there = by_both_roads(sh.kernel(function), 5)
    assert here == there
    np.testing.assert_allclose(there, function(5), rtol=1e-14)


COMPILE_THEN_USE_NUMBA = """
import numba, numpy as np, sharray as sh
{first}
print(numba.njit(lambda n: len("a" * n))(5))
"""


@pytest.mark.parametrize(
    "function", ["lambda n: np.zeros(n).sum()", "lambda n: len([n])", "lambda n: n"]
)
def test_numba_works_as_before_after_a_kernel_was_compiled(function: str) -> None:
    first = f"sh.kernel({function}).compile(5)"
    assert run_python(COMPILE_THEN_USE_NUMBA.format(first=first)) == "5\n"


def test_text_is_used() -> None:
    # In a fresh interpreter because of the bug above: it would end this one.
    kernel = sh.kernel(use_text).compile(5)
    assert in_fresh_python(kernel, 5) == in_fresh_python(use_text, 5) == (6, 5, True)


def test_casts_overflow_as_in_c() -> None:
    here, there = by_both_roads(sh.kernel(use_casts), 5)
    assert here == there == (-6, 2**32 - 5, pytest.approx(0.5), -2, True)


@sh.kernel
def draw(start):
    np.random.seed(start)
    return np.random.random(), np.random.normal(), np.random.randint(0, 1000)


def test_random_numbers_are_those_of_numpy_with_this_seed() -> None:
    generator = np.random.RandomState(7)
    expected = generator.random(), generator.normal(), generator.randint(0, 1000)
    assert by_both_roads(draw, 7) == (expected, expected)
    draw.compile(7)
    assert in_fresh_python(draw, 7) == expected


@sh.kernel
def draw_without_seed(n):
    return np.random.random()


def test_random_numbers_without_seed_differ_between_processes() -> None:
    draw_without_seed.compile(1)
    found = {in_fresh_python(draw_without_seed, 1) for _ in range(2)}
    assert len(found) == 2
    assert all(0 <= value < 1 for value in found)


def test_print_writes_to_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    @sh.kernel
    def say(x):
        print("x is", x)

    by_both_roads(say, 3)
    assert capsys.readouterr().out == "x is 3\nx is 3\n"


def test_threads_share_a_received_kernel() -> None:
    kernel = as_received(sh.kernel(use_lists).compile(5))
    barrier = threading.Barrier(4)
    found: list[Any] = []

    def run() -> None:
        barrier.wait()
        found.extend(kernel(n % 7 + 1) for n in range(100))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [use_lists(n % 7 + 1) for n in range(100)] * 4
    assert sorted(found) == sorted(expected)
