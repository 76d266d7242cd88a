"""The text of a header: a literal of Python, parsed and never evaluated."""

from __future__ import annotations

import ast
import re
from contextlib import suppress
from typing import Any

from .format import BLOCK, LONGEST_FOR_NUMPY

# A string, or a number with the suffix of Python 2's long integers.
_LONG_OF_PYTHON_2 = re.compile(
    r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    r"|\b(0[xXoObB][0-9a-fA-F_]+|[0-9][0-9_]*)(?:(?:[ \t]|\\\n)*L\b)+"
)
_TEXT_OF_NUMPY = re.compile(
    r"""(?:'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+"|True|False|[][(){},: \n0-9])*+"""
)

_ATTEMPTS = 1000


def read_literal(text: str, *, of_python_2: bool) -> Any:
    """Return the value of a literal, as `numpy.load` does.

    Parameters
    ----------
    text : str
        Of a header.
    of_python_2 : bool
        Accept its long integers, which end with ``L``.

    Raises
    ------
    ValueError
        It is none, or has many characters and is not as `numpy.save` writes it.

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
            # Nor do old versions care for spaces after a last line break.
            tree = _parse(_LONG_OF_PYTHON_2.sub(r"\1\2", text).rstrip())
        return _value_of(tree.body)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"it is not a Python literal ({error})") from None


def _check_long_text(text: str) -> None:
    # Python's parser may need much time and memory for what is no such text.
    padding = len(text) - len(text.rstrip())
    if padding > 2 * BLOCK or not _TEXT_OF_NUMPY.fullmatch(text):
        raise ValueError(
            f"it has {len(text)} characters, expected at most {LONGEST_FOR_NUMPY}, as "
            "in numpy.load, if it is other than numpy.save writes it"
        )


def _parse(text: str) -> ast.Expression:
    for _ in range(_ATTEMPTS):
        # SystemError: up to Python 3.12, if another thread parses at the same time: the
        # parser counts how deep it is for all threads together (gh-106905).
        with suppress(SystemError):
            return ast.parse(text.lstrip(" \t"), mode="eval")
    raise ValueError("Python's parser fails, as other threads use it; try again")


def _value_of(node: ast.expr | None) -> Any:
    # Not ast.literal_eval, each call of which leaves a cycle of 11 objects.
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
    raise ValueError(f"found a {type(node).__name__}")
