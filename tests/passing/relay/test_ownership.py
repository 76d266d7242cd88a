"""Results that are arguments, or parts of them, are as plain pickle makes them.

The oracle is the same task in the same kind of pool without `install`. Each result is
described at once, after further tasks of the same size, after the caller has written to
all results, after the worker has written to the arrays that it keeps, and after the
end of the worker.
"""

from __future__ import annotations

import functools
import itertools
import pickle
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ownership_kept as kept
import ownership_late as late
import ownership_tasks as tasks
import pytest
from ownership_looks import Looks, describe, differences
from ownership_pools import call, numbered, places, pool_of, start_helpers

import sharray as sh

# Python 3.12 and later warn of forks in a process with threads, which pools have.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:the matrix:PendingDeprecationWarning"),
]
FURTHER = 5
# Cases whose results are kept together. A process that holds many messages copies the
# next ones.
AT_ONCE = 5


@pytest.fixture(scope="module", autouse=True)
def _helpers() -> None:
    """Start them before leaks are checked."""
    start_helpers()


# Protocol 5, which loky and Python 3.14 use, keeps arrays read-only. Those in shared
# memory are as protocol 4 makes them.
READ_ONLY = {"read-only", "read-only, then written", "frame and values"}


class Case(NamedTuple):
    """Tasks, the first one with arrays, and those after the caller has written."""

    first: Callable[..., Any]
    arrays: int = 1
    make: Callable[[Any], Any] = lambda a: a
    then: tuple[Callable[[], Any], ...] = ()
    after: tuple[Callable[[], Any], ...] = ()


do = functools.partial(functools.partial, tasks.do)


def _of_table(table: dict[str, Callable[..., Any]]) -> dict[str, Case]:
    return {
        name: Case(do(name), getattr(task, "__code__").co_argcount)  # noqa: B009
        for name, task in table.items()
    }


def _of_libraries() -> dict[str, Case]:
    return {
        name: Case(do(name), make=make) for name, (make, _) in tasks.LIBRARIES.items()
    }


def _kept(first: Callable[..., Any]) -> dict[str, Case]:
    """Return cases that keep the argument, change it later, and return it again."""
    found = {}
    for name in kept.WAYS:
        recall, part, increase, last = (
            functools.partial(step, name)
            for step in (
                kept.recall,
                kept.recall_part,
                kept.increase,
                kept.forget_and_return,
            )
        )
        then = recall, increase, part
        after = increase, last
        found[name] = Case(functools.partial(first, name), then=then, after=after)
    return found


def _late() -> dict[str, Case]:
    found = {}
    for name in late.FIRST:
        make = late.Carries if "argument dies" in name else Case._field_defaults["make"]
        then = tuple(map(do, late.NEXT.get(name, [])))
        found[name] = Case(do(name), make=make, then=then)
    return found


GROUPS: dict[str, dict[str, Case]] = {
    "parts": _of_table(tasks.PARTS),
    "several": _of_table(tasks.SEVERAL),
    "libraries": _of_libraries(),
    "late": _late(),
}
KEEPING: dict[str, dict[str, Case]] = {
    "kept": _kept(tasks.keep),
    "kept and increased": _kept(tasks.keep_and_increase),
}


def run(kind: str, cases: dict[str, Case], arrays: Iterator[Any]) -> dict[Any, Any]:
    """Run the cases in a pool; return the descriptions of all results."""
    seen = {}
    names = list(cases)
    if kind == "loky" or pickle.DEFAULT_PROTOCOL >= 5:
        names = [name for name in cases if name not in READ_ONLY]
    with pool_of(kind) as pool:
        for first in range(0, len(names), AT_ONCE):
            looks = Looks()
            some = {name: cases[name] for name in names[first : first + AT_ONCE]}
            run_some(looks, pool, some, arrays)
            seen.update(looks.seen)
    looks.look_after("after the end of the worker")
    return seen | looks.seen


def run_some(
    looks: Looks, pool: Any, cases: dict[str, Case], arrays: Iterator[Any]
) -> None:
    """Run a few cases, and look at their results again and again."""
    for name, case in cases.items():
        begin(looks, pool, name, case, arrays)
    for i in range(FURTHER):
        further = call(pool, do("itself"), next(arrays))
        if i % 4 == 0:
            looks.take((*cases, i), further)
    looks.look("later")
    looks.overwrite()
    looks.look("after the caller has written")
    for name, case in cases.items():
        for i, step in enumerate(case.after):
            looks.take((name, "after", i), call(pool, step))
    looks.look("after the worker has written")


def begin(
    looks: Looks, pool: Any, name: str, case: Case, arrays: Iterator[Any]
) -> None:
    """Run the tasks of a case that come before the caller writes to results."""
    arguments = [case.make(next(arrays)) for _ in range(case.arrays)]
    before = describe(arguments)
    looks.take(name, call(pool, case.first, *arguments))
    for i, step in enumerate(case.then):
        looks.take((name, i), call(pool, step))
    assert describe(arguments) == before


def run_in_both_orders(kind: str, cases: dict[str, Case]) -> dict[Any, Any]:
    """Return the descriptions of runs with C order and with Fortran order."""
    found = {}
    for order in "CF":
        arrays = (numbered(i, order) for i in itertools.count())
        seen = run(kind, cases, arrays)
        found.update({(order, key): value for key, value in seen.items()})
    return found


def differences_of(kind: str, cases: dict[str, Case]) -> list[Any]:
    """Return the cases and times at which results are not as by plain pickle."""
    want = run_in_both_orders(kind, cases)
    with sh.installed():
        found = run_in_both_orders(kind, cases)
    return differences(found, want)


@pytest.mark.parametrize("group", GROUPS)
@places(["Pool fork", "loky"])
def test_results_are_and_stay_as_by_pickle(kind: str, group: str) -> None:
    assert differences_of(kind, GROUPS[group]) == []


@pytest.mark.slow
@pytest.mark.parametrize("group", KEEPING)
@places(["Pool fork"])
def test_results_that_the_worker_keeps_are_and_stay_as_by_pickle(
    kind: str, group: str
) -> None:
    assert differences_of(kind, KEEPING[group]) == []
