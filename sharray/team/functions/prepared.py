"""Functions with checked arguments, from which a team makes its plans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...arrays.root import Root
from ..options import RunOptions
from . import arguments, ufuncs
from .arguments import Found, name_of
from .call import Call
from .plan import CallPlan, Chunks
from .values import Ignored, Taker, taker_of_run


class Prepared(NamedTuple):
    """A function with checked arguments.

    Attributes
    ----------
    function : callable
        The function.
    found : Found
        Its arguments.
    options : RunOptions
        The options of the run.
    taker : Taker
        What takes the values of the calls.
    part : Chunks
        The chunks to execute.
    """

    function: Callable[..., Any]
    found: Found
    options: RunOptions
    taker: Taker
    part: Chunks = Chunks.ALL

    @property
    def name(self) -> str:
        """Return the name of the function."""
        return name_of(self.function)

    @property
    def title(self) -> str:
        """Return what people call the function."""
        return f"function {self.name!r}"

    def plan(
        self, segment_number: Callable[[Root], int], by_value: set[str]
    ) -> CallPlan:
        """Return the plan of a run."""
        found = self.found
        call = Call(
            self.function,
            found.args,
            found.kwargs,
            found.axes,
            found.axes_by_name,
            self.taker,
            self.options.seed,
        )
        return CallPlan(
            self.name, call, found, self.options, segment_number, by_value, self.part
        )


def prepare_run(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: RunOptions,
    taken: tuple[str, ...],
) -> Prepared:
    """Check the arguments of `sharray.run` for a function or a ufunc.

    Parameters
    ----------
    function, args, kwargs, options : object
        See `sharray.run`.
    taken : tuple of str
        See `arguments.taken_names`.

    Raises
    ------
    TypeError, ValueError, NotSharedError
        An argument is unsuitable.
    """
    if isinstance(function, np.ufunc):
        if options.reducer is not None:
            raise TypeError(
                f"ufunc {name_of(function)!r} writes an output, and returns nothing to "
                "reduce; leave out reduce="
            )
        found = ufuncs.look_at(function, args, kwargs, options.axis)
        return Prepared(function, found, options, Ignored(name_of(function)))
    found = arguments.look_at(
        function, args, kwargs, options.axis, copies=False, taken=taken
    )
    is_split = found.length is not None
    taker = taker_of_run(name_of(function), options.reducer, is_split=is_split)
    return Prepared(function, found, options, taker)
