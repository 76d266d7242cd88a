"""Machine code that is refused, and damaged object files."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_defined import adder
from kernels_elsewhere import as_received, in_fresh_python, run_script
from llvmlite import ir

import sharray as sh
from sharray.kernels.compiled import Compiled
from sharray.native.machine_code import (
    MachineCode,
    find_symbol,
    host,
    load,
    why_not_loadable,
)
from sharray.native.object_file import is_supported, undefined_symbols

pytestmark = pytest.mark.slow


def code_of(kernel: sh.Kernel) -> MachineCode:
    (compiled,) = kernel._compiled.values()
    return compiled.code


def received_with(kernel: sh.Kernel, code: MachineCode) -> sh.Kernel:
    """Return a kernel that has arrived with other machine code than its own."""
    message = pickle.dumps(kernel)
    found = as_received(kernel, may_compile=True)
    assert pickle.loads(message) is kernel
    ((keys, (_, value)),) = found._received.items()
    found._received[keys] = (code, value)
    return found


def object_file(used: list[str], defined: list[str]) -> bytes:
    """Return an object file whose functions call missing ones."""
    module = ir.Module()
    module.triple = llvm.get_process_triple()
    kind = ir.FunctionType(ir.IntType(64), [])
    others = [ir.Function(module, kind, name) for name in used]
    for name in defined:
        builder = ir.IRBuilder(ir.Function(module, kind, name).append_basic_block())
        for other in others:
            builder.call(other, [])
        builder.ret(ir.IntType(64)(7))
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    return machine.emit_object(llvm.parse_assembly(str(module)))


names = st.lists(
    st.text("abcXYZ_019", min_size=1).map("sharray_".__add__), unique=True, max_size=6
)


@settings(deadline=None, max_examples=30)
@given(used=names, data=st.data())
def test_undefined_symbols_are_those_which_are_used(
    used: list[str], data: st.DataObject
) -> None:
    content = object_file(used, ["one.defined", "another.defined"])
    assert sorted(undefined_symbols(content)) == sorted(used)
    assert is_supported(content)


WHOLE = object_file(["absent", "sin"], ["here"])


@settings(deadline=None, max_examples=500)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=8)),
        max_size=5,
    ),
    end=st.integers(0, len(WHOLE)) | st.just(len(WHOLE)),
)
def test_damaged_object_file_is_a_format_error(
    changes: list[tuple[int, bytes]], end: int
) -> None:
    content = bytearray(WHOLE)
    for position, new in changes:
        content[position : position + len(new)] = new
    try:
        found = undefined_symbols(bytes(content[:end]))
    except sh.FormatError as error:
        assert "ELF" in str(error)  # noqa: PT017
    else:
        assert all(isinstance(name, str) for name in found)


HEADER = b"\x7fELF\x02\x01".ljust(64, b"\0")


@pytest.mark.parametrize(
    ("offset", "raw"),
    [
        (40, b"\xff" * 8),
        (40, b"\xff" * 7 + b"\x7f"),
        (40, b"\0\xff"),
        (58, b"\xff" * 6),
    ],
)
def test_offset_beyond_the_end_is_a_format_error(offset: int, raw: bytes) -> None:
    content = bytearray(HEADER)
    content[60:62] = b"\1\0"
    content[offset : offset + len(raw)] = raw
    with pytest.raises(sh.FormatError, match="damaged ELF"):
        undefined_symbols(bytes(content[:64]))


@pytest.mark.parametrize("raw", [b"", b"\x7fELF", b"\x7fELF\x01\x01", b"MZ" * 50])
def test_no_elf_file_for_64_bits_is_a_format_error(raw: bytes) -> None:
    assert not is_supported(raw)
    with pytest.raises(sh.FormatError, match="expected an ELF object file"):
        undefined_symbols(raw)


def test_machine_code_for_another_processor_is_compiled_again() -> None:
    add = adder(5).compile(1)
    code = code_of(add)._replace(target="another")
    assert why_not_loadable(code_of(add)) == ""
    assert why_not_loadable(code) == "it was compiled for another processor"
    with pytest.raises(sh.KernelError, match=r"cannot load.*another processor"):
        load(code)
    with pytest.raises(sh.KernelError, match="another processor"):
        Compiled.loaded(code, None)
    assert received_with(add, code)(1) == 6
    assert host() == code_of(add).target


def test_machine_code_with_unknown_symbols_is_compiled_again() -> None:
    add = adder(5).compile(1)
    code = code_of(add)._replace(content=WHOLE)
    reason = why_not_loadable(code)
    assert reason == "it needs symbols that are not there: absent"
    with pytest.raises(sh.KernelError, match="not there: absent"):
        load(code)
    assert received_with(add, code)(1) == 6


def test_machine_code_of_another_platform_is_compiled_again() -> None:
    add = adder(5).compile(1)
    code = code_of(add)._replace(content=b"MZ")
    assert "platform" in why_not_loadable(code)
    assert received_with(add, code)(1) == 6


def test_symbols_of_the_c_library_and_of_numba_are_found() -> None:
    import ctypes

    sine = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(find_symbol("sin"))
    assert sine(0.5) == np.sin(0.5)
    assert find_symbol("PyExc_ValueError") == id(ValueError)
    assert find_symbol("NRT_Free") is not None
    assert find_symbol("numba_get_np_random_state") is not None
    for name in ("absent", "NRT_absent", "numba_absent", "PyExc_Absent", ""):
        assert find_symbol(name) is None


def test_machine_code_has_one_number_per_kernel_only() -> None:
    one, other = adder(1).compile(1), adder(1).compile(1)
    assert code_of(one).entry != code_of(other).entry
    assert copy.copy(one) is one


class CompiledMeanwhile:
    """Compiled code; while somebody looks at it, another thread compiles the kernel."""

    def __init__(self, kernel: sh.Kernel, compiled: Compiled) -> None:
        self.code, self.value, self.returns_array = compiled.code, None, False
        self._others, self._compiled = kernel._compiled, compiled

    @property
    def reason(self) -> str:
        self._others[f"types {len(self._others)}", None] = self._compiled
        return self._compiled.reason


def test_other_threads_may_compile_while_a_kernel_is_sent() -> None:
    kernel = adder(7).compile(1)
    ((key, compiled),) = kernel._compiled.items()
    kernel._compiled[key] = CompiledMeanwhile(kernel, compiled)  # type: ignore[assignment]
    assert len(kernel._codes()) == 1
    assert len(kernel.shipped) == 2


# -- what cannot be shipped ----------------------------------------------------

IN_A_SCRIPT = """
import multiprocessing, sys
import numba, numpy as np, sharray as sh
from concurrent.futures import ProcessPoolExecutor

