"""``sharray rm``."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from cli_tools import call, process, refusal

import sharray as sh

pytestmark = pytest.mark.slow


@pytest.fixture
def runs() -> list[str]:
    """Return the names of three arrays without holders; the test removes them."""
    names = ["shm://run7/a", "shm://run7/b", "shm://run8/a"]
    for name in names:
        sh.create(name, 3)
    return names


def left() -> list[str]:
    return [found.name for found in sh.list()]


def test_arrays_are_removed_by_name(runs: list[str]) -> None:
    np.save("c.npy", np.zeros(3))
    done = call("rm", runs[0], "c.npy")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "removed shm://run7/a (12.0 KiB)\n"
        f"removed c.npy ({os.sysconf('SC_PAGESIZE') / 1024:.1f} KiB)\n"
        "2 arrays, 16.0 KiB\n"
    )
    assert left() == runs[1:]
    assert os.listdir() == []
    assert call("rm", "--json", *runs[1:]).json["arrays"] == [
        {"name": name, "nbytes": 12288, "refused": None} for name in runs[1:]
    ]
    assert left() == []


def test_what_a_pattern_matches_is_removed_only_if_that_is_confirmed(
    runs: list[str],
) -> None:
    done = call("rm", "shm://run7/*")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "would remove shm://run7/a (12.0 KiB)",
        "would remove shm://run7/b (12.0 KiB)",
        "2 arrays, 24.0 KiB",
        "Nothing was removed. To remove these arrays, add --yes.",
    ]
    assert call("rm", "shm://run7/*", "--json").json["dry_run"] is True
    assert call("rm", "shm://*/a", "--dry-run", "--yes").code == 0
    assert left() == runs
    assert call("rm", "shm://run[7]/?", "--yes").code == 0
    assert left() == runs[2:]
    assert call("rm", "--yes", "--json", "shm://*/*").json["dry_run"] is False
    assert left() == []


def test_a_pattern_stops_at_slashes_and_has_to_match_something(runs: list[str]) -> None:
    for pattern in ("shm://*", "shm://run7*", "shm://run7/*/*", "shm://[.]anonymous/*"):
        assert "no array matches" in refusal("rm", "--yes", pattern)
    assert "no array matches '*.npy'" in refusal("rm", "--yes", runs[0], "*.npy")
    assert left() == runs
    assert call("rm", *runs).code == 0


def test_names_may_look_like_patterns() -> None:
    sh.create("shm://a[1]", 3)
    np.save("b?.npy", np.zeros(3))
    np.save("bc.npy", np.zeros(3))
    assert call("rm", "shm://a[1]", "b?.npy").code == 0
    assert (left(), os.listdir()) == ([], ["bc.npy"])


def test_a_pattern_removes_nothing_but_arrays() -> None:
    np.save("a.npy", np.zeros(3))
    Path("notes.npy").write_text("precious")
    Path("directory.npy").mkdir()
    os.mkfifo("fifo.npy")
    assert call("rm", "--yes", "*").code == 0
    assert sorted(os.listdir()) == ["directory.npy", "fifo.npy", "notes.npy"]
    for name in os.listdir():
        refusal("rm", "--force", name)
    assert len(os.listdir()) == 3


def test_what_a_process_holds_is_removed_only_by_force() -> None:
    sh.create("shm://a", 3)
    code = "import sharray; a = sharray.open('shm://a'); a[:] = 7"
    with process(code) as child:
        refused = refusal("rm", "shm://a")
        assert "held by python -c import sharray" in refused
        assert f"({child.pid}); end" in refused
        assert "held by" in call("rm", "--yes", "shm://?").err
        assert left() == ["shm://a"]
        [found] = sh.list()
        assert call("rm", "--force", "shm://a").code == 0
        assert left() == []
        # It has the array as before.
        [holder] = found.holders
        begin, end = (holder.mappings[0].address + n for n in (0, found.file_size))
        with open(f"/proc/{child.pid}/maps", encoding="utf-8") as table:
            assert f"{begin:x}-{end:x}" in table.read()


def test_some_may_be_refused_while_others_are_removed(runs: list[str]) -> None:
    a = sh.open(runs[1])
    done = call("rm", "shm://nowhere", *runs)
    assert (done.code, done.out.count("removed ")) == (1, 2)
    lines = done.err.splitlines()
    assert [line.startswith("sharray: ") for line in lines] == [True, True]
    assert "nowhere" in lines[0]
    assert left() == runs[1:2]
    done = call("rm", "--json", *runs[1:2])
    assert done.code == 1
    assert "is held by" in done.err
    assert call("rm", "-f", runs[1]).code == 0
    del a


def test_anonymous_arrays_are_left_to_their_holders() -> None:
    a = sh.ones(3)
    pickle.loads(pickle.dumps(a))
    [name] = left()
    [found] = sh.list()
    for given in (name, found.path, name[:25]):
        assert "sharray gc" in refusal("rm", "--force", str(given))
    assert left() == [name]


def test_of_a_link_only_the_link_is_removed() -> None:
    np.save("a.npy", np.zeros(3))
    os.symlink("a.npy", "link.npy")
    assert call("rm", "link.npy").code == 0
    assert os.listdir() == ["a.npy"]


def test_nothing_outside_of_our_directory_is_reached_by_a_name_in_ram() -> None:
    for name in ("shm://../x", "shm:///etc/passwd", "shm://", "shm:x"):
        refusal("rm", name)


def test_a_name_is_needed() -> None:
    assert call("rm").code == 2
