"""Calls as pickles: functions by reference or by value, shared arrays by place.

A call goes to each worker once, with everything that it refers to::

    shared arrays      the number of the mapped file, and the place of the view in it
    functions and      by reference if they are in a module that workers import, and by
    classes            value from the main module, notebooks, lambdas, closures
    ordinary arrays    read-only copies: inside the message, or in shared memory if
                       they are large
    the rest           as pickle does

The calling process unpickles it as well, and works on that. So a function sees the
same in all members: what it changes in an ordinary object is lost everywhere, and a
store to an ordinary array raises an error everywhere.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from ...arrays.core import AnyArray
from ...arrays.creation import empty
from ...arrays.root import Root
from ...errors import TeamError
from . import modules
from .call import raised
from .pickling import CallUnpickler, base, call_pickler, modules_by_value, stale

_INLINE = 1 << 16  # bytes of ordinary arrays inside the message
_ALIGNMENT = 64


class Body(NamedTuple):
    """The message that brings a call to a worker. Equal messages make equal calls.

    Attributes
    ----------
    data : bytes
        The pickle.
    buffers : tuple of bytes
        The ordinary arrays, if they are small.
    block : int
        Number of the segment that holds them; -1 if they are in `buffers`.
    places : tuple of (int, int)
        Begin and end of each of them in the data of that segment.
    versions : dict
        See `modules.versions`.
    path : tuple of str
        ``sys.path``.
    directory : str
        The working directory; empty if it was removed.
    """

    data: bytes
    buffers: tuple[bytes, ...]
    block: int
    places: tuple[tuple[int, int], ...]
    versions: dict[str, bytes]
    path: tuple[str, ...]
    directory: str


class Packed(NamedTuple):
    """A call that is ready to be sent.

    Attributes
    ----------
    body : Body
        The message.
    roots : list of Root
        The files that its arrays need.
    block : SharedArray or None
        The memory of large ordinary arrays, to be kept until the run is over.
    """

    body: Body
    roots: list[Root]
    block: AnyArray | None


def pack(
    call: object, name: str, number: Callable[[Root], int], by_value: set[str]
) -> Packed:
    """Pickle a call for workers.

    Parameters
    ----------
    call : object
        The call.
    name : str
        Name of its function, for errors.
    number : callable
        Return the number by which workers know a mapped file.
    by_value : set of str
        Modules whose functions and classes must go by value.

    Raises
    ------
    TypeError
        Something cannot be pickled.
    TeamError
        A function that goes by value imports a module of which workers have another
        version.
    """
    with io.BytesIO() as file:
        pickler = call_pickler()(file, number, by_value)
        try:
            with modules_by_value(by_value):
                pickler.dump(call)
        except Exception as error:
            raise TypeError(
                f"cannot send a call of {name!r} to workers: {error}; pass what it "
                "needs as arguments that can be pickled, or make it inside of the "
                "function"
            ) from None
        data = file.getvalue()
    _check_imports(pickler.imports, by_value)
    views = [buffer.raw() for buffer in pickler.buffers]
    sizes = [view.nbytes for view in views]
    block, segment = None, -1
    places: list[tuple[int, int]] = []
    if sum(sizes) > _INLINE:
        for size in sizes:
            begin = -(-places[-1][1] // _ALIGNMENT) * _ALIGNMENT if places else 0
            places.append((begin, begin + size))
        block = empty(places[-1][1], np.uint8)
        for (begin, end), view in zip(places, views, strict=True):
            block[begin:end] = np.frombuffer(view, np.uint8)
        root = block._root
        assert root is not None
        pickler.roots.append(root)
        segment = number(root)
    buffers = () if block is not None else tuple(map(bytes, views))
    body = Body(
        data,
        buffers,
        segment,
        tuple(places),
        modules.versions(pickler.modules, by_value),
        tuple(search_path()),
        _directory(),
    )
    return Packed(body, pickler.roots, block)


def _check_imports(imports: Collection[str], by_value: Collection[str]) -> None:
    ends = tuple(one for one in imports if one.startswith("."))
    for module in by_value:
        if module in imports or f".{module}".endswith(ends):
            raise TeamError(stale(module, "an import inside of a function"))


def unpack(
    body: Body, root_of: Callable[[int], Root], by_value: Collection[str] = ()
) -> Any:
    """Make the call of a message.

    Parameters
    ----------
    body : Body
        The message.
    root_of : callable
        Return a segment by its number.
    by_value : collection of str
        Modules of which workers have other versions.

    Raises
    ------
    modules.Differ
        This process has other versions of some modules.
    """
    buffers: list[Any] = list(body.buffers)
    if body.block >= 0:
        root = root_of(body.block)
        data = root.view(np.ndarray).data[root.segment.data_range[0] :].toreadonly()
        buffers = [data[begin:end] for begin, end in body.places]
    with io.BytesIO(body.data) as file:
        call = CallUnpickler(file, root_of, buffers, by_value).load()
    modules.check(body.versions)
    return call


def pack_value(value: object) -> bytes:
    """Pickle what a worker sends back.

    Classes of the main module come back as what they are: cloudpickle knows the
    classes that it has made, and those that it has sent.
    """
    with io.BytesIO() as file:
        base()(file, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
        return file.getvalue()


def pack_raised(error: BaseException) -> bytes:
    """Pickle an exception with its traceback, or its text if it cannot be pickled."""
    found = raised(error)
    with suppress(Exception):
        packed = pack_value(found)
        pickle.loads(packed)  # many classes of exceptions fail only here
        return packed
    plain = TeamError(
        f"{type(error).__name__}: {error} (this class of exceptions cannot be sent; "
        "give its __init__ only arguments that it passes on)"
    )
    return pack_value(found._replace(error=plain))


def move_to(body: Body) -> None:
    """Look for modules and files where the calling process does."""
    sys.path[:] = body.path
    if body.directory:
        try:
            os.chdir(body.directory)
        except OSError as error:
            raise TeamError(
                f"a worker cannot enter the working directory: {error}; call os.chdir "
                "with another one"
            ) from None


def search_path() -> list[str]:
    """Return the directories in which workers look for modules.

    ``sys.path`` may hold any object. Python skips entries that are not strings, and
    some libraries put `pathlib.Path` objects there.
    """
    return [
        os.fsdecode(entry)
        for entry in sys.path
        if isinstance(entry, (str, bytes, os.PathLike))
    ]


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""
