"""Machine code that travels: object files, and loading them in another process.

Loading needs llvmlite, but not numba: 0.07 s instead of 0.3, and no compilation. Code
of numba calls the C library, and helpers in two of numba's extension modules. These can
be loaded without the rest of numba.

::

      process that compiles                       process that loads
      entry, merge, kernel: one module
         |  symbols renamed, linked
         v
      object file  ---------------------------->  1. same processor? symbols known?
      target: the processor  ------------------>     no: `why_not_loadable`
                                                  2. tell LLVM the symbols' addresses
                                                  3. add the object file, link
      constants of numba's code, pickled  ----->  4. an environment for each, stored
                                                     in its variable
                                                  5. addresses of entry and merge
         |                                           |
         v                                           v
      called here                                 programs[number], or `Compiled`

The object file takes one of three ways: through the socket of a team, in the pickle of
a kernel, or not at all. Code with addresses of its process, or with objects that cannot
be pickled, does not travel. Workers compile it from the source then.

None of this is in shared memory. `MachineCode` is a value. Each process has its own
LLVM engine, which only `load` changes, under `locks.loading`.

Invariants

- No two object files define the same symbol, since names hold a number that is used
  once. LLVM refuses no second definition. It would bind a weak one, as numba's are, to
  the first: the code of another kernel. Only the functions of numba's memory management
  are in several object files, and the same in all.
- LLVM never looks for a symbol by itself. It ends the process if it does not find one,
  so all are looked up before.
- An address leaves `load` only after step 4. Code that is called before would follow a
  null pointer to its constants.

A process that is killed while it loads leaves nothing. The worker that replaces it has
no programs, and gets the code again. An exception in steps 2 to 4 leaves the object
file in the engine, where nobody calls it.
"""

from __future__ import annotations

import builtins
import ctypes
import functools
import importlib.machinery
import importlib.util
import os
import pickle
from contextlib import suppress
from typing import Any, NamedTuple

from ..errors import KernelError
from ..system import interrupts
from . import locks, parts
from .object_file import is_supported, undefined_symbols

# int32 (int64 *slots, int64 *bases, int64 begin, int64 end, void *out, void **error)
ENTRY_TYPE = ctypes.CFUNCTYPE(
    ctypes.c_int32,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_void_p,
    ctypes.c_void_p,
)
# int32 (void *out, const void *other, void **error)
MERGE_TYPE = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
)


class RangeLoop(NamedTuple):
    """The loop over `prange` of a kernel.

    Attributes
    ----------
    counting : MachineCode or None
        A kernel of the same arguments that returns the number of iterations; -1 if the
        loop is not reached.
    is_plain : bool
        Whether counting ends at once, and cannot crash.
    refusal : str
        The reason why a team cannot split it; empty if it can.
    repeats : str
        The effect that several parts would repeat; empty if none.
    apart : tuple of (int, int, str)
        Positions of two arguments, and the effect that several parts would repeat if
        these overlap in memory.
    """

    counting: MachineCode | None
    is_plain: bool = False
    refusal: str = ""
    repeats: str = ""
    apart: tuple[tuple[int, int, str], ...] = ()


class MachineCode(NamedTuple):
    """An object file with two functions.

    Attributes
    ----------
    entry, merge : str
        Their symbols. The entry, an `ENTRY_TYPE`, runs the kernel. The merge, a
        `MERGE_TYPE`, combines two of its values; its symbol is empty if there is none.
        No other object file has the same symbols.
    content : bytes
        The object file.
    target : str
        The processor that it is for, from `host`.
    environments : tuple of (str, bytes)
        Symbol of a variable that must point to an environment of numba's, and the
        pickled list of the Python objects in it; for each environment.
    loop : RangeLoop, optional
        The loop that a team splits, if there is one.
    """

    entry: str
    merge: str
    content: bytes
    target: str
    environments: tuple[tuple[str, bytes], ...] = ()
    loop: RangeLoop | None = None


@functools.cache
def host() -> str:
    """Return the processor of this machine, with all its features."""
    import llvmlite.binding as llvm

    # An interrupt right after the `acquire` of llvmlite's lock would leave it locked.
    with interrupts.deferred():
        features = llvm.get_host_cpu_features().flatten()
        return " ".join([llvm.get_process_triple(), llvm.get_host_cpu_name(), features])


