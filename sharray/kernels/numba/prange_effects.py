"""Effects of code outside of the loop over `prange`, which each part would repeat.

Computations and private arrays have no effects. Stores to arguments, atomic operations,
prints, random numbers, and calls that may do any of these are effects. `prange_memory`
finds the arrays that may refer to an argument's memory.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba.core import ir, types

from ...sync import barrier_protocol
from ..here import member, members, offset
from .prange_memory import Memory, is_atomic, is_one_of

# Functions of these modules have no effects, except for those in `_WRITING`.
_PURE_MODULES = {"builtins", "math", "cmath", "operator", "_operator", "numpy"}
_WRITING = {np.copyto, np.fill_diagonal, np.put, np.place, np.putmask}
_PURE_METHODS = {
    "all", "any", "argmax", "argmin", "argsort", "astype", "conj", "conjugate", "copy",
    "cumprod", "cumsum", "dot", "flatten", "item", "max", "mean", "min", "nonzero",
    "prod", "ravel", "repeat", "reshape", "round", "std", "sum", "take", "tolist",
    "trace", "transpose", "var", "view",
}  # fmt: skip


class Effects:
    """The effects of a function's statements that other processes can see.

    Parameters
    ----------
    function, typemap, calltypes
        numba's code, the types of its names, and the signatures of its calls.
    """

    def __init__(
        self, function: Any, typemap: dict[str, Any], calltypes: dict[Any, Any]
    ) -> None:
        self._typemap, self._calltypes = typemap, calltypes
        self.memory = Memory(function, typemap)

    def _is_shared(self, var: Any) -> bool:
        return bool(self.memory.of(var))

    def changed_by(self, statement: Any) -> set[str]:
        """Return the arguments whose memory a statement may change."""
        # A call may change all its arguments, a store only its target.
        if not self.of(statement):
            return set()
        if isinstance(statement, ir.Assign):
            expression: Any = statement.value
            return self.memory.of(*expression.list_vars())
        target = getattr(statement, "target", None)
        return set() if target is None else self.memory.of(target)

    def of(self, statement: Any) -> str:
        """Return the effect of a statement, as a verb phrase; empty if none."""
        if isinstance(statement, (ir.SetItem, ir.StaticSetItem, ir.SetAttr)):
            target = statement.target
            return "stores to an argument" if self._is_shared(target) else ""
        if isinstance(statement, (ir.DelItem, ir.DelAttr)):
            return "changes an argument" if self._is_shared(statement.target) else ""
        if isinstance(statement, ir.Print):
            return "prints"
        if isinstance(statement, (ir.EnterWith, ir.PopBlock, ir.StoreMap)):
            return "enters a context"
        if isinstance(statement, ir.Yield):
            return "yields"
        if not isinstance(statement, ir.Assign):
            return ""
        value = statement.value
        if isinstance(value, ir.Yield):
            return "yields"
        if not isinstance(value, ir.Expr):
            return ""
        if value.op == "inplace_binop":
            # For numbers, this makes a new number.
            return "changes an argument" if self._is_shared(value.lhs) else ""
        return self._of_call(value) if value.op == "call" else ""

    def _of_call(self, call: Any) -> str:
        # A call counts as an effect unless it is known to be harmless. If a kernel is
        # refused needlessly, the message has a remedy. If a kernel did something twice,
        # its result would be wrong.
        function = self._typemap[call.func.name]
        arguments = [*call.args, *(var for _, var in call.kws or ())]
        if call.vararg is not None:
            arguments.append(call.vararg)
        shared = any(self._is_shared(argument) for argument in arguments)
        if isinstance(function, types.BoundFunction):
            return self._of_method(call, function, shared)
        if isinstance(
            function, (types.NumberClass, types.NamedTupleClass, types.DType)
        ):
            return ""
        if isinstance(function, types.ExceptionClass):
            return ""  # an exception ends the run
        if isinstance(function, types.ClassType):
            return "makes an object" if shared else ""
        if isinstance(function, types.Dispatcher):
            # A function that gets only numbers cannot reach an argument's memory.
            return self._of_callee(call, function.dispatcher) if shared else ""
        return self._of_function(call, getattr(function, "typing_key", None), shared)

    def _of_callee(self, call: Any, dispatcher: Any) -> str:
        """Return the effect of a call of a function that numba has compiled."""
        # The function is already compiled for these types, so its code is there.
        arguments = tuple(self._calltypes[call].args)
        compiled = dispatcher.overloads.get(arguments)
        name = dispatcher.py_func.__name__
        code = getattr(compiled, "type_annotation", None)
        if code is None or not hasattr(code, "calltypes"):
            return f"calls {name!r}, which may change an argument"
        effects = Effects(code, code.typemap, code.calltypes)
        found = first_effect(effects, code, frozenset(code.blocks))
        return f"calls {name!r}, which {found[0]}" if found else ""

    def _of_method(self, call: Any, function: Any, shared: bool) -> str:
        name = self.memory.methods.get(call.func.name)
        shared = shared or self._is_shared(call.func)
        is_array = isinstance(function.this, types.Array)
        if not shared or (is_array and name in _PURE_METHODS):
            return ""
        return f"calls the method {name!r} of an argument"

    def _of_function(self, call: Any, key: Any, shared: bool) -> str:
        module = getattr(key, "__module__", None) or ""
        name = getattr(key, "__name__", str(key))
        if is_one_of(key, (member, members, offset)):
            return ""
        if is_atomic(key):
            return f"does an atomic {name.rstrip('_')!r}"
        if module == barrier_protocol.__name__:
            return "waits at a barrier"
        if isinstance(key, np.ufunc):
            # An additional argument, or out=, gets the results.
            writes = len(call.args) > key.nin or bool(call.kws)
            return f"writes by {name!r}" if shared and writes else ""
        if is_one_of(key, _WRITING):
            return f"writes by {name!r}" if shared else ""
        if module.startswith("numpy.random") or _is_random(key):
            return "draws random numbers"
        pure = module.partition(".")[0] in _PURE_MODULES
        if pure or is_one_of(key, vars(math).values()):
            return ""
        return f"calls {name!r}, whose effects are unknown"


def _is_random(key: Any) -> bool:
    owner = getattr(key, "__self__", None)
    return type(owner).__module__.startswith(("numpy.random", "random"))


def first_effect(
    effects: Effects, function: Any, labels: frozenset[int], stop: Any = None
) -> tuple[str, Any] | None:
    """Return the first effect in some blocks, as a verb phrase, and its place."""
    for label in sorted(labels):
        for statement in function.blocks[label].body:
            if statement is stop:
                break
            found = effects.of(statement)
            if found:
                return found, statement.loc
    return None


def changed_in(
    effects: Effects, function: Any, labels: frozenset[int]
) -> frozenset[str]:
    """Return the arguments whose memory some blocks may change."""
    statements = [one for label in labels for one in function.blocks[label].body]
    return frozenset().union(*map(effects.changed_by, statements))


def read_in(
    effects: Effects, function: Any, labels: frozenset[int]
) -> list[tuple[str, Any]]:
    """Return the arguments of which some blocks read elements, and the first place."""
    found: dict[str, Any] = {}
    for label in sorted(labels):
        for statement in function.blocks[label].body:
            for name in sorted(effects.memory.read_by(statement)):
                found.setdefault(name, statement.loc)
    return list(found.items())
