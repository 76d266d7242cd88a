"""Check that the value of a kernel can be combined from parts of its loop.

With ``reduce="sum"``, the sum of the parts' values must equal the value of a direct
call. That is true of a sum, and of a sum times a constant, but not of ``total + 1``.
With ``"min"`` or ``"max"``, the parts must return a minimum or maximum. With a kernel
of two values as reducer, nothing is checked. In each case, sums begin with 0 and
products with 1 in all parts but the first.
"""

from __future__ import annotations

import operator
from typing import Any

from numba.core import ir, types

from .prange_arrays import ArraySums
from .prange_loop import Loop, Refused
from .prange_memory import is_one_of
from .prange_values import OTHER, PRODUCT, SUM, Carried

_REMEDY = (
    "return the variable that the loop updates, and compute the rest from the value "
    "of sharray.run"
)


def check_returned(
    function: Any,
    typemap: dict[str, Any],
    loop: Loop,
    carried: dict[str, Carried],
    reducer: str,
) -> None:
    """Refuse a value that would differ if it is combined from parts.

    Parameters
    ----------
    function, typemap
        numba's code, and the types of its names.
    loop : Loop
        The loop that is split.
    carried : dict of Carried
        The variables that it carries.
    reducer : str
        ``sum``, ``min`` or ``max``.

    Raises
    ------
    Refused
        The value is not a sum, minimum or maximum over the loop.
    """
    definitions = Definitions(function, loop)
    if reducer == "sum":
        arrays = ArraySums(function, typemap, loop)
        check: Any = _Sums(definitions, typemap, carried, arrays)
    else:
        check = _Extremes(definitions, carried)
    ends = [function.blocks[label].terminator for label in sorted(loop.after)]
    returns = [end for end in ends if isinstance(end, ir.Return)]
    for end in ends:
        # The condition may differ between a part and the whole.
        chooses = len(returns) > 1 and isinstance(end, ir.Branch)
        if chooses and not definitions.is_constant(end.cond, typemap, carried):
            raise Refused(
                "it chooses between several returns after its loop over prange",
                end.loc,
                _REMEDY,
            )
        if isinstance(end, ir.Return):
            for item in definitions.items_of(end.value):
                if not check.allows(item):
                    raise Refused(
                        f"it returns a value that is not the {reducer} over its loop "
                        f"over prange, so reduce={reducer!r} would give another value "
                        "than a direct call",
                        end.loc,
                        _REMEDY,
                    )


class Definitions:
    """The values that a function assigns to its names, outside of the loop."""

    def __init__(self, function: Any, loop: Loop) -> None:
        self.inside: set[str] = set()
        self._values: dict[str, list[Any]] = {}
        for label, block in function.blocks.items():
            for statement in block.find_insts(ir.Assign):
                name = statement.target.name
                if label in loop.body:
                    self.inside.add(name)
                else:
                    self._values.setdefault(name, []).append(statement.value)

    def of(self, var: Any) -> Any:
        """Return the only value of a name outside of the loop; None if several."""
        values = self._values.get(var.name, [])
        return values[0] if len(values) == 1 else None

    def follow(self, var: Any, stop: Any) -> Any:
        """Return the variable or expression that a name is a copy of."""
        while var.name not in stop:
            value = self.of(var)
            if isinstance(value, ir.Expr) and value.op == "cast":
                value = value.value
            if not isinstance(value, ir.Var):
                return value
            var = value
        return var

    def items_of(self, var: Any) -> list[Any]:
        """Return the items of a returned tuple, or the variable itself."""
        found = self.follow(var, self.inside)
        if isinstance(found, ir.Expr) and found.op == "build_tuple":
            return list(found.items)
        if isinstance(found, ir.Expr) and found.op == "call":
            made = self.of(found.func)
            is_class = isinstance(getattr(made, "value", None), type)
            if is_class and issubclass(made.value, tuple):
                return [*found.args, *(value for _, value in found.kws)]
        return [var]

    def is_constant(
        self, var: Any, typemap: dict[str, Any], carried: dict[str, Carried]
    ) -> bool:
        """Return whether a variable is the same in all parts."""
        if var.name in carried or var.name in self.inside:
            return False
        value = self.of(var)
        if isinstance(value, ir.Var):
            return self.is_constant(value, typemap, carried)
        if isinstance(value, (ir.Arg, ir.Const, ir.Global, ir.FreeVar)):
            return True
        if not isinstance(value, ir.Expr) or value.op == "call":
            return False
        kinds = (types.Number, types.BaseTuple, types.Array, types.Boolean)
        is_item = value.op in ("getitem", "static_getitem")
        if is_item and isinstance(typemap[value.value.name], types.Array):
            return False  # the loop may change it
        return all(
            self.is_constant(operand, typemap, carried)
            for operand in value.list_vars()
            if isinstance(typemap[operand.name], kinds)
        )


