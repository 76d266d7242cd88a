"""Functions in kernels whose address is valid in one process only."""

from __future__ import annotations

import ctypes
from typing import Any

import cffi
import numba
import numpy as np
import pytest
import scipy.special
import team_tools
from numba.extending import get_cython_function_address
from team_tools import team_of

import sharray as sh
from sharray.kernels.references import foreign_function
from sharray.system import libraries

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
        match=r"calls 'callback', a callback of ctypes.*ExternalFunction",
    ):
        team.run(calls_back, sh.zeros(3))


libm = ctypes.CDLL("libm.so.6")
hypot = libm.hypot
hypot.argtypes, hypot.restype = (ctypes.c_double, ctypes.c_double), ctypes.c_double
frexp = libm.frexp
frexp.argtypes = ctypes.c_double, ctypes.POINTER(ctypes.c_int)
frexp.restype = ctypes.c_double
scipys_j0 = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(
    get_cython_function_address("scipy.special.cython_special", "j0")
)


@sh.kernel
def calls_hypot(x: Any) -> None:
    for i in range(x.shape[0]):
        x[i] = hypot(x[i], 4.0)


@sh.kernel
def calls_j0(x: Any) -> None:
    for i in range(x.shape[0]):
        x[i] = scipys_j0(x[i])


@sh.kernel
def calls_frexp(x: Any, exponents: Any) -> None:
    for i in range(x.shape[0]):
        x[i] = frexp(x[i], exponents[i:].ctypes)


def test_a_ctypes_function_of_a_library_is_found_there_again(team: Any) -> None:
    x = sh.full(1000, 3.0)
    team.run(calls_hypot, x)
    assert (x == 5).all()


def test_a_ctypes_function_of_an_extension_module_is_found_there_again(
    team: Any,
) -> None:
    x = sh.full(1000, 3.0)
    team.run(calls_j0, x)
    np.testing.assert_array_equal(x, scipy.special.j0(3.0))


def test_a_ctypes_function_of_pointers_is_found_there_again(team: Any) -> None:
    x, exponents = sh.full(1000, 24.0), sh.zeros(1000, "i4")
    team.run(calls_frexp, x, exponents)
    assert (x == 0.75).all()
    assert (exponents == 5).all()


def test_another_build_of_the_library_is_refused() -> None:
    address = ctypes.cast(hypot, ctypes.c_void_p).value
    assert address is not None
    place = libraries.place_of(address)
    assert place is not None
    assert libraries.address_of(place) == address
    with pytest.raises(OSError, match="not the one that was used before"):
        libraries.address_of(place._replace(version=(1, 2)))
    with pytest.raises(OSError, match="has no function"):
        libraries.address_of(place._replace(offset=1 << 40))


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
