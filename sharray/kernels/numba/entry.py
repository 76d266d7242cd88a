"""The entry of a kernel: a C function that any process can call.

numba's calling convention takes arrays as structures with addresses of one process. The
entry reads all arguments from slots (`sharray.kernels.argument_keys`), cuts out the
chunk, calls the kernel, and stores its value. A second function, *merge*, combines two
such values.

A call is ``status = entry(slots, bases, begin, end, out, error)``::

      slots   [ base | offset | axis | shape ... | strides ... ] [ number ] ... [ seed ]
                 |        |
      bases   [ 0 | 1 | 2 ... ]         address of the array = bases[base] + offset
                 addresses of the segments in this process

      begin, end     the chunk: cut out along the axis of each split array,
                     or passed to a part of a loop over prange

              [ number | members ]                    of the member, before `out`
      out     [ used | block | cell 0 | cell 1 ... ]  `sharray.kernels.outcome`
      error   [ pointer to numba's description ]      `sharray.kernels.failures`

==============  ============================  ===================================
memory          writer                        readers
==============  ============================  ===================================
slots           the caller, before the run    every member: the same words
bases           each process has its own      entries in that process
out             the entry; the caller sets    the caller, after the run
                "used" to 0 before the run
block of out    the entry, or a worker that   the same process, after the run
                hands it over
error           the entry, if status is not   the same process, at once
                0
elements        the kernel                    every process that maps the array
==============  ============================  ===================================

Invariants

- Addresses of a process are only in `bases`, `out` and `error`. Slots and code contain
  none, so all processes can share them.
- The entry stores only to `out` and `error`; all other stores are the kernel's.
- A status other than 0 means that `out` is unchanged.
- No two object files define the same symbol, except for those of numba's memory
  management, which are the same in all.

A process that is killed in a call leaves the elements that it has stored, and an
outcome that nobody reads: the run is cancelled.

`sharray.native.machine_code` sends the object file to other processes. `_link` and
`build` use private parts of numba; pyproject.toml limits its version.
"""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.environment import lookup_environment

from ..seeding import SEED_WORDS
from .array_values import Accumulator, store_array, write_array_merge
from .entry_arguments import SlotReader
from .entry_values import (
    BYTES,
    Reducer,
    call,
    return_error,
    store_value,
    write_merge,
)
from .here_typing import part_set, symbols_of, uses_part
from .seeding_code import seed_set, seeding_code

_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)
_WORDS = _INT64.as_pointer()
_ENTRY = ir.FunctionType(
    _INT32, [_WORDS, _WORDS, _INT64, _INT64, BYTES, BYTES.as_pointer()]
)
_SHARED_LINKAGE = {
    "external",
    "weak_any",
    "weak_odr",
    "linkonce_any",
    "linkonce_odr",
    "common",
}


class Built(NamedTuple):
    """Both functions, in this process and as an object file.

    `library` keeps the addresses valid. `environments` are numba's environments, by the
    symbols of the variables that point to them. Through these, machine code finds
    Python objects.
    """

    library: Any
    entry: str
    merge: str
    entry_address: int
    merge_address: int
    content: bytes
    environments: dict[str, Any]
    dynamic: bool