table = np.arange(400_000.0)
table.setflags(write=False)

@sh.kernel
def lookup(x):
    return table[int(x) + 5]

@sh.kernel(parallel=True)
def parallel(x):
    y = np.zeros(1000)
    for i in numba.prange(1000):
        y[i] = x
    return y.sum()

@sh.kernel
def interpreted(x):
    with numba.objmode(y="float64"):
        y = float(str(x)) * 2
    return y

if __name__ == "__main__":
    kernel = globals()[sys.argv[1]]
    here = kernel(0.5)
    kernel.compile(0.5)
    (shipping,) = kernel.shipped.values()
    print(shipping.machine_code, shipping.reason)
    context = multiprocessing.get_context("{method}")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(kernel, 0.5).result() == here
"""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kernel", "reason"),
    [
        ("lookup", "False it refers to addresses of this process"),
        ("parallel", "False it needs symbols that are not there: "),
        ("interpreted", "True "),
    ],
)
def test_what_cannot_be_shipped_says_so_and_is_right_elsewhere(
    kernel: str, reason: str, tmp_path: Any
) -> None:
    code = IN_A_SCRIPT.replace("{method}", "spawn").replace("sys.argv[1]", repr(kernel))
    out = run_script(tmp_path / "main.py", code, "-W", "ignore")
    assert out.startswith(reason)


def test_kernel_with_an_address_cannot_be_sent_and_says_so() -> None:
    import ctypes

    callback = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(lambda x: x + 1)
    kernel = sh.kernel(lambda x: callback(x))
    assert kernel.compile(0.5)(0.5) == 1.5
    (shipping,) = kernel.shipped.values()
    assert shipping == (False, "it refers to addresses of this process")
    with pytest.raises(sh.KernelError, match="sender could not pickle"):
        as_received(kernel, may_compile=True)(0.5)


class Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("not this one")


def test_machine_code_does_without_source_that_cannot_be_pickled() -> None:
    def add(x, y=2):
        return x + y

    add.keep = Unpicklable()
    kernel = sh.kernel(add).compile(1)
    received = as_received(kernel)
    assert received(1, 5) == 6
    assert received(1) == 3
    received._made_dispatcher = None
    with pytest.raises(
        sh.KernelError, match=r"'add' arrived without its source.*compile"
    ):
        received(0.5, 2)
    with pytest.raises(sh.KernelError, match="arrived without its source"):
        _ = received.py_func


def test_large_array_from_outside_is_right_elsewhere() -> None:
    table = np.arange(400_000.0)
    table.setflags(write=False)
    kernel = sh.kernel(lambda i: table[i])
    assert kernel(7) == 7
    assert in_fresh_python(kernel, 399_999) == 399_999
