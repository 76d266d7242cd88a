"""Kernels whose helpers and constants are replaced after they were compiled."""

from __future__ import annotations

import builtins
import linecache
import pickle
from typing import Any

import numba
import numpy as np
import pytest
import team_tools
from team_tools import team_of

import sharray as sh
from sharray.kernels.watching import watched_by

settled = team_tools.settled
team = team_of(1)
pytestmark = team_tools.needs_jit


class Notebook:
    """Cells that run one after the other, in one namespace."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"sh": sh, "np": np, "numba": numba}
        self._count = 0

    def run(self, text: str) -> None:
        """Run a cell."""
        self._count += 1
        name = f"<cell {self._count}>"
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        exec(compile(text, name, "exec"), self.names)

    def __getitem__(self, name: str) -> Any:
        return self.names[name]


KERNEL = """
@sh.kernel
def g(x):
    for i in range(x.shape[0]):
        x[i] = h(x[i]) * scale
"""
HELPER = """
@{}
def h(v):
    return v + {}
"""
FIRST = "scale = 1\n" + HELPER.format("numba.njit", 1) + KERNEL
CHANGES = {
    "a helper of numba": (HELPER.format("numba.njit", 1000), 1000),
    "a helper that is a kernel": (HELPER.format("sh.kernel", 1000), 1000),
    "a number": ("scale = 3", 3),
    "nothing": ("scale = 1", 1),
}


def values(team: Any, kernel: Any, way: str, dtype: str) -> list[Any]:
    """Run a kernel in some way on zeros, and return the new values."""
    x = sh.zeros(3, dtype)
    if way == "run":
        team.run(kernel, x)
    elif way == "called":
        kernel(x)
    else:
        pickle.loads(pickle.dumps(kernel))(x)
    return sorted(set(x.tolist()))


@pytest.mark.parametrize("way", ["run", "called", "pickled"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_was_replaced_counts_for_all_types(
    team: Any, change: str, way: str
) -> None:
    book = Notebook()
    book.run(FIRST)
    assert values(team, book["g"], way, "f8") == [1]
    cell, expected = CHANGES[change]
    book.run(cell)
    for dtype in ("f8", "f4", "f8"):
        assert values(team, book["g"], way, dtype) == [expected]


def test_the_sign_of_zero_counts(team: Any) -> None:
    book = Notebook()
    book.run("zero = 0.0\n@sh.kernel\ndef k(x):\n    x[0] = np.copysign(1.0, zero)")
    x = sh.zeros(1)
    team.run(book["k"], x)
    assert x[0] == 1
    book.run("zero = -0.0")
    team.run(book["k"], x)
    assert x[0] == -1


def test_what_a_kernel_that_is_called_refers_to_counts(team: Any) -> None:
    book = Notebook()
    book.run("step = 1\n@sh.kernel\ndef h(v):\n    return v + step")
    book.run("scale = 1" + KERNEL)
    assert values(team, book["g"], "run", "f8") == [1]
    book.run("step = 7")
    assert values(team, book["g"], "run", "f8") == [7]
    assert values(team, book["h"], "called", "i8") == [0]  # returns, stores nothing
    assert book["h"](1) == 8


@pytest.mark.parametrize("way", ["run", "called"])
def test_what_only_numba_can_compile_again_is_refused(team: Any, way: str) -> None:
    book = Notebook()
    book.run("step = 1\n@numba.njit\ndef h(v):\n    return v + step")
    book.run("scale = 1" + KERNEL)
    assert values(team, book["g"], way, "f8") == [1]
    book.run("step = 7")
    with pytest.raises(sh.KernelError, match=r"'step' was replaced.*define 'h' again"):
        values(team, book["g"], way, "f8")
    book.run("@numba.njit\ndef h(v):\n    return v + step")
    assert values(team, book["g"], way, "f8") == [7]


def test_a_kernel_of_a_function_of_numba_is_refused(team: Any) -> None:
    book = Notebook()
    book.run("step = 1\n@sh.kernel\n@numba.njit\ndef g(x):\n    x[:] = step")
    assert values(team, book["g"], "run", "f8") == [1]
    book.run("step = 7")
    with pytest.raises(sh.KernelError, match="define 'g' again"):
        values(team, book["g"], "run", "f8")


def test_a_kernel_that_reduces_is_renewed(team: Any) -> None:
    book = Notebook()
    book.run("""
step = 0
@sh.kernel
def total(x):
    return x.sum()

@sh.kernel
def add(a, b):
    return a + b + step
""")
    x = sh.ones(1000)
    assert team.run(book["total"], x, reduce=book["add"], chunk=500) == 1000
    book.run("step = 1")
    assert team.run(book["total"], x, reduce=book["add"], chunk=500) == 1001


def test_closure_variables_count(team: Any) -> None:
    def make() -> tuple[Any, Any]:
        step = 1

        @sh.kernel
        def k(x: Any) -> None:
            for i in range(x.shape[0]):
                x[i] = step

        def change() -> None:
            nonlocal step
            step = 7

        return k, change

    k, change = make()
    assert values(team, k, "run", "f8") == [1]
    change()
    assert values(team, k, "run", "f8") == [7]


size = 0


def uses_an_attribute_of_that_name(x: Any) -> Any:
    return np.sin(x.size) + np.size(x)


def test_attributes_of_arrays_and_trusted_modules_are_not_watched() -> None:
    # `size` above may change as it likes: the kernel reads x.size, and np.size.
    watched = watched_by(uses_an_attribute_of_that_name)
    assert {one.key for one in watched} <= {"np", *vars(builtins)}
    plain = sh.kernel(uses_an_attribute_of_that_name)
    plain(sh.ones(3))
    assert plain._watched == watched


def test_functions_of_modules_are_watched(team: Any) -> None:
    import types

    book = Notebook()
    module = types.ModuleType("my_helpers")
    book.names["my_helpers"] = module
    module.h = numba.njit(lambda v: v + 1)  # type: ignore[attr-defined]
    book.run(KERNEL.replace("h(", "my_helpers.h(").replace(" * scale", ""))
    assert values(team, book["g"], "run", "f8") == [1]
    module.h = numba.njit(lambda v: v + 5)  # type: ignore[attr-defined]
    assert values(team, book["g"], "run", "f8") == [5]
