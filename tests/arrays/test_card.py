"""The card that notebooks show of an array."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from workers import start_python

import sharray as sh
from sharray.storage.inspection import inspector
from sharray.system.process_names import Process

HOLD = "import sharray as sh, sys\na = sh.open('a.npy')\nprint(flush=True)\n"
HOLD += "sys.stdin.read()  # <script>alert(1)</script> "


class Reader(HTMLParser):
    """Collects rows of the card, and complains about tags left open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: dict[str, str] = {}
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag != "br":
            self.open.append(tag)
        if tag in ("th", "td", "pre"):
            self.cell = tag
            self.text.setdefault(tag, "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in ("th", "td"):
            self.text[tag] += "\n"

    def handle_data(self, data: str) -> None:
        if self.open and {"th", "td", "pre"} & set(self.open):
            self.text[self.cell] += data


def rows(html: str) -> dict[str, str]:
    text = Reader(html).text
    names, values = (text[tag].splitlines() for tag in ("th", "td"))
    return dict(zip(names, values, strict=True))


@pytest.mark.parametrize("shape", [(511, 1024), (512, 1024), (1000, 1000), (3, 2**20)])
def test_it_reads_no_memory_behind_the_end_of_an_array(shape: tuple[int, int]) -> None:
    # From 4 MiB on, huge pages: the mapping may be longer than the file. Another
    # process, as reading behind the file would kill it.
    code = f"import sharray as sh\nprint(sh.zeros({shape})._repr_html_())"
    ended = start_python(code)
    assert ended.returncode == 0, ended
    assert rows(ended.stdout)["shape"] == str(shape)


def test_it_tells_what_the_array_is_and_shows_its_values() -> None:
    a = sh.create("a.npy", (300, 4096), "u1")
    a[:150] = 7
    a.flush()
    a[0, 0] = 8
    found = rows(a._repr_html_())
    assert found == {
        "dtype": "uint8",
        "shape": "(300, 4096)",
        "size": "1.2 MiB",
        "lives in": str(a.filename),
        "mode": "r+",
        "durable": "flush() makes it durable; 4.0 KiB not on the disk yet",
        "held by": "this process",
        "in memory": found["in memory"],
    }
    assert re.fullmatch(r"[\d.]+ [KM]iB of 1.2 MiB", found["in memory"])
    assert Reader(a._repr_html_()).text["pre"] == repr(np.asarray(a))


def test_of_an_array_that_can_grow_it_tells_the_present_rows() -> None:
    a = sh.create("log.npy", (0, 3), "f4", growable=True)
    a.append([[1, 2, 3], [4, 5, 6]])
    found = rows(a._repr_html_())
    assert found["shape"] == "(0, 3)"  # of this view
    assert found["can grow"] == "2 rows now, more can be appended"
    assert rows(a.latest()._repr_html_())["shape"] == "(2, 3)"


def test_the_bar_is_as_long_as_what_is_in_memory() -> None:
    a = sh.zeros((98, 4096), "u1")  # and a page each for header and trailer
    widths = []
    for pages in (0, 48, 98):
        a[:pages] = 1
        widths += re.findall(r";width:(\d+)%", a._repr_html_())
    # The values that the first card shows have brought in the last three rows.
    assert widths == ["2", "53", "100"]


def test_other_holders_are_named_after_this_process() -> None:
    a = sh.create("a.npy", 3)
    command = [sys.executable, "-c", HOLD]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout is not None
        process.stdout.readline()
        html = a._repr_html_()
        process.communicate()
    assert rows(html)["held by"].startswith("this processpython -c import sharray as")
    assert f"({process.pid})</td>" in html
    assert "<script>" not in html


def test_of_many_holders_some_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    a = sh.zeros(3)
    own = sh.inspect(a)
    numbers = range(2**31, 2**31 + 9)
    names = [Process(pid, "program", "python x.py") for pid in numbers]
    others = [sh.Holder(one.pid, "", (), one) for one in names]
    crowded = own._replace(holders=(*others, *own.holders))
    monkeypatch.setattr(inspector, "inspect_segment", lambda *_: crowded)
    found = rows(a._repr_html_())["held by"]
    assert found.startswith(f"this processpython x.py ({2**31})python x.py (")
    assert found.endswith("and 5 more")


@pytest.mark.parametrize("error", [OSError, sh.StorageError, NotImplementedError])
def test_what_cannot_be_found_out_is_left_out(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error("no")

    monkeypatch.setattr(inspector, "inspect_segment", fail)
    a = sh.ones(3)
    assert "held by" not in rows(a._repr_html_())
    assert rows(a._repr_html_())["dtype"] == "float64"


def test_a_fault_is_shown() -> None:
    a = sh.create("a.npy", 3)
    a._root.segment.set_fault(28)  # type: ignore[union-attr]  # as a failed flush does
    assert rows(a._repr_html_())["fault"] == f"a flush has failed: {os.strerror(28)}"


def test_a_private_copy_has_neither_holders_nor_file() -> None:
    copy = sh.ones(3)[[0, 1]]
    assert "SharedArray, a private copy" in copy._repr_html_()
    assert set(rows(copy._repr_html_())) == {
        *("dtype", "shape", "size", "lives in", "durable")
    }


def test_names_and_values_are_no_markup() -> None:
    a = sh.create("<b>&.npy", 1, "U9", fill_value="<i>")
    html = a._repr_html_()
    assert "<b>" not in html
    assert "<i>" not in html
    assert "<b>&.npy" in unescape(html)


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("c", "no: changes stay in this process"),
        ("r", "flush() of a process that writes makes it durable; 0 B not"),
        ("r+", "flush() makes it durable; 0 B not on the disk yet"),
    ],
)
def test_it_tells_what_makes_it_durable(mode: str, told: str) -> None:
    np.save("a.npy", np.zeros(3))
    sh.open("a.npy").flush()
    a = sh.open("a.npy", mode)
    assert rows(a._repr_html_())["durable"].startswith(told)
    assert (
        repr(a)
        .partition(">")[0]
        .endswith(
            "not durable: changes stay in this process"
            if mode == "c"
            else told.partition(";")[0]
        )
    )


