"""What becomes of the values that the calls of a function return.

Each member has a taker of its own, which takes the value of each chunk. At the end of
the run, the takers of the workers send what they have gathered, and the caller merges
that in the order of the members.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...arrays.core import AnyArray, SharedArray
from ...kernels.reductions import ITEMWISE
from ...kernels.tuples import rebuild_tuple

_SMALLEST_SUM = {"b": np.intp, "i": np.intp, "u": np.uintp}


class Part(NamedTuple):
    """The value of a chunk.

    Attributes
    ----------
    begin, end : int
        The rows of the chunk.
    value : object
        What the function returned.
    """

    begin: int
    end: int
    value: Any


class Taker:
    """Takes the value of each chunk that one member works on.

    Parameters
    ----------
    name : str
        Name of the function, for errors.

    Attributes
    ----------
    gathered : list
        What it has gathered from the chunks.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.gathered: list[Any] = []

    def begin(self) -> None:
        """Forget the values of the run before."""
        self.gathered = []

    def take(self, part: Part) -> None:
        """Take the value of a chunk."""
        raise NotImplementedError

    def merge(self, gathered: list[list[Any]]) -> Any:
        """Return the value of the run from what the members have gathered."""


class Ignored(Taker):
    """Ignores values, as for ufuncs, which return their output."""

    def take(self, part: Part) -> None:
        """Ignore the value."""


class Refused(Taker):
    """Refuses values, since nobody says what to do with them."""

    def take(self, part: Part) -> None:
        """Raise an error if there is a value."""
        if part.value is not None:
            raise TypeError(
                f"{self.name!r} returned {_kind(part.value)} for a chunk, which would "
                "be lost; combine such values with reduce=, collect them with "
                "sharray.map(), or return None"
            )


class Single(Taker):
    """Keeps the value of the only call."""

    def take(self, part: Part) -> None:
        """Keep the value."""
        self.gathered = [part.value]

    def merge(self, gathered: list[list[Any]]) -> Any:
        """Return the value."""
        return next((found[0] for found in gathered if found), None)


class Listed(Taker):
    """Lists the values with their chunks."""

    def take(self, part: Part) -> None:
        """Add the value to the list."""
        self.gathered.append(part._replace(value=_own(part.value)))

    def merge(self, gathered: list[list[Any]]) -> Any:
        """Return all parts in the order of their rows."""
        return sorted(
            (part for found in gathered for part in found), key=lambda part: part.begin
        )


class Combined(Taker):
    """Combines values by a reduction.

    Parameters
    ----------
    name : str
        Name of the function.
    reducer : {'sum', 'min', 'max'} or callable
        The reduction.
    """

    def __init__(self, name: str, reducer: str | Callable[[Any, Any], Any]) -> None:
        super().__init__(name)
        self.reducer = reducer

    def take(self, part: Part) -> None:
        """Combine the value with those before."""
        value = part.value
        if value is None:
            raise TypeError(
                f"{self.name!r} returned None for a chunk, so there is nothing to "
                "reduce; return a value, or leave out reduce="
            )
        if isinstance(self.reducer, str):
            value = self._prepared(value)
        self._add(value)

    def _add(self, value: Any) -> None:
        if self.gathered:
            value = combined(self.reducer, self.gathered[0], value)
        self.gathered = [value]

    def _prepared(self, value: Any) -> Any:
        if isinstance(value, (list, str, bytes, dict, set)):
            raise TypeError(
                f"{self.name!r} returned {_kind(value)}, which reduce={self.reducer!r} "
                "does not combine; return a number, an array or a tuple of these, or "
                "pass a function of two values as reduce="
            )
        if isinstance(value, tuple):
            return rebuild_tuple(value, [self._prepared(item) for item in value])
        if isinstance(value, np.ndarray):
            _check_plain(self.name, value)
            value = np.array(value)  # the function may change its array afterwards
        return _widened(value) if self.reducer == "sum" else value

    def merge(self, gathered: list[list[Any]]) -> Any:
        """Return the combined value."""
        self.begin()
        for found in gathered:
            for value in found:
                self._add(value)
        return self.gathered[0]


