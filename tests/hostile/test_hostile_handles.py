"""Handles that no array has sent: each kind of damage raises a typed error."""

from __future__ import annotations

import inspect
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import header_text, npy, refused
from workers import start_python

import sharray as sh
from sharray.arrays.core import open_handle
from sharray.storage.location import ram_directory

pytestmark = pytest.mark.slow


PARTS = list(inspect.signature(open_handle).parameters)
ARRAY_BYTES = 24
DATA = 128  # where the data of a file on a disk begins
# Python reads and pickles it, but refuses to print it.
GIANT = 16**6000

TOKENS = [-1, 1, 255, 256, 1 << 63, 1 << 64, GIANT]

Handle = dict[str, Any]


def handle_of(array: sh.SharedArray[Any, Any]) -> Handle:
    """Return the parts of an array's handle, by their names."""
    return dict(zip(PARTS, array.__reduce_ex__(2)[1], strict=True))


@pytest.fixture
def handle() -> Handle:
    """Return a handle of a file that nobody has mapped: pytest keeps fixtures."""
    return handle_of(sh.create("a.npy", 3, fill_value=1))


@pytest.fixture
def message(handle: Handle) -> bytes:
    """Return a handle, pickled like the array."""
    return pickle.dumps(sh.open("a.npy"))


def _nested(depth: int) -> Any:
    descr: Any = "<f8"
    for _ in range(depth):
        descr = [("a", descr)]
    return descr


# What is set instead of the parts of a handle to three float64 at byte 128.
DAMAGED: dict[str, Handle] = {
    # Offsets, bytes.
    "before the file": {"offset": -8},
    "in the header": {"offset": 0},
    "a byte before the data": {"offset": DATA - 1},
    "a byte too far": {"offset": DATA + 1},
    "behind the data": {"offset": DATA + ARRAY_BYTES},
    "in the next page": {"offset": 4096},
    "behind the file": {"offset": 1 << 40},
    "offset 2**63": {"offset": 1 << 63},
    "offset 2**64 wraps": {"offset": (1 << 64) + DATA},
    "offset giant": {"offset": GIANT},
    "offset float": {"offset": float(DATA)},
    "offset nan": {"offset": float("nan")},
    "offset None": {"offset": None},
    "empty view outside": {"offset": DATA + ARRAY_BYTES + 1, "shape": (0,)},
    # Shapes.
    "too long": {"shape": (4,)},
    "too long in two dimensions": {"shape": (2, 2)},
    "negative length": {"shape": (-3,)},
    "two negative lengths": {"shape": (-1, -3)},
    "negative and none": {"shape": (-1, 0)},
    "product wraps": {"shape": (1 << 32, 1 << 32)},
    "length 2**63": {"shape": (1 << 63,)},
    "length 2**64 plus 3": {"shape": ((1 << 64) + 3,)},
    "length giant": {"shape": (GIANT,)},
    "length giant, of nothing": {"shape": (GIANT, 0)},
    "65 dimensions": {"shape": (1,) * 65},
    "shape None": {"shape": None},
    "shape number": {"shape": 3},
    "shape text": {"shape": "3"},
    "shape empty text": {"shape": ""},
    "shape set": {"shape": {3}},
    "length float": {"shape": (3.0,)},
    "length text": {"shape": ("3",)},
    "NumPy's lengths wrap": {"shape": np.array([1 << 62, 4])},
    "NumPy's lengths in a tuple": {"shape": (np.int64(1 << 62), np.int64(4))},
    # Strides.
    "stride too far": {"strides": (16,)},
    "stride backwards": {"strides": (-8,)},
    "stride 2**62 wraps": {"shape": (5,), "strides": (1 << 62,)},
    "strides that cancel": {
        "shape": (3, 3),
        "strides": ((1 << 63) - 8, -(1 << 63) + 8),
    },
    "stride 2**64 plus 8": {"strides": ((1 << 64) + 8,)},
    "stride 2**64 of one": {"shape": (1,), "strides": ((1 << 64) + 8,)},
    "stride giant": {"strides": (GIANT,)},
    "huge without strides": {"shape": (1 << 62,), "strides": (0,)},
    "huge twice without strides": {"shape": (1 << 40, 1 << 40), "strides": (0, 0)},
    "too few strides": {"strides": ()},
    "too many strides": {"strides": (8, 8)},
    "stride float": {"strides": (8.0,)},
    "strides text": {"strides": "a"},
    "NumPy's stride wraps": {"shape": (5,), "strides": (np.int64(1 << 62),)},
    "NumPy's strides wrap": {"shape": (5,), "strides": np.array([1 << 62])},
    # Element types.
    "object": {"dtype": "O"},
    "object dtype": {"dtype": np.dtype("O")},
    "object field": {"dtype": np.dtype([("a", "O")]), "shape": (1,)},
    "StringDType": {"dtype": np.dtypes.StringDType()},
    "no bytes, too many": {"dtype": "V0", "shape": (1 << 62, 1 << 62)},
    "no fields, too many": {"dtype": np.dtype([]), "shape": (1 << 62, 1 << 62)},
    "larger elements": {"dtype": "<c32"},
    "elements of 2 GiB": {"dtype": "V2147483647", "shape": (1,)},
    "large subarray": {"dtype": np.dtype(("<f8", (1 << 20,))), "shape": (1,)},
    "subarray that adds dimensions": {
        "dtype": np.dtype(("<f8", (1, 1))),
        "shape": (1,) * 64,
    },
    "garbage text": {"dtype": "garbage"},
    "code": {"dtype": "__import__('os').system('touch ran')"},
    "open bracket": {"dtype": "f4,("},
    "retired letter": {"dtype": "a8"},
    "dtype surrogate": {"dtype": "\ud800"},
    "dtype giant": {"dtype": GIANT},
    "dtype dictionary": {"dtype": {"x": 1}},
    "dtype nested deep": {"dtype": _nested(3000)},
    # The file.
    "relative path": {"path": "a.npy", "identity": bytes(32)},
    "empty path": {"path": "", "identity": bytes(32)},
    "path NUL": {"path": "/a\0b", "identity": bytes(32)},
    "path bytes": {"path": b"/a.npy", "identity": bytes(32)},
    "path None": {"path": None, "identity": bytes(32)},
    "path giant": {"path": GIANT, "identity": bytes(32)},
    "path with scheme": {"path": "shm://a", "identity": bytes(32)},
    "identity short": {"identity": b"x"},
    "identity text": {"identity": "x" * 32},
    "identity None": {"identity": None},
    "identity list": {"identity": [0] * 32},
    "identity giant": {"identity": GIANT},
    # How.
    "mode w+": {"mode": "w+"},
    "mode c": {"mode": "c"},
    "mode empty": {"mode": ""},
    "mode None": {"mode": None},
    "mode list": {"mode": ["r"]},
    "mode array": {"mode": np.array(["r", "r+"])},
    "writeable array": {"writeable": np.array([True, False])},
}