class _Sums:
    """Check that a value is the sum of the parts' values."""

    def __init__(
        self,
        definitions: Definitions,
        typemap: dict[str, Any],
        carried: dict[str, Any],
        arrays: ArraySums,
    ) -> None:
        self._definitions, self._typemap = definitions, typemap
        self._carried, self._arrays = carried, arrays

    def allows(self, var: Any) -> bool:
        if var.name in self._carried:
            return bool(self._carried[var.name].kind == SUM)
        if isinstance(self._typemap[var.name], types.Array):
            return self._arrays.allows(var)
        value = self._definitions.of(var)
        # A name that the loop assigns has the value of one part only. If a name has
        # several values outside, it is not known which one a part returns.
        if var.name in self._definitions.inside or value is None:
            return False
        if isinstance(value, ir.Var):
            return self.allows(value)
        if not isinstance(value, ir.Expr):
            # 0 is the sum of zeros. Any other constant would be added once for each
            # part.
            return getattr(value, "value", None) == 0
        if value.op == "cast":
            return self._keeps_sums(value.value, var) and self.allows(value.value)
        if value.op == "unary":
            signs = (operator.neg, operator.pos)
            return value.fn in signs and self.allows(value.value)
        if value.op in ("binop", "inplace_binop"):
            return self._allows_operation(value)
        if value.op == "call":
            return self._allows_call(value, var)
        if value.op in ("getitem", "static_getitem"):
            return self._arrays.allows(value.value)
        return False

    def _allows_operation(self, value: Any) -> bool:
        left, right = value.lhs, value.rhs
        if value.fn in (operator.add, operator.sub, operator.iadd, operator.isub):
            return self.allows(left) and self.allows(right)
        # A factor that is the same in all parts can be taken out of their sum.
        if value.fn in (operator.mul, operator.imul):
            return (self.allows(left) and self._is_constant(right)) or (
                self.allows(right) and self._is_constant(left)
            )
        if value.fn in (operator.truediv, operator.itruediv):
            return self.allows(left) and self._is_constant(right)
        return False

    def _allows_call(self, call: Any, target: Any) -> bool:
        function = self._typemap[call.func.name]
        converts = isinstance(function, types.NumberClass) or is_one_of(
            getattr(function, "typing_key", None), (float, int, complex)
        )
        if not converts or len(call.args) != 1:
            return False
        return self._keeps_sums(call.args[0], target) and self.allows(call.args[0])

    def _is_constant(self, var: Any) -> bool:
        return self._definitions.is_constant(var, self._typemap, self._carried)

    def _keeps_sums(self, source: Any, target: Any) -> bool:
        """Return whether a conversion loses no fraction."""
        exact = (types.Float, types.Complex)
        return isinstance(self._typemap[target.name], exact) or not isinstance(
            self._typemap[source.name], exact
        )


class _Extremes:
    """Check that a value is the minimum or maximum of the parts' values."""

    def __init__(self, definitions: Definitions, carried: dict[str, Any]) -> None:
        self._definitions, self._carried = definitions, carried

    def allows(self, var: Any) -> bool:
        found = self._definitions.follow(var, self._carried)
        if not isinstance(found, ir.Var):
            return False
        value = self._carried.get(found.name)
        return value is not None and value.kind == OTHER and value.is_chosen


def begins_neutrally(value: Carried) -> bool:
    """Return whether a carried value begins with 0 or 1 in all parts but the first."""
    return value.kind in (SUM, PRODUCT)
