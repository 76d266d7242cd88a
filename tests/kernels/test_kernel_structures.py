"""Arguments that are structures, and arrays that are not aligned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernels_defined import first
from kernels_elsewhere import as_received, by_both_roads

import sharray as sh

pytestmark = pytest.mark.slow


STRUCTURES: dict[str, Any] = {
    "aligned": np.dtype([("a", "i1"), ("b", "f8")], align=True),
    "packed": np.dtype([("a", "i1"), ("b", "f8")]),
    "with a gap": np.dtype(
        {
            "names": ["a", "b"],
            "formats": ["i4", "f8"],
            "offsets": [0, 8],
            "itemsize": 24,
        }
    ),
    "backwards": np.dtype(
        {"names": ["a", "b"], "formats": ["i8", "f8"], "offsets": [8, 0]}
    ),
    "with other fields": np.dtype(
        [("a", "i8"), ("b", "f8"), ("s", "S3"), ("when", "M8[s]")]
    ),
    "nested": np.dtype([("a", "i8"), ("b", "f8"), ("c", [("x", "f4"), ("y", "u1")])]),
    "with an array": np.dtype([("a", "i8"), ("b", "f8"), ("c", "f8", (2, 2))]),
}


@sh.kernel
def move_fields(x):
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i].a + x[i].b
        x[i].b = x[i].a
        x[i]["a"] = 7
    return total


@pytest.mark.parametrize("case", STRUCTURES)
def test_structures_are_read_and_written(case: str) -> None:
    for kernel in (move_fields, as_received(move_fields, may_compile=True)):
        x = np.zeros(3, STRUCTURES[case])
        x["a"], x["b"] = [1, 2, 3], 0.5
        assert kernel(x) == 7.5
        assert x["a"].tolist() == [7] * 3
        assert x["b"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("case", sorted(STRUCTURES.keys() - {"backwards"}))
def test_structures_that_it_was_called_with_need_no_compilation(case: str) -> None:
    x = np.ones(3, STRUCTURES[case])
    move_fields(x)
    assert as_received(move_fields)(x) == 24


def test_structure_that_was_compiled_for_needs_no_compilation_elsewhere() -> None:
    x = np.ones(3, STRUCTURES["packed"])
    kernel = sh.kernel(move_fields.py_func).compile(x)
    assert as_received(kernel)(x) == 6


def test_record_array_is_a_structure() -> None:
    x = np.rec.array([(1, 2.0), (3, 4.0)], dtype=[("a", "i8"), ("b", "f8")])
    assert as_received(move_fields, may_compile=True)(x) == 10


def test_array_that_is_not_aligned_needs_no_compilation_elsewhere() -> None:
    x = np.frombuffer(bytearray(25), "u1")[1:].view("f8")
    x[:] = [1, 2, 3]
    assert by_both_roads(first, x) == (1.0, 1.0)
