"""``sharray ls``."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from cli_tools import call, end, orphan, process, refusal, run

import sharray as sh
from sharray.system import mappings

ESCAPES = "\x1b[31m\n\x9b2J[red]\u202e.npy"


def names(*arguments: str) -> list[str]:
    return [found["name"] for found in call("ls", "--json", *arguments).json]


def test_arrays_in_ram_are_listed_with_what_they_are() -> None:
    a = sh.create("shm://run7/velocity", (300, 50), "f4")
    a[:] = 1
    [found] = call("ls", "--json").json
    status = os.stat(found["path"])
    assert found["name"] == "shm://run7/velocity"
    assert (found["dtype"], found["descr"], found["shape"]) == (
        "float32",
        "<f4",
        [300, 50],
    )
    assert (found["nbytes"], found["file_size"]) == (a.nbytes, status.st_size)
    assert a.nbytes <= found["resident"] <= status.st_size
    written = datetime.fromtimestamp(status.st_mtime, UTC)  # rounded to 1 us
    difference = datetime.fromisoformat(found["modified"]) - written
    assert abs(difference) <= timedelta(microseconds=1)
    [holder] = found["holders"]
    assert holder["pid"] == os.getpid()
    [mapping] = holder["mappings"]
    assert mapping["address"] == a.ctypes.data - found["data_offset"]
    sh.unlink("shm://run7/velocity")


def test_the_table_has_a_line_for_each_array_that_programs_can_split() -> None:
    a = sh.create("shm://a", (300, 50), "f4")
    np.save("b.npy", np.zeros(3))
    heading, first, second = call("ls", "shm://", ".").out.splitlines()
    titles = "NAME DTYPE SHAPE SIZE RESIDENT DIRTY AGE HOLDERS NOTE"
    assert " ".join(heading.split()) == titles
    assert first.startswith(os.path.abspath("b.npy") + "  float64  3  ")
    assert second.split()[:5] == ["shm://a", "float32", "300", "x", "50"]
    assert f"{a.nbytes / 1024:.1f} KiB" in second
    assert "this process" in second
    sh.unlink("shm://a")


@pytest.mark.parametrize("name", ["log.npy", "shm://log"])
def test_an_array_that_can_grow_is_listed_with_its_present_length(name: str) -> None:
    a = sh.create(name, (0, 3), "f4", growable=True)
    a.append(np.ones((5, 3), "f4"))  # not flushed: the header still says 0
    place = "shm://" if name.startswith("shm://") else "."
    _, line = call("ls", place).out.splitlines()
    assert line.split()[1:5] == ["float32", "5", "x", "3"]
    assert line.endswith("growable")
    [found] = call("ls", place, "--json").json
    assert (found["shape"], found["growable"]) == ([5, 3], True)
    sh.unlink(name)


def test_a_process_that_holds_an_array_is_shown_until_it_ends(tmp_ram: str) -> None:
    path = os.path.join(tmp_ram, "a.npy")
    sh.create(path, 1000)
    code = "import sys, sharray; a = sharray.open(sys.argv[1])"
    with process(code, path, "\x1b[2Jhostile") as child:
        [found] = call("ls", "--json", path).json
        [holder] = found["holders"]
        assert holder["pid"] == child.pid
        assert holder["command"].endswith(f"{path} \x1b[2Jhostile")
        for columns in (None, 200):
            shown = call("ls", path, columns=columns).out
            assert "python -c import sys, sharray" in shown
            assert f" ({child.pid})" in shown
            assert "\x1b[2J" not in shown
        end(child)
        [found] = call("ls", "--json", path).json
        assert (found["holders"], found["in_use"]) == ([], False)


def test_a_process_may_end_while_it_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a = sh.create("shm://a", 1000)
    with process("import sharray; a = sharray.open('shm://a')") as child:
        all_processes = mappings.all_processes

        def end_one() -> list[int]:
            found = all_processes()
            assert child.pid in found
            end(child)
            return found

        monkeypatch.setattr(mappings, "all_processes", end_one)
        [found] = call("ls", "--json").json
        assert [holder["pid"] for holder in found["holders"]] == [os.getpid()]
    sh.unlink("shm://a")
    del a


def test_only_array_files_of_a_directory_are_listed(tmp_ram: str) -> None:
    place = Path(tmp_ram)
    np.save(place / "array.npy", np.zeros(3))
    np.save(place / "damaged.npy", np.zeros(300))
    os.truncate(place / "damaged.npy", 1000)
    (place / "text.npy").write_text("hello")
    (place / "notes.txt").write_text("hello")
    (place / "directory.npy").mkdir()
    os.mkfifo(place / "fifo.npy")
    os.symlink("nowhere", place / "dangling.npy")
    os.symlink("array.npy", place / "link.npy")
    assert names(tmp_ram) == [str(place / "array.npy"), str(place / "link.npy")]
    for other in ("damaged.npy", "text.npy", "fifo.npy", "dangling.npy", "nowhere"):
        assert other in refusal("ls", str(place / other))


@pytest.mark.parametrize("order", ["size", "resident", "name", "age"])
def test_arrays_are_sorted(order: str) -> None:
    for name, size in (("b", 2000), ("a", 3000), ("c", 1000)):
        sh.create(f"shm://{name}", size, fill_value=1)
    expected = {"name": "abc", "size": "abc", "resident": "abc", "age": "cab"}[order]
    assert names("--sort", order) == [f"shm://{name}" for name in expected]
    for name in "abc":
        sh.unlink(f"shm://{name}")


def test_parts_of_what_is_in_ram_and_single_arrays_are_listed() -> None:
    for name in ("run7/a", "run7/deep/b", "run8"):
        sh.create(f"shm://{name}", 3)
    assert names("shm://run7") == ["shm://run7/a", "shm://run7/deep/b"]
    assert names("shm://run8", "shm://run7/deep") == ["shm://run7/deep/b", "shm://run8"]
    assert "no array 'shm://run9'" in refusal("ls", "shm://run9")
    assert "not a name" in refusal("ls", "shm://../etc")
    for name in ("run7/a", "run7/deep/b", "run8"):
        sh.unlink(f"shm://{name}")


def test_where_nothing_is_a_terminal_gets_a_sentence_and_programs_nothing() -> None:
    assert call("ls", columns=80).out == "There are no arrays in 'shm://'.\n"
    assert call("ls").out.split()[0] == "NAME"
    assert len(call("ls").out.splitlines()) == 1
    assert call("ls", "--json").json == []
    assert call("ls", ".", "--json").json == []


def test_a_name_cannot_command_the_terminal_and_is_exact_in_json() -> None:
    np.save(ESCAPES, np.zeros(3))
    hostile = np.array([1], dtype=[("\x1b[31m", "i4")])
    np.save("field.npy", hostile)
    for columns in (None, 300):
        done = call("ls", ".", columns=columns)
        assert "\\x1b[31m\\n\\x9b2J[red]\\u202e.npy" in done.out
        for char in ("\x1b[31", "\x9b", "\u202e"):
            assert char not in done.out
        assert len(done.out.splitlines()) == 3
    assert names(".") == [os.path.abspath(ESCAPES), os.path.abspath("field.npy")]
    assert call("ls", "field.npy", "--json").json[0]["descr"] == [["\x1b[31m", "<i4"]]


def test_a_name_that_is_no_unicode_is_exact_in_json() -> None:
    name = os.fsdecode(b"\xff.npy")
    np.save(name, np.zeros(3))
    assert names(".") == [os.path.abspath(name)]
    assert "\\udcff.npy" in call("ls", ".").out


@pytest.mark.parametrize("columns", [30, 60, 80, 100, 200])
def test_a_table_is_no_wider_than_the_terminal(columns: int) -> None:
    a = sh.create("shm://a" + "long" * 20, (100, 20, 3), [("a", "f4"), ("b", "i8")])
    b = sh.create("shm://b", 1)
    shown = re.sub("\x1b\\[[0-9]*m", "", call("ls", columns=columns).out)
    assert max(map(len, shown.splitlines())) <= columns
    sh.unlink("shm://a" + "long" * 20)
    sh.unlink("shm://b")
    del a, b


def test_anonymous_arrays_are_listed_once_others_may_have_them() -> None:
    a = sh.ones(100)
    assert names() == []
    pickle.loads(pickle.dumps(a))
    [name] = names()
    assert name.startswith("shm://.anonymous/")
    assert call("info", "--json", name).json["shape"] == [100]
    # A terminal shows as much as tells it from others.
    short = call("ls", columns=150).out.splitlines()[1].split()[0]
    assert name.startswith(short)
    assert len(short) < len(name)
    assert call("info", "--json", short).json["name"] == name
    assert "got none" in refusal("info", "shm://.anonymous/nowhere")
    assert "got none" in refusal("info", "shm://.anonymous/../../x")


def test_files_that_carry_messages_are_named_as_such() -> None:
    sh.install()
    try:
        ours, theirs = multiprocessing.Pipe()
        with ours, theirs:
            ours.send(np.ones(100_000))
            [found] = call("ls", "--json").json
            assert (found["state"], found["owner"]) == ("in flight", os.getpid())
            assert f"messages of process {os.getpid()}" in call("ls").out
            assert theirs.recv().sum() == 100_000
    finally:
        sh.uninstall()


def test_hundreds_of_arrays_are_listed(tmp_ram: str) -> None:
    for number in range(500):
        np.save(os.path.join(tmp_ram, f"{number:03}.npy"), np.zeros(number))
    found = call("ls", "--json", tmp_ram).json
    assert [one["shape"] for one in found] == [[number] for number in range(500)]


def test_looking_removes_nothing_not_even_at_the_end_of_the_process() -> None:
    path = orphan()
    done = run("ls", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert os.path.basename(path) in done.stdout
    assert os.path.exists(path)
