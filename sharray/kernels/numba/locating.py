"""The part of numba's compiler that makes kernels tell the line that raised.

numba returns a status from each function: 1 if it raises an exception. `_Lowering`
returns a status that tells the function and line instead, see `sharray.kernels.places`.
numba accepts each status above 0 as an exception. A status that already tells a place
is passed on: the line of the innermost kernel counts. Only the branch of an exception
changes, so code that raises nothing is as fast as before.

A direct call of a kernel uses numba's wrapper, which drops the status. `_Wrapping`
looks the place up there, and numba adds it to the traceback as for ``raise``.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

from llvmlite import ir
from numba.core.callconv import RETCODE_USEREXC, CPUCallConv
from numba.core.compiler import Compiler, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.cpu import CPUContext
from numba.core.lowering import Lower
from numba.core.typed_passes import BaseNativeLowering, NativeLowering

from ..places import Place, Places, place_of, places_of, status_of


class _Lowering(Lower):
    """numba's step from typed code to LLVM's, with statuses that tell the line."""

    context: Any
    _line = 0

    def lower_block(self, block: Any) -> None:
        """Lower a block, whose exceptions return `_return`."""
        self.builder.ret = functools.partial(_return, self, self.builder)
        super().lower_block(block)

    def lower_inst(self, inst: Any) -> None:
        """Lower a statement of this function, or one that was inlined into it."""
        if self.loc.filename == self.func_ir.func_id.filename:
            self._line = self.loc.line
        super().lower_inst(inst)

    def create_cpython_wrapper(self, release_gil: bool = False) -> None:
        """Create the function that Python calls."""
        plain: Any = self.context
        wrapping = copy.copy(plain)
        wrapping.__class__ = _Wrapping
        wrapping.places = places_of(self.func_ir.func_id.func)
        self.context = wrapping
        super().create_cpython_wrapper(release_gil)
        self.context = plain

    @property
    def status(self) -> int | None:
        """Return the status of an exception in the present line."""
        return status_of(self.func_ir.func_id.code, self._line)


def _return(lowering: _Lowering, builder: ir.IRBuilder, status: Any) -> Any:
    place = lowering.status
    if place is not None and status.type == RETCODE_USEREXC.type:
        if not isinstance(status, ir.Constant):
            is_plain = builder.icmp_signed("==", status, RETCODE_USEREXC)
            status = builder.select(is_plain, status.type(place), status)
        elif status.constant == RETCODE_USEREXC.constant:
            status = status.type(place)
    return ir.IRBuilder.ret(builder, status)


class _Wrapping(CPUContext):
    """numba's context while it creates such a function.

    Attributes
    ----------
    places : dict
        The functions that the kernel may call.
    """

    places: Places

    @property
    def call_conv(self) -> Any:
        """Return the code that raises exceptions in Python."""
        return _Raising(self)


class _Raising(CPUCallConv):
    def unpack_exception(self, builder: Any, api: Any, status: Any) -> Any:
        """Return numba's tuple of class, arguments and place of an exception."""
        packed = super().unpack_exception(builder, api, status)
        table = tuple(sorted(self.context.places.items()))
        locate = api.serialize_object(functools.partial(_located, table))
        function, number = (
            api.unserialize(locate),
            api.long_from_signed_int(status.code),
        )
        found = api.call_function_objargs(function, (packed, number))
        for used in (packed, function, number):
            api.decref(used)
        return found


def _located(table: tuple[Any, ...], packed: Any, status: int) -> Any:
    """Return numba's tuple with the place that the status tells, if it lacks one."""
    if type(packed) is not tuple or len(packed) != 3:
        return packed
    kind, arguments, place = packed
    told = place_of(status, dict(table))
    if told is None or (place is not None and not Place(*place).is_in_numba):
        return packed
    return kind, arguments, (told.function, told.filename, told.line)


@register_pass(mutates_CFG=True, analysis_only=False)
class _LocatingLowering(BaseNativeLowering):
    _name = "sharray_locating_lowering"

    @property
    def lowering_class(self) -> Any:
        """Return the class that lowers a function."""
        return _Lowering


def passes_of(state: Any) -> Any:
    """Return numba's passes with this lowering; call their `finalize`.

    Parallel loops of numba have a lowering of their own, which stays.
    """
    passes = DefaultPassBuilder.define_nopython_pipeline(state)
    passes.passes = [
        (_LocatingLowering, text) if one is NativeLowering else (one, text)
        for one, text in passes.passes
    ]
    return passes


class LocatingCompiler(Compiler):
    """numba's compiler with this lowering."""

    def define_pipelines(self) -> list[Any]:
        """Return the passes."""
        if self.state.flags.force_pyobject:
            found: list[Any] = super().define_pipelines()
            return found
        passes = passes_of(self.state)
        passes.finalize()
        return [passes]
