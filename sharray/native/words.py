"""A compiler for functions on words: integers of 64 bits, and arrays of them.

The protocol of a team must be ready at once, but numba would take three seconds to
compile it. So it is written in a small subset of Python, which this module compiles in
0.1 s with llvmlite alone. The subset has assignments, ``if``, ``while``, ``break``,
``return``, arithmetic, comparisons, ``and``, ``or``, `min`, `max` and array elements.
It can call `sharray.native.atomic`, `sharray.native.waiting`, `sharray.native.calling`
and other such functions. All values are int64; an argument with a subscript is an
array. These functions are also valid Python, so tests can run them without compiling.

A function becomes blocks of LLVM like this::

      start:   one place in memory for each variable       no code of the function
      first:   arguments into their places, statements
      ...      blocks for `if`, `while`, `and`, `or`
      end:     return, of 0 if no statement does

Invariants

- A variable is the place that its first assignment made. All loads and stores of it use
  that place, in every block, so no block depends on the block before it.
- `builder` is at the end of the current block. Statements after ``return`` or ``break``
  are left out, since a block ends with its first jump.
- Plain loads and stores of elements are for words that one process writes at a time.
  LLVM may keep them in registers, but not across an atomic operation.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
import uuid
from collections.abc import Callable, Hashable
from typing import Any

from llvmlite import binding, ir

from ..errors import KernelError
from ..system import interrupts
from . import atomic
from .atomic_ir import emit
from .machine_code import MachineCode, host
from .words_calls import POINTER, PRIMITIVES, WORD

_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.FloorDiv: "sdiv",  # the same only for numbers that are not negative
    ast.LShift: "shl",
    ast.RShift: "ashr",
    ast.BitAnd: "and_",
    ast.BitOr: "or_",
}
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}


def compile_words(
    function: Callable[..., int], other: Callable[..., int] | None = None
) -> MachineCode:
    """Compile one or two functions, with the functions that they call.

    Functions that both call are compiled once, which takes most of the time.

    Parameters
    ----------
    function : callable
        A function of addresses of int64 arrays, and of integers; it returns an integer.
    other : callable, optional
        Another one.

    Returns
    -------
    MachineCode
        Its entry is the function, and its merge the other one. They take and return
        int64.

    Raises
    ------
    KernelError
        They use syntax or functions outside of the subset.
    """
    # A unique name: kernels in the same engine must not define the same symbol.
    name = f"sharray_words_{uuid.uuid4().hex}"
    names = {function: name}
    if other is not None:
        names[other] = f"{name}_other"
    with interrupts.deferred():  # see `sharray.native.machine_code.host`
        content = _compile(names)
    return MachineCode(name, names[other] if other else "", content, host())


def _compile(names: dict[Callable[..., int], str]) -> bytes:
    """Return an object file with functions under these names."""
    module = ir.Module()
    module.triple = binding.get_process_triple()
    translator = _Translator(module, names)
    for function in names:
        translator.translate(function)
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(
        opt=2, reloc="static", codemodel="jitdefault", jit=True
    )
    parsed = binding.parse_assembly(str(module))
    parsed.verify()
    content: bytes = machine.emit_object(parsed)
    return content


class _Translator:
    """Translates functions into one module, each once.

    Parameters
    ----------
    module : ir.Module
        The module.
    names : dict
        Functions that other modules can call, with their symbols.
    """

    def __init__(self, module: ir.Module, names: dict[Callable[..., int], str]) -> None:
        self.module = module
        self.names = names
        self.done: dict[Callable[..., Any], ir.Function] = {}

    def translate(self, function: Callable[..., Any]) -> ir.Function:
        """Return the translation of a function; without a name, it is internal."""
        if function not in self.done:
            parameters = inspect.signature(function).parameters.values()
            plain = inspect.Parameter.POSITIONAL_OR_KEYWORD
            if any(one.kind is not plain for one in parameters):
                raise KernelError(
                    f"cannot translate line 1 of {function.__name__!r}: expected plain "
                    "parameters, without * or /"
                )
            count = len(parameters)
            kind = ir.FunctionType(WORD, [WORD] * count)
            name = self.names.get(function)
            internal = f"{function.__name__}.{len(self.done)}"
            made = ir.Function(self.module, kind, name or internal)
            # Internal, so that other modules can define the same name.
            if not name:
                made.linkage = "internal"
                made.attributes.add("alwaysinline")
            # Before its body is translated, which may call the function itself.
            self.done[function] = made
            _Body(self, function, made).write()
        return self.done[function]


class _Body:
    """Translates the statements of one function."""

    def __init__(
        self, translator: _Translator, function: Callable[..., Any], made: ir.Function
    ) -> None:
        self.translator = translator
        self.function = function
        source = textwrap.dedent(inspect.getsource(function))
        (self.tree,) = ast.parse(source).body
        self.start = ir.IRBuilder(made.append_basic_block())
        self.builder = ir.IRBuilder(made.append_basic_block())
        self.first = self.builder.block
        self.variables: dict[str, ir.Value] = {}
        self.exits: list[ir.Block] = []
        # Arguments are variables, so that statements can assign to them.
        for name, value in zip(
            inspect.signature(function).parameters, made.args, strict=True
        ):
            self.assign(name, value)

    def write(self) -> None:
        """Translate the whole function."""
        assert isinstance(self.tree, ast.FunctionDef)
        self.statements(self.tree.body)
        if not self.builder.block.is_terminated:
            self.builder.ret(WORD(0))
        # Last: assignments have added places to this block until here.
        self.start.branch(self.first)

    def refuse(self, node: ast.AST) -> KernelError:
        """Return the error for a statement or expression outside of the subset."""
        line = getattr(node, "lineno", 0)
        return KernelError(
            f"cannot translate line {line} of {self.function.__name__!r}: "
            f"{ast.unparse(node)}"
        )

    # -- statements ----------------------------------------------------------

    def statements(self, nodes: list[ast.stmt]) -> None:
        """Translate statements, up to the first ``return`` or ``break``."""
        for node in nodes:
            if self.builder.block.is_terminated:
                return
            self.statement(node)

    def statement(self, node: ast.stmt) -> None:
        """Translate one statement."""
        builder = self.builder
        match node:
            case ast.Expr(ast.Constant()):
                pass  # a docstring
            case ast.Expr(value):
                self.value(value)
            case ast.Return(value) if value is not None:
                builder.ret(self.value(value))
            case ast.Return():
                builder.ret(WORD(0))
            case ast.Assign([target], value):
                self.store(target, value)
            case ast.AugAssign(target, operator, value):
                self.update(target, operator, value)
            case ast.If(test, body, other):
                self.branch(test, body, other)
            case ast.While(test, body, []):
                self.loop(test, body)
            case ast.Break() if self.exits:
                builder.branch(self.exits[-1])
            case _:
                raise self.refuse(node)

    def store(self, target: ast.expr, value: ast.expr) -> None:
        """Translate an assignment."""
        match target:
            case ast.Name(name):
                self.assign(name, self.value(value))
            case ast.Subscript(array, index):
                # The value first, like Python.
                stored = self.value(value)
                self.builder.store(stored, self.element(array, index))
            case ast.Tuple([ast.Name(one), ast.Name(other)]) if self.is_exchange(value):
                old, replaced = self.exchange(value)
                self.assign(one, old)
                self.assign(other, self.word(replaced))
            case _:
                raise self.refuse(target)

    def update(self, target: ast.expr, operator: ast.operator, value: ast.expr) -> None:
        """Translate ``+=`` and similar statements."""
        if type(operator) not in _OPERATORS:
            raise self.refuse(target)
        combine = getattr(self.builder, _OPERATORS[type(operator)])
        match target:
            case ast.Name(name) if name in self.variables:
                pointer = self.variables[name]
            case ast.Subscript(array, index):
                pointer = self.element(array, index)
            case _:
                raise self.refuse(target)
        # Not atomic: a store by another process between the two is lost. Words with
        # several writers need `atomic.add`.
        before = self.builder.load(pointer)
        self.builder.store(combine(before, self.value(value)), pointer)

    def assign(self, name: str, value: ir.Value) -> None:
        """Translate an assignment to a variable."""
        # Allocate in the `start` block, which runs once. In a loop, each turn would
        # take more memory from the stack, until there is none.
        if name not in self.variables:
            self.variables[name] = self.start.alloca(WORD, name=name)
        self.builder.store(value, self.variables[name])

    def branch(
        self, test: ast.expr, body: list[ast.stmt], other: list[ast.stmt]
    ) -> None:
        """Translate ``if``."""
        function = self.builder.function
        then = function.append_basic_block()
        otherwise = function.append_basic_block()
        after = function.append_basic_block()
        self.builder.cbranch(self.truth(test), then, otherwise)
        for block, nodes in ((then, body), (otherwise, other)):
            self.builder.position_at_end(block)
            self.statements(nodes)
            if not self.builder.block.is_terminated:
                self.builder.branch(after)
        self.builder.position_at_end(after)

    def loop(self, test: ast.expr, body: list[ast.stmt]) -> None:
        """Translate ``while``."""
        function = self.builder.function
        head = function.append_basic_block()
        inside = function.append_basic_block()
        after = function.append_basic_block()
        self.builder.branch(head)
        self.builder.position_at_end(head)
        self.builder.cbranch(self.truth(test), inside, after)
        self.builder.position_at_end(inside)
        # The innermost loop is the one that `break` leaves.
        self.exits.append(after)
        self.statements(body)
        self.exits.pop()
        if not self.builder.block.is_terminated:
            self.builder.branch(head)
        self.builder.position_at_end(after)

    # -- expressions ---------------------------------------------------------

    def truth(self, node: ast.expr) -> ir.Value:
        """Translate a condition to one bit."""
        builder = self.builder
        match node:
            case ast.Compare(left, [operator], [right]) if (
                type(operator) in _COMPARISONS
            ):
                symbol = _COMPARISONS[type(operator)]
                return builder.icmp_signed(symbol, self.value(left), self.value(right))
            case ast.BoolOp(operator, [first, *others]):
                return self.shortcut(isinstance(operator, ast.And), first, others)
            case ast.Compare():
                raise self.refuse(node)
        return builder.icmp_signed("!=", self.value(node), WORD(0))

    def shortcut(
        self, is_and: bool, first: ast.expr, others: list[ast.expr]
    ) -> ir.Value:
        """Translate ``and`` or ``or``: evaluate `others` only if `first` allows."""
        bit = self.truth(first)
        if not others:
            return bit
        before = self.builder.block
        more = self.builder.function.append_basic_block()
        after = self.builder.function.append_basic_block()
        self.builder.cbranch(bit, *((more, after) if is_and else (after, more)))
        self.builder.position_at_end(more)
        rest = self.shortcut(is_and, others[0], others[1:])
        # Not `more`: a nested ``and`` or ``or`` ends in another block.
        end = self.builder.block
        self.builder.branch(after)
        self.builder.position_at_end(after)
        found = self.builder.phi(ir.IntType(1))
        found.add_incoming(ir.IntType(1)(not is_and), before)
        found.add_incoming(rest, end)
        return found

    def word(self, bit: ir.Value) -> ir.Value:
        """Convert one bit to a word."""
        return self.builder.zext(bit, WORD)

    def value(self, node: ast.expr) -> ir.Value:
        """Translate an expression to a word."""
        match node:
            case ast.Name(name) if name in self.variables:
                return self.builder.load(self.variables[name])
            case ast.BinOp(left, operator, right) if type(operator) in _OPERATORS:
                combine = getattr(self.builder, _OPERATORS[type(operator)])
                return combine(self.value(left), self.value(right))
            case ast.Subscript(array, index):
                return self.builder.load(self.element(array, index))
            case ast.Compare():
                return self.word(self.truth(node))
            case ast.Call(function, arguments, []):
                return self.call(node, self.constant(function), arguments)
        found = self.constant(node)
        if not isinstance(found, int) or not -(1 << 63) <= found < 1 << 63:
            raise self.refuse(node)
        return WORD(int(found))

    def constant(self, node: ast.expr) -> Any:
        """Return the value of a name outside of the function, or of a literal."""
        match node:
            case ast.Constant(value):
                return value
            case ast.UnaryOp(ast.USub(), ast.Constant(int(value))):
                return -value
            case ast.Attribute(owner, name) if hasattr(self.constant(owner), name):
                return getattr(self.constant(owner), name)
            case ast.Name("True" | "False" | "min" | "max" as name):
                return {"min": min, "max": max}[name]
            case ast.Name(name) if name in self.function.__globals__:
                return self.function.__globals__[name]
        raise self.refuse(node)

    def element(self, array: ast.expr, index: ast.expr) -> ir.Value:
        """Return a pointer to an element of an array."""
        pointer = self.builder.inttoptr(self.value(array), POINTER)
        return self.builder.gep(pointer, [self.value(index)])

    # -- calls ---------------------------------------------------------------

    def external(self, name: str, result: Any, *arguments: Any) -> ir.Function:
        """Return a function of the C library, or an intrinsic function of LLVM."""
        module = self.builder.module
        kind = ir.FunctionType(result, list(arguments))
        return module.globals.get(name) or ir.Function(module, kind, name)

    def call(self, node: ast.expr, function: Any, nodes: list[ast.expr]) -> ir.Value:
        """Translate a call."""
        if not isinstance(function, Hashable) or not callable(function):
            raise self.refuse(node)
        if function in PRIMITIVES:
            translate, count = PRIMITIVES[function]
            if len(nodes) != count:
                raise self.refuse(node)
            return translate(self, *nodes)
        if not isinstance(function, types.FunctionType) or len(nodes) != len(
            inspect.signature(function).parameters
        ):
            raise self.refuse(node)
        made = self.translator.translate(function)
        return self.builder.call(made, [self.value(one) for one in nodes])

    def is_exchange(self, node: ast.expr) -> bool:
        """Return whether this is a call of `atomic.compare_exchange`."""
        return (
            isinstance(node, ast.Call)
            and len(node.args) == 4
            and self.constant(node.func) is atomic.compare_exchange
        )

    def exchange(self, node: Any) -> tuple[ir.Value, ...]:
        """Translate `atomic.compare_exchange`; return old value and bit."""
        array, index, *nodes = node.args
        pointer = self.element(array, index)
        values = [self.value(one) for one in nodes]
        return emit(self.builder, "compare_exchange", "i", pointer, values)
