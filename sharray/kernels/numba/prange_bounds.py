"""Count the iterations of the loop over `prange` without running the kernel.

The function that counts them is a slice of the kernel: the statements that the bounds
depend on. It has no store, no effect, and no loop that only other code needs::

               the kernel, typed, with all calls inlined
                  |                           |
      slice of the bounds               all of it, with two more arguments
                  |                           |
                  v                           v
               count                        part
      once, before each run           each member, once for each chunk
                  |                           |
      n, or -1: loop not reached      range(bounds)[begin:end]
                  |                           ^
                  +---> LENGTH ---> chunks ---+      `sharray.team.control.layout`

==========================  ==============  ==========================================
count                       runs in         a crash, an endless loop, a kill
==========================  ==============  ==========================================
plain: arithmetic on        the caller      only a kill is possible: of the caller
numbers and lengths
not plain                   a worker, as a  ends that worker, and the run with an error;
                            run of a chunk  the caller lives
not plain, without workers  the caller      as in a direct call of the kernel
==========================  ==============  ==========================================

A count that is killed leaves nothing: it has no effects, and writes no LENGTH.

Invariants

- The slice is closed. It has the definition of each name that it needs, and each branch
  that decides whether such a definition, or the loop, is reached.
- Its statements keep their order, and read the same values as in the kernel. If it
  reads elements, it leaves out no store before the loop.
- Each part computes the bounds once more. A kernel is not split if its loop changes
  elements that the bounds read: see `prange_pass`.
- A part goes neither beyond the range that it computes itself, nor beyond LENGTH. If
  other processes change the bounds meanwhile, iterations are only left out.
- -1 becomes one chunk for the whole range: such a kernel runs once.
"""

from __future__ import annotations

from typing import Any

from numba.core import ir, types

from .prange_effects import Effects
from .prange_loop import Loop, Refused
from .prange_memory import is_one_of, is_simple

_SAFE_CALLS = (len, int, bool, min, max, abs)
_SAFE_ATTRIBUTES = {"shape", "size", "ndim", "prange"}


