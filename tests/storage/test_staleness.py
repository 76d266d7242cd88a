"""An array says first if its file was removed, replaced, truncated or overwritten."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import workers

import sharray as sh
from sharray.storage import location, staleness
from sharray.system import files, mappings, pages

Array = sh.SharedArray[Any, Any]
PAGE = 4096


@pytest.fixture(params=["kept/a.npy", "shm://kept/a"])
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    os.mkdir("kept")
    yield str(request.param)
    shutil.rmtree(os.path.join(location.ram_directory(), "kept"), ignore_errors=True)


def path_of(name: str) -> Path:
    return Path(location.locate(name).path)


def replace(path: Path) -> None:
    np.save(path.with_name("new.npy"), np.zeros(4))
    os.replace(path.with_name("new.npy"), path)


def write_into(path: Path) -> None:
    """Write as `numpy.save` does with a path: into the same file."""
    with open(path, "wb") as file:
        np.save(file, np.zeros(40_000, "i2"))


def write_less(path: Path) -> None:
    with open(path, "wb") as file:
        np.save(file, np.zeros(3, "i2"))


def write_text(path: Path) -> None:
    with open(path, "r+b") as file:
        file.write(b"no array")


HAPPENED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "removed": (os.remove, "its file was removed"),
    "directory removed": (lambda path: shutil.rmtree(path.parent), "was removed"),
    "moved and removed": (
        lambda path: os.remove(shutil.move(path, path.with_name("b"))),
        "its file was removed",
    ),
    "replaced": (replace, "its file was replaced by another"),
    "replaced by a directory": (
        lambda path: (path.unlink(), path.mkdir()),
        "its file was replaced by another",
    ),
    "truncated": (
        lambda path: os.truncate(path, 2 * PAGE),
        "its file was truncated to 8192 bytes, expected ",
    ),
    "emptied": (lambda path: os.truncate(path, 0), "was truncated to 0 bytes"),
    "truncated by a byte": (
        lambda path: os.truncate(
            path, path.stat().st_size - 1 - PAGE * (path.suffix == "")
        ),
        "its file was truncated to ",
    ),
    "truncated and removed": (
        lambda path: (os.truncate(path, 0), path.unlink()),
        "its file was truncated and has no name",
    ),
    "another array": (
        write_into,
        "another array was written into its file: int16 of shape (40000,)",
    ),
    "a smaller array": (
        write_less,
        "another array was written into its file: int16 of shape (3,)",
    ),
    "text": (write_text, "its file was overwritten, and is no such array any more"),
}


@pytest.mark.parametrize("happened", HAPPENED)
@pytest.mark.parametrize("mode", ["r+", "r", "c"])
def test_repr_card_and_inspect_say_first_what_happened(
    happened: str, mode: str, name: str
) -> None:
    act, told = HAPPENED[happened]
    made = sh.create(name, 8192, fill_value=1)  # whole pages
    a = sh.open(name, mode)
    del made
    assert sh.inspect(a).stale is None
    act(path_of(name))
    line, values = repr(a).split("\n", 1)
    assert line.startswith("<SharedArray STALE, ")
    assert told in line.partition(": float64")[0]
    assert "not durable" in line
    html = a._repr_html_()
    assert html.partition("dtype")[0].count("problem") == 1
    assert told in html.partition("dtype")[0]
    assert told in str(sh.inspect(a).stale)
    is_short = "truncated" in told or happened == "a smaller array"
    assert ("not shown" in values) == is_short
    assert str(a) != ""


def test_nothing_is_said_of_arrays_that_are_fine(name: str) -> None:
    a = sh.create(name, 8192, fill_value=1)
    path = path_of(name)
    kinds: list[Array] = [a, a[5:], sh.open(name, "c"), sh.open(name, "r"), sh.zeros(3)]
    kinds += [sh.zeros(0), a[:0], sh.create(path.with_name("e.npy"), (0, 3))]
    kinds += [a.view(np.ndarray).view(sh.SharedArray)]
    os.utime(path)
    if a.durable:
        os.rename(path, path.with_name("b"))  # an array follows its file
    for one in kinds:
        assert "STALE" not in repr(one)
        assert "problem" not in one._repr_html_()
        assert sh.inspect(one).stale is None


def test_what_this_process_removed_by_unlink_is_not_stale(name: str) -> None:
    a = sh.create(name, 3)
    sh.unlink(name)
    assert "STALE" not in repr(a)
    assert sh.inspect(a).stale is None


def test_an_array_that_is_not_published_yet_is_not_stale(name: str) -> None:
    with sh.publish(name, 3) as new:
        assert "STALE" not in repr(new)
    assert "STALE" not in repr(new)


def test_growing_is_no_rewriting(name: str) -> None:
    a = sh.create(name, (0, 3), "f4", growable=True)
    first = sh.open(name)
    for _ in range(3):
        a.append(np.ones((1000, 3)))
        a.flush()
        for one in (a, first, a.latest(), sh.open(name)):
            assert "STALE" not in repr(one)
    whole = a.latest()
    os.truncate(path_of(name), 3 * PAGE)
    assert "STALE, its file was truncated to 12288" in repr(whole)
    assert "not shown" in repr(whole)
    assert "not shown" not in repr(whole[:100])
    os.truncate(path_of(name), whole.offset + whole.nbytes)  # so that it can be closed


def test_a_file_that_was_made_growable_is_not_stale() -> None:
    np.save("a.npy", np.zeros(3))
    a = sh.open("a.npy")
    b = sh.open("a.npy", growable=True)
    b.append(1.0)
    b.flush()
    assert "STALE" not in repr(a)
    assert "STALE" not in repr(b)


def test_equal_headers_are_not_stale() -> None:
    """`numpy.save` of the same shape and dtype brings new values, as any store."""
    a = sh.create("a.npy", 3)
    with open("a.npy", "r+b") as file:
        np.save(file, np.arange(3.0))
    assert a.tolist() == [0, 1, 2]
    assert "STALE" not in repr(a)


@pytest.mark.filterwarnings("ignore:a .npy file does not keep the metadata")
@pytest.mark.parametrize(
    "dtype",
    [
        np.dtype([("x", "f8"), ("y", "i1")], align=True),
        np.dtype("f8", metadata={"unit": "m"}),
        np.dtype((np.record, [("x", "f8")])),
        np.dtype("M8[s]"),
    ],
)
def test_dtypes_that_a_header_simplifies_are_not_stale(dtype: Any, name: str) -> None:
    assert "STALE" not in repr(sh.create(name, 3, dtype))


def test_values_before_the_end_of_a_short_file_are_shown(name: str) -> None:
    a = sh.create(name, 8192, fill_value=1)
    os.truncate(path_of(name), 2 * PAGE)
    assert repr(a[:2]).endswith("array([1., 1.])")
    assert str(a[:2]) == "[1. 1.]"
    assert "array([1., 1.])" in a[:2]._repr_html_()
    assert "not shown" in repr(a[::4096])
    assert "not shown" in repr(a[::-1])


def test_looking_reads_no_page_behind_the_end() -> None:
    code = """
    import os, sharray as sh
    a = sh.create("a.npy", 1 << 20)
    os.truncate("a.npy", 5000)
    for view in (a, a[::-1], a.reshape(1024, 1024).T, a[-1:], a.view("i4")):
        assert "not shown" in repr(view)
        assert "not shown" in view._repr_html_()
        assert "STALE" in str(view)
        assert sh.inspect(view).stale
    os.remove("a.npy")
    assert "not shown" in repr(a)
    print("alive")
    """
    assert workers.run_python(textwrap.dedent(code)) == "alive\n"


def test_a_file_that_this_user_may_not_open_is_not_called_stale(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any, **__: Any) -> int:
        raise PermissionError

    a = sh.create(name, 3)
    with monkeypatch.context() as patch:
        patch.setattr(files, "open_existing", denied)
        assert "STALE" not in repr(a)
        assert "dtype" in a._repr_html_()


def test_a_file_that_is_replaced_while_one_looks_is_stale(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = sh.create(name, 3)
    assert a._root is not None
    path = str(path_of(name))
    with monkeypatch.context() as patch:
        patch.setattr(type(a._root.segment), "find_path", lambda _: path)
        replace(Path(path))
        found = staleness.look(a._root.segment, a._root.address)
    assert found is not None
    assert found.problem == "its file was replaced by another"


def test_without_proc_a_look_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> bytes:
        raise FileNotFoundError

    a = sh.create("a.npy", 3)
    with monkeypatch.context() as patch:
        patch.setattr(mappings, "_read", missing)
        patch.setattr(pages, "is_readable", lambda _: True)  # as without /proc
        os.remove("a.npy")
        assert "STALE, its file was removed" in repr(a)
