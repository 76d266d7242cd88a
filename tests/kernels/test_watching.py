"""What a kernel refers to, replaced or changed: as in plain Python, or refused."""

from __future__ import annotations

import linecache
import types
from typing import Any

import numba
import numpy as np
import pytest
import team_tools
from team_tools import team_of

import sharray as sh

settled = team_tools.settled
team = team_of(1, caller_works=False)
pytestmark = [pytest.mark.slow, team_tools.needs_jit]

KERNEL = "@sh.kernel\ndef g(x):\n    for i in range(x.shape[0]):\n        x[i] = {}\n"
MODULE = "m = types.ModuleType('m'); m.n = types.ModuleType('n'); m.s = m.n.s = {}\n"
CLOSURE = """
def make(s):
    @sh.kernel
    def g(x):
        for i in range(x.shape[0]):
            x[i] += {}
    def change(new):
        nonlocal s
        s = new
    return g, change
g, change = make(cell)
"""


def helper(decorator: str, name: str, value: str, parameters: str = "v") -> str:
    return f"@{decorator}\ndef {name}({parameters}):\n    return {value}\n"


# The cells before and after the kernel is compiled.
CASES = {
    "a number": ("s = 1\n" + KERNEL.format("x[i] + s"), "s = 5"),
    "a tuple": ("s = (1, 2)\n" + KERNEL.format("x[i] + s[0]"), "s = (5, 2)"),
    "a scalar of NumPy": (
        "s = np.float64(1)\n" + KERNEL.format("x[i] + s"),
        "s = np.float64(5)",
    ),
    "an array replaced": (
        "a = np.ones(2)\n" + KERNEL.format("x[i] + a[0]"),
        "a = np.full(2, 5.0)",
    ),
    "an array in place": (
        "a = np.ones(2)\n" + KERNEL.format("x[i] + a[0]"),
        "a[0] = 5",
    ),
    "an array in a tuple": (
        "a = (1, (np.ones(2), 2))\n" + KERNEL.format("x[i] + a[1][0][0]"),
        "a[1][0][0] = 5",
    ),
    "a builtin of Python": (KERNEL.format("abs(x[i] - 1)"), "def abs(v): return v"),
    "a module that everybody trusts": (
        KERNEL.format("np.cos(x[i])"),
        "before = np; np = types.ModuleType('np'); np.cos = before.sin",
    ),
    "a function that everybody trusts": (
        "from math import cos\n" + KERNEL.format("cos(x[i])"),
        "from math import sin as cos",
    ),
    "a list": ("s = [1.0, 2.0]\n" + KERNEL.format("x[i] + s[0]"), "s[0] = 5.0"),
    "a dict": ("s = {1: 1.0}\n" + KERNEL.format("x[i] + s[1]"), "s[1] = 5.0"),
    "a class attribute": (
        "class C:\n    s = 1\n" + KERNEL.format("x[i] + C.s"),
        "C.s = 5",
    ),
    "a module's attribute": (
        MODULE.format(1) + KERNEL.format("x[i] + m.s"),
        "m.s = 5",
    ),
    "a module": (MODULE.format(1) + KERNEL.format("x[i] + m.s"), MODULE.format(5)),
    "a submodule": (
        MODULE.format(1) + KERNEL.format("x[i] + m.n.s"),
        "m.n = types.ModuleType('q'); m.n.s = 5",
    ),
    "a closure variable": ("cell = 1" + CLOSURE.format("s"), "change(5)"),
    "an array of a closure": (
        "cell = np.ones(1)" + CLOSURE.format("s[0]"),
        "cell[0] = 5",
    ),
}
for made in ("numba.njit", "sh.kernel"):
    USE = KERNEL.format("h(x[i])")
    PLAIN = helper(made, "h", "v + 1")
    CASES |= {
        f"a helper of {made}": (PLAIN + USE, helper(made, "h", "v + 1000")),
        f"a helper that is deleted, of {made}": (PLAIN + USE, "del h"),
        f"a default of a helper of {made}": (
            helper(made, "h", "v + d", "v, d=1") + USE,
            helper(made, "h", "v + d", "v, d=5"),
        ),
        f"a helper of a helper of {made}": (
            helper(made, "k", "v + 1") + helper(made, "h", "k(v) * 2") + USE,
            helper(made, "k", "v + 1000"),
        ),
        f"a global of a helper of {made}": (
            "s = 1\n" + helper(made, "h", "v + s") + USE,
            "s = 5",
        ),
        f"an array that is a default of a helper of {made}": (
            "a = np.ones(1)\n" + helper(made, "h", "v + d[0]", "v, d=a") + USE,
            "a[0] = 5",
        ),
        f"an array of a helper of {made}": (
            "a = np.ones(1)\n" + helper(made, "h", "v + a[0]") + USE,
            "a[0] = 5",
        ),
    }


