"""The pass of numba's compiler that makes a part, or a count, of a loop over `prange`.

It works on typed code, after all inlining. A *part* is the kernel with two more
arguments, the bounds of the iterations to do. Bounds are arguments, so that threads and
processes can run the same code at the same time. A *count* is a kernel that returns the
number of iterations.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba.core import ir, types
from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.ir_utils import build_definitions
from numba.core.typed_passes import InlineOverloads

from .locating import passes_of
from .prange_bounds import Slice, remaining_labels
from .prange_effects import Effects, changed_in, first_effect, read_in
from .prange_loop import Loop, Refused, find_loop
from .prange_returns import begins_neutrally, check_returned
from .prange_typing import length_of, part_of, start_product, start_sum
from .prange_values import SUM, carried_values

KEY = "sharray_range"  # in numba's metadata of compiled code
_BEGIN, _END = "sharray_begin", "sharray_end"
_STARTS = {True: start_sum, False: start_product}
_AFTER_LOOP_FINE = ("does an atomic", "calls the method")


class RangeFound(NamedTuple):
    """The findings of the pass about a kernel.

    Attributes
    ----------
    refusal : str
        The reason why a team cannot split the loop; empty if it can.
    repeats : str
        The effect that several parts would repeat; empty if none.
    is_plain : bool
        Whether the count ends at once and cannot crash.
    apart : tuple of (int, int, str)
        Positions of two arguments that must not overlap, and the effect that several
        parts would repeat if they did.
    """

    refusal: str
    repeats: str = ""
    is_plain: bool = False
    apart: tuple[tuple[int, int, str], ...] = ()


@register_pass(mutates_CFG=True, analysis_only=False)
class SplitRange(FunctionPass):
    """Make a part or a count of the loop over `prange`, if there is one."""

    _name = "sharray_split_range"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Change numba's code unless the loop is refused; return whether it changed."""
        try:
            found = self._split(state)
        except Refused as refused:
            place = _place(state, refused.loc)
            found = RangeFound(f"{refused.problem} ({place}); {refused.remedy}")
        state.metadata[KEY] = found
        return found is not None and not found.refusal

    def _split(self, state: Any) -> RangeFound | None:
        function, typemap = state.func_ir, state.typemap
        pipeline = state.pipeline
        loop = find_loop(function, typemap)
        if loop is None:
            return None
        if state.flags.auto_parallel.enabled:
            raise Refused(
                "it has the option parallel=True, so that numba splits its loop",
                loop.loc,
                "make the kernel without this option",
            )
        # All checks come first. `run_pass` reports a refused kernel as unchanged, so no
        # check may follow a change.
        effects = Effects(function, typemap, state.calltypes)
        piece = Slice(function, typemap, loop, effects)
        carried = carried_values(function, typemap, loop)
        if pipeline.reducer in ("sum", "min", "max"):
            check_returned(function, typemap, loop, carried, pipeline.reducer)
        repeats = _repeated(state, loop, effects)
        reading = _read_outside(state, loop, effects)
        editor = _Editor(state)
        if pipeline.counts:
            _keep_count(editor, loop, piece)
        else:
            _keep_part(
                editor, loop, [one for one in carried.values() if begins_neutrally(one)]
            )
        # Later passes use numba's index of assignments.
        function._definitions = build_definitions(function.blocks)
        return RangeFound("", repeats or reading.same, piece.is_plain, reading.apart)


def _repeated(state: Any, loop: Loop, effects: Effects) -> str:
    """Return the effect that each part would repeat, with its place; empty if none."""
    found = first_effect(effects, state.func_ir, loop.before | {loop.block}, loop.call)
    if found is None:
        found = first_effect(effects, state.func_ir, loop.after)
        # Code after the loop may add up the results of the parts.
        if found is not None and found[0].startswith(_AFTER_LOOP_FINE):
            found = None
    return "" if found is None else _outside(state, *found)


class _Reading(NamedTuple):
    """Reads outside of the loop of elements that the loop changes."""

    same: str  # of an argument that the loop changes
    apart: tuple[tuple[int, int, str], ...]  # of another one that may overlap with it


def _read_outside(state: Any, loop: Loop, effects: Effects) -> _Reading:
    outside = loop.before | {loop.block} | loop.after
    changed = changed_in(effects, state.func_ir, loop.body | loop.after)
    names = list(state.func_ir.arg_names)
    same, apart = "", []
    for name, loc in read_in(effects, state.func_ir, outside):
        what = f"reads argument {name!r}, which other parts change,"
        if name in changed:
            same = same or _outside(state, what, loc)
        if name in names:
            apart += [
                (names.index(name), names.index(other), _outside(state, what, loc))
                for other in sorted(changed - {name})
                if other in names
            ]
    return _Reading(same, tuple(apart))


def _outside(state: Any, effect: str, loc: Any) -> str:
    return f"{effect} outside of its loop over prange ({_place(state, loc)})"


def _place(state: Any, loc: Any) -> str:
    """Return file and line; for code inlined from another file, of the function."""
    function = state.func_id
    inlined = loc.filename != function.filename
    return f"{function.filename}:{function.firstlineno if inlined else loc.line}"


