"""Random generators in functions: members would draw the same numbers."""

from __future__ import annotations

import functools
import random
from typing import Any

import numpy as np
import pytest
import team_tools
from numpy.random import random as numpy_random
from team_tools import team_of

import sharray as sh

settled = team_tools.settled
team = team_of(1)
rng = np.random.default_rng(1)
state = np.random.RandomState(1)


def passed(x: Any, source: Any) -> Any:
    return source.random(len(x))


def from_a_global(x: Any) -> Any:
    return rng.random(len(x))


def from_a_method(x: Any) -> Any:
    return numpy_random(len(x))


def from_a_function(x: Any) -> Any:
    return x + from_a_global(x)


def with_its_own(x: Any) -> Any:
    return np.array([np.random.default_rng([1, row]).random() for row in x])


def of_its_process(x: Any) -> Any:
    return np.random.random(len(x))


def from_a_closure() -> Any:
    mine = np.random.default_rng(1)
    return lambda x: mine.random(len(x))


REFUSED = {
    "argument": (passed, rng),
    "whole": (passed, sh.whole(state)),
    "standard": (passed, random.Random(1)),
    "partial": (functools.partial(passed, source=rng),),
    "global": (from_a_global,),
    "closure": (from_a_closure(),),
    "method": (from_a_method,),
    "bound": (rng.normal,),
    "called": (from_a_function,),
    "nested": (lambda x: [rng.random() for _ in x],),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_a_generator_that_members_would_copy_is_refused(
    team: sh.Team, call: Any
) -> None:
    function, *arguments = call
    with pytest.raises(TypeError, match=r"make numpy.random.default_rng\(\[seed, row"):
        team.map(function, np.arange(2000), *arguments)


def test_generators_of_rows_and_of_processes_are_fine(team: sh.Team) -> None:
    rows = np.arange(2000)
    assert np.array_equal(team.map(with_its_own, rows), with_its_own(rows))
    assert len(set(team.map(of_its_process, rows).tolist())) == 2000


def test_a_call_without_chunks_may_have_a_generator(team: sh.Team) -> None:
    assert team.run(passed, [1, 2], np.random.default_rng(5)).tolist() == (
        np.random.default_rng(5).random(2).tolist()
    )
