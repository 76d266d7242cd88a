"""Tasks that return their arguments, or parts of them.

Workers find a task by its name, so that it may be a lambda with any way to start them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import ownership_kept as kept
import ownership_late as late
import pandas as pd
import scipy.sparse as sp
from passing_objects import Finalized, Model, Noted, Refuses


class Unpicklable(Refuses):
    """An object that cannot be pickled, and looks the same in all processes."""

    def __repr__(self) -> str:
        return "Unpicklable"


UNPICKLABLE = Unpicklable(ValueError("no"))


def increased(a: Any) -> Any:
    """Change an argument in place, and return it."""
    a += 1
    return a


def read_only(a: Any) -> Any:
    """Return an argument that nobody may write to."""
    a.flags.writeable = False
    return a


def written_while_read_only(a: Any) -> Any:
    """Return a read-only view of an array that was changed afterwards."""
    view = a[:]
    view.flags.writeable = False
    a += 1
    return view


def unaligned(a: Any) -> Any:
    """Return a part that begins between two elements."""
    flat = a.ravel("K").view("u1")
    return flat[3 : 3 + (flat.size - 8) // 8 * 8].view(float)


def swapped(a: Any, b: Any) -> Any:
    """Swap the values of two arguments, and return both."""
    a[...], b[...] = b.copy(), a.copy()
    return a, b


def rolled(a: Any) -> Any:
    """Move all values within an argument, and return two parts of it."""
    a[...] = np.roll(a, 7)
    return a[5:], a[:5]


def raises(a: Any) -> Any:
    """Raise an error with an argument."""
    raise LookupError(a, a[::2])


def raises_changed(a: Any) -> Any:
    """Raise an error with an argument, and change the argument on the way out."""
    try:
        raise LookupError("no", a)
    finally:
        a *= 2


def written_table(table: Any) -> Any:
    """Change a table in place, and return it."""
    table.iloc[1] = 5.0
    return table


def doubled_values(matrix: Any) -> Any:
    """Change a sparse matrix in place, and return it with its values."""
    matrix.data *= 2
    return matrix, matrix.data


def series(a: Any) -> Any:
    return pd.Series(a[0] if a.flags.f_contiguous else a[:, 0])


def frame(a: Any) -> Any:
    return pd.DataFrame(a, copy=False)


def csr(a: Any) -> Any:
    return sp.csr_array(a + 1)


# What a task returns for one or two arrays.
PARTS: dict[str, Callable[..., Any]] = {
    "itself": lambda a: a,
    "nothing": lambda a: None,
    "increased": increased,
    "view": lambda a: a[:],
    "three quarters": lambda a: a[: len(a) * 3 // 4],
    "last three quarters": lambda a: a[len(a) // 4 :],
    "columns": lambda a: a[:, :48],
    "ten rows": lambda a: a[20:30],
    "strided": lambda a: a[::2],
    "strided columns": lambda a: a[:, 1::3],
    "reversed": lambda a: a[::-1],
    "transposed": lambda a: a.T,
    "reshaped": lambda a: a.reshape(-1, 16),
    "flat": lambda a: a.ravel("K"),
    "new axes": lambda a: a[None, :, None],
    "scalar": lambda a: a[3, 5, ...],
    "no rows": lambda a: a[:0],
    "repeated": lambda a: np.broadcast_to(a, (2, *a.shape)),
    "windows": lambda a: np.lib.stride_tricks.sliding_window_view(a.ravel("K"), 2),
    "bytes": lambda a: a.ravel("K").view("u1"),
    "integers": lambda a: a.view("i8"),
    "other byte order": lambda a: a.view(">f8"),
    "structure": lambda a: a.ravel("K").view([("x", "f8"), ("y", "u4"), ("z", "u4")]),
    "dates": lambda a: a.view("i8").view("M8[ns]"),
    "unaligned": unaligned,
    "read-only": read_only,
    "read-only, then written": written_while_read_only,
    "subclass": lambda a: a.view(Finalized),
    "noted": lambda a: Noted(a, {"first": a[:10]}),
    "matrix": lambda a: np.asmatrix(a),
    "masked": lambda a: np.ma.array(a, mask=a > 1e6, copy=False),
    "objects": lambda a: np.array([a, None], object),
}
SEVERAL: dict[str, Callable[..., Any]] = {
    "twice": lambda a: (a, a),
    "twice in a list": lambda a: [a, [a]],
    "with its view": lambda a: (a, a[:]),
    "view and reversed": lambda a: (a[:], a[::-1], a.T),
    "overlapping": lambda a: (a[: len(a) * 2 // 3], a[len(a) // 3 :]),
    "disjoint": lambda a: (a[: len(a) // 2], a[len(a) // 2 :]),
    "halves swapped": lambda a: (a[len(a) // 2 :], a[: len(a) // 2]),
    "interleaved": lambda a: (a[::2], a[1::2]),
    "all rows": lambda a: list(a[:100]),
    "part and copy": lambda a: (a[10:], a[10:].copy()),
    "rolled": rolled,
    "in objects": lambda a: {"model": Model(a, parts={"a": [a], "b": a[5:]})},
    "with fresh arrays": lambda a: (a + 1, a, a * 2, "text", 5),
    "with small arrays": lambda a: (*(np.arange(n) for n in range(50)), a),
    "with bytes": lambda a: (a.tobytes(), a, bytes(7)),
    "first of two": lambda a, b: a,
    "second of two": lambda a, b: b,
    "both": lambda a, b: (a, b),
    "both backwards": lambda a, b: (b, a),
    "both twice": lambda a, b: (b, a, b[:], a[:]),
    "values swapped": swapped,
    "sum in place": lambda a, b: np.add(a, b, out=b),
    "one and a fresh one": lambda a, b: (b, a - b),
    "parts of both": lambda a, b: [a[: len(a) // 2], b[len(b) // 3 :], a[5:9]],
    "raises": raises,
    "raises what is changed": raises_changed,
    "cannot be pickled": lambda a: (a, UNPICKLABLE),
    "cannot be pickled first": lambda a: (UNPICKLABLE, a),
}
# The caller makes the argument of these from an array.
LIBRARIES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "frame": (frame, lambda f: f),
    "written frame": (frame, written_table),
    "frame and values": (frame, lambda f: (f.to_numpy(), f.to_numpy()[5:])),
    "part of a frame": (frame, lambda f: f.iloc[10:200]),
    "column": (frame, lambda f: f[3]),
    "series": (series, lambda s: s),
    "written series": (series, written_table),
    "part of a series": (series, lambda s: s[5:]),
    "frame of an array": (np.asarray, frame),
    "sparse": (csr, lambda m: m),
    "written sparse": (csr, doubled_values),
    "transposed sparse": (csr, lambda m: m.T),
    "values of sparse": (csr, lambda m: (m.indices, m.data)),
}

TASKS: dict[str, Callable[..., Any]] = {
    **PARTS,
    **SEVERAL,
    **{name: task for name, (_, task) in LIBRARIES.items()},
    **late.TASKS,
}


def do(name: str, *arguments: Any) -> Any:
    """Return the result of a task."""
    return TASKS[name](*arguments)


def keep(name: str, a: Any) -> Any:
    """Keep an argument in a way, and return it."""
    kept.keep(name, a)
    return a


def keep_and_increase(name: str, a: Any) -> Any:
    """Keep an argument in a way, change it, and return a part of it."""
    kept.keep(name, a)
    a += 1
    return a[: len(a) * 3 // 4]