def build(
    compiled: Any,
    arguments: tuple[Any, ...],
    combining: Reducer | Accumulator | None,
    takes_part: bool = False,
) -> Built:
    """Build the entry of a kernel.

    Parameters
    ----------
    compiled : CompileResult
        The kernel, from numba.
    arguments : tuple of numba types
        Types of the kernel's arguments.
    combining : Reducer or Accumulator, optional
        The operation on values. Without one, the last value is stored. A kernel that
        returns arrays always has one.
    takes_part : bool
        Whether the kernel is a part, and takes begin and end after its arguments.
    """
    context = compiled.target_context
    # No other object file may have these names: the linker would silently bind a
    # second definition to the first.
    unique = uuid.uuid4().hex
    entry, merge = f"sharray_entry_{unique}", f"sharray_merge_{unique}"
    with global_compiler_lock:
        library = context.codegen().create_library(entry)
        # Before anything is compiled; otherwise numba keeps no object file.
        library.enable_object_caching()
        module = library.create_ir_module(entry)
        _write_entry(module, entry, compiled, arguments, combining, takes_part)
        if isinstance(combining, Accumulator):
            write_array_merge(module, merge, context, combining)
        elif combining is not None:
            write_merge(module, merge, context, combining)
        library.add_ir_module(module)
        used = [compiled, *(combining.compiled if combining else [])]
        used += seeding_code(symbols_of(compiled))
        # Before `finalize`, which compiles the symbols with their names.
        environments = _link(library, used, {entry, merge})
        library.finalize()
        content = bytes(library._get_compiled_object())
        # Set the variables of this process. In others, `machine_code.load` sets them.
        for symbol, environment in environments.items():
            context.codegen().set_env(symbol, environment)
    return Built(
        library,
        entry,
        merge if combining else "",
        library.get_pointer_to_function(entry),
        library.get_pointer_to_function(merge) if combining else 0,
        content,
        environments,
        any(one.library.has_dynamic_globals for one in used),
    )


def _link(library: Any, used: list[Any], exported: set[str]) -> dict[str, Any]:
    """Link all called functions into one module, and hide all but `exported`.

    numba's names consist of module, function and a number that is unique in a process
    only. Other processes use the same names for other code.

    Returns
    -------
    dict
        numba's environments, by the symbols of the variables that point to them.
    """
    linked: list[Any] = []
    for one in used:
        if one.library not in linked:
            linked.append(one.library)
            found = one.library._get_module_for_linking()
            # Keep the module: numba links it into others, too.
            library._final_module.link_in(found, preserve=True)
    final = library._final_module
    environments: dict[str, Any] = {}
    renamed: list[str] = []
    for symbol in [*final.functions, *final.global_variables]:
        environment = lookup_environment(symbol.name)
        if environment is not None:
            # External, so that the process that loads the object file finds it.
            symbol.name = f"{library.name}_environment_{len(environments)}"
            symbol.linkage = "external"
            environments[symbol.name] = environment
        elif (
            not symbol.is_declaration
            and symbol.name not in exported
            and symbol.linkage.name in _SHARED_LINKAGE
            # numba's memory management, the same everywhere.
            and not symbol.name.startswith("NRT_")
        ):
            # Rename internal symbols, too. numba remembers all names that it has
            # compiled. Code that it compiles later would call this copy by its name.
            symbol.name = f"{library.name}_{len(renamed)}"
            symbol.linkage = "internal"
            renamed.append(symbol.name)
    return environments


def _write_entry(
    module: ir.Module,
    name: str,
    compiled: Any,
    arguments: tuple[Any, ...],
    combining: Reducer | Accumulator | None,
    takes_part: bool,
) -> None:
    context = compiled.target_context
    function = ir.Function(module, _ENTRY, name)
    builder = ir.IRBuilder(function.append_basic_block())
    slots, bases, begin, end, out, error = function.args
    reader = SlotReader(context, builder, slots, bases, begin, end)
    values = [reader.read(kind) for kind in arguments]
    # In a part, all arrays are whole (axis is -1), and the loop takes the chunk.
    if takes_part:
        values += [begin, end]
    symbols = symbols_of(compiled)
    seed = reader.words(SEED_WORDS)
    with (
        part_set(builder, uses_part(symbols), out, begin),
        seed_set(context, builder, symbols, seed, begin),
    ):
        status, value = call(context, builder, compiled, values)
    # Before the value is used: it is undefined if the kernel has raised.
    return_error(builder, status, error)
    returned = compiled.signature.return_type
    if isinstance(combining, Accumulator):
        store_array(context, builder, returned, value, combining, out, error)
    elif returned != types.none:
        store_value(context, builder, compiled, value, combining, out, error)
    builder.ret(_INT32(0))
