"""The entry of a kernel: a C function that any process can call.

numba's own calling convention takes arrays as structures that hold addresses of one
process. The entry reads all arguments from slots (see `sharray.kernels.argument_keys`),
cuts the chunk out of the arrays that are split, calls the kernel, and stores what
it returned, combined with what is there already. Beside it stands *merge*, which
combines two such outcomes. This is the only place that uses what numba keeps
private; pyproject.toml says with which versions it was tried.
"""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.environment import lookup_environment

from .entry_arguments import SlotReader
from .entry_values import BYTES, Reducer, call, store_value, write_merge

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

    `library` keeps the addresses valid. `environments` are numba's, through which the
    code finds Python objects, by the symbols of the variables that point to them.
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
    reducer: Reducer | None,
    takes_part: bool = False,
) -> Built:
    """Build the entry of a kernel.

    Parameters
    ----------
    compiled : CompileResult
        The kernel, from numba.
    arguments : tuple of numba types
        Of the kernel.
    reducer : Reducer, optional
        Without, the last value is stored.
    takes_part : bool
        Whether it takes, behind its arguments, the first and the last iteration to do.
    """
    context = compiled.target_context
    # No other object file may have these names: the linker would silently bind a
    # second definition to the first.
    unique = uuid.uuid4().hex
    entry, merge = f"sharray_entry_{unique}", f"sharray_merge_{unique}"
    with global_compiler_lock:
        library = context.codegen().create_library(entry)
        library.enable_object_caching()
        module = library.create_ir_module(entry)
        _write_entry(module, entry, compiled, arguments, reducer, takes_part)
        if reducer is not None:
            write_merge(module, merge, context, reducer)
        library.add_ir_module(module)
        used = [compiled, *(reducer.compiled if reducer else [])]
        environments = _link(library, used, {entry, merge})
        library.finalize()
        content = bytes(library._get_compiled_object())
        for symbol, environment in environments.items():
            context.codegen().set_env(symbol, environment)
    return Built(
        library,
        entry,
        merge if reducer else "",
        library.get_pointer_to_function(entry),
        library.get_pointer_to_function(merge) if reducer else 0,
        content,
        environments,
        any(one.library.has_dynamic_globals for one in used),
    )


def _link(library: Any, used: list[Any], exported: set[str]) -> dict[str, Any]:
    """Link what is called into one module, of which only the exported can be seen.

    numba's names (module, function and a number for each process) come again in
    other processes, and after a function was defined anew.

    Returns
    -------
    dict
        numba's environments, through which machine code finds Python objects, by
        the symbols of the variables that are to point to them.
    """
    linked: list[Any] = []
    for one in used:
        if one.library not in linked:
            linked.append(one.library)
            found = one.library._get_module_for_linking()
            library._final_module.link_in(found, preserve=True)
    final = library._final_module
    environments: dict[str, Any] = {}
    renamed: list[str] = []
    for symbol in [*final.functions, *final.global_variables]:
        environment = lookup_environment(symbol.name)
        if environment is not None:
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
            # Renamed too: numba remembers the names of all that it has compiled, and
            # would have code that it compiles later call this one, by that name.
            symbol.name = f"{library.name}_{len(renamed)}"
            symbol.linkage = "internal"
            renamed.append(symbol.name)
    return environments


def _write_entry(
    module: ir.Module,
    name: str,
    compiled: Any,
    arguments: tuple[Any, ...],
    reducer: Reducer | None,
    takes_part: bool,
) -> None:
    context = compiled.target_context
    function = ir.Function(module, _ENTRY, name)
    builder = ir.IRBuilder(function.append_basic_block())
    slots, bases, begin, end, out, error = function.args
    reader = SlotReader(context, builder, slots, bases, begin, end)
    values = [reader.read(kind) for kind in arguments]
    if takes_part:
        values += [begin, end]
    status, value = call(context, builder, compiled, values)
    with builder.if_then(status.is_error, likely=False):
        builder.store(builder.bitcast(status.excinfoptr, BYTES), error)
        builder.ret(status.code)
    if compiled.signature.return_type != types.none:
        store_value(context, builder, compiled, value, reducer, out, error)
    builder.ret(_INT32(0))