def combined(reducer: str | Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """Return two values combined, item by item if they are tuples.

    Raises
    ------
    ValueError
        They are arrays of different shapes, or tuples of different lengths.

    Examples
    --------
    >>> combined("sum", np.array([1, 2]), np.array([3, 4]))
    array([4, 6])
    """
    if not isinstance(reducer, str):
        return reducer(left, right)
    if isinstance(left, tuple) or isinstance(right, tuple):
        if not (isinstance(left, tuple) and isinstance(right, tuple)):
            raise ValueError(
                "expected tuples for all chunks or for none; return values of one kind"
            )
        pairs = zip(left, right, strict=True)
        return rebuild_tuple(left, [combined(reducer, *pair) for pair in pairs])
    if np.shape(left) != np.shape(right):
        raise ValueError(
            f"expected values of one shape to combine, got {np.shape(left)} and "
            f"{np.shape(right)}; return arrays whose shape does not depend on the "
            "number of rows"
        )
    if np.ndim(left) == 0:
        return ITEMWISE[reducer](left, right)
    # Not np.add, which makes objects of sparse arrays.
    functions: dict[str, Callable[[Any, Any], Any]]
    functions = {"sum": operator.add, "min": np.minimum, "max": np.maximum}
    value = functions[reducer](left, right)
    if np.shape(value) != np.shape(left):  # pandas adds NaN for labels of one side only
        raise ValueError(
            f"expected values with the same labels to combine by {reducer!r}; pass a "
            "function of two values as reduce=, such as one with a.add(b, fill_value=0)"
        )
    return value


def _widened(value: Any) -> Any:
    """Return integers as wide as those that `numpy.sum` adds, and bools as integers."""
    if not isinstance(value, np.ndarray | np.generic):
        return value
    least = _SMALLEST_SUM.get("i" if value.dtype.kind == "b" else value.dtype.kind)
    if least is None:
        return value
    return value.astype(np.promote_types(value.dtype, least))


class Stored(Taker):
    """Stores the value of each chunk in its rows of an array.

    Parameters
    ----------
    name : str
        Name of the function.
    out : SharedArray
        The array.
    axis : int
        The axis of the rows.
    casting : str
        See `numpy.copyto`.
    keeps_others : bool, default False
        Whether to keep values with another number of rows, which `merge` returns.
    """

    def __init__(
        self,
        name: str,
        out: AnyArray,
        axis: int,
        casting: str,
        *,
        keeps_others: bool = False,
    ) -> None:
        super().__init__(name)
        self.out = out
        self.axis = axis
        self.casting = casting
        self.keeps_others = keeps_others

    def merge(self, gathered: list[list[Any]]) -> dict[int, Any]:
        """Return the values with another number of rows, by the begin of the chunk."""
        return {part.begin: part.value for found in gathered for part in found}

    def rows(self, begin: int, end: int) -> Any:
        """Return some rows of the array."""
        return self.out[(slice(None),) * self.axis + (slice(begin, end),)]

    def take(self, part: Part) -> None:
        """Store the value, and check its shape and dtype."""
        rows = self.rows(part.begin, part.end)
        value = np.asanyarray(part.value)
        _check_plain(self.name, value)
        if value.shape != rows.shape and self.keeps_others:
            self.gathered.append(part._replace(value=_own(part.value)))
            return
        if value.shape != rows.shape:
            raise ValueError(
                f"{self.name!r} returned {_kind(part.value)} of shape {value.shape} "
                f"for a chunk of {part.end - part.begin}; expected {rows.shape}: "
                "return as many rows as the chunk has, or leave out out= and pass "
                "chunk= if their number varies"
            )
        if not np.can_cast(value.dtype, rows.dtype, self.casting):  # type: ignore[arg-type]
            raise TypeError(
                f"{self.name!r} returned {value.dtype} for a chunk, which does not fit "
                f"the result of {rows.dtype}; return one dtype for all chunks, or pass "
                "out= with a dtype for all"
            )
        np.copyto(rows, value, casting=self.casting)  # type: ignore[arg-type]


def _own(value: Any) -> Any:
    """Return a value that the function does not change by its next call."""
    return value.copy() if isinstance(value, np.ndarray) else value


def _check_plain(name: str, value: np.ndarray[Any, Any]) -> None:
    """Refuse arrays that are more than their elements: masked, or with units."""
    if type(value) is np.ndarray or isinstance(value, (SharedArray, np.memmap)):
        return
    raise TypeError(
        f"{name!r} returned {_kind(value)}, of which only the elements would be kept; "
        "return an ordinary array, such as numpy.asarray(x) or the filled() of a "
        "masked one"
    )


def _kind(value: Any) -> str:
    """Return a value's type with its article."""
    name = type(value).__name__
    return ("an " if name[0] in "aeiouAEIOU" else "a ") + name


def taker_of_run(name: str, reducer: Any, *, is_split: bool) -> Taker:
    """Return what takes the values of `sharray.run`."""
    if reducer is not None:
        return Combined(name, reducer)
    return Refused(name) if is_split else Single(name)