def test_arrays_in_ram_are_not_durable() -> None:
    for a in (sh.zeros(3), sh.zeros(3)[[0]]):
        assert rows(a._repr_html_())["durable"] == "no"


def test_little_data_has_no_bar() -> None:
    assert "in memory" not in rows(sh.create("a.npy", 1)._repr_html_())
    assert "in memory" not in rows(sh.zeros(8191)._repr_html_())
    assert "in memory" in rows(sh.zeros(8192)._repr_html_())


def test_many_fields_are_shown_once_and_short() -> None:
    fields = [(f"name{index}", "f4") for index in range(30)]
    a = sh.zeros(10_000, fields)
    text = Reader(a._repr_html_()).text
    assert text["td"].startswith(
        "30 fields: name0, name1, name2, name3, name4 and 25 more\n"
    )
    assert "name" not in text["pre"]
    assert text["pre"].count("\n") == 6  # three elements at each end
    assert repr(a).count("name5") == 0
    assert repr(a).splitlines()[1:] == text["pre"].splitlines()
    assert Reader(sh.zeros((9, 9), fields)._repr_html_()).text["pre"].count("(0.") == 4


def test_few_fields_and_few_elements_are_shown_whole() -> None:
    a = sh.array(np.array([(1, 2.5)] * 6, [("x", "i4"), ("y", "f8")]))
    found = Reader(a._repr_html_()).text
    assert "[('x', '<i4'), ('y', '<f8')]" in found["td"]
    assert found["pre"].count("(1, 2.5)") == 6


def test_long_values_are_cut() -> None:
    a = sh.array(np.array(["x" * 1_000_000]))
    assert len(a._repr_html_()) < 30_000


def test_colours_of_text_are_left_to_the_page() -> None:
    styles = re.findall(r"style='([^']*)'", sh.ones(10_000)._repr_html_())
    rules = [rule.split(":") for style in styles for rule in style.split(";")]
    colours = {value for name, value in rules if name in ("background", "color")}
    assert colours == {"transparent", "rgba(127,127,127,.35)", "#2f81f7"}
    assert "color" not in {name for name, _ in rules}


def test_looking_at_an_array_gives_it_no_name() -> None:
    a = sh.ones(3)
    a._repr_html_()
    assert sh.list() == []
