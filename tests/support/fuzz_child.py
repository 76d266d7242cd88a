"""Open thousands of damaged files and handles; run by test_fuzz.py.

It runs in its own process, because a failure may be a signal. Each case must end in a
usable array or in an error of the library. The program writes each case to the working
directory before it tries it.
"""

from __future__ import annotations

import collections
import json
import pickle
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import hypothesis
import numpy as np
from fuzz_files import damaged_files, valid_files
from fuzz_handles import AnyArray, Handle, damaged_handles, valid_handles
from hypothesis import strategies as st

import sharray as sh
from sharray.arrays import handle as handle_module
from sharray.arrays.core import open_handle
from sharray.storage import location

outcomes: collections.Counter[str] = collections.Counter()


PLACES = ["case", "shm://case"]


def try_file(content: bytes, place: str, mode: str) -> None:
    for name in PLACES:  # the first is the record of the case, too
        case = Path(location.locate(name).path)
        case.unlink(missing_ok=True)  # do not overwrite a mapped file
        case.write_bytes(content)
        if name == place:
            break
    try:
        array = sh.open(place, mode)
    except sh.SharrayError as error:
        outcomes["errors"] += 1
        assert_is_a_good_error(error)
    else:
        outcomes["arrays"] += 1
        use(array)
    assert case.stat().st_size == len(content), "the file's size has changed"


def try_handle(handle: Handle, whole: AnyArray) -> None:
    Path("case").write_bytes(pickle.dumps(handle))
    try:
        array = open_handle(**handle)
    except sh.SharrayError as error:
        outcomes["errors"] += 1
        assert_is_a_good_error(error)
        return
    outcomes["arrays"] += 1
    assert_lies_within(array, whole.offset or 0, whole.nbytes)
    use(array)


def assert_is_a_good_error(error: sh.SharrayError) -> None:
    assert str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def assert_lies_within(array: AnyArray, offset: int, nbytes: int) -> None:
    """Check the bounds in Python's integers; `base` is the whole file."""
    if array.size == 0:
        return
    reach = [(n - 1) * step for n, step in zip(array.shape, array.strides, strict=True)]
    first = array.__array_interface__["data"][0]
    begin = np.asarray(array.base).__array_interface__["data"][0] + offset
    assert begin <= first + sum(min(0, step) for step in reach)
    end = first + sum(max(0, step) for step in reach) + array.itemsize
    assert end <= begin + nbytes


def use(array: AnyArray) -> None:
    """Read, print and pickle an array."""
    if array.size > 1000:  # strides of 0 allow any size
        array = array[tuple(slice(0, 1) for _ in array.shape)]
    content = array.tobytes()
    assert len(content) == array.nbytes
    np.frombuffer(content, np.uint8).sum()
    # Below protocol 5, a pickle has the values in this machine's byte order.
    clone = pickle.loads(pickle.dumps(array, 5))
    assert (clone.shape, clone.dtype) == (array.shape, array.dtype)
    if array.dtype.names is None:  # NumPy copies no padding between fields
        assert clone.tobytes() == content
    try:
        plain = np.asarray(array)
        repr(plain)
        if array.size:
            plain[(0,) * array.ndim], plain[(-1,) * array.ndim]
    except (ValueError, OverflowError, SystemError):
        return  # any ndarray raises this: no such character, or year
    repr(array)
    if array.size:
        array[(0,) * array.ndim], array[(-1,) * array.ndim]


def run(kind: str, count: int, seed: int, phases: list[hypothesis.Phase]) -> None:
    """Try `count` cases of one kind."""
    settings = hypothesis.settings(
        max_examples=count,
        report_multiple_bugs=False,
        phases=phases,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    whole = sh.create("whole", (4, 3), "<f8", overwrite=True)
    if kind == "files":
        valid = [content for name in PLACES for content in valid_files(name)]
        places, modes = st.sampled_from(PLACES), st.sampled_from(["r", "r+", "c"])
        test = hypothesis.given(damaged_files(valid), places, modes)(try_file)
    else:
        handles = damaged_handles(valid_handles(whole))
        test = hypothesis.given(handles, st.just(whole))(try_handle)
    settings(hypothesis.seed(seed)(test))()
    Path(location.locate(PLACES[1]).path).unlink(missing_ok=True)


def take_any_view(root: Any, offset: Any, dtype: Any, *layout: Any) -> Any:
    """Accept any view whose dtype is right: the mutant."""
    return np.dtype(dtype)


if __name__ == "__main__":
    phases = [hypothesis.Phase.generate, hypothesis.Phase.shrink]
    if "without-bounds" in sys.argv:
        mock.patch.object(handle_module, "check_view", take_any_view).start()
        phases.pop()  # one failure is enough, so do not shrink it
    run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), phases)
    print(json.dumps(outcomes))
