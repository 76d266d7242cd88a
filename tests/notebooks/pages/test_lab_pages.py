"""The stop button, restarts, and the look of cards, tables, bars and errors.

Each picture is taken in light and dark, and checked as far as a program can see: all
texts differ from their background, and nothing is cut off.
"""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab import Page, wait
from team_tools import let_go, needs_jit, until_inside, wait_for_end

pytestmark = needs_jit
Open = Callable[[list[str]], Page]

SETUP = """
import os
from pathlib import Path
import numpy as np
import sharray as sh

@sh.kernel
def hold(x, gate):
    sh.atomic.add(gate, 0, 1)
    while sh.atomic.load(gate, 1) == 0:
        pass

@sh.kernel
def add(x):
    for i in range(x.shape[0]):
        x[i] += 1

x, gate = sh.zeros(1000), sh.open("shm://gate")
sh.run(add, x)
me = os.getpid()
[me, *map(int, Path(f"/proc/{me}/task/{me}/children").read_text().split())]
"""
HOLD = "sh.run(hold, x, sh.whole(gate))"
ADD = "x[:] = 1\nsh.run(add, x)\nsorted(set(x.tolist()))"


def text_of(outputs: list[dict[str, Any]]) -> str:
    (output,) = outputs
    return str(output["data"]["text/plain"])


# -- buttons -----------------------------------------------------------------


def test_the_stop_button_ends_a_run_and_the_next_cell_is_right(
    open_page: Open, gate: Any
) -> None:
    page = open_page([SETUP, HOLD, ADD])
    page.finish_cell(0)
    for _ in range(3):
        gate[0] = 0
        page.run_cell(1)
        until_inside(gate)
        page.press("interrupt")
        wait(lambda: page.cells()[1]["outputs"])
        page.wait_until_idle()
        (error,) = page.cells()[1]["outputs"]
        assert error["ename"] == "KeyboardInterrupt"
        assert text_of(page.finish_cell(2)) == "[2.0]"


def test_the_restart_button_ends_a_run_and_its_workers(
    open_page: Open, gate: Any
) -> None:
    page = open_page([SETUP, HOLD, ADD])
    pids = literal_eval(text_of(page.finish_cell(0)))
    assert len(pids) >= 2
    page.run_cell(1)
    until_inside(gate)
    page.press("restart")
    page.find(".jp-Dialog .jp-mod-accept").click()
    assert all(wait_for_end(pid) for pid in pids)
    wait(lambda: page.cells()[1]["count"] is None or not page.cells()[1]["running"])
    page.wait_until_idle()
    page.finish_cell(0)
    assert text_of(page.finish_cell(2)) == "[2.0]"


# -- pictures ----------------------------------------------------------------

LOOKS = {
    "card": (
        'a = sh.create("field.npy", (1000, 200), "f4", fill_value=1.5, overwrite=True)'
        "\na"
    ),
    "card-replaced": ('b = sh.create("field.npy", (10, 2), overwrite=True)\na'),
    "card-fields": 'sh.zeros(5, [("time", "f8"), ("place", "f4", 3), ("name", "U8")])',
    "card-private": 'b = sh.open("field.npy", mode="c")\nb[0, 0] = 3\nb',
    "list": "sh.list()",
    "inspect": "sh.inspect(a)",
    "teams": "sh.teams()",
}
FAILING = """
@sh.kernel
def check(x):
    for i in range(x.shape[0]):
        if x[i] < 0:
            raise ValueError("expected no negative number")

y = sh.ones(100_000)
y[70_000] = -1
sh.run(check, y, chunk=1000, progress=True)
"""
INDEX = """
@sh.kernel
def divide(x, n):
    for i in range(x.shape[0]):
        x[i] = 1 // n

sh.run(divide, sh.ones(1000, "i8"), 0)
"""
# A tenth of the chunks is done when the bar stands.
SLOW = """
@sh.kernel
def slow(x, gate):
    if sh.atomic.add(gate, 0, 1) >= 40:
        while sh.atomic.load(gate, 1) == 0:
            pass

sh.run(slow, sh.zeros(100_000), sh.whole(gate), chunk=1000, progress=True)
"""

