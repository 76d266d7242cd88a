"""The parameters of a kernel, in a form that can be sent."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..errors import KernelError

_KINDS = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)


def plain_signature(function: Callable[..., Any]) -> inspect.Signature:
    """The parameters of a function with their defaults, without annotations.

    Raises
    ------
    KernelError
        It has ``*args``, ``**kwargs`` or parameters after a ``*``.
    """
    parameters = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in _KINDS:
            raise KernelError(
                f"kernel {function.__name__!r} has the parameter {str(parameter)!r}; "
                "expected those that are given by position: pass several values as a "
                "tuple"
            )
        parameters.append(parameter.replace(annotation=inspect.Parameter.empty))
    return inspect.Signature(parameters)
