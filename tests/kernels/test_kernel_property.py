"""Machine code that has travelled does what the plain Python function does."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from kernels_elsewhere import as_received

import sharray as sh

pytestmark = pytest.mark.slow


DTYPES = ["u1", "f4", "c16"]


def gather(x, out, number):
    """Copy all elements in order, reverse them, and return facts about the array."""
    position = 0
    for index in np.ndindex(x.shape):
        out[position] = x[index]
        position += 1
    for index in np.ndindex(x.shape):
        position -= 1
        x[index] = out[position]
    return position, x.size, x.ndim, len(x), x.shape[x.ndim - 1], number * 2


def look(x, out, number):
    """Copy elements like `gather`, for read-only arrays."""
    position = 0
    for index in np.ndindex(x.shape):
        out[position] = x[index]
        position += 1
    return position, x.size, x.ndim, len(x), x.shape[x.ndim - 1], number * 2


@functools.cache
def received(writeable: bool, key: str) -> tuple[sh.Kernel, sh.Kernel]:
    """Return a kernel for arrays of one type, and the same kernel as received."""
    dtype, ndim, layout = key.split()
    x = np.zeros((3,) * int(ndim), dtype)
    if layout == "F":
        x = x.T
    elif layout == "A":
        x = x[::2]
    x.flags.writeable = writeable
    kernel = sh.kernel(gather if writeable else look)
    kernel.compile(x, np.zeros(1, dtype), 1)
    return kernel, as_received(kernel)


def layout_of(x: np.ndarray[Any, Any]) -> str:
    if x.flags.c_contiguous:
        return "C"
    return "F" if x.flags.f_contiguous else "A"


@settings(deadline=None, max_examples=150)
@given(
    dtype=st.sampled_from(DTYPES),
    shape=hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
    number=st.integers(-(2**62), 2**62 - 1),
    data=st.data(),
)
def test_any_view_gives_what_python_gives(
    dtype: str, shape: tuple[int, ...], number: int, data: st.DataObject
) -> None:
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    whole = sh.array(values) if data.draw(st.booleans()) else values.copy()
    index = data.draw(
        hnp.basic_indices(shape, min_dims=1, max_dims=3, allow_newaxis=True)
    )

    def view_of(array: Any) -> Any:
        return array[index].T if turned else array[index]

    turned = data.draw(st.booleans())
    expected_whole, x = values.copy(), view_of(whole)
    expected = view_of(expected_whole)
    writeable = dtype == "u1" or data.draw(st.booleans())
    x.flags.writeable = writeable
    function = gather if writeable else look
    key = f"{dtype} {x.ndim} {layout_of(x)}"
    want = np.zeros(x.size, dtype)
    value = function(expected, want, number)
    for kernel in received(writeable, key):
        np.asarray(whole)[...] = values
        out = np.zeros(x.size, dtype)
        assert kernel(x, out, number) == value
        assert out.tobytes() == want.tobytes()
        assert np.asarray(whole).tobytes() == expected_whole.tobytes()


numbers = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.complex_numbers(),
    st.integers(-128, 127).map(np.int8),
    st.integers(0, 2**64 - 1).map(np.uint64),
    st.floats(width=32).map(np.float32),
    st.integers(-(2**62), 2**62).map(lambda n: np.datetime64(n, "ns")),
)


@functools.cache
def swapper(kinds: tuple[Any, ...]) -> sh.Kernel:
    """Return a kernel for arguments of some types."""
    kernel = sh.kernel(lambda a, b: (b, a, b))
    return as_received(kernel.compile(*(_EXAMPLES[kind] for kind in kinds)))


_EXAMPLES = {
    bool: True,
    int: 1,
    float: 1.0,
    complex: 1j,
    np.int8: np.int8(1),
    np.uint64: np.uint64(1),
    np.float32: np.float32(1),
    np.datetime64: np.datetime64(1, "ns"),
}


@settings(deadline=None, max_examples=100)
@given(a=numbers, b=numbers)
def test_any_numbers_come_back_in_a_tuple(a: Any, b: Any) -> None:
    first, second, third = swapper((type(a), type(b)))(a, b)
    for given_value, found in ((b, first), (a, second), (b, third)):
        assert np.asarray(found, np.asarray(given_value).dtype).tobytes() == (
            np.asarray(given_value).tobytes()
        ) or (given_value != given_value and found != found)
