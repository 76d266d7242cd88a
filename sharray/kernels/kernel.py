"""`Kernel`: a function that numba compiles once and that runs in any process."""

from __future__ import annotations

import functools
import inspect
import os
import threading
import weakref
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from ..arrays.core import SharedArray
from ..errors import KernelError
from ..native import locks
from ..native.machine_code import MachineCode, why_not_loadable
from ..system import interrupts
from . import background
from .argument_keys import Keys, absolute, key_of, slots_of
from .compiled import Compiled
from .failures import Failure, note, rebuild
from .jit import is_disabled
from .outcome import ValueType
from .places import Places, places_of
from .seeding import NOT_SEEDED
from .source import Function, Source
from .tracebacks import ending_at, explained
from .watching import Watched, replaced, variables_of, watched_by

_Codes = list[tuple[Keys, MachineCode, ValueType | None]]

# Kernels of this process by identity, so a kernel that comes back is the same object.
_known: weakref.WeakValueDictionary[str, Kernel] = weakref.WeakValueDictionary()
# Kernels that arrive are kept. One that comes with each of a thousand tasks would else
# be loaded or compiled a thousand times, and LLVM never frees that memory.
_arrived: dict[str, Kernel] = {}
_pickling = threading.local()
_BY_POSITION = {
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
}


class Shipping(NamedTuple):
    """The form in which other processes receive a kernel.

    Attributes
    ----------
    machine_code : bool
        Whether they receive machine code. If not, each process compiles the kernel.
    reason : str
        Why they do not receive machine code; empty if they do.
    """

    machine_code: bool
    reason: str


