"""Kernels defined in scripts, shells, notebooks and `exec`, and defined again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kernels_elsewhere import as_received, in_fresh_python, run_script
from repository import ROOT
from workers import run_python

import sharray as sh

SCRIPT = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import numpy as np, sharray as sh

FACTOR = 10

@sh.kernel
def scale(x, factor=2.0):
    for i in range(x.shape[0]):
        x[i] *= factor * FACTOR

def make(amount):
    @sh.kernel
    def add(x):
        return x + amount + helper(x)
    return add

@sh.kernel
def helper(x):
    return x * 100

def loaded(kernel, *arguments):
    return kernel(*arguments), "numba.core" in sys.modules

if __name__ == "__main__":
    x = sh.ones(3)
    scale.compile(x)
    add = make(1).compile(1)
    context = multiprocessing.get_context("{method}")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        first = pool.submit(loaded, scale, x).result()
        second = pool.submit(loaded, add, 1).result()
        assert pool.submit(add, 0.5).result() == 51.5
    print(x.tolist(), first, second)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_kernel_of_a_script_needs_no_numba_elsewhere(
    method: str, tmp_path: Path
) -> None:
    out = run_script(tmp_path / "main.py", SCRIPT.format(method=method))
    numba = method == "fork"
    assert out == f"[20.0, 20.0, 20.0] (None, {numba}) (102, {numba})\n"


SHELL = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
import sharray as sh
pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
@sh.kernel
def f(x):
    return x + 1

old = f
f(1), pool.submit(f, 1).result()
@sh.kernel
def f(x):
    return x + 100

f(1), pool.submit(f, 1).result()
old(1), pool.submit(old, 1).result(), pool.submit(f, 0.5).result()
pool.shutdown()
"""


def test_kernel_of_a_shell_is_sent_and_defined_anew() -> None:
    done = subprocess.run(
        [sys.executable, "-q", "-i"],
        input=SHELL,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0
    assert "Error" not in done.stderr, done.stderr
    assert done.stdout.splitlines() == ["(2, 2)", "(101, 101)", "(2, 2, 100.5)"]


COMMAND = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
import sharray as sh
@sh.kernel
def f(x):
    return x + 1
f.compile(1)
with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("{method}")) as pool:
    print(pool.submit(f, 1).result(), pool.submit(f, 1.5).result())
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_kernel_of_a_command_line_is_sent(method: str) -> None:
    assert run_python(COMMAND.format(method=method)) == "2 2.5\n"


CELLS = [
    """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import sharray as sh
x = sh.ones(4)
@sh.kernel
def step(x):
    for i in range(x.shape[0]):
        x[i] += 1
step(x)
pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
pool.submit(step, x).result()
print(x.tolist())
""",
    """
@sh.kernel
def step(x):
    for i in range(x.shape[0]):
        x[i] *= 10
step.compile(x)
pool.submit(step, x).result()
print(x.tolist())
""",
    """
@sh.kernel
def fail(x):
    if x > 1:
        raise ValueError("too large", x)
    return x
fail(1)
try:
    pool.submit(fail, 5).result()
except ValueError as error:
    print(error.args, error.__notes__[0].partition("(")[0])
pool.shutdown()
del x
""",
]
# In a process of its own, since a kernel's client keeps sockets open.
EXECUTE = """
import json, sys, nbclient, nbformat
notebook = nbformat.v4.new_notebook()
notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in json.load(sys.stdin)]
nbclient.NotebookClient(notebook, timeout=500, kernel_name="python3").execute()
for cell in notebook.cells:
    print("".join(output.get("text", "") for output in cell.outputs), end="")
"""


def test_kernel_of_a_notebook_is_sent_and_defined_anew() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE],
        input=json.dumps(CELLS),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "[3.0, 3.0, 3.0, 3.0]",
        "[30.0, 30.0, 30.0, 30.0]",
        "('too large', 5) raised in kernel 'fail' ",
    ]


EXECUTED = """
@sh.kernel
def add(x):
    return x + {amount}
"""


def test_kernel_that_exec_defines_is_sent() -> None:
    found = []
    for amount in (1, 100):
        names: dict[str, Any] = {"sh": sh, "__name__": "executed"}
        exec(EXECUTED.format(amount=amount), names)
        found.append(names["add"].compile(1))
    assert [kernel(1) for kernel in found] == [2, 101]
    assert [as_received(kernel)(1) for kernel in found] == [2, 101]
    assert [in_fresh_python(kernel, 1) for kernel in found] == [2, 101]
    assert in_fresh_python(found[1], 0.5) == 100.5


def test_kernel_of_a_lambda_is_sent() -> None:
    kernel = sh.kernel(lambda x, y=3: x * y)
    assert kernel.__name__ == "<lambda>"
    assert kernel(2) == 6
    assert in_fresh_python(kernel, 2) == 6


def test_kernel_defined_anew_is_called_by_those_compiled_before() -> None:
    names: dict[str, Any] = {"sh": sh, "__name__": "executed"}
    caller = "@sh.kernel\ndef twice(x):\n    return add(add(x))\n"
    exec(EXECUTED.format(amount=1) + caller, names)
    first = names["twice"].compile(1)
    exec(EXECUTED.format(amount=100), names)
    assert first(1) == as_received(first)(1) == 201
    exec(caller, names)
    second = names["twice"].compile(1)
    assert second(1) == as_received(second)(1) == 201


LATE = """
import sys
import sharray as sh
assert "llvmlite" not in sys.modules and "sharray.kernels.kernel" not in sys.modules
@sh.kernel
def double(x):
    return 2 * x
@sh.kernel(fastmath=True)
def loop(x):
    for i in sh.prange(x.shape[0]):
        x[i] = 0
repr(double), double.signature, double.py_func, double.__doc__, double.shipped
assert "numba" not in sys.modules
print(double(4), "numba" in sys.modules)
"""


def test_decorator_imports_no_numba_until_the_first_call() -> None:
    assert run_python(LATE) == "8 True\n"


RECEIVED = """
import pickle, sys
kernel = pickle.loads(bytes.fromhex("{message}"))
repr(kernel), kernel.__name__, kernel.shipped
again = pickle.dumps(kernel)
assert pickle.loads(again) is kernel
print([name for name in ("numba", "llvmlite") if name in sys.modules])
"""


def test_arrival_imports_neither_numba_nor_llvm_before_the_first_call() -> None:
    import pickle

    kernel = sh.kernel(lambda x: x + 1).compile(1)
    out = run_python(RECEIVED.format(message=pickle.dumps(kernel).hex()))
    assert out == "[]\n"
