"""Which arrays can grow."""

from __future__ import annotations

import numpy as np
import pytest

import sharray as sh


@pytest.mark.parametrize(
    ("order", "shape", "grown"), [("C", (0, 3), (2, 3)), ("F", (3, 0), (3, 2))]
)
def test_an_array_without_rows_grows_along_the_axis_of_its_order(
    order: str, shape: tuple[int, int], grown: tuple[int, int]
) -> None:
    a = sh.create("a.npy", shape, order=order, growable=True)
    assert [a.append([1, 2, 3]), a.append([4, 5, 6])] == [0, 1]
    assert a.latest().shape == grown
    a.flush()
    assert np.load("a.npy").ravel("K").tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("order", "shape"), [("C", (3, 0)), ("F", (0, 3)), ("C", ()), ("F", (2, 0, 3))]
)
def test_rows_without_bytes_are_refused(order: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(sh.ShapeError):
        sh.create("a.npy", shape, order=order, growable=True)
