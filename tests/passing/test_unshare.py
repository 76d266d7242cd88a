"""`sh.unshare`: an equal object, whose arrays are private."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import passing_objects as po
import passing_strategies as ps
import pyarrow as pa
import pytest
import scipy.sparse
import views_sent
from hypothesis import given, settings

import sharray as sh

pytestmark = pytest.mark.filterwarnings("ignore:the matrix:PendingDeprecationWarning")


@given(obj=ps.objects())
@settings(max_examples=100, deadline=None)
def test_there_and_back_is_as_through_pickle(obj: Any) -> None:
    shared = sh.share(obj)
    found = sh.unshare(shared)
    po.assert_same(found, po.through_pickle(obj))
    for array in po.arrays_in(found):
        assert not po.is_shared(array)
    for array, old in zip(po.arrays_in(found), po.arrays_in(shared), strict=True):
        assert not np.may_share_memory(array, old) or not array.nbytes


@given(views_sent.sent_views())
@settings(max_examples=100, deadline=None, database=None)
def test_any_view_becomes_an_array_of_its_own(sent: views_sent.Sent) -> None:
    found = sh.unshare([sent.view])[0]
    assert type(found) is np.ndarray
    assert found.flags.owndata
    assert found.flags.writeable
    assert found.dtype == sent.view.dtype
    np.testing.assert_array_equal(found, np.asarray(sent.view))
    want = po.through_pickle(np.asarray(sent.view))
    assert found.flags.f_contiguous == want.flags.f_contiguous


def test_an_array_alone() -> None:
    a = sh.array([1, 2])
    found = sh.unshare(a)
    a[0] = 5
    assert (type(found), found.tolist()) == (np.ndarray, [1, 2])


def test_what_is_one_array_stays_one() -> None:
    a = sh.zeros(3)
    found = sh.unshare({"a": a, "again": [a], "view": a[1:]})
    assert found["a"] is found["again"][0]
    found["a"][:] = 1
    assert found["view"].tolist() == [0, 0]
    assert a.tolist() == [0, 0, 0]


def test_subclasses_and_what_holds_arrays() -> None:
    class Own(sh.SharedArray):
        pass

    a = sh.array(np.arange(6.0).reshape(3, 2))
    masked = np.ma.masked_array(a, a > 4)
    frame = pd.DataFrame(a, copy=False)
    sparse = scipy.sparse.csr_matrix((a[:, 0], [0, 1, 2], [0, 1, 2, 3]))
    table = sh.share(pa.table({"x": np.arange(1000)}))
    originals = [masked, frame, sparse, table, a.view(Own), np.asarray(a)]
    found = sh.unshare(originals)
    a[...] = -1
    assert found[0].sum() == 10
    assert found[1].to_numpy().sum() == 15
    assert found[2].sum() == 6
    assert found[3].equals(pa.table({"x": np.arange(1000)}))
    assert found[4].sum() == found[5].sum() == 15
    del originals, masked, frame, sparse, table, a
    assert sh.list() == []


def test_a_pickle_of_it_holds_the_values() -> None:
    shared = sh.share({"a": np.arange(1000)})
    message = pickle.dumps(sh.unshare(shared))
    assert len(message) > 8000
    assert pickle.loads(message)["a"].sum() == 499500


def test_what_cannot_be_pickled_is_refused_as_by_share() -> None:
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        sh.unshare([sh.zeros(3), lambda: 1])
