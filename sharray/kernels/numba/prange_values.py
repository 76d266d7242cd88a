"""Values that the loop over `prange` carries from one iteration to the next.

A part does not get the values that the part before it ends with. A sum is still right
if its start value counts in one part only, and the others begin with 0. A product is
right if the others begin with 1. A minimum or maximum may begin with the same value in
each part. All other values that an iteration takes from the one before are refused.
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

from numba.core import ir, types

from .prange_loop import Loop, Refused
from .prange_memory import is_one_of

SUM, PRODUCT, OTHER = "sum", "product", "other"
_KINDS = {
    SUM: ({operator.add, operator.iadd}, {operator.sub, operator.isub}),
    PRODUCT: (
        {operator.mul, operator.imul},
        {operator.truediv, operator.itruediv},
    ),
}
_COMPARISONS = {
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne,
}  # fmt: skip
_CHOOSING = (bool, min, max)
_NUMBERS = (types.Number, types.Boolean, types.NPDatetime, types.NPTimedelta)


class Carried(NamedTuple):
    """A variable that the loop carries.

    Attributes
    ----------
    name : str
        Name of the variable at the header of the loop.
    kind : str
        `SUM`, `PRODUCT` or `OTHER`.
    is_chosen : bool
        Whether the loop compares the variable, as for a minimum.
    """

    name: str
    kind: str
    is_chosen: bool


def carried_values(
    function: Any, typemap: dict[str, Any], loop: Loop
) -> dict[str, Carried]:
    """Return the variables that the loop carries to the next iteration, by name.

    Raises
    ------
    Refused
        A variable would have another value in parts of the loop.
    """
    names = _live_at(function, loop.header) & _assigned_in(function, loop.body)
    return {name: _look_at(function, typemap, loop, name) for name in sorted(names)}


def _look_at(function: Any, typemap: dict[str, Any], loop: Loop, name: str) -> Carried:
    # Sums and products first. OTHER variables, which are only compared and copied,
    # begin with the same value in all parts. A sum would count that value in each part.
    for kind in (SUM, PRODUCT):
        if (
            isinstance(typemap[name], types.Number)
            and _Chain(function, typemap, loop, name, kind).is_closed()
        ):
            return Carried(name, kind, False)
    copies = _Chain(function, typemap, loop, name, OTHER)
    if isinstance(typemap[name], _NUMBERS) and copies.is_closed():
        return Carried(name, OTHER, copies.is_compared)
    raise Refused(
        f"an iteration of its loop over prange needs {plain_name(name)!r} from the "
        "iteration before",
        copies.offence,
        "compute it from the index, or keep such a loop in an ordinary range",
    )


class _Chain:
    """The names that copy or update a carried variable within the loop."""

    def __init__(
        self, function: Any, typemap: dict[str, Any], loop: Loop, name: str, kind: str
    ) -> None:
        self._typemap, self._kind = typemap, kind
        self._statements = [
            statement
            for label in sorted(loop.body)
            for statement in function.blocks[label].body
        ]
        self.is_compared = False
        self.offence = loop.loc
        # numba splits a variable of the source into several names, each a copy or an
        # update of another: $2 = total.1 + x, total = $2.
        self._names = {name}
        while True:
            found = {
                statement.target.name
                for statement in self._statements
                if isinstance(statement, ir.Assign) and self._continues(statement.value)
            }
            if found <= self._names:
                break
            self._names |= found

    def _has(self, var: Any) -> bool:
        return isinstance(var, ir.Var) and var.name in self._names

    def _continues(self, value: Any) -> bool:
        """Return whether an expression is a name of the chain, or an update of one."""
        if isinstance(value, ir.Var):
            return self._has(value)
        if not isinstance(value, ir.Expr):
            return False
        if value.op == "cast":
            return self._has(value.value)
        if value.op in ("binop", "inplace_binop") and self._kind != OTHER:
            either, left = _KINDS[self._kind]
            # On exactly one side: total + total is not a sum over the iterations.
            if value.fn in either:
                return self._has(value.lhs) != self._has(value.rhs)
            if value.fn in left:
                return self._has(value.lhs) and not self._has(value.rhs)
        return self._kind == OTHER and self._is_choice(value)

    def _is_choice(self, value: Any) -> bool:
        if value.op != "call":
            return False
        key = getattr(self._typemap[value.func.name], "typing_key", None)
        return is_one_of(key, (min, max)) and any(map(self._has, value.args))

    def is_closed(self) -> bool:
        """Return whether the loop only updates and compares the variable."""
        for statement in self._statements:
            if isinstance(statement, ir.Assign):
                name, value = statement.target.name, statement.value
                if name in self._names:
                    if not self._continues(value) and self._kind != OTHER:
                        return self._offends(statement)
                    if isinstance(value, ir.Expr) and self._kind == OTHER:
                        self.is_compared |= (
                            self._continues(value) and value.op == "call"
                        )
                    if self._continues(value) or not self._used(statement):
                        continue
                elif not self._used(statement) or self._only_compares(value):
                    continue
                return self._offends(statement)
            if not isinstance(statement, ir.Branch) and self._used(statement):
                return self._offends(statement)
        return True

    def _used(self, statement: Any) -> bool:
        value = statement.value if isinstance(statement, ir.Assign) else statement
        if isinstance(value, ir.Var):
            return self._has(value)
        return hasattr(value, "list_vars") and any(map(self._has, value.list_vars()))

    def _only_compares(self, value: Any) -> bool:
        if self._kind != OTHER or not isinstance(value, ir.Expr):
            return False
        if value.op == "binop" and value.fn in _COMPARISONS:
            self.is_compared = True
            return True
        if value.op == "unary" and value.fn is operator.not_:
            return True
        if value.op != "call":
            return False
        key = getattr(self._typemap[value.func.name], "typing_key", None)
        return is_one_of(key, _CHOOSING)

    def _offends(self, statement: Any) -> bool:
        self.offence = statement.loc
        return False


def plain_name(name: str) -> str:
    """Return the name of a variable in the source.

    Examples
    --------
    >>> plain_name("total.3"), plain_name("total")
    ('total', 'total')
    """
    return name.partition(".")[0]


def _assigned_in(function: Any, labels: frozenset[int]) -> set[str]:
    return {
        statement.target.name
        for label in labels
        for statement in function.blocks[label].find_insts(ir.Assign)
    }


def _live_at(function: Any, wanted: int) -> set[str]:
    """Return the variables whose values are still needed at the start of a block."""
    live: dict[int, set[str]] = {label: set() for label in function.blocks}
    changed = True
    while changed:
        changed = False
        for label, block in function.blocks.items():
            now: set[str] = set()
            for successor in block.terminator.get_targets():
                now |= live[successor]
            for statement in reversed(block.body):
                if isinstance(statement, ir.Assign):
                    now.discard(statement.target.name)
                    value = statement.value
                    if isinstance(value, ir.Var):
                        now.add(value.name)
                    elif isinstance(value, ir.Inst):
                        now |= {var.name for var in value.list_vars()}
                else:
                    now |= {var.name for var in statement.list_vars()}
            # Repeat while any set grows: a loop leads back to blocks above.
            if now != live[label]:
                live[label] = now
                changed = True
    return live[wanted]
