"""Running a kernel of numba's tests by a team, and judging what comes of it."""

from __future__ import annotations

import copy
import warnings
from typing import Any, NamedTuple

import numpy as np
from numba.core.errors import NumbaError

import sharray as sh

from .kernels import Case

RIGHT, REFUSED, WRONG = "right", "refused", "wrong"
_REFUSALS = (sh.SharrayError, NumbaError, TypeError, ValueError)


class Verdict(NamedTuple):
    """What a run has come to, and why."""

    kind: str
    reason: str


def judge(case: Case, team: sh.Team) -> Verdict:
    """Run a kernel, and compare its value and its arrays with those of plain Python."""
    expected_arguments = tuple(map(_copied, case.arguments))
    arguments = tuple(_shared(_copied(argument)) for argument in case.arguments)
    expected = case.plain(*expected_arguments)
    try:
        value = _run(case, team, arguments)
    except _REFUSALS as error:
        return Verdict(REFUSED, str(error).strip().splitlines()[0])
    except Exception as error:
        return Verdict(WRONG, repr(error))
    try:
        _compare(value, expected)
        for ours, plain in zip(arguments, expected_arguments, strict=True):
            if isinstance(plain, np.ndarray):
                _compare(np.asarray(ours), plain)
    except AssertionError as error:
        return Verdict(WRONG, " ".join(str(error).split()))
    return Verdict(RIGHT, "")


def _copied(argument: Any) -> Any:
    try:
        return copy.deepcopy(argument)
    except TypeError:  # numba's dictionaries; a run takes none
        return argument


def _shared(argument: Any) -> Any:
    return sh.array(argument) if isinstance(argument, np.ndarray) else argument


def _run(case: Case, team: sh.Team, arguments: tuple[Any, ...]) -> Any:
    kernel = sh.kernel(case.function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba's, of what its tests do
        try:
            return team.run(kernel, *arguments, timeout=120)
        except sh.KernelError as error:
            if "how to combine" not in str(error):
                raise
        return team.run(kernel, *arguments, reduce="sum", timeout=120)


def _compare(found: Any, expected: Any) -> None:
    if expected is None or found is None:
        assert found is expected, f"{found} is not {expected}"
        return
    if np.asarray(expected).dtype.kind not in "biufc":
        np.testing.assert_array_equal(found, expected)
        return
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-12)
