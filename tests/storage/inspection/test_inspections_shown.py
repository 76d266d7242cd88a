"""What a terminal and a notebook show of inspections."""

from __future__ import annotations

import copy
import os
import pickle
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_tools import process

import sharray as sh
from sharray.storage.inspection.result import Inspections
from sharray.system.process_names import Process

HOSTILE = "<b>&\x1b[2J\n\u202e.npy"


class Reader(HTMLParser):
    """Collects the cells of a table, and complains about tags left open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        if tag in ("th", "td"):
            self.cells.append("")
        if tag != "br":
            self.open.append(tag)
        elif self.cells:
            self.cells[-1] += "\n"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "table" in self.open:
            self.cells[-1] += data


def facts(found: sh.Inspection) -> dict[str, str]:
    cells = Reader(found._repr_html_()).cells
    return dict(zip(cells[::2], cells[1::2], strict=True))


def html_of(found: Any) -> str:
    return str(found._repr_html_())


def rows(found: Any) -> list[list[str]]:
    cells = Reader(html_of(found)).cells
    width = 6 + ("note" in cells)  # left out if no array has one
    return [cells[start : start + width] for start in range(0, len(cells), width)]


# -- one array ---------------------------------------------------------------


def test_one_array_is_a_line_and_a_card() -> None:
    a = sh.create("shm://run7/velocity", (300, 50), "f4", order="F")
    found = sh.inspect(a)
    assert repr(found) == (
        "<Inspection shm://run7/velocity: float32 (300, 50), 58.6 KiB, held by this "
        "process; _asdict() has all facts>"
    )
    shown = facts(found)
    assert shown == {
        "dtype": "float32",
        "shape": "(300, 50), F order",
        "size": "58.6 KiB",
        "path": str(found.path),
        "durable": "no",
        "created": shown["created"],
        "modified": shown["modified"],
        "held by": "this process",
        "in memory": shown["in memory"],
    }
    assert found.modified is not None
    assert shown["modified"].endswith(f"{found.modified.astimezone():%H:%M:%S}")
    sh.unlink("shm://run7/velocity")


def test_a_file_on_a_disk_has_a_path_once_and_what_is_not_written() -> None:
    a = sh.create("a.npy", 1000)
    a.flush()
    a[:] = 1
    shown = facts(sh.inspect(a))
    assert "path" not in shown
    assert shown["durable"] == "after flush()"
    assert shown["not on the disk yet"] in ("8.0 KiB", "12.0 KiB")


def test_trouble_comes_first() -> None:
    a = sh.create("a.npy", 3, growable=True)
    assert facts(sh.inspect(a))["note"] == "growable"
    a._root.segment.set_fault(28)  # type: ignore[union-attr]  # as a failed flush does
    found, trouble = sh.inspect(a), f"a flush has failed: {os.strerror(28)}"
    assert next(iter(facts(found).items())) == ("problem", trouble)
    assert facts(found)["note"] == "growable"
    assert f"a.npy: {trouble}, float64" in repr(found)
    assert rows(sh.list("."))[1][-1] == f"{trouble}\ngrowable"


def test_who_holds_nothing_is_not_shown_as_holder() -> None:
    np.save("a.npy", np.zeros(3))
    found = sh.inspect("a.npy")
    assert "held by no process" in repr(found)
    others = found._replace(in_use=True)
    assert facts(others)["held by"] == "processes of other users"
    unknown = found._replace(in_use=None)
    assert "unknown: the file system has no locks" in repr(unknown)


def test_what_the_system_does_not_tell_is_left_out() -> None:
    a = sh.zeros(3)
    found = sh.inspect(a)
    unknown = found._replace(resident=None, dirty=None, created=None, modified=None)
    assert set(facts(unknown)) == {"dtype", "shape", "size", "durable", "held by"}
    assert rows(Inspections([unknown]))[1][4] == ""


def test_of_many_holders_some_are_shown_and_all_are_counted() -> None:
    found = sh.inspect(sh.zeros(3))
    numbers = range(2**31, 2**31 + 30)
    names = [Process(pid, "program", "python x.py") for pid in numbers]
    others = [sh.Holder(one.pid, "", (), one) for one in names]
    crowded = found._replace(holders=(*others, *found.holders))
    assert ", python x.py (2147483649), 28 more; _asdict" in repr(crowded)
    shown = facts(crowded)["held by"].split("\n")
    assert (len(shown), shown[0], shown[-1]) == (11, "this process", "and 21 more")


def test_a_process_that_holds_an_array_is_named() -> None:
    a = sh.create("a.npy", 3)
    with process("import sharray; a = sharray.open('a.npy')") as child:
        [_, other] = sorted(
            sh.inspect(a).holders, key=lambda one: one.name[:4] != "this"
        )
        assert other.name == f"python -c import sharray; a = sharray.o… ({child.pid})"
        assert repr(other) == f"<Holder {other.name}, 1 mapping>"
        assert f"held by this process, {other.name};" in repr(sh.inspect(a))


def test_the_name_of_an_anonymous_array_is_cut() -> None:
    a = sh.zeros(3)
    found = sh.inspect(a)
    assert re.match("<Inspection shm://.anonymous/[0-9a-f]{8}: float64", repr(found))
    assert f"<strong>{found.name}</strong>" in found._repr_html_()
    named = found._replace(name="was/a.npy")
    assert facts(named)["note"] == "anonymous"


def test_of_many_fields_some_are_shown() -> None:
    fields = [(f"\x1b{number}", "f8") for number in range(30)]
    found = sh.inspect(sh.create("a.npy", 3, fields))
    shown = r"30 fields: \x1b0, \x1b1, \x1b2, \x1b3, \x1b4 and 25 more"
    assert f"a.npy: {shown} (3,), 720 B" in repr(found)
    assert facts(found)["dtype"] == shown


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_an_array_that_is_not_its_file_says_so_first(how: str) -> None:
    a = sh.create("a.npy", 3)
    if how == "removed":
        os.unlink("a.npy")
    else:
        np.save("b.npy", np.zeros(3))
        os.rename("b.npy", "a.npy")
    found = sh.inspect(a)
    assert found.stale is not None
    assert next(iter(facts(found).items())) == ("problem", found.stale)
    assert f"a.npy: {found.stale}, float64" in repr(found)


# -- many arrays -------------------------------------------------------------


def test_many_arrays_are_a_line_each_and_a_table() -> None:
    for name in "ab":
        np.save(f"{name}.npy", np.zeros((2, 3), "i2"))
    found = sh.list(".")
    here = os.getcwd()
    assert repr(found) == (
        f"[<{here}/a.npy: int16 (2, 3), 12 B, held by no process>,\n"
        f" <{here}/b.npy: int16 (2, 3), 12 B, held by no process>]"
    )
    header, *lines = rows(found)
    assert header[:4] == ["name", "dtype", "shape", "size"]
    assert [line[:4] for line in lines] == [
        [f"{here}/{name}.npy", "int16", "(2, 3)", "12 B"] for name in "ab"
    ]
    assert "<strong>2 arrays</strong>" in html_of(found)


def test_an_array_with_eight_workers_is_one_line() -> None:
    a = sh.zeros(80)
    with sh.Team(8, name="t") as team:
        team.run(add_one, a)
        [found] = [one for one in sh.list() if len(one.holders) == 9]
        assert found.holders[1].name in [f"worker {n} of team t" for n in range(1, 9)]
        shown = repr(Inspections([found]))
    assert shown.count("\n") == 0
    assert shown.endswith("held by this process, 8 workers of team t>]")
    assert len(shown) < 150


@sh.kernel
def add_one(x: Any) -> None:
    for i in range(x.shape[0]):
        x[i] += 1


def test_nothing_is_an_empty_list() -> None:
    assert repr(sh.list()) == "[]"
    assert sh.list()._repr_html_() is None


def test_of_very_many_arrays_the_first_are_shown() -> None:
    one = sh.inspect(sh.zeros(3))
    many = Inspections([one] * 1000)
    assert repr(many).count("\n") == 100
    assert repr(many).endswith(",\n ... and 900 more]")
    assert len(rows(many)) == 102
    assert rows(many)[-1][0] == "... and 900 more"


# -- they are lists ----------------------------------------------------------


def test_it_is_a_list_also_after_pickle_and_copy() -> None:
    a = sh.create("a.npy", 3)
    found = sh.list(".")
    assert isinstance(found, list)
    assert found == [sh.inspect(a)]
    for other in (pickle.loads(pickle.dumps(found)), copy.copy(found)):
        assert type(other) is type(found)
        assert other == found
        assert repr(other) == repr(found)
    assert type(found[:]) is type(sorted(found)) is list


def test_a_pickle_says_who_was_this_process_then() -> None:
    code = "import pickle, sys; found = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
    code += "open('told', 'w').write(found.holders[0].name)"
    found = sh.inspect(sh.zeros(3))
    with process(code, pickle.dumps(found).hex()):
        told = Path("told").read_text()
    assert told.endswith(f"({os.getpid()})")
    assert found.holders[0].name == "this process"


# -- names that anybody chose ---------------------------------------------------


def test_names_are_no_markup_and_no_commands() -> None:
    np.save(HOSTILE, np.array([1], [("<i>\x1b[31m", "i4")]))
    found = sh.list(".")
    for shown in (repr(found), repr(found[0])):
        assert shown.isprintable()
        assert "<b>&\\x1b[2J\\n\\u202e.npy" in shown
    for one in (found, found[0]):
        html = html_of(one)
        assert html.isprintable()
        assert Reader(html).tags <= {
            *("div", "strong", "table", "tr", "th", "td", "span", "br")
        }


def test_command_lines_are_no_markup_and_no_commands() -> None:
    sh.create("a.npy", 3)
    code = "import sharray; a = sharray.open('a.npy')"
    with process(f"'<script>\x1b'; {code}"):
        found = sh.list(".")
        assert "'<script>\\x1b'; import" in repr(found)
        assert repr(found).isprintable()
        assert "<script>" not in html_of(found) + html_of(found[0])
        assert "script" not in Reader(html_of(found)).tags


@pytest.mark.parametrize("many", [True, False])
def test_no_colour_of_text_is_set(many: bool) -> None:
    sh.create("a.npy", 3)
    found = sh.list(".") if many else sh.inspect("a.npy")
    styles = re.findall(r"style='([^']*)'", html_of(found))
    rules = [rule.split(":") for style in styles for rule in style.split(";")]
    colours = {value for name, value in rules if name in ("background", "color")}
    assert colours == {"transparent", "rgba(127,127,127,.35)", "#2f81f7"}
    assert "color" not in {name for name, _ in rules}
