"""Find the loop over `prange` that a team splits, in numba's typed code.

numba has inlined closures and helpers by then, and knows the type of each name. So a
`prange` is recognised wherever it comes from. A loop looks like this::

    before:  $call = call $prange(...)      # the call
             $iter = getiter($call)
             jump header
    header:  $next = iternext($iter)
             branch $more, body, after
    body:    ...
             jump header

One such loop at the top level of the function can be split. A `prange` inside of it is
an ordinary range. All others are refused.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
from numba.core import ir, types
from numba.core.analysis import compute_cfg_from_blocks

from ..prange import prange

PRANGES = (prange, numba.prange)


class Refused(Exception):  # noqa: N818  # becomes a KernelError where the kernel is known
    """A kernel that a team cannot split.

    Parameters
    ----------
    problem : str
        The reason, for the message.
    loc : numba.core.ir.Loc
        Its place in the source.
    remedy : str
        The remedy, for the message.
    """

    def __init__(self, problem: str, loc: Any, remedy: str) -> None:
        super().__init__(problem, loc, remedy)
        self.problem, self.loc, self.remedy = problem, loc, remedy


class Loop(NamedTuple):
    """A loop over `prange` at the top level of a function.

    Attributes
    ----------
    call : numba.core.ir.Assign
        The statement that calls `prange`.
    block : int
        Label of the block with the call, which leads to the header.
    header, step : int
        Labels of the first block of each iteration, and of the block that takes the
        next step; in most functions the same.
    body : frozenset of int
        Labels of the blocks of the loop, with the header.
    before, after : frozenset of int
        Labels of the blocks that lead to the loop, and of those that come after it.
    """

    call: Any
    block: int
    header: int
    step: int
    body: frozenset[int]
    before: frozenset[int]
    after: frozenset[int]

    @property
    def loc(self) -> Any:
        """Return its place in the source."""
        return self.call.loc


def find_loop(function: Any, typemap: dict[str, Any]) -> Loop | None:
    """Return the loop to split; None if there is no loop over `prange` at all.

    Raises
    ------
    Refused
        There are several, or it is in a place where it cannot be split.
    """
    calls = _prange_calls(function, typemap)
    if not calls:
        return None
    graph = compute_cfg_from_blocks(function.blocks)
    loops = [_loop_of(function, graph, call, block) for call, block in calls]
    # A `prange` inside of another one is an ordinary range, like in numba.
    outer = [
        loop
        for loop in loops
        if not any(loop.block in other.body for other in loops if other is not loop)
    ]
    for loop in outer:
        _check_top_level(graph, loop)
    if len(outer) > 1:
        raise Refused(
            f"it has {len(outer)} loops over prange; expected one",
            outer[1].loc,
            "make a kernel of each, and run them in turn",
        )
    _check_no_way_out(function, graph, outer[0])
    return outer[0]


def _prange_calls(function: Any, typemap: dict[str, Any]) -> list[tuple[Any, int]]:
    return [
        (statement, label)
        for label, block in function.blocks.items()
        for statement in block.body
        if is_call_of(statement, typemap, PRANGES)
    ]


def is_call_of(statement: Any, typemap: dict[str, Any], keys: tuple[Any, ...]) -> bool:
    """Return whether a statement assigns the result of one of some functions."""
    value = getattr(statement, "value", None)
    if not (isinstance(value, ir.Expr) and value.op == "call"):
        return False
    kind = typemap.get(value.func.name)
    return isinstance(kind, types.Function) and kind.typing_key in keys


def _loop_of(function: Any, graph: Any, call: Any, block: int) -> Loop:
    """Return the loop that iterates over the result of a call of `prange`."""
    names = _iterators(function, call)
    headers = set()
    for label, other in function.blocks.items():
        for statement in other.body:
            if not any(var.name in names for var in statement.list_vars()):
                continue
            value = getattr(statement, "value", None)
            if isinstance(value, ir.Expr) and value.op == "iternext":
                headers.add(label)
            elif statement is not call and statement.target.name not in names:
                raise _wrapped(call)
    if len(headers) != 1:
        raise _wrapped(call)
    (step,) = headers
    return _made(graph, call, block, step)


def _first_block(graph: Any, step: int) -> int:
    """Return the first block of the loop that takes its step in block `step`.

    In a long function, the first block may be another one that only leads to `step`:
    a jump over many instructions ends at the prefix of the instruction for the step.
    """
    while graph.loops().get(step) is None:
        before = [label for label, _ in graph.predecessors(step)]
        if len(before) != 1 or len(list(graph.successors(before[0]))) != 1:
            break
        (step,) = before
    return step


def _iterators(function: Any, call: Any) -> set[str]:
    """Return the names of a range and its iterator; refuse names of the source."""
    names = {call.target.name}
    while True:
        found = {
            statement.target.name
            for block in function.blocks.values()
            for statement in block.find_insts(ir.Assign)
            if _passes_on(statement.value, names)
        }
        if found <= names:
            break
        names |= found
    # A range with a name may be used again after the loop, or by another loop. The part
    # of it would be too short there.
    named = function.func_id.code.co_varnames
    if any(name.partition(".")[0] in named for name in names):
        raise _wrapped(call)
    return names


def _passes_on(value: Any, names: set[str]) -> bool:
    if isinstance(value, ir.Expr) and value.op in ("getiter", "cast"):
        value = value.value
    return isinstance(value, ir.Var) and value.name in names


def _wrapped(call: Any) -> Refused:
    return Refused(
        "its prange is not the range of a plain loop, but assigned to a name or "
        "wrapped, as by enumerate, zip, reversed or a comprehension",
        call.loc,
        "write `for i in sharray.prange(...):`",
    )


def _made(graph: Any, call: Any, block: int, step: int) -> Loop:
    header = _first_block(graph, step)
    body = {header, step}
    for loop in graph.loops().values():
        if loop.header == header:
            body |= set(loop.body)
    return Loop(
        call,
        block,
        header,
        step,
        frozenset(body),
        before=frozenset(_reaching(graph, header) - body),
        after=frozenset(_reached(graph, header) - body),
    )


def _reached(graph: Any, label: int) -> set[int]:
    """Return the labels of the blocks that can come after one."""
    return _linked(graph.successors, label)


def _reaching(graph: Any, label: int) -> set[int]:
    """Return the labels of the blocks that can come before one."""
    return _linked(graph.predecessors, label)


def _linked(neighbours: Any, label: int) -> set[int]:
    found: set[int] = set()
    ahead = [label]
    while ahead:
        for neighbour, _ in neighbours(ahead.pop()):
            if neighbour not in found:
                found.add(neighbour)
                ahead.append(neighbour)
    return found


def _check_top_level(graph: Any, loop: Loop) -> None:
    around = {one.header for one in graph.loops().values() if loop.block in one.body}
    around |= {one.header for one in graph.in_loops(loop.header)}
    if around - {loop.header}:
        raise Refused(
            "its loop over prange is inside another loop",
            loop.loc,
            "put the outer loop into Python, around sharray.run, or make that one the "
            "loop over prange",
        )


def _check_no_way_out(function: Any, graph: Any, loop: Loop) -> None:
    """Refuse ``break`` and ``return`` in the loop; an exception may leave it."""
    returning = {
        label
        for label, block in function.blocks.items()
        if isinstance(block.terminator, ir.Return)
    }
    # These two blocks leave the loop when it is over. Any other block that leaves it
    # leaves early. Later parts would run iterations that a direct call does not run.
    for label in loop.body - {loop.header, loop.step}:
        for successor, _ in graph.successors(label):
            ends = {successor} | _reached(graph, successor)
            if successor not in loop.body and ends & returning:
                raise Refused(
                    "its loop over prange is left early, by break or return",
                    function.blocks[label].terminator.loc,
                    "let the loop go through all of its range",
                )
    if any(
        isinstance(block.terminator, ir.Return)
        for label, block in function.blocks.items()
        if label in loop.body
    ):
        raise Refused(
            "its loop over prange returns",
            loop.loc,
            "let the loop go through all of its range",
        )
