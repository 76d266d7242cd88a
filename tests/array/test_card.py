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

import sharray as sh
from sharray.storage.inspection import inspector

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
        "durable": "yes, by flush()",
        "held by": f"{os.getpid()}, this process",
        "in memory": found["in memory"],
        "not on the disk yet": "4.0 KiB",
    }
    assert re.fullmatch(r"[\d.]+ [KM]iB of the file's 1.2 MiB", found["in memory"])
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
    assert rows(html)["held by"].startswith(f"{os.getpid()}, this process")
    assert f"<br>{process.pid} {sys.executable[:20]}" in html
    assert "<script>" not in html


def test_of_many_holders_some_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    a = sh.zeros(3)
    own = sh.inspect(a)
    others = [sh.Holder(pid, "x" * 1000, ()) for pid in range(2**31, 2**31 + 9)]
    crowded = own._replace(holders=(*others, *own.holders))
    monkeypatch.setattr(inspector, "inspect_segment", lambda *_: crowded)
    found = rows(a._repr_html_())["held by"]
    assert found.startswith(f"{os.getpid()}, this process{2**31} x")
    assert found.endswith("and 5 more processes")
    assert len(found) < 500


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


def test_colours_of_text_are_left_to_the_page() -> None:
    styles = re.findall(r"style='([^']*)'", sh.ones(3)._repr_html_())
    rules = [rule.split(":") for style in styles for rule in style.split(";")]
    colours = {value for name, value in rules if name in ("background", "color")}
    assert colours == {"transparent", "rgba(127,127,127,.35)", "#2f81f7"}
    assert "color" not in {name for name, _ in rules}


def test_looking_at_an_array_gives_it_no_name() -> None:
    a = sh.ones(3)
    a._repr_html_()
    assert sh.list() == []
