"""``sharray tail``: follow an array that grows."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

import sharray as sh

from .. import describing
from ..completion import complete_name
from ..ending import ended_by_signals
from ..output import Json, print_json
from ..output import print_text as say
from ..problem import ProblemError, one_line

EXAMPLES = """
Examples:
  sharray tail log.npy
  sharray tail -n 3 shm://run7/log
  sharray tail --json log.npy | jq .rate
"""

_MOST_ELEMENTS = 8  # of a row; of a longer one, text shows both ends


class _Seen(NamedTuple):
    """The array at one moment, with the last of the rows that are new."""

    shape: tuple[int, ...]
    rate: float | None  # rows in a second; None at the first look
    first: int  # index of the first row in `rows`
    rows: np.ndarray[Any, Any]


def tail(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A .npy file that grows, or a name that `sharray ls` prints.",
            autocompletion=complete_name,
        ),
    ],
    rows: Annotated[
        int,
        typer.Option("--rows", "-n", min=0, help="Show at most this number of rows."),
    ] = 10,
    interval: Annotated[
        float, typer.Option(min=0.1, help="Seconds between looks.")
    ] = 1,
    json: Json = False,
) -> None:
    """Follow an array that grows.

    Show its shape and its last rows, and again whenever it has grown: the shape, the
    rows per second, and the last of the new rows. With --json, print one line per
    change. The command ends with Ctrl-C, or when the file is removed or replaced. It
    does not write to the file.
    """
    found = sh.inspect(describing.locate(file))
    _check_grows(found)
    try:
        with ended_by_signals():
            for seen in _follow(found, rows, interval):
                if json:
                    print_json(_document(found, seen), indent=None)
                else:
                    say(*_lines(found, seen))
    except KeyboardInterrupt:
        return
    print(one_line(f"{found.name} was removed or replaced"), file=sys.stderr)


def _check_grows(found: sh.Inspection) -> None:
    if found.growable:
        return
    remedy = "create one with sharray.create(path, shape, dtype, growable=True)"
    if found.durable:
        remedy += f", or let this one grow: sharray.open({found.name!r}, growable=True)"
    raise ProblemError(
        f"cannot follow {found.name!r}: expected an array that grows, got one of fixed "
        f"size; {remedy}"
    )


# -- looking -------------------------------------------------------------------


def _follow(found: sh.Inspection, most: int, interval: float) -> Iterator[_Seen]:
    """Yield the array, and again whenever it has grown, until its file is gone.

    It asks from time to time. `wait_longer` could make the control page of the file,
    and then only this user, in this container, could append.
    """
    array = sh.open(found.path or found.name, mode="r")
    known, before = None, time.monotonic()
    while True:
        # First: rows that were appended before the file was removed are shown.
        is_gone = array.filename is None
        latest, now = array.latest(), time.monotonic()
        by_row = np.moveaxis(np.asarray(latest), 0 if found.order == "C" else -1, 0)
        count = len(by_row)
        if count != known:
            new = count if known is None else count - known
            rate = None if known is None else new / (now - before)
            first = count - min(most, new)
            yield _Seen(latest.shape, rate, first, by_row[first:])
        if is_gone:
            return
        known, before = count, now
        time.sleep(interval)


# -- as text -------------------------------------------------------------------


def _lines(found: sh.Inspection, seen: _Seen) -> list[str]:
    shape = " x ".join(map(str, seen.shape))
    told = str(found.dtype) if seen.rate is None else f"{seen.rate:.3g} rows/s"
    width = len(str(seen.first + len(seen.rows)))
    return [
        f"{shape}, {told}",
        *(
            f"  {index:>{width}}  {_text(row)}"
            for index, row in enumerate(seen.rows, seen.first)
        ),
    ]


def _text(row: Any) -> str:
    """Return a row as one line; NumPy escapes text, as repr does."""
    text = np.array2string(
        np.asarray(row), max_line_width=sys.maxsize, threshold=_MOST_ELEMENTS
    )
    return " ".join(line.strip() for line in text.splitlines())


# -- as JSON -------------------------------------------------------------------


def _document(found: sh.Inspection, seen: _Seen) -> dict[str, Any]:
    return {
        "time": datetime.now(UTC).isoformat(),
        "name": found.name,
        "dtype": str(found.dtype),
        "shape": seen.shape,
        "rate": seen.rate,
        "first": seen.first,
        "rows": _plain(seen.rows),
    }


def _plain(values: Any) -> Any:
    """Return values for JSON, which has no NaN, dates, bytes or complex numbers."""
    values = np.asarray(values)
    if values.dtype.names is not None:
        if values.ndim:
            return [_plain(one) for one in values]
        return {name: _plain(values[name]) for name in values.dtype.names}
    if values.dtype.kind in "mM":
        values = values.astype(str)
    return _strict(values.tolist())


def _strict(value: Any) -> Any:
    if isinstance(value, list):
        return [_strict(one) for one in value]
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, float) and math.isfinite(value):
        return value
    return value if isinstance(value, bool | int | str) else str(value)