@pytest.mark.parametrize("change", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_handle_is_refused(handle: Handle, change: Handle) -> None:
    damaged = handle | change
    refused(sh.HandleError, lambda: open_handle(**damaged), "handle")
    mapped = sh.open("a.npy")  # now it need not be opened
    refused(sh.HandleError, lambda: open_handle(**damaged), "handle")
    assert mapped.sum() == 3
    assert os.listdir() == ["a.npy"]


@pytest.mark.parametrize(
    "offset", [-8, 0, DATA, 4095, 4097, 4096 + ARRAY_BYTES, 8192, 8192 + 64, 1 << 40]
)
def test_a_handle_into_header_or_trailer_in_ram_is_refused(offset: int) -> None:
    damaged = handle_of(sh.create("shm://a", 3)) | {"offset": offset}
    refused(sh.HandleError, lambda: open_handle(**damaged), "handle")
    mapped = sh.open("shm://a")  # now it need not be opened
    refused(sh.HandleError, lambda: open_handle(**damaged), "handle")
    assert mapped.offset == 4096
    sh.unlink("shm://a")


@pytest.mark.parametrize("token", ["x", 1.5, None, [1], b"1"])
def test_a_token_that_is_no_integer_is_refused(token: Any) -> None:
    array = sh.zeros(3)
    handle = handle_of(array)
    if token is not None:
        change = {"token": token}
        refused(sh.HandleError, lambda: open_handle(**(handle | change)), "handle")
    open_handle(**handle)


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: f"{token:#x}"[:20])
def test_an_unknown_token_is_ignored(token: int) -> None:
    array = sh.ones(3)
    handle = handle_of(array)
    assert open_handle(**(handle | {"token": token})).sum() == 3
    open_handle(**handle)


