"""``sharray tail``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from cli_tools import TIMEOUT, call, refusal

import sharray as sh
from sharray.storage import control_page

GONE = "was removed or replaced\n"


class Tail:
    """A process of ``sharray tail``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def document(self) -> Any:
        return json.loads(self.line())

    def end(self) -> tuple[int, str, str]:
        """Wait until it ends; return its exit status and the rest of its output."""
        # Not communicate(), which misses what readline() has read ahead.
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        out, err = self.process.stdout.read(), self.process.stderr.read()
        return self.process.wait(TIMEOUT), out, err


@contextmanager
def following(*arguments: str) -> Iterator[Tail]:
    with subprocess.Popen(
        [sys.executable, "-m", "sharray", "tail", "--interval", "0.1", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Tail(process)
        finally:
            process.kill()
            process.wait(TIMEOUT)


@pytest.fixture(params=["log.npy", "shm://log"])
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    yield str(request.param)
    assert sh.list() == []


def seen_once(*arguments: str) -> list[str]:
    """Return the lines about an array whose file is removed after the first look."""
    with following(*arguments) as tail:
        first = tail.line()
        sh.unlink(arguments[-1])
        code, out, err = tail.end()
        assert code == 0
        assert err.endswith(GONE)
        assert err.startswith("sharray: ")
        return [first, *out.splitlines()]


@pytest.mark.slow
def test_each_growth_is_a_line_of_json(name: str) -> None:
    a = sh.create(name, (0, 2), "i4", growable=True)
    a.append([[1, 2], [3, 4]])
    with following("--json", "-n", "2", name) as tail:
        found = tail.document()
        assert (found["shape"], found["first"], found["rate"]) == ([2, 2], 0, None)
        assert found["rows"] == [[1, 2], [3, 4]]
        a.append([[5, 6], [7, 8], [9, 10]])
        found = tail.document()
        assert (found["shape"], found["first"]) == ([5, 2], 3)
        assert found["rows"] == [[7, 8], [9, 10]]
        assert 0 < found["rate"] <= 3 / 0.1
        a.append([11, 12])
        found = tail.document()
        assert (found["first"], found["rows"]) == (5, [[11, 12]])
        sh.unlink(name)
        code, out, err = tail.end()
        assert (code, out) == (0, "")
        assert err.endswith(GONE)


@pytest.mark.slow
def test_a_file_without_an_appender_is_followed_and_lets_one_come(name: str) -> None:
    sh.create(name, 0, "i8", growable=True)
    with following("--json", name) as tail:
        assert tail.document()["shape"] == [0]
        sh.open(name).append(7)
        assert tail.document()["rows"] == [7]
        sh.unlink(name)
        assert tail.end()[0] == 0


@pytest.mark.slow
def test_it_maps_the_file_read_only_and_makes_no_control_page(name: str) -> None:
    a = sh.create(name, 0, "i8", growable=True)
    with following("--json", name) as tail:
        tail.document()
        assert control_page.rows_of(a._root.segment.identity) is None
        [mapping] = next(
            one.mappings
            for one in sh.inspect(name).holders
            if one.pid == tail.process.pid
        )
        assert mapping.permissions == "r--s"
        sh.unlink(name)
        assert tail.end()[0] == 0


@pytest.mark.slow
def test_rows_that_are_appended_before_the_file_is_removed_are_shown() -> None:
    a = sh.create("log.npy", 0, "i8", growable=True)
    with following("--json", "log.npy") as tail:
        tail.document()
        a.append(7)
        sh.unlink("log.npy")
        code, out, _ = tail.end()
        assert (code, json.loads(out)["rows"]) == (0, [7])


@pytest.mark.slow
def test_a_replaced_file_ends_it() -> None:
    sh.create("log.npy", 0, "i8", growable=True)
    with following("log.npy") as tail:
        tail.line()
        sh.create("log.npy", 0, "i8", growable=True, overwrite=True)
        code, _, err = tail.end()
        assert code == 0
        assert err.endswith(GONE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)]
)
def test_however_it_ends_it_says_no_more_and_lets_go(
    number: signal.Signals, expected: int
) -> None:
    a = sh.create("log.npy", 0, "i8", growable=True)
    a.append(1)
    with following("--json", "log.npy") as tail:
        tail.document()
        tail.process.send_signal(number)
        assert tail.end() == (expected, "", "")
    del a
    # The last holder of the control page has written the number of rows.
    assert np.load("log.npy").tolist() == [1]
    assert sh.gc() == []


