"""Compile kernels with numba, for the modules that must not import it themselves."""

from __future__ import annotations

import io
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numba
from numba.core import types
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError
from numba.core.registry import cpu_target
from numba.core.serialize import NumbaPickler, dumps

from ...errors import KernelError
from ...native.machine_code import (
    MachineCode,
    RangeLoop,
    host,
    why_not_loadable,
)
from ...native.parts import OF_PART
from ..argument_keys import Keys
from ..compiled import COUNT_TYPE, Compiled
from ..reductions import ITEMWISE
from ..references import is_of_ctypes, reduce_foreign
from . import entry, extension
from .argument_types import keys_of_types, numba_type, value_type
from .array_values import Accumulator, accumulator
from .entry_values import Reducer, items_of, tuple_like
from .here_typing import symbols_of
from .locating import LocatingCompiler
from .prange_pass import KEY, RangeCompiler, RangeFound

extension.register()

_BOUNDS_OF_PART = (
    "the bounds of its loop over prange depend on sharray.member() or "
    "sharray.offset(), which differ from part to part; compute the bounds before the "
    "run, and pass them as arguments"
)

__all__ = [
    "NumbaError",
    "compile_entry",
    "dispatcher_of",
    "is_dispatcher",
    "keys_of_types",
    "pickle_function",
    "type_of_function",
]


def is_dispatcher(function: object) -> bool:
    """Return whether this is a function compiled by ``numba.njit``."""
    return isinstance(function, Dispatcher)