class Kernel:
    """A function that numba compiles, and that runs in any process.

    `sharray.kernel` makes it. Call it like the function itself, run it in a team with
    `sharray.run`, or pass it to any executor. Its pickle contains the machine code for
    all types it has been compiled for so far.

    Attributes
    ----------
    py_func : callable
        The Python function.
    signature : inspect.Signature
        The parameters of the function, with their defaults.
    identity : str
        A unique name. It changes when an object that the kernel refers to is replaced.
    source : Source
        The function, present or pickled.
    """

    def __init__(self, function: Function, options: dict[str, Any]) -> None:
        plain = getattr(function, "py_func", function)
        functools.update_wrapper(self, plain)
        self.__name__: str = plain.__name__
        self._begin(os.urandom(16).hex(), Source(self.__name__, function, options))
        self._take_signature(_bare_signature(plain))
        _known[self.identity] = self

    def _begin(self, identity: str, source: Source) -> None:
        self.identity = identity
        self.source = source
        self._received: dict[Keys, tuple[MachineCode, ValueType | None]] = {}
        self._compiled: dict[Any, Compiled] = {}
        self._made_dispatcher: Any = None
        self._watched: tuple[Watched, ...] = ()
        self._sent_places: Places = {}

    def _take_signature(self, signature: inspect.Signature) -> None:
        self.signature = signature
        kinds = {one.kind for one in signature.parameters.values()}
        # A call with this many positional arguments needs no binding; -1 if all do.
        self._arity = len(signature.parameters) if kinds <= _BY_POSITION else -1

    def __repr__(self) -> str:
        return f"<sharray kernel {self.__name__}>"

    @property
    def title(self) -> str:
        """Return what people call the kernel."""
        return f"kernel {self.__name__!r}"

    @property
    def py_func(self) -> Function:
        """Return the Python function."""
        return self.source.py_func

    # Not functools.cached_property: before Python 3.12 it uses a lock, and a fork may
    # leave that lock held in the child.
    @property
    def _dispatcher(self) -> Any:
        if self._made_dispatcher is None:
            compiler = _compiler()
            with locks.compiling():
                if self._made_dispatcher is None:
                    function, options = self.source.function, self.source.options
                    if is_disabled():
                        return compiler.dispatcher_of(function, options)
                    # An array that arrived with the kernel is this kernel's only.
                    look = variables_of if self.source.has_arrived else watched_by
                    self._watched = look(function)
                    self._made_dispatcher = compiler.dispatcher_of(function, options)
        return self._made_dispatcher

    @property
    def may_split(self) -> bool:
        """Return whether there may be a loop over `prange`; only numba can be sure."""
        codes = [code for code, _ in self._received.copy().values()]
        if codes and not self.source.is_open:
            return any(code.loop is not None for code in codes)
        return self.source.may_split()

    @property
    def _numba_type_(self) -> Any:
        """Return numba's type of this kernel, so that other kernels can call it."""
        return _compiler().type_of_function(self._dispatcher)

    # -- calling -------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the kernel in this process, on whole arguments."""
        __tracebackhide__ = True  # in IPython and pytest
        try:
            if self._watched:
                self.check_watched()
            if self._received and not is_disabled():
                arguments = self.bind(args, kwargs)
                found = self._find_received(arguments)
                if found is not None:
                    return self._call_machine_code(found, arguments)
            if kwargs or len(args) != self._arity:
                # Otherwise numba would compile again for each set of omitted arguments.
                bound = self._with_defaults(args, kwargs)
                args, kwargs = bound.args, bound.kwargs
            plain = {name: _plain(value) for name, value in kwargs.items()}
            return self._dispatcher(*map(_plain, args), **plain)
        except BaseException as error:
            raise self.explain(error)  # noqa: B904 - the same exception

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Return all arguments in the order of the parameters, including defaults.

        Arguments for ``*args`` are one tuple.
        """
        if self._watched:
            self.check_watched()
        if not kwargs and len(args) == self._arity:
            return args
        return tuple(self._with_defaults(args, kwargs).arguments.values())

    def _with_defaults(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> inspect.BoundArguments:
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            name = self.__name__
            raise TypeError(f"{error}; call {name}{self.signature}") from None
        bound.apply_defaults()
        return bound

    def _find_received(self, arguments: tuple[Any, ...]) -> Compiled | None:
        try:
            keys = tuple(key_of(argument) for argument in arguments)
        except TypeError:  # numba takes more than machine code does
            return None
        found = self._compiled.get((keys, None))
        if found is not None and found.returns_array:
            return None
        if found is None and keys in self._received:
            code, value = self._received[keys]
            if why_not_loadable(code):
                return None
            # LLVM accepts each symbol once. So of two first calls only one loads the
            # code, and no interrupt comes between loading and remembering it.
            with locks.loading(), interrupts.deferred():
                found = self._compiled.get((keys, None))
                if found is None:
                    found = self._compiled[keys, None] = Compiled.loaded(code, value)
        return found

    def _call_machine_code(self, compiled: Compiled, arguments: tuple[Any, ...]) -> Any:
        slots: list[int] = []
        for argument in arguments:
            slots += slots_of(argument, key_of(argument), absolute)
        slots += NOT_SEEDED
        value, failure = compiled.call(np.array(slots, np.int64))
        if failure is not None:
            raise self.error_of(failure)
        return value

    def explain(self, error: BaseException) -> BaseException:
        """Return the exception of a call, ending in the kernel's line if it raised."""
        return explained(error, self.__name__, self._places)

    def error_of(self, failure: Failure, where: str = "") -> BaseException:
        """Return the exception of a failure, with a note that says where.

        Its traceback ends in the line that raised it, if known.
        """
        error, place = rebuild(failure, self._places())
        note(error, self.__name__, place, where)
        return error if place is None else ending_at(error, place)

    def _places(self) -> Places:
        """Return the functions that may have raised an exception."""
        if not self.source.is_open:
            return self._sent_places
        return places_of(self.source.function)

    # -- compiling -----------------------------------------------------------

    def check_watched(self) -> None:
        """Discard compiled code if an object that the kernel refers to was replaced."""
        for get, key, value, _ in self._watched:  # 60 ns each
            if get(key, None) is not value:
                self._renew_if_replaced()
                break

    def _renew_if_replaced(self) -> None:
        """Discard code that was compiled with objects that have been replaced since.

        Raises
        ------
        KernelError
            numba compiled a function of ``numba.njit`` with such an object.
        """
        found = replaced(self._watched)
        gone = {id(one.value) for one in found}
        for one in found:
            if not gone.isdisjoint(map(id, one.owners)):
                continue  # the function that uses it was replaced as well
            for owner in one.owners[::-1]:
                if not isinstance(owner, Kernel):
                    raise KernelError(
                        f"kernel {self.__name__!r} calls {owner.__name__!r}, and "
                        f"{one.key!r} was replaced after numba compiled that; "
                        f"define {owner.__name__!r} again"
                    )
                owner._renew()
        if found:
            self._renew()

    def _renew(self) -> None:
        with locks.compiling():
            self.identity = os.urandom(16).hex()  # the old one names old code elsewhere
            _known[self.identity] = self
            self._watched = ()
            self._made_dispatcher = None
            self.source = self.source.renewed()
            self._compiled = {}

    def compile(self, *arguments: Any) -> Kernel:
        """Compile the kernel now, for arguments of these types.

        Parameters
        ----------
        *arguments : object
            Arrays and numbers of the types that calls will pass, or types of numba.
            Parameters with a default may be left out.

        Returns
        -------
        Kernel
            The kernel itself.

        Raises
        ------
        numba.errors.NumbaError
            numba cannot compile the function for these types.

        Examples
        --------
        >>> import numpy as np
        >>> import sharray as sh
        >>> @sh.kernel
        ... def scale(x, factor):
        ...     for i in range(x.shape[0]):
        ...         x[i] *= factor
        >>> scale.compile(np.zeros(1), 2.0).shipped
        {'array(float64, 1d, C), float64': Shipping(machine_code=True, reason='')}
        """
        if not is_disabled():
            keys = _compiler().keys_of_types(self.bind(arguments, {}))
            self.compiled_for(keys)
        return self

    def compiled_for(self, keys: Keys, reducer: str | Kernel | None = None) -> Compiled:
        """Return the code for arguments of some types; compile it if needed."""
        identity = reducer.identity if isinstance(reducer, Kernel) else reducer
        found: Compiled | None = self._compiled.get((keys, identity))
        if found is not None:
            return found
        work = functools.partial(self._compile, keys, reducer, identity)
        return background.call((self.identity, keys, identity), work, self.__name__)

    def _compile(
        self, keys: Keys, reducer: str | Kernel | None, identity: str | None
    ) -> Compiled:
        compiler = _compiler()
        with locks.compiling(), interrupts.deferred():
            found = self._compiled.get((keys, identity))
            if found is None:
                combine = reducer
                if isinstance(reducer, Kernel):
                    combine = reducer._dispatcher
                found = compiler.compile_entry(
                    self.__name__, self._dispatcher, keys, combine, self.may_split
                )
                self._compiled[keys, identity] = found
        return found

    @property
    def shipped(self) -> dict[str, Shipping]:
        """Return the form that other processes receive, by the types of arguments."""
        return {
            ", ".join(map(str, keys)): Shipping(not found.reason, found.reason)
            for (keys, _), found in self._compiled.copy().items()
        }

    # -- to other processes --------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the machine code, and the function for all other types."""
        if self._watched:
            self.check_watched()
        being = _pickling.__dict__.setdefault("identities", set())
        if self.identity in being:  # the kernel refers to itself
            return _receive, (self.identity, self.__name__, self.signature, [], None)
        try:
            being.add(self.identity)  # inside `try`: Ctrl-C may come right after it
            name, codes, places = self.__name__, self._codes(), self._places()
            return (
                _receive,
                (self.identity, name, self.signature, codes, self.pickled(), places),
            )
        finally:
            being.discard(self.identity)

    def _codes(self) -> _Codes:
        """Return machine code for all types of earlier compilations and calls."""
        self._compile_for_calls()
        # Copies, each made in one step: other threads may compile, or receive.
        received = self._received.copy()
        codes = [(keys, *found) for keys, found in received.items()]
        codes += [
            (keys, found.code, found.value)
            for (keys, reducer), found in self._compiled.copy().items()
            if reducer is None
            and not found.reason
            and keys not in received
            # A direct call must return the kernel's own array, which may be an
            # argument. Machine code returns a copy.
            and not found.returns_array
        ]
        return codes

    def _compile_for_calls(self) -> None:
        overloads = getattr(self._made_dispatcher, "overloads", {})
        if not overloads:
            return
        compiler = _compiler()
        for arguments in list(overloads):
            # Not everything that numba takes and returns can be sent, such as lists.
            with suppress(TypeError, compiler.NumbaError):
                self.compiled_for(compiler.keys_of_types(arguments))

    def pickled(self) -> bytes | None:
        """Return the function pickled by value, or None if that is impossible."""
        return self.source.pickled(_pickle)