@pytest.mark.usefixtures("handle")
def test_a_unit_divided_by_zero_is_refused() -> None:
    # NumPy divides by it, and the process dies of SIGFPE.
    ended = start_python(
        "import sharray as sh, sys\n"
        "from sharray.arrays.core import open_handle\n"
        "parts = list(sh.open(sys.argv[1]).__reduce_ex__(2)[1])\n"
        "parts[parts.index('<f8')] = 'M8[1s/0]'\n"
        "try: open_handle(*parts)\n"
        "except sh.HandleError: print('refused')",
        os.path.abspath("a.npy"),
    )
    assert (ended.returncode, ended.stdout) == (0, "refused\n"), ended


def test_a_lone_surrogate_is_no_path() -> None:
    path = "/\ud800"
    with pytest.raises((sh.HandleError, sh.ArrayNameError)):
        open_handle(path, bytes(32), "r", 4096, "<f8", (3,), None, True, 0)


# -- the file has changed since the handle was made ----------------------------


def _replace_by_overwriting() -> None:
    sh.create("a.npy", 3, fill_value=2, overwrite=True)


def _replace_by_copying() -> None:
    # Its bytes are the same, so that only inode and time of birth tell them apart.
    shutil.copy("a.npy", "copy.npy")
    os.rename("copy.npy", "a.npy")


def _replace_by_another() -> None:
    sh.create("b.npy", 3)
    os.rename("b.npy", "a.npy")


def _replace_by_a_link() -> None:
    sh.create("b.npy", 3)
    os.unlink("a.npy")
    os.symlink("b.npy", "a.npy")


def _write_another_into_it() -> None:
    sh.create("b.npy", 3, "i8")
    shutil.copyfile("b.npy", "a.npy")  # the inode stays, the header does not


def _write_another_header_into_it() -> None:
    Path("a.npy").write_bytes(npy(header_text()))  # the dtype and shape stay


def _remove() -> None:
    sh.unlink("a.npy")


@pytest.mark.parametrize(
    "change",
    [
        _replace_by_overwriting,
        _replace_by_copying,
        _replace_by_another,
        _replace_by_a_link,
        _write_another_into_it,
        _write_another_header_into_it,
        _remove,
    ],
)
def test_a_file_that_is_another_now_is_gone(
    message: bytes, change: Callable[[], None]
) -> None:
    change()
    refused(sh.ArrayGoneError, lambda: pickle.loads(message), "handle", "a.npy")


def test_other_values_in_the_same_file_are_the_values_of_its_array(
    message: bytes,
) -> None:
    sh.create("b.npy", 3, fill_value=5)
    shutil.copyfile("b.npy", "a.npy")
    assert pickle.loads(message).tolist() == [5, 5, 5]


def test_another_array_written_into_a_file_in_ram_is_gone() -> None:
    message = pickle.dumps(sh.create("shm://a", 3))
    other = sh.create("shm://b", 3)
    path = Path(ram_directory(), "a")
    path.write_bytes(Path(str(other.filename)).read_bytes())  # the uuid is another
    refused(sh.ArrayGoneError, lambda: pickle.loads(message), "handle", path)
    for name in ("shm://a", "shm://b"):
        sh.unlink(name)


@pytest.mark.parametrize("size", [0, 100, DATA + ARRAY_BYTES - 1])
def test_a_file_that_was_truncated_is_refused(message: bytes, size: int) -> None:
    os.truncate("a.npy", size)
    refused(sh.FormatError, lambda: pickle.loads(message), "truncated|begin")
    assert os.path.getsize("a.npy") == size


def test_a_file_that_is_no_file_now_is_refused(message: bytes) -> None:
    os.unlink("a.npy")
    os.mkfifo("a.npy")
    refused(sh.FormatError, lambda: pickle.loads(message), "regular", "a.npy")


def test_a_link_that_stands_for_the_file_in_ram_is_unsafe() -> None:
    message = pickle.dumps(sh.create("shm://a", 3))
    path = Path(ram_directory(), "a")
    path.rename(path.with_name("b"))
    path.symlink_to("b")
    try:
        refused(sh.UnsafePathError, lambda: pickle.loads(message), "link", path)
    finally:
        path.unlink()
        sh.unlink("shm://b")


def test_a_handle_does_not_make_a_read_only_array_writable(handle: Handle) -> None:
    change = {"mode": "r", "writeable": True}
    assert not open_handle(**(handle | change)).flags.writeable


def test_an_anonymous_array_opened_read_only_can_be_sent() -> None:
    array = sh.ones(3)
    handle = handle_of(array)
    read_only = sh.open(handle["path"], "r")
    assert pickle.loads(pickle.dumps(read_only)).sum() == 3
    open_handle(**handle)
