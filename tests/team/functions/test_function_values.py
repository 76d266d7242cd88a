"""Values that functions return: kept with all that they are, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import team_tools
from team_tools import team_of

import sharray as sh

settled = team_tools.settled
team = team_of(1)


def masked(x: Any) -> Any:
    return np.ma.masked_less(x, 3)


@pytest.mark.parametrize("reduce", ["sum", "min", "max"])
def test_a_reduction_refuses_masked_arrays(team: sh.Team, reduce: str) -> None:
    x = sh.array(np.arange(8))
    with pytest.raises(
        TypeError, match="'masked' returned a MaskedArray, of which only"
    ):
        team.run(masked, x, reduce=reduce, chunk=4)
    total = team.run(lambda x: masked(x).filled(0), x, reduce="sum", chunk=4)
    assert total.tolist() == [4, 5, 6, 10]


def test_a_map_refuses_masked_arrays(team: sh.Team) -> None:
    x = np.arange(8)
    for out in (None, sh.zeros(8)):
        with pytest.raises(TypeError, match="return an ordinary array"):
            team.map(masked, x, out=out)


def test_a_function_of_two_values_combines_masked_arrays(team: sh.Team) -> None:
    x = sh.array(np.arange(8))
    total = team.run(masked, x, reduce=np.ma.add, chunk=4)
    assert total.tolist() == [None, None, None, 10]


def test_arrays_in_lists_stay_apart(team: sh.Team) -> None:
    found = team.map(lambda x: [x[x < 6]], np.arange(8), chunk=4)
    assert [one[0].tolist() for one in found] == [[0, 1, 2, 3], [4, 5]]


def test_a_sum_of_series_needs_the_same_labels(team: sh.Team) -> None:
    x = sh.array(np.array([0, 1, 1, 2]))

    def count(x: Any) -> Any:
        return pd.Series(x).value_counts()

    with pytest.raises(ValueError, match=r"a\.add\(b, fill_value=0\)"):
        team.run(count, x, reduce="sum", chunk=2)
    total = team.run(count, x, reduce=lambda a, b: a.add(b, fill_value=0), chunk=2)
    assert total.to_dict() == {0: 1, 1: 2, 2: 1}
    same = team.run(lambda x: pd.Series([len(x), 1]), x, reduce="sum", chunk=2)
    assert same.tolist() == [4, 2]


def test_sparse_arrays_are_added_as_they_are(team: sh.Team) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    x = sh.zeros(4)
    found = team.run(lambda x: sparse.csr_array(np.eye(2)), x, reduce="sum", chunk=1)
    assert sparse.issparse(found)
    assert found.toarray().tolist() == [[4, 0], [0, 4]]