def _pickle(function: Function, options: dict[str, Any]) -> bytes:
    found: bytes = _compiler().pickle_function(function, options)
    return found


def _compiler() -> Any:
    """Import the compiler without interrupts: a half-imported numba stays broken."""
    with interrupts.deferred():
        from .numba import compiling
    return compiling


def _bare_signature(function: Function) -> inspect.Signature:
    """Return the parameters without annotations, which may not be picklable."""
    parameters = inspect.signature(function).parameters.values()
    empty = inspect.Parameter.empty
    return inspect.Signature([one.replace(annotation=empty) for one in parameters])


def _plain(value: Any) -> Any:
    # numba takes 600 ns to check a subclass.
    return value.view(np.ndarray) if type(value) is SharedArray else value


def _receive(
    identity: str,
    name: str,
    signature: inspect.Signature,
    codes: _Codes,
    pickled: bytes | None,
    places: Places | None = None,
) -> Kernel:
    """Return the kernel that another process pickled, the same object each time."""
    found = _known.get(identity)
    if found is None:
        found = Kernel.__new__(Kernel)
        found.__name__ = name
        found._begin(identity, Source(name, None, {}, pickled))
        found._take_signature(signature)
        found._sent_places = places or {}
        found = _known.setdefault(identity, found)
        _arrived[identity] = found
    if identity in _arrived:
        found.source.add_pickle(pickled)
        found._received.update({keys: (code, value) for keys, code, value in codes})
    return found
