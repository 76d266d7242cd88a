"""Functions that a kernel refers to and that another process cannot call so."""

from __future__ import annotations

import ctypes
from typing import Any

import cffi
import numba
import numpy as np
import pytest
import team_tools
from team_tools import team_of

import sharray as sh
from sharray.kernels.references import foreign_function

settled = team_tools.settled
team = team_of(1)
pytestmark = team_tools.needs_jit

get_id = numba.get_thread_id


@numba.njit
def helper() -> Any:
    return numba.get_num_threads()


def thread(x: Any) -> None:
    for i in range(x.shape[0]):
        x[i] = get_id()


def threads_by_a_helper(x: Any) -> None:
    for i in sh.prange(x.shape[0]):
        x[i] = helper()


def sets_threads(x: Any) -> None:
    numba.set_num_threads(1)


def chunks(x: Any) -> None:
    x[0] = numba.get_parallel_chunksize()


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (thread, "get_thread_id"),
        (threads_by_a_helper, "get_num_threads"),
        (sets_threads, "set_num_threads"),
        (chunks, "get_parallel_chunksize"),
    ],
)
def test_state_of_threads_is_refused(team: Any, function: Any, name: str) -> None:
    with pytest.raises(sh.KernelError, match=rf"numba\.{name}.*use sharray\.Counter"):
        team.run(sh.kernel(function), sh.zeros(3))


callback = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(lambda x: x + 1)


@sh.kernel
def calls_back(x: Any) -> None:
    for i in range(x.shape[0]):
        x[i] = callback(x[i])


def test_a_ctypes_function_is_named_with_the_remedy(team: Any) -> None:
    x = np.zeros(3)
    calls_back(x)
    assert x.tolist() == [1] * 3
    with pytest.raises(
        sh.KernelError,
        match=r"calls 'callback', a function of ctypes.*ExternalFunction",
    ):
        team.run(calls_back, sh.zeros(3))


cos = numba.types.ExternalFunction("cos", numba.float64(numba.float64))


@sh.kernel
def calls_c(x: Any) -> None:
    for i in range(x.shape[0]):
        x[i] = cos(x[i])


def test_the_remedy_works(team: Any) -> None:
    x = sh.array([0.0, 1.0, 2.0])
    team.run(calls_c, x)
    np.testing.assert_allclose(x, np.cos([0.0, 1.0, 2.0]))


def test_functions_of_cffi_are_named_too() -> None:
    ffi = cffi.FFI()
    ffi.cdef("double cos(double);")
    their_cos = ffi.dlopen(None).cos

    def calls(x: Any) -> Any:
        return their_cos(x)

    assert foreign_function(calls) == "their_cos"