# The lowest contrast of the texts in an element, by WCAG 2, and the widest overflow.
LOOK = """
const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
const over = (top, below, alpha) =>
    top.map((v, i) => v * alpha + below[i] * (1 - alpha));
const luminance = colour => {
    const [r, g, b] = colour.map(v => {
        v /= 255;
        return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
function backgroundOf(element) {
    if (!element) return [255, 255, 255];
    const [r, g, b, alpha = 1] = parse(getComputedStyle(element).backgroundColor);
    if (alpha === 1) return [r, g, b];
    return over([r, g, b], backgroundOf(element.parentElement), alpha);
}
function opacityOf(element) {
    if (!element) return 1;
    return Number(getComputedStyle(element).opacity) * opacityOf(element.parentElement);
}
let lowest = 21, worst = "";
const walker = document.createTreeWalker(arguments[0], NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!element.closest(".jp-OutputArea-output")) continue;  // the prompt
    if (!walker.currentNode.data.trim() || !element.getClientRects().length) continue;
    const below = backgroundOf(element);
    const [r, g, b, alpha = 1] = parse(getComputedStyle(element).color);
    const shown = over([r, g, b], below, alpha * opacityOf(element));
    const [dark, light] = [luminance(below), luminance(shown)].sort((a, b) => a - b);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < lowest) [lowest, worst] = [contrast, walker.currentNode.data];
}
const wide = [...arguments[0].querySelectorAll(".jp-RenderedHTMLCommon")].map(
    one => one.scrollWidth - one.clientWidth);
return {lowest, worst, overflow: Math.max(0, ...wide)};
"""


def look(page: Page, number: int, *, least: float) -> None:
    found = page.evaluate(LOOK, page.output(number))
    assert found["lowest"] >= least, found
    assert found["overflow"] <= 1, found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_cards_and_tables_can_be_read_in_both_themes(
    open_page: Open, gate: Any, screenshots: Path, theme: str
) -> None:
    page = open_page([SETUP, *LOOKS.values()])
    page.use_theme(theme)
    page.finish_cell(0)
    for number, name in enumerate(LOOKS, start=1):
        outputs = page.finish_cell(number)
        assert "text/html" in outputs[-1]["data"], name
        page.take_picture(number, screenshots / f"{name}-{theme}.png")
        look(page, number, least=4.5)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_bars_and_errors_can_be_read_in_both_themes(
    open_page: Open, gate: Any, screenshots: Path, theme: str
) -> None:
    page = open_page([SETUP, SLOW, FAILING, INDEX])
    page.use_theme(theme)
    page.finish_cell(0)

    page.run_cell(1)
    until_inside(gate, 40)
    wait(lambda: shows_a_bar(page, 1))
    page.take_picture(1, screenshots / f"bar-running-{theme}.png")
    let_go(gate)
    wait(lambda: page.cells()[1]["count"])
    page.wait_until_idle()
    page.take_picture(1, screenshots / f"bar-done-{theme}.png")
    look(page, 1, least=3)

    page.finish_cell(2)
    page.take_picture(2, screenshots / f"bar-failed-{theme}.png")
    page.finish_cell(3)
    page.take_picture(3, screenshots / f"error-{theme}.png")
    names = [page.cells()[number]["outputs"][-1]["ename"] for number in (2, 3)]
    assert names == ["ValueError", "ZeroDivisionError"]

    gate[:] = 0
    page.run_cell(1)
    until_inside(gate, 40)
    wait(lambda: shows_a_bar(page, 1))
    page.press("interrupt")
    wait(lambda: page.cells()[1]["outputs"][-1]["output_type"] == "error")
    page.take_picture(1, screenshots / f"bar-stopped-{theme}.png")


def shows_a_bar(page: Page, number: int) -> bool:
    """Return whether the output of a cell says how far the run is."""
    return " of " in str(page.output(number).text)


# The widths of an output, and of the widest bar in it: that is, of its ground.
WIDTHS = """
const grounds = [...arguments[0].querySelectorAll("span, div")].filter(
    one => getComputedStyle(one).backgroundColor === "rgba(127, 127, 127, 0.35)");
return [arguments[0].clientWidth, Math.max(0, ...grounds.map(one => one.offsetWidth))];
"""


def test_a_bar_is_as_wide_as_the_page_allows(open_page: Open, gate: Any) -> None:
    let_go(gate)
    page = open_page([SETUP, SLOW])
    page.finish_cell(0)
    page.finish_cell(1)
    page_width, bar_width = page.evaluate(WIDTHS, page.output(1))
    assert bar_width > page_width / 2
