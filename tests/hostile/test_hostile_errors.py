"""Errors are also errors of the standard library, and keep all in a pickle."""

from __future__ import annotations

import errno
import inspect
import os

import pytest
from hostile import assert_survives_pickling

import sharray as sh
from sharray import errors

pytestmark = pytest.mark.slow


STANDARD = {
    errors.SharrayError: Exception,
    errors.FormatError: ValueError,
    errors.DtypeError: TypeError,
    errors.ShapeError: ValueError,
    errors.ArrayNameError: ValueError,
    errors.HandleError: ValueError,
    errors.NotSharedError: ValueError,
    errors.StorageError: OSError,
    errors.ArrayNotFoundError: FileNotFoundError,
    errors.ArrayGoneError: FileNotFoundError,
    errors.ArrayExistsError: FileExistsError,
    errors.AccessError: PermissionError,
    errors.UnsafePathError: PermissionError,
    errors.NoSpaceError: OSError,
    errors.BusyError: BlockingIOError,
    errors.FlushError: OSError,
    errors.KernelError: TypeError,
    errors.MessageError: RuntimeError,
    errors.TeamError: RuntimeError,
    errors.WorkerDied: RuntimeError,
}
_OF_SOCKETS = {errno.EINPROGRESS, errno.EALREADY}
CLASSES = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if found.__module__ == errors.__name__
]


def test_the_table_names_every_class() -> None:
    assert set(CLASSES) == set(STANDARD)
    assert {found.__name__ for found in CLASSES} == set(errors.__all__)


@pytest.mark.parametrize("kind", CLASSES)
def test_each_error_is_the_standard_one_too(kind: type[errors.SharrayError]) -> None:
    assert issubclass(kind, STANDARD[kind])
    assert issubclass(kind, errors.SharrayError)


@pytest.mark.parametrize("kind", CLASSES)
def test_each_error_survives_pickling(kind: type[errors.SharrayError]) -> None:
    for path in (None, "/a/b.npy", "/\udcff/μ.npy"):
        for code in (None, errno.ENOSPC, errno.EROFS):
            error = kind("expected this, found that", path, code)
            assert_survives_pickling(error)
            assert str(error) == "expected this, found that"
            if isinstance(error, OSError):
                assert error.errno == (kind.default_code if code is None else code)
                assert error.filename == path


def test_each_errno_is_explained_as_what_it_is() -> None:
    for code in errno.errorcode:
        raw = OSError(code, os.strerror(code))
        error = errors.explain(raw, "open the array", "/a.npy")
        assert error.errno == code
        assert str(error).startswith("cannot open the array '/a.npy': ")
        assert_survives_pickling(error)
        # Code that catches, say, FileExistsError must not miss ours.
        # EINPROGRESS is a BlockingIOError too, but of sockets.
        if type(raw) in STANDARD.values() and code not in _OF_SOCKETS:
            assert isinstance(error, type(raw)), error


def test_an_error_without_errno_is_explained() -> None:
    error = errors.explain(OSError("odd"), "open the array", "/a.npy")
    assert type(error) is errors.StorageError
    assert "odd" in str(error)


def test_no_error_is_its_own_cause() -> None:
    # What pickles an error with its causes, as tblib does, would never end.
    with pytest.raises(sh.StorageError) as caught:
        sh.create(f"shm://{'a' * 300}/b", 3)
    assert caught.value.__cause__ is not caught.value
