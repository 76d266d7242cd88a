"""Atomic operations for Python, each as a small function of machine code.

Nothing in NumPy or in the standard library is atomic across processes. llvmlite alone
compiles a function in some milliseconds. Importing numba would take half a second.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir

from ..system import interrupts
from . import atomic_ir

# Takes the addresses of the element, and of cells [old, value, desired] of its type.
Operation = Callable[[int, int], None]

# PYFUNCTYPE keeps the GIL: releasing it would take longer than the operation.
_SIGNATURE = ctypes.PYFUNCTYPE(None, ctypes.c_ssize_t, ctypes.c_ssize_t)
# Machine code lives as long as its engine.
_engines: list[Any] = []


def compile_operation(operation: str, kind: str, nbytes: int) -> Operation:
    """Compile an operation on elements of a type.

    Parameters
    ----------
    operation : str
        Name of a function of `sharray.native.atomic`.
    kind : {'i', 'u', 'f'}
        Kind of the elements.
    nbytes : int
        Size of the elements.
    """
    name = f"{operation}_{kind}{nbytes}"
    address = keep_compiled(name, str(_module(name, operation, kind, nbytes)))
    return _SIGNATURE(address)


def keep_compiled(name: str, source: str) -> int:
    """Compile a function that is never freed; return its address.

    Parameters
    ----------
    name : str
        Name of the function in the source.
    source : str
        A module in LLVM's intermediate representation.
    """
    with interrupts.deferred():  # see `sharray.native.machine_code.host`
        # Keep the engine before the address is returned: the code ends with it.
        engine = _compile(source)
        _engines.append(engine)
        return int(engine.get_function_address(name))


def _module(name: str, operation: str, kind: str, nbytes: int) -> ir.Module:
    """Return the function in LLVM's intermediate representation."""
    module = ir.Module(name)
    word = ir.IntType(8 * ctypes.sizeof(ctypes.c_ssize_t))
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [word, word]), name)
    builder = ir.IRBuilder(function.append_basic_block())
    kind_of_pointer = atomic_ir.scalar_type(kind, nbytes).as_pointer()
    element, cells = (builder.inttoptr(one, kind_of_pointer) for one in function.args)
    value, desired = (
        builder.load(builder.gep(cells, [word(position)])) for position in (1, 2)
    )
    results = atomic_ir.emit(builder, operation, kind, element, [value, desired])
    if results:
        builder.store(results[0], cells)
    builder.ret_void()
    return module


def _compile(source: str) -> Any:
    """Compile for this machine; return the engine with the code."""
    # Needed up to llvmlite 0.44; later versions raise an error.
    with contextlib.suppress(RuntimeError):
        binding.initialize()
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    module = binding.parse_assembly(source)
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name()
    )
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine
