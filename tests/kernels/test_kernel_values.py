"""Values of kernels: numbers, tuples, and named tuples."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from kernels_elsewhere import as_received, by_both_roads

import sharray as sh

pytestmark = pytest.mark.slow


@sh.kernel
def nothing(x):
    x[0] = 1


class Point(NamedTuple):
    x: int
    y: int


@sh.kernel
def norm(point):
    return point.x**2 + point.y**2


def test_named_tuple_is_an_argument() -> None:
    assert norm(Point(3, 4)) == 25
    assert as_received(norm, may_compile=True)(Point(3, 4)) == 25


def test_named_tuple_is_returned() -> None:
    @sh.kernel
    def mirror(x, y):
        return Point(y, x)

    assert mirror(1, 2).x == 2
    assert as_received(mirror, may_compile=True)(1, 2).x == 2


@sh.kernel
def fifteen(x):
    return x, x, x, x, x, x, x, x, x, x, x, x, x, x, 2j


@sh.kernel
def sixteen(x):
    return x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x


@sh.kernel
def no_items(x):
    return ()


def test_tuples_of_numbers_are_returned() -> None:
    assert by_both_roads(fifteen, 1) == ((1,) * 14 + (2j,),) * 2
    assert by_both_roads(no_items, 1) == ((), ())
    assert by_both_roads(nothing, np.zeros(1)) == (None, None)


def generate(x):
    yield x
    yield x


RETURNING: dict[str, Any] = {
    "array without dimensions": lambda x: np.asarray(x),
    "array in a tuple": lambda x: (x, np.zeros(3)),
    "tuple in a tuple": lambda x: (x, (x, x)),
    "text": lambda x: "text",
    "list": lambda x: [x],
    "number or None": lambda x: x if x > 2 else None,
    "16 numbers": sixteen.py_func,
    "generator": generate,
}


@pytest.mark.parametrize("case", RETURNING)
def test_what_machine_code_cannot_return_is_said(case: str) -> None:
    kernel = sh.kernel(RETURNING[case])
    with pytest.raises(
        sh.KernelError,
        match=r"returns .*expected (nothing, a number, an array|an array)",
    ):
        kernel.compile(5)


@pytest.mark.parametrize("case", [*RETURNING][:-1])
def test_what_machine_code_cannot_return_is_right_elsewhere(case: str) -> None:
    kernel = sh.kernel(RETURNING[case])
    here = kernel(5)
    there = as_received(kernel, may_compile=True)(5)
    assert type(here) is type(there)
    np.testing.assert_equal(there, here)
