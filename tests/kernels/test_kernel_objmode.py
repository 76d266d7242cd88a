"""Kernels with Python code in them, by ``numba.objmode``, in workers and elsewhere."""

from __future__ import annotations

import team_tools
from workers import start_python

pytestmark = team_tools.needs_jit


def run_python(code: str) -> str:
    """Run a program and return its output; numba's workers may write warnings."""
    done = start_python(code)
    assert done.returncode == 0, done.stderr
    return done.stdout


# The names are those of the main module, which is another one in a worker.
PROGRAM = """
import math, sys, warnings
warnings.simplefilter("ignore")
import numba, numpy as np, sharray as sh
from kernels_elsewhere import as_received

class Mine(Exception):
    pass

LIMIT = 3

def checked(value):
    if value > LIMIT:
        raise Mine("too large", value)
    if value == -2:
        raise LookupError("x" * 3_000_000)  # more than a socket takes at once
    if value < 0:
        raise LookupError("negative", value)
    return math.sqrt(value)

@sh.kernel
def roots(x):
    for i in range(x.shape[0]):
        value = x[i]
        with numba.objmode(y="f8"):
            y = checked(value)
        x[i] = y

def outcome(action):
    try:
        action()
    except Exception as error:
        return error

for caller_works in (False, True):
    with sh.Team(1, caller_works=caller_works) as team:
        pids = team.pids()
        x = sh.full(10, 1.44)
        team.run(roots, x)
        assert x[9] == 1.2, x
        for wrong in (-1, 7):
            x[:] = 1
            x[5] = wrong
            error = outcome(lambda: team.run(roots, x))
            text = "Mine: ('too large', 7.0)" if wrong == 7 else "('negative', -1.0)"
            assert isinstance(error, (sh.KernelError, Mine, LookupError)), repr(error)
            assert text in f"{type(error).__name__}: {error}", repr(error)
            assert "raised in kernel 'roots'" in error.__notes__[-1]
        x[:] = 1
        x[5] = -2
        error = outcome(lambda: team.run(roots, x, timeout=500))
        assert isinstance(error, LookupError), repr(error)[:200]
        assert len(error.args[0]) == 3_000_000
        x[:] = 4 / 9
        team.run(roots, x)          # the team is as good as before
        assert x[0] == 2 / 3
        assert team.pids() == pids
received = as_received(roots.compile(np.zeros(1)))
assert isinstance(outcome(lambda: received(np.full(3, -1.0))), LookupError)
x = np.full(3, 1.0)
received(x)
assert x.tolist() == [1] * 3
print("right")
"""


def test_names_of_the_main_module_and_exceptions() -> None:
    assert run_python(PROGRAM) == "right\n"


def test_what_the_main_module_does_not_have_is_a_name_error() -> None:
    program = (
        PROGRAM.partition("for caller_works")[0]
        + """
del checked
with sh.Team(1, caller_works=False) as team:
    print(type(outcome(lambda: team.run(roots, sh.ones(3)))).__name__)
"""
    )
    assert run_python(program) == "NameError\n"


def test_an_exception_at_a_barrier_breaks_it() -> None:
    program = """
import warnings
warnings.simplefilter("ignore")
import numba, sharray as sh
def check(value):
    if value == 0:
        raise LookupError("first")
@sh.kernel
def meet(x, barrier):
    first = x[0]
    with numba.objmode():
        check(first)
    barrier.wait()
with sh.Team(1) as team:
    x = sh.zeros(100)
    x[1:] = 1
    try:
        team.run(meet, x, sh.Barrier(2), schedule="static", timeout=60)
    except LookupError as error:
        print(error)
"""
    assert run_python(program) == "first\n"