class _Editor:
    """Adds typed code to numba's."""

    def __init__(self, state: Any) -> None:
        self.state, self.blocks = state, state.func_ir.blocks
        self._typemap = state.typemap
        self._count = 0

    def variable(self, kind: Any, loc: Any, name: str = "") -> Any:
        """Return a new variable of a type."""
        self._count += 1
        name = name or f"$sharray_{self._count}"
        self._typemap[name] = kind
        return ir.Var(None, name, loc)

    def argument(self, name: str, loc: Any) -> Any:
        """Add an argument; return a variable for it, and the statement that sets it."""
        function = self.state.func_ir
        variable = self.variable(types.int64, loc, f"${name}")
        value = ir.Arg(name, function.arg_count, loc)
        self._typemap[f"arg.{name}"] = types.int64
        function.arg_names = [*function.arg_names, name]
        function.arg_count += 1
        self.state.args = (*self.state.args, types.int64)
        return variable, ir.Assign(value, variable, loc)

    def constant(self, value: int, loc: Any) -> tuple[Any, list[Any]]:
        """Return a new variable for an integer, and the statements that set it."""
        variable = self.variable(types.int64, loc)
        return variable, [ir.Assign(ir.Const(value, loc), variable, loc)]

    def kinds_of(self, call: Any) -> list[Any]:
        """Return the types that a call converts its arguments to."""
        return list(self.state.calltypes[call].args)

    def call(
        self, function: Any, arguments: list[Any], kinds: list[Any], target: Any
    ) -> list[Any]:
        """Return the statements that call a function of `prange_typing`."""
        loc = target.loc
        context = self.state.typingctx
        kind = context.resolve_value_type(function)
        signature = kind.get_call_type(context, kinds, {})
        name = self.variable(kind, loc)
        call = ir.Expr.call(name, arguments, (), loc)
        self.state.calltypes[call] = signature
        source = ir.Assign(ir.Global(function.__name__, function, loc), name, loc)
        return [source, ir.Assign(call, target, loc)]


def _keep_part(editor: _Editor, loop: Loop, neutral: list[Any]) -> None:
    loc = loop.call.loc
    begin, take_begin = editor.argument(_BEGIN, loc)
    end, take_end = editor.argument(_END, loc)
    body = editor.blocks[loop.block].body
    place = body.index(loop.call)
    arguments = [begin, end, *loop.call.value.args]
    kinds = [types.int64, types.int64, *editor.kinds_of(loop.call.value)]
    body[place : place + 1] = editor.call(part_of, arguments, kinds, loop.call.target)
    # Right before the loop, not where the variable is assigned: code before the loop
    # uses the start value, too, and must see the same one in all parts.
    starts: list[Any] = []
    for value in neutral:
        name = ir.Var(None, value.name, loc)
        start = _STARTS[value.kind == SUM]
        kinds = [types.int64, types.int64, editor.state.typemap[value.name]]
        starts += editor.call(start, [begin, end, name], kinds, name)
    for label in loop.before | {loop.block}:
        body = editor.blocks[label].body
        if loop.header in body[-1].get_targets():
            body[-1:-1] = starts
    entry = editor.blocks[min(editor.blocks)].body
    entry[0:0] = [take_begin, take_end]


def _keep_count(editor: _Editor, loop: Loop, piece: Slice) -> None:
    blocks, loc = editor.blocks, loop.call.loc
    entry = min(blocks)
    labels = remaining_labels(piece, entry)
    nowhere = max(blocks) + 1
    for label in labels:
        kept = piece.statements(label)
        if label == loop.block:
            length = editor.variable(types.int64, loc)
            call = loop.call.value
            kept += editor.call(
                length_of, list(call.args), editor.kinds_of(call), length
            )
            kept.append(ir.Return(length, loc))
        else:
            kept.append(_way_on(blocks[label].terminator, piece, label, nowhere))
        blocks[label].body = kept
    for label in set(blocks) - labels:
        del blocks[label]
    # All ways that miss the loop end here, also those that raise: the run raises then.
    none, statements = editor.constant(-1, loc)
    end = ir.Block(ir.Scope(None, loc), loc)
    end.body = [*statements, ir.Return(none, loc)]
    blocks[nowhere] = end
    editor.state.return_type = types.int64


def _way_on(terminator: Any, piece: Slice, label: int, nowhere: int) -> Any:
    def target(step: int) -> int:
        return nowhere if step == -1 else step

    step = piece.next_block(label)
    if step is not None:
        return ir.Jump(target(step), terminator.loc)
    steps = [target(one) for one in piece.successors(label)]
    if len(steps) == 1:
        return ir.Jump(steps[0], terminator.loc)
    return ir.Branch(terminator.cond, steps[0], steps[1], terminator.loc)


class RangeCompiler(CompilerBase):
    """numba's compiler with this pass.

    Attributes
    ----------
    reducer : str
        Name of the reducer, ``kernel``, or empty.
    counts : bool
        Whether to make a count instead of a part.
    """

    reducer = ""
    counts = False

    def define_pipelines(self) -> list[Any]:
        """Return numba's passes, with `SplitRange` after the last one that inlines."""
        passes = passes_of(self.state)
        # Earlier, a `prange` in a helper or a closure would not be found.
        passes.add_pass_after(SplitRange, InlineOverloads)
        passes.finalize()
        return [passes]