def why_not_loadable(code: MachineCode) -> str:
    """Return why this process cannot load some machine code; empty if it can."""
    if code.target != host():
        return "it was compiled for another processor"
    if not is_supported(code.content):
        return "object files of this platform are not supported"
    missing = [
        name for name in undefined_symbols(code.content) if find_symbol(name) is None
    ]
    return f"it needs symbols that are not there: {', '.join(missing)}" * bool(missing)


def load(code: MachineCode) -> tuple[int, int]:
    """Load machine code; return the addresses of entry and merge, 0 without a merge.

    Raises
    ------
    KernelError
        This process cannot load it: see `why_not_loadable`.
    """
    import llvmlite.binding as llvm

    with locks.loading(), interrupts.deferred():
        # Before LLVM gets it: LLVM ends the process if a symbol is missing.
        reason = why_not_loadable(code)
        if reason:
            raise KernelError(f"cannot load machine code: {reason}")
        # LLVM searches these addresses first. By itself, it would find another address
        # for some names: see `find_symbol`.
        for name in undefined_symbols(code.content):
            llvm.add_symbol(name, find_symbol(name))
        engine = _engine()
        engine.add_object_file(llvm.ObjectFileRef.from_data(code.content))
        engine.finalize_object()
        # After linking, when the variables have addresses. Before the entry is
        # returned, since it reads them.
        for symbol, constants in code.environments:
            variable = engine.get_global_value_address(symbol)
            ctypes.c_void_p.from_address(variable).value = _environment(constants)
        merge = engine.get_function_address(code.merge) if code.merge else 0
        return engine.get_function_address(code.entry), merge


def prepare() -> None:
    """Load LLVM, so that forks of this process can `load` at once."""
    host()
    _engine()
    _libraries()


@functools.cache
def _engine() -> Any:
    import llvmlite.binding as llvm

    # One engine for all code: an empty module, to which object files are added.
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


def find_symbol(name: str) -> int | None:
    """Return the address of a symbol of an object file; None if unknown."""
    if name.startswith("PyExc_"):
        # For numba, this symbol is the object itself; for C, a pointer to the object.
        error = getattr(builtins, name.removeprefix("PyExc_"), None)
        return None if error is None else id(error)
    if name in parts.SYMBOLS:
        return parts.key_address()
    for prefix, module in _HELPERS.items():
        if name.startswith(prefix):
            address = _helpers(module).get(name.removeprefix(prefix))
            return None if address is None else int(address)
    for library in _libraries():
        try:
            function = getattr(library, name)
        except AttributeError:
            continue
        return ctypes.cast(function, ctypes.c_void_p).value
    return None


_kept: list[Any] = []  # environments that machine code refers to


def _environment(constants: bytes) -> int:
    """Return the address of a new environment, where code finds its Python objects."""
    environment = _extension("_dynfunc").Environment({})
    # The pickle comes from the process that sent the code, and is trusted like it.
    environment.consts.extend(pickle.loads(constants))
    # Keep it for ever, like the code: the engine cannot drop an object file.
    _kept.append(environment)
    return id(environment)


# Prefixes of symbols, and the extension modules of numba that define them.
_HELPERS = {"NRT_": "core.runtime._nrt_python", "numba_": "_helperlib"}


@functools.cache
def _libraries() -> list[ctypes.CDLL]:
    found = [ctypes.CDLL(None)]
    with suppress(OSError):  # libm may be part of the C library
        found.append(ctypes.CDLL("libm.so.6"))
    return found


@functools.cache
def _helpers(module: str) -> dict[str, int]:
    """Return the addresses of an extension module's functions, by name."""
    found = _extension(module)
    use_allocator = getattr(found, "memsys_use_cpython_allocator", None)
    # Before any code allocates memory. Importing numba would do this.
    if use_allocator is not None:
        use_allocator()
    helpers: dict[str, int] = getattr(found, "c_helpers", {})
    return helpers


@functools.cache
def _extension(module: str) -> Any:
    """Load an extension module of numba from its file; return None if it is missing.

    Importing it would import numba. It can be loaded alone, since it does not use the
    rest of numba.
    """
    path = _extension_file(module)
    if path is None:
        return None
    name = module.rpartition(".")[2]
    loader = importlib.machinery.ExtensionFileLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None:
        return None
    found = importlib.util.module_from_spec(spec)
    loader.exec_module(found)
    return found


def _extension_file(module: str) -> str | None:
    spec = importlib.util.find_spec("numba")  # finds numba without importing it
    if spec is None or not spec.submodule_search_locations:
        return None
    stem = os.path.join(spec.submodule_search_locations[0], *module.split("."))
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        if os.path.isfile(stem + suffix):
            return stem + suffix
    return None
