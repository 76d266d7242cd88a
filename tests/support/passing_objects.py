"""Objects that hold arrays, and the check that they arrive equal."""

from __future__ import annotations

import dataclasses
import gc
import pickle
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
from passing_pressure import forget_outbox

import sharray as sh
from sharray.passing.options import Options
from sharray.passing.wire.sending import write
from sharray.storage.messages import inbox, outbox

THRESHOLDS = [0, 1, 1000, Options().threshold]
# With this array, a message is large enough to be mapped, not copied.
HEAVY = np.arange(40_000)


def through_pickle(obj: Any) -> Any:
    """Return the object after plain pickle: the oracle."""
    return pickle.loads(pickle.dumps(obj))


def through_message(
    obj: Any, threshold: int = 0, budget: int | None = None, *, heavy: bool = False
) -> Any:
    """Return the object after a message, in its memory if `heavy`."""
    if heavy:
        return pickle.loads(write((HEAVY, obj), Options(threshold, budget)).data)[1]
    return pickle.loads(write(obj, Options(threshold, budget)).data)


def files_in_use() -> int:
    """Return how many files have messages on their way, or received arrays."""
    gc.collect()
    return sum(not outgoing.is_free() for outgoing in outbox._outgoing)


def forget_messages() -> None:
    """Close the files that this process keeps for further messages."""
    gc.collect()
    forget_outbox()
    inbox.drop_orphans()


def assert_same(found: Any, want: Any) -> None:
    """Check that types and values are equal, and the same objects are shared."""
    _Comparison().compare(found, want)


class _Comparison:
    def __init__(self) -> None:
        self._want_of: dict[int, int] = {}
        self._found_of: dict[int, int] = {}

    def compare(self, found: Any, want: Any) -> None:
        assert type(found) is type(want)
        if isinstance(want, np.longdouble | np.clongdouble):
            assert repr(found) == repr(want)  # some of their bytes are padding
        elif isinstance(want, np.generic):
            _compare_elements(np.asarray(found), np.asarray(want), self.compare)
        elif isinstance(want, list | dict | np.ndarray) or hasattr(want, "__dict__"):
            if not self._is_known(found, want):
                self._compare_contents(found, want)
        elif isinstance(want, tuple):
            self._compare_all(found, want)
        else:
            assert found == want or (found != found and want != want)

    def _is_known(self, found: Any, want: Any) -> bool:
        known = id(found) in self._want_of
        assert self._want_of.setdefault(id(found), id(want)) == id(want)
        assert self._found_of.setdefault(id(want), id(found)) == id(found)
        return known

    def _compare_contents(self, found: Any, want: Any) -> None:
        if isinstance(want, np.ndarray):
            _compare_layout(found, want)
            plain = found.view(np.ndarray), want.view(np.ndarray)
            _compare_elements(*plain, self.compare)
        elif isinstance(want, list):
            self._compare_all(found, want)
        elif isinstance(want, dict):
            assert list(found) == list(want)
            self._compare_all(list(found.values()), list(want.values()))
        if hasattr(want, "__dict__") and not isinstance(want, type):
            self.compare(vars(found), vars(want))

    def _compare_all(self, found: Any, want: Any) -> None:
        assert len(found) == len(want)
        for f, w in zip(found, want, strict=True):
            self.compare(f, w)


def _compare_layout(found: np.ndarray, want: np.ndarray) -> None:
    assert found.shape == want.shape
    # Pickle makes byte order native; a message may keep it.
    assert _native(found.dtype) == _native(want.dtype)
    # With NumPy 2.0, pickle gives datetimes an empty dictionary instead of None.
    assert (found.dtype.metadata or None) == (want.dtype.metadata or None)
    assert found.dtype.isalignedstruct == want.dtype.isalignedstruct
    layouts = [_flags_of(want)]
    if pickle.DEFAULT_PROTOCOL >= 5:
        # Since Python 3.14, pickle keeps arrays read-only, and their axes in any order.
        # Those in shared memory are as protocol 4 makes them.
        layouts.append(_flags_of(pickle.loads(pickle.dumps(np.asarray(want), 4))))
    assert _flags_of(found) in layouts


def _flags_of(array: np.ndarray) -> list[bool]:
    names = "C_CONTIGUOUS", "F_CONTIGUOUS", "WRITEABLE", "ALIGNED"
    return [array.flags[name] for name in names]


