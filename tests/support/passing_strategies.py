"""Hypothesis strategies for objects that hold arrays of all kinds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from passing_objects import Model, Node, Pair

SIMPLE = [
    *["?", "b", "H", "i", "l", "q", "Q", "e", "f", "d", "g", "F", "D", "G"],
    *[">i2", ">u8", ">f4", ">g", ">c16", ">M8[D]", ">U3"],
    *["M8", "M8[ns]", "M8[25s]", "m8", "m8[us]", "S0", "S7", "U1", "V1", "V5"],
]
OVERLAPPING = {"names": ["a", "b"], "formats": ["u4", "u2"], "offsets": [0, 2]}


@st.composite
def structures(draw: st.DrawFn, fields: st.SearchStrategy[Any]) -> np.dtype:
    """Draw a structure of any fields, some with titles or a shape, packed or padded."""
    drawn = draw(st.lists(st.tuples(fields, st.sampled_from(SHAPES)), max_size=3))
    formats = [(k, shape) if shape and k.itemsize else k for k, shape in drawn]
    names = [f"f{i}" for i in range(len(formats))]
    layout = draw(st.sampled_from(["packed", "aligned", "titled"]))
    if layout == "titled":
        titled = [(f"title of {name}", name) for name in names]
        return np.dtype(list(zip(titled, formats, strict=True)), align=True)
    return np.dtype(list(zip(names, formats, strict=True)), align=layout == "aligned")


SHAPES = [(), (), (2,), (1, 3)]
simple = st.sampled_from([*SIMPLE, OVERLAPPING]).map(np.dtype)
dtypes = simple | st.recursive(simple, structures, max_leaves=4)


def _bits(dtype: np.dtype, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return an array of random bits, at an odd address if the seed is odd."""
    nbytes = math.prod(shape) * dtype.itemsize
    start = seed % 2
    memory = np.random.default_rng(seed).integers(0, 2, nbytes + start, np.uint8)
    array = np.ndarray(shape, dtype, memory, start)
    _spell(array)
    return array


def _spell(array: np.ndarray) -> None:
    """Set elements for which not all bits are valid."""
    for name in array.dtype.names or ():
        _spell(array[name])
    if array.dtype.kind == "U":
        array[...] = "\u20ac1"


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _windows(array: np.ndarray) -> np.ndarray:
    if array.ndim == 0 or array.shape[0] < 2 or array.dtype.names is not None:
        return array
    return np.lib.stride_tricks.sliding_window_view(array, 2, axis=0)


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C": lambda a: a,
    "Fortran": lambda a: a.copy("F"),
    "transposed": lambda a: a.T,
    "axes swapped": lambda a: np.moveaxis(a, 0, -1) if a.ndim else a,
    "strided": lambda a: a[(..., *(slice(None, None, 2),) * a.ndim)],
    "backwards": lambda a: a[(..., *(slice(None, None, -1),) * a.ndim)],
    "part": lambda a: a[(..., *(slice(1, None),) * min(a.ndim, 1))],
    "broadcast": lambda a: np.broadcast_to(a, (3, *a.shape)),
    "read-only": _read_only,
    "windows": _windows,
}


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Draw an array of any dtype and any layout."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    array = _bits(draw(dtypes), shape, draw(st.integers(0, 1 << 20)))
    return LAYOUTS[draw(st.sampled_from(list(LAYOUTS)))](array)


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy of leaves in nested containers."""
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.tuples(inner, inner)
            | st.dictionaries(st.text(max_size=3), inner, max_size=3)
            | st.builds(Pair, inner, inner)
            | st.builds(Model, inner)
            | st.builds(Node, inner)
            | st.lists(inner, max_size=3).map(object_array)
        ),
        max_leaves=6,
    )


def object_array(values: list[Any]) -> np.ndarray:
    made = np.empty(len(values), object)
    for i, value in enumerate(values):
        made[i] = value
    return made


scalars = st.sampled_from([None, True, 1.5, float("nan"), -(1 << 4000), "t", b"b"])


@st.composite
def objects(draw: st.DrawFn) -> Any:
    """Draw a few arrays and scalars in containers, some in several places."""
    pool = draw(st.lists(arrays(), min_size=1, max_size=3))
    pool += [a[()] for a in pool if a.ndim == 0 and a.dtype.kind in "biufcMm"]
    # sampled_from would hash the objects.
    some = st.integers(0, len(pool) - 1).map(lambda i: pool[i])
    return draw(nested(some | scalars))