class Cells:
    """Cells that run twice: compiled, and as plain Python."""

    def __init__(self) -> None:
        as_is = types.SimpleNamespace(
            kernel=lambda f: f, njit=lambda f: f, ones=np.ones
        )
        common = {"np": np, "types": types}
        self.compiled: dict[str, Any] = common | {"sh": sh, "numba": numba}
        self.plain: dict[str, Any] = common | {"sh": as_is, "numba": as_is}

    def run(self, text: str) -> None:
        """Run a cell."""
        name = f"<cell {len(linecache.cache)}>"
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        for names in (self.compiled, self.plain):
            exec(compile(text, name, "exec"), names)


def values(kernel: Any, team: Any, way: str, dtype: str) -> list[Any] | None:
    """Return what a kernel makes of zeros; None if it is refused."""
    x: Any = np.zeros(3, dtype) if way == "plain" else sh.zeros(3, dtype)
    try:
        if way == "run":
            team.run(kernel, x)
        else:
            kernel(x)
    except (NameError, sh.KernelError, numba.errors.NumbaError):
        return None
    found: list[Any] = x.tolist()
    return found


@pytest.mark.parametrize("way", ["called", "run"])
@pytest.mark.parametrize("case", CASES)
def test_what_changed_counts_as_in_python_or_is_refused(
    team: Any, case: str, way: str
) -> None:
    first, change = CASES[case]
    cells = Cells()
    cells.run(first)
    g, plain = cells.compiled["g"], cells.plain["g"]
    before = values(g, team, way, "f8")
    assert before in (None, values(plain, team, "plain", "f8"))
    cells.run(change)
    for dtype in ("f8", "f4", "f8"):
        expected = values(plain, team, "plain", dtype)
        found = values(g, team, way, dtype)
        assert found in (None, expected)
        if " of " not in case and before is not None:
            assert found == expected  # a kernel alone is compiled again, not refused


def test_large_arrays_are_read_only_or_refused() -> None:
    a = np.ones(1000)
    both = a, 1.0

    @sh.kernel
    def g(x: Any) -> None:
        x[0] = a[0]

    @sh.kernel
    def h(x: Any) -> None:
        x[0] = both[0][0]

    x = sh.zeros(1)
    for kernel in g, h:
        with pytest.raises(sh.KernelError, match=r"setflags\(write=False\)"):
            kernel(x)
    np.save("a.npy", a)
    a_itself, a = a, np.load("a.npy", mmap_mode="r")  # its file may change
    with pytest.raises(sh.KernelError, match="a copy that is read-only"):
        g(x)
    a = a_itself
    view = a[:]
    view.setflags(write=False)
    a, a_itself = view, a
    with pytest.raises(sh.KernelError, match="pass that array as an argument"):
        g(x)
    a_itself.setflags(write=False)
    for kernel in g, h:
        x[0] = 0
        kernel(x)
        assert x[0] == 1
