"""Functions in the subset of Python that `sharray.native.words` compiles."""

from __future__ import annotations

from typing import Any

from sharray.native import atomic
from sharray.native.calling import address_of
from sharray.native.waiting import futex_wake, now_ns, pause

LIMIT = 7


class Numbers:
    LAST = 3


def arithmetic(a, b):
    c = a + b - 3
    c = c * (b - a)
    c += a
    c -= 2 * b
    c *= 3
    return c


def bits(a, b):
    return ((a << 3) >> 1) & b | (a & 12) | (b >> 63)


def constants(a, b):
    c = -5
    c += LIMIT * Numbers.LAST
    if a > -2:
        return c + True
    return c - 9223372036854775807


def comparisons(a, b):
    found = 0
    if a == b:
        found |= 1
    if a != b:
        found |= 2
    if a < b:
        found |= 4
    if a <= b:
        found |= 8
    if a > b:
        found |= 16
    if a >= b:
        found |= 32
    return found


def comparisons_as_values(a, b):
    c = a < b
    return c + (a == b) * 10 + (a >= 0) * 100


def conditions(a, b):
    if a > 0 and b > 0 and a > b:
        return 1
    elif a < 0 or b < 0 or a == b:
        return 2
    elif a:
        return 3
    else:
        b += 5
    return b


def nested_conditions(a, b):
    if a > b:
        if a > 5:
            return 1
        c = 2
    else:
        if b > 5:
            c = 3
        else:
            return 4
    return c * 10


def loops(a, b):
    total = 0
    i = 0
    while i < (a & 15):
        j = 0
        while True:
            if j >= i or total > 1000:
                break
            total += j * b
            j += 1
        if total > 5000:
            return -1
        i += 1
    return total


def extremes(a, b):
    return min(a, b) * 2 + max(a, min(b, 5)) - max(-3, a)


def square_plus(x, y):
    """Return a sum with variables that its callers do not share."""
    i = x * x
    if y < 0:
        return i
    return i + y


def calls(a, b):
    i = 10
    return square_plus(a, b) + square_plus(square_plus(b, 1), -1) + i


def powers(a, b):
    if b <= 0 or b > 20:
        return 1
    return a * powers(a, b - 1)


def nothing(a, b):
    a += b


def bare_return(a, b):
    if a > b:
        return
    return 5


ON_NUMBERS = [
    arithmetic,
    bits,
    constants,
    comparisons,
    comparisons_as_values,
    conditions,
    nested_conditions,
    loops,
    extremes,
    calls,
    powers,
    nothing,
    bare_return,
]


def reverse(x, n):
    i = 0
    while i < n - 1 - i:
        kept = x[i]
        x[i] = x[n - 1 - i]
        x[n - 1 - i] = kept
        i += 1
    return x[0]


def accumulate(x, n):
    i = 1
    while i < n:
        x[i] += x[i - 1]
        i += 1
    return x[n - 1]


def sort(x, n):
    i = 1
    while i < n:
        j = i
        while j > 0:
            if x[j - 1] <= x[j]:
                break
            kept = x[j]
            x[j] = x[j - 1]
            x[j - 1] = kept
            j -= 1
        i += 1
    return i


def largest(x, n):
    found = x[0]
    i = 0
    while i < n:
        found = max(found, x[i])
        i += 1
    return found


def in_a_helper(x, n):
    return largest(x, n) + accumulate(x, n)


def atomics(x, n):
    atomic.store(x, 0, n)
    first = atomic.add(x, 0, 5)
    second = atomic.sub(x, n - 1, 2)
    third = atomic.or_(x, n >> 1, 64)
    old, done = atomic.compare_exchange(x, 0, n + 5, 77)
    if done:
        old, again = atomic.compare_exchange(x, 0, -1, 78)
        return first + second * 3 + third * 5 + old * 7 + again
    return atomic.load(x, 0)


def pauses(x, n):
    before = now_ns()
    pause()
    futex_wake(x, 0, 1)
    if now_ns() < before:
        return -1
    return x[n - 1]


ON_ARRAYS = [
    reverse,
    accumulate,
    sort,
    largest,
    in_a_helper,
    atomics,
    pauses,
]


def address_of_element(x, n):
    return address_of(x, n - 1)


def as_words(number: int) -> int:
    """Return a number wrapped to 64 bits."""
    return (number + 2**63) % 2**64 - 2**63


def arguments_of(function: Any) -> int:
    return function.__code__.co_argcount
