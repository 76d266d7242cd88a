"""Damaged handles for fuzz_child.py."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from fuzz_files import DTYPES, NUMBERS, TOKENS
from hypothesis import strategies as st

import sharray as sh
from sharray.arrays.core import open_handle

Handle = dict[str, Any]
AnyArray = sh.SharedArray[Any, Any]


def valid_handles(array: AnyArray) -> list[Handle]:
    """Return handles of views of all kinds on one array."""
    views = [
        array,
        array[1:],
        array[::-1],
        array.T,
        array[:, ::2],
        array[:0],
        array[1:2].view("<i2"),
        array.view([("a", "<f4"), ("b", ">i4")])["b"],
        array.view([("a", "<f4"), ("b", ">i4")]),
        sh.open("whole", "r"),
    ]
    names = list(inspect.signature(open_handle).parameters)
    return [dict(zip(names, v.__reduce_ex__(2)[1], strict=True)) for v in views]


near = st.integers(-9, 9)
# One strategy costs less than a choice among thousands of strategies.
integers = st.sampled_from([*range(-16, 33), *NUMBERS])
few_integers = st.lists(integers, max_size=3).map(tuple)
wild = st.sampled_from([None, True, 1.5, "x", b"x", (), [3], {}, np.int64(2**62)])
parts: dict[str, st.SearchStrategy[Any]] = {
    "offset": integers | wild,
    "shape": few_integers | few_integers | wild,
    "strides": few_integers | few_integers | wild,
    "dtype": st.sampled_from(DTYPES[:-1] + TOKENS).map(lambda text: text.strip("'"))
    | st.sampled_from([np.dtype(dtype) for dtype in DTYPES])
    | st.from_regex(r"[<>|=]?[?biufcmMOSUVa][0-9]{0,3}", fullmatch=True)
    | wild,
    "mode": st.sampled_from(["r", "r+", "c", "w+"]) | wild,
    "writeable": st.booleans() | wild,
    "token": integers | wild,
    "identity": st.binary(max_size=40) | wild,
    "path": st.sampled_from(["/", "whole", "/\0", "/dev/zero", "/\udcff"]) | wild,
}
likely = st.sampled_from(["offset", "shape", "strides", "dtype"])


@st.composite
def damaged_handles(draw: st.DrawFn, valid: list[Handle]) -> Handle:
    """Draw a valid handle in which one to three parts are changed."""
    found = dict(draw(st.sampled_from(valid)))
    for _ in range(draw(st.integers(1, 3))):
        name = draw(likely | likely | st.sampled_from(sorted(parts)))
        found[name] = _changed(draw, name, found[name])
    return found


def _changed(draw: st.DrawFn, name: str, value: Any) -> Any:
    """Change a part, often only a little: the first check finds large changes."""
    if type(value) is int and draw(st.booleans()):
        return value + draw(near)
    if type(value) is tuple and value and draw(st.booleans()):
        at = draw(st.integers(0, len(value) - 1))
        new = draw(integers) if draw(st.booleans()) else value[at] + draw(near)
        return (*value[:at], new, *value[at + 1 :])
    return draw(parts[name])