def dispatcher_of(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Return numba's dispatcher of a function, which has its machine code by types."""
    if is_dispatcher(function):
        return function
    if function.__module__ == "__main__" and _uses_objmode(function):
        function = _without_module(function)
    defaults = {"nogil": True, "pipeline_class": LocatingCompiler}
    return numba.njit(**defaults | options)(function)


def _uses_objmode(function: Any) -> bool:
    names = function.__code__.co_names
    found = [function.__globals__.get(name) for name in names]
    return "objmode" in names or any(one is numba.objmode for one in found)


def _without_module(function: Any) -> Any:
    """Return a copy of a function that belongs to no module.

    Code in object mode looks names up in the function's module when it runs. In other
    processes, the main module is another one. If a function has no module, numba
    pickles its globals with it.
    """
    made: Any = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    made.__qualname__ = function.__qualname__
    made.__module__ = None
    return made


def type_of_function(dispatcher: Any) -> Any:
    """Return numba's type of a dispatcher, which lets other kernels call it."""
    if is_dispatcher(dispatcher):
        return types.Dispatcher(dispatcher)
    raise AttributeError("numba is switched off")


def pickle_function(function: Callable[..., Any], options: dict[str, Any]) -> bytes:
    """Pickle a function by value, with the objects that it refers to."""
    with io.BytesIO() as file:
        _Pickler(file, protocol=4).dump((function, options))
        return file.getvalue()


class _Pickler(NumbaPickler):
    """numba's pickler, extended by functions of ctypes."""

    def reducer_override(self, value: Any) -> Any:
        if is_of_ctypes(value):
            return reduce_foreign(value)
        return super().reducer_override(value)


def compile_entry(
    name: str,
    dispatcher: Any,
    keys: Keys,
    reducer: Any | None,
    may_split: bool = False,
) -> Compiled:
    """Compile a kernel for arguments of given types.

    Parameters
    ----------
    name : str
        Name of the kernel, for messages.
    dispatcher : Dispatcher
        From `dispatcher_of`.
    keys : tuple of Key
        Types of the arguments.
    reducer : str or Dispatcher, optional
        The operation that combines the values of several calls: a name in
        `sharray.kernels.reductions`, or a compiled function of two arguments.
    may_split : bool
        Whether to look for a loop over `prange`.

    Raises
    ------
    KernelError
        The type of its value cannot be combined or returned.
    numba.NumbaError
        It cannot be compiled for these types.
    """
    arguments = tuple(numba_type(key) for key in keys)
    found = None
    if may_split:
        compiled, found = _compile_range(dispatcher, arguments, reducer)
    else:
        compiled = _compile(dispatcher, arguments)
    returned = compiled.signature.return_type
    value = value_type(returned, name)
    combining: Reducer | Accumulator | None = None
    if isinstance(returned, types.Array):
        combining = _compile_accumulator(name, reducer, returned, found is not None)
        value = value_type(combining.kept, name)
    elif reducer is not None:
        if value is None:
            raise KernelError(
                f"kernel {name!r} returns nothing, so there is nothing to reduce; "
                "return a number, a tuple of numbers or an array, or leave out reduce="
            )
        combining = _compile_reducer(name, reducer, returned)
        value = value_type(combining.kept, name)
    splits = found is not None and not found.refusal
    built = entry.build(compiled, arguments, combining, takes_part=splits)
    code, reason = _machine_code(built)
    count = None
    if found is not None and splits:
        count, depends = _compile_count(dispatcher, arguments)
        found = found._replace(refusal=_BOUNDS_OF_PART * depends)
    if found is not None:
        counting = None if count is None else count.code
        loop = RangeLoop(
            counting, found.is_plain, found.refusal, found.repeats, found.apart
        )
        code = code._replace(loop=loop)
    return Compiled(
        built.entry_address, built.merge_address, value, code, reason, built, count
    )


def _compile_count(
    dispatcher: Any, arguments: tuple[Any, ...]
) -> tuple[Compiled, bool]:
    """Compile the kernel that counts the iterations of a loop over `prange`.

    Return it, and whether the number depends on the part.
    """
    compiled, _ = _compile_range(dispatcher, arguments, None, counts=True)
    built = entry.build(compiled, arguments, None)
    code, reason = _machine_code(built)
    count = Compiled(built.entry_address, 0, COUNT_TYPE, code, reason, built)
    return count, OF_PART in symbols_of(compiled)


def _compile_range(
    dispatcher: Any, arguments: tuple[Any, ...], reducer: Any, counts: bool = False
) -> tuple[Any, RangeFound | None]:
    """Compile a part of a kernel, or a count; return it, and its loop."""
    named = reducer if isinstance(reducer, str) else "kernel" * (reducer is not None)
    options = {"reducer": named, "counts": counts}
    pipeline = type("RangeCompiler", (RangeCompiler,), options)
    once = type(dispatcher)(
        dispatcher.py_func, dispatcher.locals, dispatcher.targetoptions, pipeline
    )
    # Not `once.compile`: that would register a part as the function itself, under these
    # argument types.
    compiled = once._compiler.compile(arguments, None)
    _check_mode(compiled, dispatcher)
    return compiled, compiled.metadata.get(KEY)


def _machine_code(built: entry.Built) -> tuple[MachineCode, str]:
    """Return the machine code for other processes, and why they cannot load it."""
    code = MachineCode(built.entry, built.merge, built.content, host())
    if built.dynamic:
        return code, "it refers to addresses of this process"
    try:
        environments = [
            (symbol, bytes(dumps(environment.consts)))
            for symbol, environment in built.environments.items()
        ]
    except Exception as error:  # pickling may raise anything
        return code, f"it refers to Python objects that cannot be pickled ({error})"
    code = code._replace(environments=tuple(environments))
    return code, why_not_loadable(code)


def _compile(dispatcher: Any, arguments: tuple[Any, ...]) -> Any:
    if not dispatcher._can_compile:  # numba.njit got a signature
        dispatcher = type(dispatcher)(
            dispatcher.py_func,
            dispatcher.locals,
            dispatcher.targetoptions,
            LocatingCompiler,
        )
    try:
        dispatcher.compile(arguments)
    except NumbaError:
        # numba keeps the exception, whose frames keep the arrays alive.
        dispatcher._compiler._failed_cache.clear()
        raise
    compiled = dispatcher.overloads[arguments]
    _check_mode(compiled, dispatcher)
    return compiled


def _check_mode(compiled: Any, dispatcher: Any) -> None:
    if compiled.objectmode:
        raise KernelError(
            f"numba compiled {dispatcher.py_func.__name__!r} in object mode; expected "
            "a function for nopython mode, like those of numba.njit"
        )


def _compile_reducer(name: str, reducer: Any, returned: Any) -> Reducer:
    itemwise = isinstance(reducer, str) and isinstance(returned, types.BaseTuple)
    function = ITEMWISE[reducer] if isinstance(reducer, str) else reducer
    dispatcher = dispatcher_of(function, {})
    kinds = items_of(returned) if itemwise else [returned]
    found = [_settle(name, dispatcher, kind) for kind in kinds]
    kept = [kind for kind, _ in found]
    return Reducer(
        [compiled for _, compiled in found],
        itemwise,
        tuple_like(returned, kept) if itemwise else kept[0],
    )


def _compile_accumulator(
    name: str, reducer: Any, returned: Any, is_part: bool
) -> Accumulator:
    kept = returned.copy(layout="C", readonly=False)
    if isinstance(reducer, str):
        # The parts of a loop over `prange` make the array of a direct call. They cannot
        # overflow: see `prange_arrays`.
        if is_part:
            return accumulator(returned, kept, reducer)
        element, _ = _settle(name, dispatcher_of(ITEMWISE[reducer], {}), kept.dtype)
        kept = kept.copy(dtype=element)
    elif reducer is not None:
        kept, _ = _settle(name, reducer, kept)
        kept = kept.copy(layout="C")
    return accumulator(returned, kept, reducer)


def _settle(name: str, dispatcher: Any, kind: Any) -> tuple[Any, Any]:
    """Return a type that combining two values does not change, and the code for it.

    For numba, the sum of two int32 is an int64, and the sum of two int64 is one, too.
    """
    for _ in range(3):
        compiled = _compile(dispatcher, (kind, kind))
        result = compiled.signature.return_type
        if result == kind:
            return kind, compiled
        if cpu_target.typing_context.can_convert(kind, result) is None:
            break
        kind = result
    raise KernelError(
        f"the values of kernel {name!r} cannot be reduced: combining two of type "
        f"{kind} gives {result}; expected a function of two values that returns one"
    )