class Slice:
    """The statements of a kernel that the bounds of its loop depend on.

    Parameters
    ----------
    function, typemap
        numba's code, and the types of its names.
    loop : Loop
        The loop that is split.
    effects : Effects
        The effects of the function.

    Attributes
    ----------
    is_plain : bool
        Whether it is mere arithmetic on numbers and lengths, which ends at once and
        cannot crash.

    Raises
    ------
    Refused
        The bounds depend on code with an effect.
    """

    def __init__(
        self, function: Any, typemap: dict[str, Any], loop: Loop, effects: Effects
    ) -> None:
        self._blocks, self._typemap = function.blocks, typemap
        self._loop, self._effects = loop, effects
        self.labels = loop.before | {loop.block}
        self._branches: set[int] = set()
        self._names = {var.name for var in loop.call.value.args}
        self._postdominators = self._find_postdominators()
        self._grow()
        self._check()
        self.is_plain = self._find_plain()

    def statements(self, label: int) -> list[Any]:
        """Return the statements to keep of a block, without its last one."""
        kept = []
        for statement in self._blocks[label].body[:-1]:
            # The rest of this block comes after the bounds.
            if statement is self._loop.call:
                break
            if (
                isinstance(statement, ir.Assign)
                and statement.target.name in self._names
            ):
                kept.append(statement)
        return kept

    def next_block(self, label: int) -> int | None:
        """Return the block to jump to if a block's branch is not needed."""
        if label in self._branches:
            return None
        return self._after(label)

    def _grow(self) -> None:
        # Repeat until nothing is added. A needed name may add a branch, the branch adds
        # the name of its condition, and that name adds definitions further up.
        grown = True
        while grown:
            before = len(self._names), len(self._branches)
            for label in self.labels:
                for statement in self.statements(label):
                    value = statement.value
                    if isinstance(value, ir.Var):
                        self._names.add(value.name)
                    elif isinstance(value, ir.Expr):
                        self._names |= {var.name for var in value.list_vars()}
                if self._decides(label):
                    self._branches.add(label)
                    self._names.add(self._blocks[label].terminator.cond.name)
            grown = (len(self._names), len(self._branches)) != before

    # -- which branches are needed -------------------------------------------

    def successors(self, label: int) -> list[int]:
        """Return the successors of a block, -1 where the loop is out of reach."""
        if label == self._loop.block:
            return []
        targets = self._blocks[label].terminator.get_targets()
        return [target if target in self.labels else -1 for target in targets]

    def _find_postdominators(self) -> dict[int, set[int]]:
        """Return the blocks that are always passed after each block."""
        # Begin with all blocks, and remove. Beginning with none, a loop before the
        # `prange` would never get any: each of its blocks needs the other's first.
        everything = {*self.labels, -1}
        found = {label: set(everything) for label in everything}
        found[self._loop.block] = {self._loop.block}
        found[-1] = {-1}
        changed = True
        while changed:
            changed = False
            for label in self.labels - {self._loop.block}:
                after = [found[one] for one in self.successors(label)]
                now = {label} | set.intersection(*after) if after else {label}
                if now != found[label]:
                    found[label] = now
                    changed = True
        return found

    def _after(self, label: int) -> int | None:
        """Return the first block that is always passed after this one."""
        # All others come after the nearest one, so that one has most postdominators.
        later = self._postdominators[label] - {label}
        return max(later, key=lambda one: len(self._postdominators[one]), default=None)

    def _decides(self, label: int) -> bool:
        """Return whether a branch decides if something needed is reached."""
        if label == self._loop.block or label in self._branches:
            return False
        if not isinstance(self._blocks[label].terminator, ir.Branch):
            return False
        end = self._after(label)
        if end is None:
            return True  # it decides if the loop is reached
        # Follow both sides to the block where they meet. If nothing needed lies
        # between, both ways give the same bounds.
        seen = {end}
        ahead = self.successors(label)
        while ahead:
            one = ahead.pop()
            if one in seen:
                continue
            seen.add(one)
            # A side that leads to -1 never reaches the loop: there, the count is -1.
            if one == -1 or self.statements(one) or one in self._branches:
                return True
            ahead += self.successors(one)
        return False

    # -- check that it may run -----------------------------------------------

    def _check(self) -> None:
        kept = [one for label in self.labels for one in self.statements(label)]
        for statement in kept:
            effect = self._effects.of(statement)
            if effect:
                raise self._refused(effect, statement)
        if not any(map(self._is_load, kept)):
            return
        # The slice drops stores. A store before the loop, even to a private array, may
        # change an element that the slice reads.
        for label in self.labels:
            for statement in self._blocks[label].body:
                if statement is self._loop.call:
                    break
                if statement not in kept and self._may_store(statement):
                    raise self._refused("reads what is stored here", statement)

    def _may_store(self, statement: Any) -> bool:
        if isinstance(statement, (ir.SetItem, ir.StaticSetItem, ir.SetAttr)):
            return True
        # A call with any array may store to it. For a private array that is no effect,
        # but the slice would read an element that it has never stored.
        value = getattr(statement, "value", None)
        if not isinstance(value, ir.Expr) or value.op not in ("call", "inplace_binop"):
            return bool(self._effects.of(statement))
        return any(not is_simple(self._typemap[var.name]) for var in value.list_vars())

    def _refused(self, effect: str, statement: Any) -> Refused:
        return Refused(
            f"the bounds of its loop over prange depend on code that {effect}",
            statement.loc,
            "compute the bounds before the run, and pass them as arguments",
        )

    def _is_load(self, statement: Any) -> bool:
        """Return whether a statement reads elements of an array, not only its shape."""
        value = statement.value
        if not isinstance(value, ir.Expr):
            return False
        operands = [
            var for var in value.list_vars() if not is_simple(self._typemap[var.name])
        ]
        if not operands or value.op not in ("getitem", "static_getitem", "call"):
            return False
        if value.op == "call":
            key = getattr(self._typemap[value.func.name], "typing_key", None)
            return key is not len
        if isinstance(self._typemap[value.value.name], types.BaseTuple):
            return False
        is_view = not is_simple(self._typemap[statement.target.name])
        return not is_view or operands[0].name != value.value.name or len(operands) > 1

    def _find_plain(self) -> bool:
        # A branch that can be reached from itself is in a loop, which may never end.
        repeated = any(
            self._after(label) is not None and label in self._reached(label)
            for label in self._branches
        )
        return not repeated and all(
            self._is_plain(statement.value)
            for label in self.labels
            for statement in self.statements(label)
        )

    def _reached(self, label: int) -> set[int]:
        found: set[int] = set()
        ahead = [label]
        while ahead:
            for one in self.successors(ahead.pop()):
                if one not in found and one != -1:
                    found.add(one)
                    ahead.append(one)
        return found

    def _is_plain(self, value: Any) -> bool:
        if not isinstance(value, ir.Expr):
            return True
        if value.op == "getattr":
            kind = self._typemap[value.value.name]
            return value.attr in _SAFE_ATTRIBUTES or isinstance(
                kind, (types.Module, types.BaseNamedTuple)
            )
        if value.op in ("getitem", "static_getitem"):
            return isinstance(self._typemap[value.value.name], types.BaseTuple)
        if value.op == "call":
            function = self._typemap[value.func.name]
            key = getattr(function, "typing_key", None)
            return isinstance(function, types.NumberClass) or is_one_of(
                key, _SAFE_CALLS
            )
        if value.op in ("binop", "inplace_binop"):
            return is_simple(self._typemap[value.lhs.name])
        return value.op in ("unary", "cast", "build_tuple", "exhaust_iter")


def remaining_labels(piece: Slice, entry: int) -> set[int]:
    """Return the blocks that are still reached when unneeded branches are gone."""
    found: set[int] = set()
    ahead = [entry]
    while ahead:
        label = ahead.pop()
        if label in found or label == -1:
            continue
        found.add(label)
        step = piece.next_block(label)
        ahead += piece.successors(label) if step is None else [step]
    return found
