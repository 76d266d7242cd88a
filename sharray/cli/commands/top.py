"""``sharray top``: a live view of arrays and teams."""

from __future__ import annotations

import os
import select
import shutil
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

import sharray as sh

from ...storage import location
from ...team import survey
from .. import describing
from ..ending import ended_by_signals
from ..output import Column, Json, Row, console, print_json, print_table, size, table
from ..output import print_text as say
from .ls import rows

_OTHER_LINES = 6  # besides those of arrays and teams
_TEAMS = (
    Column("TEAM", least=8, cut=True),
    Column("PROCESS", least=16, cut=True),
    Column("KERNEL", least=8, cut=True),
    Column("RUNNING"),
    Column("DONE", number=True),
    Column("MEMBERS", least=10, cut=True),
)


class _Seen(NamedTuple):
    """The arrays and teams at one moment."""

    time: datetime
    arrays: list[sh.Inspection]
    teams: list[sh.TeamStatus]
    disk: tuple[int, int] | None  # used and total bytes of the RAM disk


def top(
    interval: Annotated[
        float, typer.Option(min=0.1, help="Seconds between updates.")
    ] = 1,
    once: Annotated[bool, typer.Option("--once", help="Print once and exit.")] = False,
    json: Json = False,
) -> None:
    """Show arrays in RAM and teams, live.

    A team is a group of processes that run kernels together. The arrays with the most
    bytes in memory come first. Press q to quit. If the output is not a terminal, the
    command prints once. With --json, it prints one line per update; with --json and
    --once, one document.
    """
    try:
        if json:
            _print_documents(interval, once)
        elif once or not console().is_terminal:
            _print(_look())
        else:
            _show_live(interval)
    except KeyboardInterrupt:
        return  # the other way to quit


def _look() -> _Seen:
    arrays = sorted(sh.list(), key=lambda found: (-(found.resident or 0), found.name))
    try:
        disk = shutil.disk_usage(os.path.dirname(location.ram_directory()))
    except OSError:
        return _Seen(datetime.now(UTC), arrays, sh.teams(), None)
    return _Seen(datetime.now(UTC), arrays, sh.teams(), (disk.used, disk.total))


# -- as JSON -------------------------------------------------------------------


def _print_documents(interval: float, once: bool) -> None:
    while True:
        print_json(_document(_look()), indent=2 if once else None)
        if once:
            return
        time.sleep(interval)


def _document(seen: _Seen) -> dict[str, Any]:
    return {
        "time": seen.time.isoformat(),
        "arrays": [describing.document(one) for one in seen.arrays],
        "teams": [
            team._asdict()
            | {
                "members": [member._asdict() for member in team.members],
                "process": team.owner,
            }
            for team in seen.teams
        ],
        "totals": {
            "nbytes": sum(one.nbytes for one in seen.arrays),
            "resident": sum(one.resident or 0 for one in seen.arrays),
            "ram_disk_used": seen.disk and seen.disk[0],
            "ram_disk_size": seen.disk and seen.disk[1],
        },
    }


# -- as text -------------------------------------------------------------------


def _print(seen: _Seen) -> None:
    short = console().is_terminal
    say(_summary(seen), "")
    print_table(*rows(seen.arrays, short=short))
    if seen.teams:
        say("")
        print_table(_TEAMS, _team_rows(seen.teams))


def _summary(seen: _Seen) -> str:
    number = len(seen.arrays)
    parts = [
        "1 array" if number == 1 else f"{number} arrays",
        size(sum(one.nbytes for one in seen.arrays)),
        f"{size(sum(one.resident or 0 for one in seen.arrays))} resident",
        "1 team" if len(seen.teams) == 1 else f"{len(seen.teams)} teams",
    ]
    if seen.disk is not None:
        parts.append(f"RAM disk: {size(seen.disk[0])} of {size(seen.disk[1])} used")
    return ", ".join(parts)


def _team_rows(teams: list[sh.TeamStatus]) -> list[Row]:
    return [
        (
            team.name,
            team.owner,
            team.kernel or "-",
            "yes" if team.running else "no",
            survey.percent(team) if team.kernel else "-",
            survey.members(team),
        )
        for team in teams
    ]


# -- live ----------------------------------------------------------------------


def _show_live(interval: float) -> None:
    screen = console()
    with (
        ended_by_signals(),
        _single_keys() as keys,
        Live(console=screen, screen=True, auto_refresh=False) as live,
    ):
        _refresh(live, screen, keys, interval)


def _refresh(live: Live, screen: Console, keys: int | None, interval: float) -> None:
    until = time.monotonic()
    while True:
        live.update(_screen(_look(), screen), refresh=True)
        until = max(until + interval, time.monotonic())
        if _quits(keys, until):
            return


def _screen(seen: _Seen, screen: Console) -> RenderableType:
    width, room = screen.width, screen.height - _OTHER_LINES
    # At most half of the lines are for teams.
    teams = seen.teams[: max(1, room // 2)]
    arrays = seen.arrays[: max(1, room - len(teams))]
    left_out = len(seen.arrays) - len(arrays) + len(seen.teams) - len(teams)
    title = f"sharray top, {seen.time.astimezone():%H:%M:%S}; press q to quit"
    if left_out:
        title += f"; {left_out} more not shown"
    parts: list[RenderableType] = [
        Text(title, no_wrap=True),
        Text(_summary(seen), no_wrap=True),
        Text(),
        table(*rows(arrays, short=True), width),
    ]
    if teams:
        parts += [Text(), table(_TEAMS, _team_rows(teams), width)]
    return Group(*parts)


def _quits(keys: int | None, until: float) -> bool:
    """Wait until a time; tell whether the user pressed q before."""
    while (left := until - time.monotonic()) > 0:
        if keys is None:
            time.sleep(left)
        elif select.select([keys], [], [], left)[0]:
            pressed = os.read(keys, 64)
            if b"q" in pressed.lower() or not pressed:  # or the terminal is gone
                return True
    return False


@contextmanager
def _single_keys() -> Iterator[int | None]:
    """Read keys without Enter and without echo; yield the descriptor to read from."""
    if not sys.stdin.isatty():
        yield None
        return
    keys = sys.stdin.fileno()
    before = termios.tcgetattr(keys)
    tty.setcbreak(keys)
    try:
        yield keys
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)
