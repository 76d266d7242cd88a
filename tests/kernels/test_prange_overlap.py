"""Arguments that overlap: one is read outside of a loop over prange, one is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import team_tools
from hypothesis import given, settings
from hypothesis import strategies as st
from team_tools import team_of

import sharray as sh

settled = team_tools.settled
team = team_of(1)
pytestmark = team_tools.needs_jit


@sh.kernel
def subtract_first(x: Any, y: Any) -> None:
    first = x[0]
    for i in sh.prange(y.shape[0]):
        y[i] -= first


@sh.kernel
def subtract_first_of_pair(pair: Any, y: Any) -> None:
    first = pair[0][0]
    for i in sh.prange(y.shape[0]):
        y[i] -= first


@sh.kernel
def only_its_length(x: Any, y: Any) -> None:
    n = x.shape[0]
    for i in sh.prange(n):
        y[i] += 1


def refused(team: Any, kernel: Any, *args: Any, **options: Any) -> None:
    with pytest.raises(sh.KernelError, match=r"reads argument.*in a kernel of its own"):
        team.run(kernel, *args, **options)


def test_views_of_one_array_are_refused_if_they_overlap(team: Any) -> None:
    a = sh.array(np.arange(1.0, 5001.0))
    refused(team, subtract_first, a[:2500], a)
    refused(team, subtract_first, a[10:], a[:1000])
    refused(team, subtract_first_of_pair, (a[:10],), a[5:])
    assert np.array_equal(a, np.arange(1, 5001))
    team.run(subtract_first, a[4000:], a[:4000])
    assert np.array_equal(a[:4000], np.arange(1, 4001) - 4001.0)


def test_interleaved_views_do_not_overlap(team: Any) -> None:
    a = sh.array(np.arange(1.0, 5001.0))
    team.run(subtract_first, a[::2], a[1::2])
    assert np.array_equal(a[1::2], np.arange(2, 5001, 2) - 1.0)


def test_what_reads_no_elements_may_overlap(team: Any) -> None:
    a = sh.zeros(1000)
    team.run(only_its_length, a, a)
    assert (a == 1).all()


def test_copies_of_overlapping_arrays_overlap(team: Any) -> None:
    a = np.arange(1.0, 101)
    refused(team, subtract_first, a, a[::-1], copy=True)
    assert np.array_equal(a, np.arange(1, 101))


def test_a_file_that_is_mapped_twice_overlaps_itself(team: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    a = sh.create(path, 1000, fill_value=3.0)
    again = sh.open(path, mode="r")
    refused(team, subtract_first, again, a)
    assert (a == 3).all()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_run_gives_what_the_direct_call_gives_or_is_refused(data: Any) -> None:
    slices = st.slices(40).filter(lambda cut: len(range(40)[cut]) > 0)
    first, second = data.draw(slices), data.draw(slices)
    plain = np.arange(1.0, 41)
    subtract_first.py_func(plain[first], plain[second])
    a = sh.array(np.arange(1.0, 41.0))
    overlap = np.shares_memory(a[first], a[second])
    with sh.Team(0) as alone:  # one part repeats nothing
        alone.run(subtract_first, a[first], a[second])
    assert np.array_equal(a, plain)
    a[...] = np.arange(1, 41)
    try:
        sh.run(subtract_first, a[first], a[second], chunk=1)
    except sh.KernelError:
        assert overlap
    else:
        assert np.array_equal(a, plain)
