"""Kernels with a loop over prange: a team runs them correctly, or refuses them.

Each takes arrays ``x``, which it reads, and ``y``, which it writes, and a number.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numba import prange

import sharray as sh

alias = sh.prange


@numba.njit(inline="always")
def body_of(x: Any, y: Any) -> None:
    for i in prange(1, x.shape[0] - 1):
        y[i] = (x[i - 1] + x[i] + x[i + 1]) / 3


@numba.njit
def called(x: Any, y: Any, begin: int) -> None:
    for i in prange(begin, begin + 1):
        y[i] = x[i] + 1


@numba.njit
def largest(x: Any) -> Any:
    found = x[0]
    for value in x:
        found = max(found, value)
    return found


@numba.njit
def clear(x: Any) -> None:
    x[:] = 0


@numba.njit
def half(n: int) -> int:
    return n // 2


# -- right ------------------------------------------------------------------------


def numbas(x: Any, y: Any, n: Any) -> None:
    for i in numba.prange(1, x.shape[0] - 1):
        y[i] = (x[i - 1] + x[i] + x[i + 1]) / 3


def imported(x: Any, y: Any, n: Any) -> None:
    for i in prange(1, x.shape[0] - 1):
        y[i] = (x[i - 1] + x[i] + x[i + 1]) / 3


def aliased(x: Any, y: Any, n: Any) -> None:
    loop = alias
    for i in loop(1, x.shape[0] - 1):
        y[i] = x[i - 1] - x[i + 1]


def inlined(x: Any, y: Any, n: Any) -> None:
    body_of(x, y)


def closure(x: Any, y: Any, n: Any) -> None:
    def work(x: Any, y: Any) -> None:
        for i in sh.prange(1, x.shape[0] - 1):
            y[i] = x[i - 1] - x[i + 1]

    work(x, y)


def nested(x: Any, y: Any, n: Any) -> None:
    for i in sh.prange(x.shape[0]):
        for j in sh.prange(n):
            for k in prange(2):
                y[i] += x[i] * j + k


def calls_one_with_a_loop(x: Any, y: Any, n: Any) -> None:
    for i in sh.prange(x.shape[0]):
        called(x, y, i)


def narrow(x: Any, y: Any, n: Any) -> None:
    for i in prange(np.int32(x.shape[0])):
        y[i] = x[i] + 1


def unsigned(x: Any, y: Any, n: Any) -> None:
    for i in prange(np.uint64(x.shape[0])):
        y[i] = x[i] + 1


def backwards(x: Any, y: Any, n: Any) -> None:
    for i in sh.prange(x.shape[0] - 1, -1, -2):
        y[i] = i


def with_scratch(x: Any, y: Any, n: Any) -> None:
    table = np.zeros(n)
    for j in range(n):
        table[j] = j * x[j]
    for i in sh.prange(x.shape[0]):
        y[i] = table[i % n]


def of_scratch(x: Any, y: Any, n: Any) -> None:
    table = x * 2
    for i in sh.prange(len(table)):
        y[i] = table[i]


def after_a_condition(x: Any, y: Any, n: Any) -> None:
    end = x.shape[0]
    if n > 3:
        end = end // 2
    elif n < 0:
        raise ValueError("negative")
    for i in sh.prange(end):
        y[i] = x[i] + 1


def reads_its_bounds(x: Any, y: Any, n: Any) -> None:
    for i in sh.prange(int(x[n]) % 50, y.shape[0]):
        y[i] = 1


def counts_its_bounds(x: Any, y: Any, n: Any) -> None:
    end = 0
    while end * end < x.shape[0]:
        end += 1
    for i in sh.prange(end):
        y[i] = 1


def calls_for_its_bounds(x: Any, y: Any, n: Any) -> None:
    for i in sh.prange(half(x.shape[0])):
        y[i] = 1


def reads_by_a_call(x: Any, y: Any, n: Any) -> None:
    top = largest(x)
    total = np.sum(x) + x.mean()
    for i in sh.prange(x.shape[0]):
        y[i] = x[i] / top + total


def own_variables(x: Any, y: Any, n: Any) -> None:
    for i in sh.prange(x.shape[0]):
        total = 0.0
        for j in range(n):
            if j % 2:
                continue
            total += x[i] * j
            if total > 1e6:
                break
        y[i] = total


def one_of_two_ways(x: Any, y: Any, n: Any) -> None:
    if n > 3:
        for i in sh.prange(x.shape[0]):
            y[i] = x[i]
    else:
        for i in range(x.shape[0]):
            y[i] += 1


def returns_early(x: Any, y: Any, n: Any) -> None:
    if n == 4:
        y[0] += 1
        return
    for i in sh.prange(x.shape[0]):
        y[i] = x[i]


RIGHT = [
    numbas, imported, aliased, inlined, closure, nested, calls_one_with_a_loop, narrow,
    unsigned, backwards, with_scratch, of_scratch, after_a_condition, reads_its_bounds,
    counts_its_bounds, calls_for_its_bounds, reads_by_a_call, own_variables,
    one_of_two_ways, returns_early,
]  # fmt: skip


# -- refused ----------------------------------------------------------------------


def time_loop(x: Any, y: Any, n: Any) -> None:
    for _ in range(n):
        for i in sh.prange(1, x.shape[0] - 1):
            y[i] = x[i - 1] + x[i + 1]


def under_while(x: Any, y: Any, n: Any) -> None:
    j = 0
    while j < n:
        j += 1
        for i in sh.prange(j):
            y[i] += j


def triangular(x: Any, y: Any, n: Any) -> None:
    for i in range(n):
        for j in prange(i):
            y[j] = x[i]


def two_loops(x: Any, y: Any, n: Any) -> None:
    for i in sh.prange(x.shape[0]):
        y[i] = x[i]
    for i in sh.prange(x.shape[0]):
        y[i] += x[-i]


def two_ways(x: Any, y: Any, n: Any) -> None:
    if n > 3:
        for i in sh.prange(x.shape[0]):
            y[i] = x[i]
    else:
        for i in sh.prange(n):
            y[i] = 0


def enumerated(x: Any, y: Any, n: Any) -> None:
    for k, i in enumerate(sh.prange(1, x.shape[0])):
        y[k] = x[i]


def zipped(x: Any, y: Any, n: Any) -> None:
    for i, value in zip(sh.prange(x.shape[0]), x):  # noqa: B905
        y[i] = value


def named(x: Any, y: Any, n: Any) -> None:
    rows = sh.prange(x.shape[0])
    for i in rows:
        y[i] = x[i] * len(rows)


def only_named(x: Any, y: Any, n: Any) -> None:
    rows = prange(x.shape[0])
    for i in rows:
        y[i] = x[i]


def breaks(x: Any, y: Any, n: Any) -> None:
    for i in sh.prange(x.shape[0]):
        if i == n:
            break
        y[i] = x[i]


def returns_inside(x: Any, y: Any, n: Any) -> None:
    for i in sh.prange(x.shape[0]):
        if i == n:
            return
        y[i] = x[i]


def stores_before(x: Any, y: Any, n: Any) -> None:
    y[0] += 1
    for i in sh.prange(1, x.shape[0]):
        y[i] = x[i]


def stores_through_a_view(x: Any, y: Any, n: Any) -> None:
    first = y[:10]
    first += 1
    for i in sh.prange(10, x.shape[0]):
        y[i] = x[i]


def stores_by_a_ufunc(x: Any, y: Any, n: Any) -> None:
    np.add(y, 1, y)
    for i in sh.prange(x.shape[0]):
        y[i] += x[i]


def stores_by_a_method(x: Any, y: Any, n: Any) -> None:
    y.sort()
    for i in sh.prange(x.shape[0]):
        y[i] += x[i]


def stores_by_a_call(x: Any, y: Any, n: Any) -> None:
    clear(y)
    for i in sh.prange(x.shape[0]):
        y[i] += x[i]


def counts_before(x: Any, y: Any, n: Any) -> None:
    sh.atomic.add(y, 0, 1.0)
    for i in sh.prange(1, x.shape[0]):
        y[i] = x[i]


def prints_before(x: Any, y: Any, n: Any) -> None:
    print(n)
    for i in sh.prange(x.shape[0]):
        y[i] = x[i]


def draws_before(x: Any, y: Any, n: Any) -> None:
    offset = np.random.random()
    for i in sh.prange(x.shape[0]):
        y[i] = offset


def stores_behind(x: Any, y: Any, n: Any) -> None:
    total = 0.0
    for i in sh.prange(1, x.shape[0]):
        total += x[i]
    y[0] = total


def reads_what_it_changes(x: Any, y: Any, n: Any) -> None:
    top = y.max()
    for i in sh.prange(x.shape[0]):
        y[i] = y[i] / top


def reads_a_view_of_it(x: Any, y: Any, n: Any) -> None:
    first = y[: y.shape[0] // 2]
    offset = first[0]
    rows = y[1:]
    for i in sh.prange(rows.shape[0]):
        rows[i] -= offset


def reads_it_by_a_call(x: Any, y: Any, n: Any) -> None:
    top = largest(y)
    for i in sh.prange(x.shape[0]):
        y[i] = y[i] / top


def reads_it_for_its_bounds(x: Any, y: Any, n: Any) -> None:
    for i in sh.prange(int(y[0] * 100), x.shape[0]):
        y[i - int(y[0] * 100)] += 1


def copies_what_it_changes(x: Any, y: Any, n: Any) -> None:
    old = y.copy()
    for i in sh.prange(1, x.shape[0]):
        y[i] = old[i - 1]


def bounds_from_a_store(x: Any, y: Any, n: Any) -> None:
    table = np.zeros(1, np.int64)
    table[0] = n
    for i in sh.prange(table[0]):
        y[i] = x[i]


def bounds_from_a_call(x: Any, y: Any, n: Any) -> None:
    table = np.ones(1, np.int64)
    table.fill(n)
    for i in sh.prange(table[0]):
        y[i] = x[i]


def carries(x: Any, y: Any, n: Any) -> None:
    before = x[0]
    for i in sh.prange(x.shape[0]):
        y[i] = before
        before = x[i]


def packs(x: Any, y: Any, n: Any) -> None:
    count = 0
    for i in sh.prange(x.shape[0]):
        if x[i] > 0.5:
            y[count] = x[i]
            count += 1


def sums_up(x: Any, y: Any, n: Any) -> None:
    total = 0.0
    for i in sh.prange(x.shape[0]):
        total += x[i]
        y[i] = total


def swaps(x: Any, y: Any, n: Any) -> None:
    a, b = x, y
    for i in sh.prange(x.shape[0]):
        b[i] = a[i] + 1
        a, b = b, a


REFUSED = {
    time_loop: "inside another loop",
    under_while: "inside another loop",
    triangular: "inside another loop",
    two_loops: "2 loops over prange",
    two_ways: "2 loops over prange",
    enumerated: "enumerate, zip",
    zipped: "enumerate, zip",
    named: "assigned to a name",
    only_named: "assigned to a name",
    breaks: "break or return",
    returns_inside: "break or return",
    stores_before: "stores to an argument",
    stores_through_a_view: "changes an argument",
    stores_by_a_ufunc: "writes by 'add'",
    stores_by_a_method: "method 'sort'",
    stores_by_a_call: "calls 'clear', which stores",
    counts_before: "atomic 'add'",
    prints_before: "prints",
    draws_before: "random",
    stores_behind: "stores to an argument",
    reads_what_it_changes: "reads argument 'y', which other parts change",
    reads_a_view_of_it: "reads argument 'y'",
    reads_it_by_a_call: "reads argument 'y'",
    reads_it_for_its_bounds: "reads argument 'y'",
    copies_what_it_changes: "reads argument 'y'",
    bounds_from_a_store: "bounds",
    bounds_from_a_call: "bounds",
    carries: "needs 'before'",
    packs: "needs 'count'",
    sums_up: "needs 'total'",
    swaps: "needs '[ab]'",
}


# -- values -----------------------------------------------------------------------


def total(x: Any) -> Any:
    found = 100.0
    for i in sh.prange(x.shape[0]):
        found += x[i]
    return found


def difference(x: Any) -> Any:
    found = 10.0
    for i in sh.prange(x.shape[0]):
        if x[i] > 0.5:
            found = found - x[i]
        else:
            found -= 2 * x[i]
    return -found * 3 / 2


def both(x: Any) -> Any:
    count, found = 5, 1.5
    for i in sh.prange(x.shape[0]):
        for j in range(3):
            found += x[i] * j
        if x[i] < 0.25:
            continue
        count += 1
    return float(count), found


def in_an_array(x: Any) -> Any:
    bins = np.zeros(4)
    for i in sh.prange(x.shape[0]):
        bins[int(x[i] * 4)] += x[i]
    return bins[0], bins[3] - bins[1]


def whole_numbers(x: Any) -> Any:
    found = 7
    for i in sh.prange(x.shape[0]):
        found += i
    return found


def greatest(x: Any) -> Any:
    found = 0.75
    for i in sh.prange(x.shape[0]):
        found = max(found, x[i])
    return found


def greatest_by_if(x: Any) -> Any:
    found = -np.inf
    for i in sh.prange(x.shape[0]):
        if x[i] > found:
            found = x[i]
    return found


def product(x: Any) -> Any:
    found = 3.0
    for i in sh.prange(x.shape[0]):
        found *= 1 + x[i] / 1000
    return found


@sh.kernel
def times(p: Any, q: Any) -> Any:
    return p * q


VALUES = [
    (total, "sum"), (difference, "sum"), (both, "sum"), (in_an_array, "sum"),
    (whole_numbers, "sum"), (greatest, "max"), (greatest_by_if, "max"),
    (product, times),
]  # fmt: skip


def plus_one(x: Any) -> Any:
    found = 0.0
    for i in sh.prange(x.shape[0]):
        found += x[i]
    return found + 1


def root(x: Any) -> Any:
    found = 0.0
    for i in sh.prange(x.shape[0]):
        found += x[i]
    return math.sqrt(found)


def truncated(x: Any) -> Any:
    found = 0.0
    for i in sh.prange(x.shape[0]):
        found += x[i]
    return int(found)


def a_constant(x: Any) -> Any:
    for i in sh.prange(x.shape[0]):
        x[i] += 0
    return 5


def the_last(x: Any) -> Any:
    found = 0.0
    for i in sh.prange(x.shape[0]):
        found = x[i]
    return found


def from_ones(x: Any) -> Any:
    bins = np.ones(4)
    for i in sh.prange(x.shape[0]):
        bins[0] += x[i]
    return bins[0]


NO_VALUES = [
    (plus_one, "sum"), (root, "sum"), (truncated, "sum"), (a_constant, "sum"),
    (the_last, "sum"), (the_last, "max"), (from_ones, "sum"), (greatest, "sum"),
    (product, "sum"), (total, "max"), (total, "min"),
]  # fmt: skip
