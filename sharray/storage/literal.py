"""The text of a header: a Python literal, which is parsed and never evaluated."""

from __future__ import annotations

import ast
import re
from contextlib import suppress
from typing import Any

from .format import BLOCK, LONGEST_FOR_NUMPY

# Python compiles these expressions on first use, which makes the import faster.
# A comment or string, or a number with the suffix of long integers in Python 2.
_LONG_OF_PYTHON_2 = (
    r"""(#.*|'(?:[^'\\\n]|\\(?:.|\n))*'|"(?:[^"\\\n]|\\(?:.|\n))*")"""
    r"|\b(0[xXoObB][0-9a-fA-F_]+|[0-9][0-9_]*)(?:(?:[ \t]|\\\n)*L\b)+"
)
_TEXT_OF_NUMPY = (
    r"""(?:'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+"|True|False|[][(){},: \n0-9])*+"""
)

_ATTEMPTS = 1000


def read_literal(text: str, *, of_python_2: bool) -> Any:
    """Return the value of a literal, as `numpy.load` does.

    Parameters
    ----------
    text : str
        Text of a header.
    of_python_2 : bool
        Accept the long integers of Python 2, which end with ``L``.

    Raises
    ------
    ValueError
        The text is not a literal, or it is long and `numpy.save` would write it
        differently.

    Examples
    --------
    >>> read_literal("{'shape': (2L, 3L)}", of_python_2=True)
    {'shape': (2, 3)}
    """
    if len(text) > LONGEST_FOR_NUMPY:
        _check_long_text(text)
    try:
        try:
            tree = _parse(text)
        except SyntaxError:
            if not of_python_2:
                raise
            # Old versions ignore spaces after the last line break, too.
            tree = _parse(re.sub(_LONG_OF_PYTHON_2, r"\1\2", text).rstrip())
        return _value_of(tree.body)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"it is not a Python literal ({error})") from None


def _check_long_text(text: str) -> None:
    # Python's parser may need much time and memory for other texts.
    padding = len(text) - len(text.rstrip())
    if padding > 2 * BLOCK or not re.fullmatch(_TEXT_OF_NUMPY, text):
        raise ValueError(
            f"expected at most {LONGEST_FOR_NUMPY} characters, or a text as numpy.save "
            f"writes it, got {len(text)} characters"
        )


def _parse(text: str) -> ast.Expression:
    for _ in range(_ATTEMPTS):
        # Up to Python 3.12, the parser raises SystemError if another thread parses at
        # the same time: it has one depth counter for all threads (gh-106905).
        with suppress(SystemError):
            return ast.parse(text.lstrip(" \t"), mode="eval")
    raise ValueError("Python's parser fails while other threads use it; try again")


def _value_of(node: ast.expr | None) -> Any:
    # Not ast.literal_eval: each call leaves a reference cycle of 11 objects.
    match node:
        case ast.Constant(value):
            return value
        case ast.Tuple(parts):
            return tuple(map(_value_of, parts))
        case ast.List(parts):
            return list(map(_value_of, parts))
        case ast.Dict(keys, values):
            return dict(zip(map(_value_of, keys), map(_value_of, values), strict=True))
        case ast.UnaryOp(ast.UAdd(), ast.Constant(int(number))):
            return +number
        case ast.UnaryOp(ast.USub(), ast.Constant(int(number))):
            return -number
    raise ValueError(f"expected literals, got a {type(node).__name__}")
