"""Code that the compiler of words refuses, with the line."""

from __future__ import annotations

from typing import Any

import pytest

import sharray as sh
from sharray.native import atomic
from sharray.native.words import compile_words

pytestmark = pytest.mark.slow


# -- what is refused -----------------------------------------------------------


def helper(a, b=2):
    return a * b


def negative(a):
    return -a


def negation(a):
    return not a


def chosen(a):
    return 1 if a else 2


def for_loop(a):
    for i in range(a):
        a += i
    return a


def else_of_a_loop(a):
    while a < 3:
        a += 1
    else:
        a = 9
    return a


def continued(a):
    while a < 3:
        a += 1
        continue
    return a


def annotated(a):
    b: int = a
    return b


def fraction(a):
    return a + 1.5


def text(a):
    return "text"


def unknown(a):
    return nosuch  # noqa: F821


def builtin(a):
    return abs(a)


def pair(a):
    b, c = 1, a
    return b + c


def double_assignment(a):
    b = c = a
    return b + c


def raises(a):
    raise ValueError


def inner(a):
    def f():
        return a

    return f()


def exchange_as_a_value(a):
    return atomic.compare_exchange(a, 0, 1, 2)[0]


def chained(a):
    return 0 < a < 3


def identity(a):
    return a is True


def membership(a):
    return a in (1, 2)


def too_large(a):
    return a + 9999999999999999999999


def default_left_out(a):
    return helper(a)


def keyword(a):
    return helper(a, b=5)


def too_many(a):
    return helper(a, 1, 2)


def three_of_two(a):
    return min(a, 1, 2)


def one_of_two(a):
    return max(a)


def keyword_of_a_primitive(a):
    return atomic.load(a, index=0)


def unknown_attribute(a):
    return atomic.nosuch(a)


def any_number(*a):
    return 1


def after_a_star(a, *, b):
    return b


REFUSED_NOW = [
    negative, negation, chosen, for_loop, else_of_a_loop, continued,
    annotated, fraction, text, unknown, builtin, pair, double_assignment, raises, inner,
    exchange_as_a_value,
]  # fmt: skip
REFUSED_WRONGLY = [
    chained, identity, membership, too_large, default_left_out, keyword, too_many,
    three_of_two, one_of_two, keyword_of_a_primitive, unknown_attribute, any_number,
    after_a_star,
]  # fmt: skip


@pytest.mark.parametrize(
    "function", REFUSED_NOW + REFUSED_WRONGLY, ids=lambda f: f.__name__
)
def test_refused_with_the_line(function: Any) -> None:
    with pytest.raises(sh.KernelError, match=r"cannot translate line \d+ of '\w+'"):
        compile_words(function)


def test_refusal_says_which_line_of_which_function() -> None:
    with pytest.raises(sh.KernelError) as caught:
        compile_words(fraction)
    assert str(caught.value) == "cannot translate line 2 of 'fraction': 1.5"
