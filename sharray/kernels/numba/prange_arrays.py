"""Check that arrays which parts of a loop over `prange` return can be added up.

With ``reduce="sum"``, the sum of the parts' arrays must equal the array of a direct
call. That is true of a new array of zeros that the loop uses in one of two ways::

    for i in prange(n):              for i in prange(n):
        out[i, j] = ...                  counts[k] += ...

On the left, each element is stored by one iteration, and is 0 in all other parts. On
the right, each iteration adds to elements, and reads none. All other uses are refused.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numba.core import ir, types

from .prange_loop import Loop
from .prange_memory import is_one_of

_ZEROS = (np.zeros, np.zeros_like)
_SHAPES = ("shape", "size", "ndim", "dtype", "itemsize")
_ADDING = (operator.add, operator.iadd)
_SUBTRACTING = (operator.sub, operator.isub)
_GETITEM, _SETITEM = ("getitem", "static_getitem"), (ir.SetItem, ir.StaticSetItem)
_EXACT = (types.Float, types.Complex)
_WORD_BITS = 64


class _Index(NamedTuple):
    """An index of an array: a name, or a constant."""

    name: str = ""
    constant: Any = None


class ArraySums:
    """Check arrays of a function.

    Parameters
    ----------
    function, typemap
        numba's code, and the types of its names.
    loop : Loop
        The loop that is split.
    """

    def __init__(self, function: Any, typemap: dict[str, Any], loop: Loop) -> None:
        self._typemap, self._loop = typemap, loop
        self._statements = [
            (label, statement)
            for label, block in function.blocks.items()
            for statement in block.body
        ]
        self._values: dict[str, list[tuple[int, Any]]] = {}
        self._uses: Counter[str] = Counter()
        for label, statement in self._statements:
            if isinstance(statement, ir.Assign):
                found = self._values.setdefault(statement.target.name, [])
                found.append((label, statement.value))
            if not isinstance(statement, ir.Del):
                self._uses.update(_used_by(statement))

    def allows(self, var: Any) -> bool:
        """Return whether the parts of an array can be added up."""
        names = self._copies_of(self._origin(var.name))
        if not self._is_new(names):
            return False
        stores, reads = [], []
        for label, statement in self._statements:
            if not names.isdisjoint(_used_by(statement)):
                inside = label in self._loop.body
                if inside and isinstance(statement, _SETITEM):
                    stores.append(statement)
                elif inside and _expression(statement).op in _GETITEM:
                    reads.append(statement)
                elif not self._is_harmless(statement, names, inside):
                    return False
        return self._each_its_own(stores, reads, names) or (
            self._all_add(stores, reads, names)
        )

    # -- names ---------------------------------------------------------------

    def _origin(self, name: str) -> str:
        """Return the name that a name is a copy of, through any number of copies."""
        seen = {name}
        while True:
            values = self._values.get(name, [])
            value = _copied(values[0][1]) if len(values) == 1 else None
            if value is None or value.name in seen:
                return name
            name = value.name
            seen.add(name)

    def _copies_of(self, origin: str) -> set[str]:
        return {name for name in self._values if self._origin(name) == origin}

    def _is_new(self, names: set[str]) -> bool:
        """Return whether an array is a new one of zeros, made before the loop."""
        values = [pair for name in names for pair in self._values[name]]
        made = [pair for pair in values if _copied(pair[1]) is None]
        if len(made) != 1 or made[0][0] in self._loop.body:
            return False
        value = made[0][1]
        if not isinstance(value, ir.Expr) or value.op != "call":
            return False
        return is_one_of(self._key(value), _ZEROS)

    def _key(self, call: Any) -> Any:
        return getattr(self._typemap[call.func.name], "typing_key", None)

    def _is_harmless(self, statement: Any, names: set[str], inside: bool) -> bool:
        """Return whether a statement changes no element, and reads none in the loop."""
        if isinstance(statement, (ir.Del, ir.Return)):
            return True
        if not isinstance(statement, ir.Assign):
            return False
        value = _expression(statement)
        if _copied(statement.value) is not None:
            return statement.target.name in names
        if value.op == "getattr":
            return value.attr in _SHAPES
        if value.op == "call":
            return is_one_of(self._key(value), (len,))
        return not inside and value.op in _GETITEM and self._is_number(statement.target)

    def _is_number(self, var: Any) -> bool:
        kind = self._typemap[var.name]
        return isinstance(kind, (types.Number, types.Boolean))

    # -- out[i, j] = ... -----------------------------------------------------

    def _each_its_own(self, stores: Any, reads: Any, names: set[str]) -> bool:
        if not self._counts_up():
            return False
        indices = self._copies_of(self._loop_index())
        places = {self._place_of(_index(one), indices) for one in stores}
        places |= {self._place_of(_index(one.value), indices) for one in reads}
        # Not a view, through which any element could change.
        simple = all(self._is_number(one.target) for one in reads)
        return simple and len(places) == 1 and -1 not in places

    def _counts_up(self) -> bool:
        """Return whether indices are not negative: x[-1] is the last element again."""
        given = self._loop.call.value.args
        if len(given) == 1:
            return True
        values = self._values.get(self._origin(given[0].name), [])
        start = getattr(values[0][1], "value", None) if len(values) == 1 else None
        return len(given) == 2 and isinstance(start, int) and start >= 0

    def _loop_index(self) -> str:
        """Return the name of the index of the loop."""
        for label, statement in self._statements:
            if label == self._loop.header and _expression(statement).op == "pair_first":
                return str(statement.target.name)
        return ""

    def _place_of(self, index: _Index, indices: set[str]) -> int:
        """Return at which place of an index the index of the loop is; -1 if nowhere."""
        if index.name in indices:
            return 0
        values = self._values.get(self._origin(index.name), [])
        value = values[0][1] if len(values) == 1 else None
        if isinstance(value, ir.Expr) and value.op == "build_tuple":
            for place, item in enumerate(value.items):
                kind = self._typemap[item.name]
                if item.name in indices:
                    return place
                if not isinstance(kind, (types.Integer, types.SliceType)):
                    return -1
        return -1

    # -- counts[k] += ... ----------------------------------------------------

    def _all_add(self, stores: Any, reads: Any, names: set[str]) -> bool:
        read = {one.target.name: one.value for one in reads}
        updated = [self._updated(one, read) for one in stores]
        return len(reads) == len(set(updated)) and "" not in updated

    def _updated(self, store: Any, read: dict[str, Any]) -> str:
        """Return the name of the element that a store adds to; empty if to none."""
        result = self._origin(store.value.name)
        values = self._values.get(result, [])
        value = values[0][1] if len(values) == 1 else None
        if not isinstance(value, ir.Expr) or self._uses[store.value.name] != 1:
            return ""
        if value.op not in ("binop", "inplace_binop") or not self._is_exact(store):
            return ""
        sides = [value.lhs.name] * (value.fn in _ADDING + _SUBTRACTING)
        sides += [value.rhs.name] * (value.fn in _ADDING)
        for side in sides:
            found = read.get(side)
            if found is not None and self._uses[side] == 1:
                same = self._same(_index(store), _index(found))
                return side if same and result == store.value.name else ""
        return ""

    def _same(self, one: _Index, other: _Index) -> bool:
        if one.name and other.name:
            return self._origin(one.name) == self._origin(other.name)
        return not one.name and not other.name and one.constant == other.constant

    def _is_exact(self, store: Any) -> bool:
        """Return whether no store loses a fraction or bits that other parts need."""
        element = self._typemap[store.target.name].dtype
        if isinstance(element, _EXACT):
            return True
        added = self._typemap[store.value.name]
        added = getattr(added, "dtype", added)
        wide = isinstance(element, types.Integer) and element.bitwidth == _WORD_BITS
        return wide and isinstance(added, (types.Integer, types.Boolean))


class _NoExpression:
    op = ""


def _expression(statement: Any) -> Any:
    value = getattr(statement, "value", None)
    return value if isinstance(value, ir.Expr) else _NoExpression


def _copied(value: Any) -> Any:
    """Return the variable that an assigned value copies; None if it is no copy."""
    if isinstance(value, ir.Expr) and value.op == "cast":
        value = value.value
    return value if isinstance(value, ir.Var) else None


def _used_by(statement: Any) -> Iterator[str]:
    if isinstance(statement, ir.Assign):
        value = statement.value
        if isinstance(value, ir.Var):
            yield value.name
        elif isinstance(value, ir.Inst):
            yield from (var.name for var in value.list_vars())
    elif isinstance(statement, ir.Del):
        yield statement.value
    elif isinstance(statement, ir.Stmt):
        yield from (var.name for var in statement.list_vars())


def _index(item: Any) -> _Index:
    """Return the index of a load or store."""
    if isinstance(item, ir.StaticSetItem) or (
        isinstance(item, ir.Expr) and item.op == "static_getitem"
    ):
        return _Index("", repr(item.index))
    return _Index(item.index.name)
