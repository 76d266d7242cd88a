"""The kernels of numba's tests of prange, with their arguments.

numba's test methods call ``prange_tester(function, *arguments)``, which turns ``range``
into ``prange``. They are run here with a tester that only remembers both.
"""

from __future__ import annotations

import os
import unittest
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

# numba skips these tests unless they run in processes of their own.
os.environ["SUBPROC_TEST"] = "1"

from numba.tests import test_parfors as theirs


class Case(NamedTuple):
    """One call of numba's tester.

    Attributes
    ----------
    name : str
        Of the test, with a number if it has several.
    plain : callable
        The function as it is written, with ``range``.
    function : callable
        The same with ``prange``.
    arguments : tuple
        Of both.
    """

    name: str
    plain: Callable[..., Any]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def all_cases() -> Iterator[Case]:
    """Yield the kernels of all tests that are based on numba's prange tester."""
    for kind in list(_subclasses(theirs.TestPrangeBase)):  # more are made meanwhile
        for name in unittest.defaultTestLoader.getTestCaseNames(kind):
            yield from _cases_of(kind, name)


def _subclasses(kind: type) -> Iterator[Any]:
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)


def _cases_of(kind: Any, name: str) -> list[Case]:
    found: list[Case] = []

    class Collecting(kind):
        """The test with a tester that collects."""

        def prange_tester(self, pyfunc: Any, *args: Any, **options: Any) -> list[Any]:
            patched = self.generate_prange_func(pyfunc, options.get("patch_instance"))
            number = f" ({len(found) + 1})" if found else ""
            label = f"{kind.__name__}.{name}{number}"
            found.append(Case(label, pyfunc, patched, args))
            return []

        def _compile_this(self, *args: Any, **options: Any) -> Any:
            raise unittest.SkipTest("only the kernels are needed")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # What the test goes on to expect of numba is not looked at.
        Collecting(name).run(unittest.TestResult())
    return found
