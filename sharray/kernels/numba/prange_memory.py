"""The roots of names in a kernel: the arguments whose memory they may refer to.

Views, tuples and other names pass roots on. Functions in `_FRESH` return new memory.
All other functions may return a view of their arguments.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import ir, types

from ...native import atomic

_FRESH = {
    np.zeros, np.ones, np.empty, np.full, np.arange, np.linspace, np.zeros_like,
    np.ones_like, np.empty_like, np.full_like, np.copy, np.array, np.eye, np.identity,
}  # fmt: skip
_SHAPE_ONLY = {len, np.zeros_like, np.ones_like, np.empty_like, np.full_like, np.shape}
_FRESH_METHODS = {"astype", "copy", "flatten"}
# Methods that read no elements; `add` is the method of counters.
_VIEW_METHODS = {"reshape", "ravel", "transpose", "view", "add"}
_SIMPLE = (
    types.Number, types.Boolean, types.NPDatetime, types.NPTimedelta, types.NoneType,
    types.Module, types.SliceType,
)  # fmt: skip
_READING = {
    "getitem", "static_getitem", "call", "binop", "inplace_binop", "unary", "iternext",
    "arrayexpr", "exhaust_iter",
}  # fmt: skip


def is_simple(kind: Any) -> bool:
    """Return whether values of a type hold no reference to memory."""
    if isinstance(kind, types.BaseTuple):
        return all(is_simple(item) for item in kind)
    if isinstance(kind, types.Callable):
        return not isinstance(kind, types.BoundFunction)
    return isinstance(types.unliteral(kind), _SIMPLE)


def is_one_of(key: Any, functions: Any) -> bool:
    """Return whether a function is one of some, which may be unhashable."""
    return any(key is function for function in functions)


def is_atomic(key: Any) -> bool:
    """Return whether a function is one of `sharray.atomic`."""
    return getattr(key, "__module__", None) == atomic.__name__


class Memory:
    """The roots of all names of a function.

    Parameters
    ----------
    function, typemap
        numba's code, and the types of its names.

    Attributes
    ----------
    methods : dict of str
        Names of attributes by the names that they are assigned to.
    """

    def __init__(self, function: Any, typemap: dict[str, Any]) -> None:
        self._typemap = typemap
        self._roots: dict[str, set[str]] = {}
        assignments = [
            statement
            for block in function.blocks.values()
            for statement in block.find_insts(ir.Assign)
        ]
        self.methods = {
            one.target.name: one.value.attr
            for one in assignments
            if isinstance(one.value, ir.Expr) and one.value.op == "getattr"
        }
        # Repeat until nothing is new: in a loop, a name may be assigned from one that
        # is assigned further down.
        while any(self._follow(one) for one in assignments):
            pass

    def _follow(self, statement: Any) -> bool:
        """Add the roots of a name; return whether any is new."""
        name, value = statement.target.name, statement.value
        if is_simple(self._typemap[name]):
            return False
        known = self._roots.setdefault(name, set())
        before = len(known)
        # Global arrays are constants for numba, but may be shared as well.
        if isinstance(value, (ir.Arg, ir.Global, ir.FreeVar)):
            known.add(value.name)
        elif isinstance(value, ir.Var):
            known |= self.of(value)
        # Any other expression may return a view of anything that it was given.
        elif isinstance(value, ir.Expr) and not self._is_fresh(value):
            known |= self.of(*value.list_vars())
        return len(known) > before

    def of(self, *variables: Any) -> set[str]:
        """Return the arguments whose memory some variables may refer to."""
        return set().union(*(self._roots.get(var.name, ()) for var in variables))

    def _is_fresh(self, value: Any) -> bool:
        if value.op in ("binop", "unary", "arrayexpr"):
            return True
        if value.op != "call":
            return False
        function = self._typemap[value.func.name]
        if isinstance(function, types.BoundFunction):
            return self.methods.get(value.func.name) in _FRESH_METHODS
        key = getattr(function, "typing_key", None)
        # A ufunc with an additional argument returns that array.
        return is_one_of(key, _FRESH) or (
            isinstance(key, np.ufunc) and len(value.args) <= key.nin
        )

    def read_by(self, statement: Any) -> set[str]:
        """Return the arguments of which a statement may read elements."""
        value = getattr(statement, "value", None)
        if not isinstance(value, ir.Expr) or value.op not in _READING:
            return set()
        if value.op in ("getitem", "static_getitem"):
            is_view = not is_simple(self._typemap[statement.target.name])
            if isinstance(self._typemap[value.value.name], types.BaseTuple):
                return set()
            if not is_view:
                return self.of(*value.list_vars())
            # Making a view reads no elements, except those of an index array.
            return self.of(
                *(v for v in value.list_vars() if v.name != value.value.name)
            )
        if value.op == "call":
            key = getattr(self._typemap[value.func.name], "typing_key", None)
            # Atomic operations are meant for elements that others change meanwhile.
            if is_one_of(key, _SHAPE_ONLY) or is_atomic(key):
                return set()
            if self.methods.get(value.func.name) in _VIEW_METHODS:
                return set()
        return self.of(*value.list_vars())