def _native(dtype: np.dtype) -> np.dtype:
    return dtype if dtype.hasobject else dtype.newbyteorder("=")


def _compare_elements(
    found: np.ndarray, want: np.ndarray, compare: Callable[[Any, Any], None]
) -> None:
    """Compare bits, except for the padding between fields."""
    if want.dtype.names is not None:
        for name in want.dtype.names:
            _compare_elements(found[name], want[name], compare)
    elif want.dtype.hasobject:
        for f, w in zip(found.flat, want.flat, strict=True):
            compare(f, w)
    else:
        native = found if found.dtype == want.dtype else found.astype(want.dtype)
        assert native.tobytes() == want.tobytes()


@dataclasses.dataclass
class Model:
    weights: Any
    name: str = "a model"
    parts: dict[str, Any] = dataclasses.field(default_factory=dict)


class Pair(NamedTuple):
    first: Any
    second: Any


class Node:
    """An object with an array, in a reference cycle."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.me = self
        self.ring = [self]


class Noted(np.ndarray):
    """A subclass with an attribute that travels, as NumPy's recipe says."""

    note: Any

    def __new__(cls, values: Any, note: Any) -> Noted:
        made = np.asarray(values).view(cls)
        made.note = note
        return made

    def __array_finalize__(self, obj: Any) -> None:
        self.note = getattr(obj, "note", None)

    def __reduce__(self) -> Any:
        function, arguments, state = super().__reduce__()
        return function, arguments, (*state, self.note)

    def __setstate__(self, state: Any) -> None:
        self.note = state[-1]
        super().__setstate__(state[:-1])


class Finalized(np.ndarray):
    """A subclass with an attribute that pickling loses."""

    def __array_finalize__(self, obj: Any) -> None:
        self.origin = "nothing" if obj is None else type(obj).__name__


class Refuses:
    """An object that raises an error when it is pickled."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


class Spoils:
    """An object that can be pickled, but not unpickled."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        return spoil, (self.error,)


def spoil(error: type[BaseException]) -> None:
    raise error("spoilt")


class Sends:
    """An object that sends and receives a message while it is pickled."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return Sends, (through_message(self.value),)


class Receives:
    """An object that receives another message while it is unpickled."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return receive, (bytes(write(self.value, Options(0)).data),)


def receive(message: bytes) -> Receives:
    return Receives(pickle.loads(message))


def echo(connection: Connection) -> None:
    """Send all messages back until None arrives."""
    while (obj := connection.recv()) is not None:
        connection.send(obj)
        del obj
    connection.close()


def fill(array: Any, value: Any) -> None:
    """Write to all elements of an array."""
    array[...] = value


def kinds_of_arrays(obj: Any) -> list[str]:
    return sorted({type(a).__name__ for a in arrays_in(obj)})


def arrays_in(obj: Any) -> list[Any]:
    """Return the arrays in dictionaries, lists and tuples."""
    if isinstance(obj, np.ndarray):
        return [obj]
    if isinstance(obj, dict):
        obj = list(obj.values())
    if dataclasses.is_dataclass(obj):
        obj = list(vars(obj).values())
    if isinstance(obj, list | tuple):
        return [array for each in obj for array in arrays_in(each)]
    return []


def add_in_place(obj: Any, amount: float) -> list[str]:
    """Add to every array in an object; return their descriptions."""
    for array in arrays_in(obj):
        array += amount
    return kinds_of_arrays(obj)


def is_shared(array: Any) -> bool:
    return isinstance(array, sh.SharedArray) and array.is_shared


def private_bytes_of(obj: dict[str, Any]) -> tuple[int, int]:
    """Read an array; return its sum, and the private bytes of its mapping."""
    total = int(obj["a"].sum())
    path = obj["a"]._root.segment.path
    private = 0
    with open("/proc/self/smaps", encoding="utf-8") as table:
        ours = False
        for line in table:
            if "-" in line.split()[0]:
                ours = path in line
            elif ours and line.startswith("Anonymous:"):
                private += int(line.split()[1]) << 10
    return total, private


def set_first_cell(frame: Any, value: float) -> None:
    frame.iloc[0, 0] = value


def has_own_memory(array: Any) -> bool:
    """Return whether an array owns its memory, or has a bytearray of pickle."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    memory = getattr(array.base, "obj", None)
    return array.flags.owndata or isinstance(memory, bytearray)
