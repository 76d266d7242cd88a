"""`sharray.kernel` makes a kernel of a function, and calls it like the function."""

from __future__ import annotations

import functools
import inspect
import math
import threading
from typing import Any

import numba
import numpy as np
import pytest
from kernels_defined import call_counting, scale
from kernels_elsewhere import as_received, by_both_roads

import sharray as sh


@sh.kernel
def weigh(x, factor=2, offset=10):
    """Documented."""
    return x * factor - offset


@sh.kernel(error_model="numpy")
def invert(x):
    return 1.0 / x


@sh.kernel
def invert_as_python(x):
    return 1.0 / x


@numba.njit(error_model="numpy")
def inverted(x):
    return 1.0 / x


CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((3,), {}),
    ((3, 4), {}),
    ((3, 4, 5), {}),
    ((3,), {"offset": 5}),
    ((3, 4), {"offset": 5}),
    ((), {"offset": 5, "x": 3, "factor": 4}),
    ((), {"x": 3}),
]


@pytest.mark.parametrize(("arguments", "keywords"), CALLS)
def test_call_takes_keywords_and_defaults(
    arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    expected = weigh.py_func(*arguments, **keywords)
    assert weigh(*arguments, **keywords) == expected
    assert as_received(weigh)(*arguments, **keywords) == expected


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [((), {}), ((1, 2, 3, 4), {}), ((1,), {"nosuch": 2}), ((1,), {"x": 2})],
)
def test_wrong_arguments_are_a_type_error_as_in_python(
    arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    for function in (weigh.py_func, weigh, as_received(weigh, may_compile=True)):
        with pytest.raises(TypeError, match="argument"):
            function(*arguments, **keywords)


def test_call_takes_arguments_that_are_keywords_only() -> None:
    def shift(x, *, by=3):
        return x + by

    assert numba.njit(shift)(1, by=2) == 3
    assert sh.kernel(shift)(1, by=2) == 3
    assert sh.kernel(shift)(1) == 4


def count_and_add(first, *rest):
    total = first
    for value in rest:
        total += value
    return total, len(rest)


@pytest.mark.parametrize("arguments", [(1, 2), (1, 2, 3), (0.5, 2, 3, 4)])
def test_call_takes_any_number_of_arguments(arguments: tuple[Any, ...]) -> None:
    kernel = sh.kernel(count_and_add)
    expected = count_and_add(*arguments)
    assert kernel(*arguments) == expected
    assert as_received(kernel, may_compile=True)(*arguments) == expected


def test_any_number_of_arguments_can_be_compiled_for() -> None:
    kernel = sh.kernel(count_and_add).compile(1, 2, 3)
    assert as_received(kernel)(1, 2, 3) == (6, 2)


def test_options_are_those_of_numba() -> None:
    assert by_both_roads(invert, 0.0) == (math.inf, math.inf)
    with pytest.raises(ZeroDivisionError):
        invert_as_python(0.0)
    with pytest.raises(ZeroDivisionError):
        as_received(invert_as_python)(0.0)


def test_options_reach_types_that_are_compiled_elsewhere() -> None:
    assert as_received(invert, may_compile=True)(np.float32(0)) == math.inf


def test_unknown_option_is_named_at_the_first_call() -> None:
    kernel = sh.kernel(nosuch=True)(lambda x: x)
    with pytest.raises(KeyError, match="nosuch"):
        kernel(1)


def test_decorator_without_options_may_have_parentheses() -> None:
    @sh.kernel()
    def double(x):
        return 2 * x

    assert isinstance(double, sh.Kernel)
    assert double(4) == 8


def test_kernel_of_a_jitted_function_keeps_its_options() -> None:
    kernel = sh.kernel(inverted)
    assert kernel.py_func is inverted.py_func
    assert by_both_roads(kernel, 0.0) == (math.inf, math.inf)


def test_kernel_of_a_jitted_function_with_a_signature() -> None:
    typed = sh.kernel(numba.njit("f8(f8[:], i8)")(lambda x, i: x[i] * 2))
    x = np.arange(3.0)
    assert typed(x, 2) == 4
    with pytest.raises(TypeError, match="No matching definition"):
        typed(1j, 2)
    assert as_received(typed, may_compile=True)(x, 2) == 4
    assert typed.compile(x[::2], 2)(x, 1) == 2


def test_kernel_of_a_kernel_is_itself() -> None:
    assert sh.kernel(weigh) is weigh


REFUSED: dict[str, tuple[Any, str]] = {
    "number": (lambda: sh.kernel(3), "expected a function.*got int"),
    "text": (lambda: sh.kernel("f8(f8)"), "expected a function.*got str"),
    "class": (lambda: sh.kernel(int), "expected a function.*got type"),
    "builtin": (lambda: sh.kernel(abs), "expected a function.*got builtin"),
    "ufunc": (lambda: sh.kernel(np.sin), "expected a function.*got ufunc"),
    "method": (lambda: sh.kernel([].append), "expected a function.*got"),
    "partial": (
        lambda: sh.kernel(functools.partial(max, 1)),
        "expected a function.*got partial",
    ),
    "in pieces": (
        lambda: sh.kernel(fastmath=True)(7),
        "expected a function.*got int",
    ),
    "cache": (lambda: sh.kernel(cache=True), "no option 'cache'.*stale"),
    "no cache": (lambda: sh.kernel(cache=False), "no option 'cache'"),
    "object mode": (lambda: sh.kernel(forceobj=True), "'forceobj'.*interpreter"),
    "nopython": (lambda: sh.kernel(nopython=True), "'nopython'.*always"),
    "options of a kernel": (
        lambda: sh.kernel(fastmath=True)(weigh),
        "kernel weigh.*has its options already",
    ),
    "options of a jitted function": (
        lambda: sh.kernel(fastmath=True)(inverted),
        "'inverted' already has the options.*pass them there",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_reason(case: str) -> None:
    function, message = REFUSED[case]
    with pytest.raises(sh.KernelError, match=message) as caught:
        function()
    assert isinstance(caught.value, TypeError)


def test_kernel_is_described_by_its_function() -> None:
    assert repr(weigh) == "<sharray kernel weigh>"
    assert weigh.__name__ == "weigh"
    assert weigh.__doc__ == "Documented."
    assert weigh.__module__ == __name__
    assert inspect.signature(weigh) == inspect.signature(weigh.py_func)
    assert str(weigh.signature) == "(x, factor=2, offset=10)"
    assert weigh.py_func(1) == -8
    assert as_received(weigh).py_func(1) == -8


def test_compile_takes_examples_or_types_and_returns_the_kernel() -> None:
    kernel = sh.kernel(scale.py_func)
    assert kernel.shipped == {}
    assert kernel.compile(np.zeros(2)) is kernel
    assert list(kernel.shipped) == ["array(float64, 1d, C), float64"]
    kernel.compile(numba.float32[:, ::1], numba.int8)
    read_only = numba.types.Array(numba.int64, 1, "A", readonly=False)
    kernel.compile(read_only, numba.types.float64)
    assert list(kernel.shipped)[1:] == [
        "array(float32, 2d, C), int8",
        "array(int64, 1d, A), float64",
    ]
    assert set(kernel.shipped.values()) == {sh.Shipping(True, "")}


def test_compiled_types_are_not_compiled_again() -> None:
    kernel = sh.kernel(scale.py_func).compile(np.zeros(2))
    x = np.ones(4)
    assert call_counting(kernel, x, 3.0) == (None, 0)
    assert x.tolist() == [3] * 4
    assert call_counting(kernel.compile, x, 2.5)[1] == 0
    assert call_counting(kernel, x, 2)[1] > 0


@pytest.mark.parametrize(
    "wrong", ["text", [1.0], {}, object(), numba.types.unicode_type, 2**64]
)
def test_compile_refuses_what_no_kernel_takes(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"expected .*array.*, got"):
        weigh.compile(wrong)


@sh.kernel
def wait_for(x):
    tries = 0
    while tries < 2_000_000_000 and sh.atomic.load(x, 0) == 0:
        tries += 1
    return sh.atomic.load(x, 0) != 0


@pytest.mark.parametrize("received", [False, True])
def test_other_threads_run_while_a_kernel_does(received: bool) -> None:
    x = np.zeros(1, np.int64)
    wait_for.compile(x)
    kernel = as_received(wait_for) if received else wait_for
    found: list[bool] = []
    begun = threading.Event()

    def run() -> None:
        begun.set()
        found.append(kernel(x))

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()
    sh.atomic.store(x, 0, 1)
    thread.join()
    assert found == [True]
