"""The progress of runs: in which units it counts, and its bar in a terminal."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import pytest
import team_tools
from team_kernels import count_in_range, hold, increment, one_more, refuse
from team_tools import LONG, kill, stopped_from_hanging, team_of

import sharray as sh

settled = team_tools.settled
team = team_of(2)
pytestmark = [pytest.mark.slow, team_tools.needs_jit]

ROWS = [
    (lambda: sh.zeros(100), {}, 100),
    (lambda: sh.zeros((40, 5)), {}, 40),
    (lambda: sh.zeros((40, 5)), {"axis": 1}, 5),
    (lambda: sh.zeros((4, 5, 6)), {"axis": 2}, 6),
    (lambda: sh.zeros(100), {"schedule": "static"}, 100),
    (lambda: sh.zeros(100), {"schedule": "static", "chunk": 7}, 100),
    (lambda: sh.zeros(100), {"chunk": 7}, 100),
    (lambda: sh.zeros(10_000)[3:], {}, 9_997),  # the first chunk is shorter
]


@pytest.mark.parametrize(("make", "options", "length"), ROWS)
def test_a_function_gets_rows_from_zero_to_all(
    team: Any, make: Any, options: Any, length: int
) -> None:
    for _ in range(2):  # words of the run before are not taken for progress
        seen: list[tuple[int, int]] = []
        team.run(
            increment, make(), progress=lambda *n, to=seen: to.append(n), **options
        )
        assert seen[0] == (0, length)
        assert seen[-1] == (length, length)
        assert seen == sorted(seen)


def test_a_loop_over_prange_counts_its_iterations(team: Any) -> None:
    seen: list[tuple[int, int]] = []
    x = sh.zeros(1000)
    team.run(count_in_range, x, progress=lambda *counts: seen.append(counts))
    assert seen[0], seen[-1] == ((0, 1000), (1000, 1000))


def test_a_kernel_that_is_not_split_is_one_run(team: Any) -> None:
    seen: list[tuple[int, int]] = []
    assert team.run(one_more, 1, progress=lambda *counts: seen.append(counts)) == 2
    assert seen[0], seen[-1] == ((0, 1), (1, 1))


@pytest.mark.parametrize("progress", [True, lambda done, total: done / total])
def test_nothing_is_counted_of_an_empty_array(
    team: Any, progress: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm")
    team.run(increment, sh.zeros(0), progress=progress)
    assert capsys.readouterr().err == ""


# -- the bar in a terminal ---------------------------------------------------


def test_a_bar_counts_all_rows(team: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    x = sh.zeros((100, 2))
    team.run(increment, x, chunk=10, progress=True)
    shown = capsys.readouterr().err
    assert "increment:   0%" in shown
    assert "0/100 " in shown
    assert "100/100 " in shown
    assert "rows/s]" in shown
    assert x.tolist() == [[1, 1]] * 100
    team.run(increment, x, chunk=10)
    assert capsys.readouterr().err == ""


def test_a_bar_shows_large_numbers_short(
    team: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm")
    team.run(increment, sh.zeros(1_500_000, "i1"), progress=True)
    assert "1.50M/1.50M " in capsys.readouterr().err


def test_a_bar_needs_tqdm(team: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tqdm", "tqdm.auto", "tqdm.std"):
        monkeypatch.setitem(sys.modules, name, None)
    x = sh.zeros(100)
    with pytest.raises(sh.TeamError, match=r"tqdm.*sharray\[progress\]"):
        team.run(increment, x, progress=True)
    team.run(increment, x)
    assert x.tolist() == [1] * 100


def test_a_bar_ends_with_the_kind_of_the_error(
    team: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm")
    with pytest.raises(ValueError, match="refused"):
        team.run(refuse, sh.zeros(100), 0.0, progress=True)
    shown = capsys.readouterr().err
    assert shown.endswith("\n")
    assert "ValueError]" in shown


def _act_inside(gate: Any, act: Any) -> Any:
    """Return a progress function that acts once, when a chunk has begun."""
    done = []

    def show(*_: int) -> None:
        if not done and sh.atomic.load(gate, 0) > 0:
            done.append(1)
            act()

    return show


@pytest.mark.parametrize("how", ["timeout", "worker died", "interrupted"])
def test_a_bar_ends_with_the_way_the_run_ended(
    how: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tqdm = pytest.importorskip("tqdm.auto").tqdm
    gate = sh.zeros(2, "i8")
    hold.compile(sh.zeros(10), gate)
    with sh.Team(1, caller_works=False) as team, stopped_from_hanging(gate):
        acts = {
            "timeout": lambda: None,
            "worker died": lambda: kill(team.pids()[0]),
            "interrupted": lambda: os.kill(os.getpid(), signal.SIGINT),
        }
        act = _act_inside(gate, acts[how])
        update = tqdm.update
        kinds = (TimeoutError, sh.WorkerDied, KeyboardInterrupt)
        timeout = 0.2 if how == "timeout" else LONG
        with monkeypatch.context() as patch:  # not longer: it keeps the gate
            patch.setattr(tqdm, "update", lambda bar, n: (act(), update(bar, n)))
            with pytest.raises(kinds):
                team.run(
                    *(hold, sh.zeros(10), sh.whole(gate)),
                    progress=True,
                    timeout=timeout,
                )
    assert f", {how}]" in capsys.readouterr().err