@pytest.mark.slow
def test_text_has_shape_dtype_rate_and_rows_with_their_index() -> None:
    a = sh.create("log.npy", (0, 3), "f4", growable=True)
    a.append(np.arange(30).reshape(10, 3))
    with following("-n", "2", "log.npy") as tail:
        assert tail.line() == "10 x 3, float32\n"
        assert tail.line() == "   8  [24. 25. 26.]\n"
        assert tail.line() == "   9  [27. 28. 29.]\n"
        a.append([1, 2, 3])
        shape, rate = tail.line().split(", ")
        assert shape == "11 x 3"
        assert float(rate.removesuffix(" rows/s\n")) > 0
        assert tail.line() == "  10  [1. 2. 3.]\n"


@pytest.mark.slow
def test_of_a_fortran_array_columns_are_rows() -> None:
    a = sh.create("log.npy", (2, 0), "i4", order="F", growable=True)
    a.append([1, 2])
    a.append([3, 4])
    lines = seen_once("-n", "1", "log.npy")
    assert lines == ["2 x 2, int32\n", "  1  [3 4]"]


@pytest.mark.slow
def test_no_rows_are_shown_if_none_are_wanted() -> None:
    a = sh.create("log.npy", 0, "i4", growable=True)
    a.append([1, 2])
    assert seen_once("-n", "0", "log.npy") == ["2, int32\n"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "row", "expected"),
    [
        ("f8", np.nan, "nan"),
        ("f8", -np.inf, "-inf"),
        ("c16", 1 + 2j, "(1+2j)"),
        ("S3", b"\xffa", "\\xffa"),
        ("U3", "\x1b[3", "\x1b[3"),
        ("?", True, True),
        (
            "M8[ns]",
            np.datetime64("2026-01-02T03", "ns"),
            "2026-01-02T03:00:00.000000000",
        ),
        (
            [("t", "M8[D]"), ("x", "f4", 2)],
            ("2026-01-02", [1, 2]),
            {"t": "2026-01-02", "x": [1, 2]},
        ),
    ],
)
def test_values_of_any_dtype_are_strict_json(
    dtype: Any, row: Any, expected: Any
) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    a = sh.create("log.npy", 0, dtype, growable=True)
    a.append(np.array(row, dtype))
    [line] = seen_once("--json", "log.npy")
    assert json.loads(line, parse_constant=refuse)["rows"] == [expected]


@pytest.mark.slow
def test_a_value_cannot_command_the_terminal() -> None:
    dtype = [("\x1b[31m", "U9", 2), ("\x9b", "S9")]
    a = sh.create("log.npy", 0, dtype, growable=True)
    a.append(np.array((["\x1b[2J\n", "\u202e"], b"\x1b[3J"), dtype))
    [head, line] = seen_once("log.npy")
    assert head.rstrip("\n").isprintable()
    assert line.isprintable()
    assert "[2J" in line
    assert "[3J" in line


@pytest.mark.slow
def test_of_a_long_row_both_ends_are_shown() -> None:
    a = sh.create("log.npy", (0, 3, 1000), "i4", growable=True)
    a.append(np.arange(3000).reshape(3, 1000))
    [_, line] = seen_once("log.npy")
    assert line.startswith("  0  [[   0    1    2 ...")
    assert line.endswith("2999]]")


def test_an_array_of_fixed_size_is_refused_with_the_remedy() -> None:
    sh.create("a.npy", 3)
    said = refusal("tail", "a.npy")
    assert "got one of fixed size" in said
    assert f"sharray.open({os.path.abspath('a.npy')!r}, growable=True)" in said
    sh.open("a.npy", growable=True)
    assert sh.inspect("a.npy").growable


def test_an_array_in_ram_of_fixed_size_cannot_be_made_to_grow() -> None:
    sh.create("shm://a", 3)
    said = refusal("tail", "shm://a")
    assert "sharray.create(path, shape, dtype, growable=True)" in said
    assert "sharray.open" not in said
    sh.unlink("shm://a")


def test_intervals_and_rows_below_the_least_are_refused() -> None:
    assert call("tail", "log.npy", "--interval", "0").code == 2
    assert call("tail", "log.npy", "-n", "-1").code == 2
