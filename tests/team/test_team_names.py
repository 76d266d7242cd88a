"""Names of teams, in their process and in others."""

from __future__ import annotations

import copy
import os
import pickle
from typing import Any

import numpy as np
import pytest
import workers
from cli_tools import call, process

import sharray as sh
from sharray.system import memory, processes
from sharray.team.control import layout as at
from sharray.team.control.page import LABEL
from sharray.team.default import close_default_team

pytestmark = pytest.mark.slow
HOSTILE = "<b>&\x1b[2J\n\u202e"


def own_teams() -> list[sh.TeamStatus]:
    return [team for team in sh.teams() if team.pid == os.getpid()]


def test_a_team_has_the_name_that_it_was_given() -> None:
    with sh.Team(1, name="t") as team:
        assert team.name == "t"
        assert repr(team) == "<sharray team t, 2 members>"
        [found] = own_teams()
        assert (found.name, found.owner) == ("t", "this process")
        assert repr(found) == (
            "<TeamStatus team t of this process: no run yet; "
            f"{states(found)}; _asdict() has all facts>"
        )
    assert repr(team) == "<sharray team t, is closed>"


def states(team: sh.TeamStatus) -> str:
    [_, worker] = team.members
    asleep = worker.state == "asleep"
    return "1 asleep, 1 waiting" if asleep else "2 waiting"


def test_teams_without_a_name_have_different_numbers() -> None:
    with sh.Team(0) as first, sh.Team(0) as second:
        assert int(second.name) == int(first.name) + 1
        assert {one.name for one in own_teams()} == {first.name, second.name}


def test_the_first_team_is_number_one_and_the_default_team_has_no_number() -> None:
    code = "import sharray as sh\n@sh.kernel\ndef f(x):\n    x[0] = 1\n"
    code += "sh.run(f, sh.zeros(1))\nteam = sh.Team(0)\n"
    code += "print(team, [one.name for one in sh.teams() if 'this' in one.owner])"
    done = workers.start_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "<sharray team 1, 1 member> ['1', 'default']\n"
    close_default_team()


@pytest.mark.parametrize("name", ["", "  ", 3, b"t", ["t"]])
def test_a_name_is_text(name: Any) -> None:
    before = len(own_teams())
    with pytest.raises(ValueError, match="expected name= with a text"):
        sh.Team(1, name=name)
    assert len(own_teams()) == before


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("ä" * 60, "ä" * 32),
        ("x" + "ä" * 60, "x" + "ä" * 31),
        ("x" * 64, "x" * 64),
        ("日" * 60, "日" * 21),
        ("\ud800", "?"),
        ("a\0b", "a"),
    ],
)
def test_others_see_the_first_64_bytes_in_whole_characters(
    name: str, seen: str
) -> None:
    with sh.Team(0, name=name) as team:
        assert team.name == name
        assert own_teams()[-1].name == seen


@pytest.mark.parametrize("caller_works", [True, False])
def test_a_worker_is_named_after_its_team_here_and_elsewhere(
    caller_works: bool,
) -> None:
    a = sh.create("a.npy", 10)
    code = "import sharray as sh, os, sys\n"
    code += "print(*sorted(holder.name for holder in sh.inspect('a.npy').holders), "
    code += "sep='\\n')"
    with sh.Team(2, caller_works=caller_works, name="t") as team:
        team.run(add_one, a)
        names = sorted(holder.name for holder in sh.inspect(a).holders)
        assert names == ["this process", "worker 1 of team t", "worker 2 of team t"]
        done = workers.start_python(code)
        assert done.returncode == 0, done.stderr
        caller, *others = done.stdout.splitlines()
        assert caller.endswith(f" ({os.getpid()})")
        assert others == [f"worker {n} of team t of {caller}" for n in (1, 2)]


@sh.kernel
def add_one(x: Any) -> None:
    for i in range(x.shape[0]):
        x[i] += 1


def test_a_team_of_another_process_is_told_with_its_process() -> None:
    with process("import sharray as sh; team = sh.Team(1, name='t')") as child:
        [found] = [one for one in sh.teams() if one.pid == child.pid]
        owner = f"python -c import sharray as sh; team = … ({child.pid})"
        assert (found.name, found.owner) == ("t", owner)
        assert f"<team t of {owner}: no run yet; " in repr(sh.teams())
        assert f"<td>{owner}" in without_styles(str(sh.teams()._repr_html_()))


def without_styles(html: str) -> str:
    parts = html.split(" style='")
    return parts[0] + "".join(part.partition("'")[2] for part in parts[1:])


def test_a_run_is_shown_with_its_progress() -> None:
    with sh.Team(0, name="t") as team:
        team.run(add_one, sh.zeros(8), chunk=2)
        [found] = own_teams()
        shown = without_styles(found._repr_html_())
        assert "ran add_one, 100% done; 1 waiting;" in repr(found)
        row = "<td>add_one</td><td><span><span></span></span>100%</td>"
        assert row in shown
        assert "width:100%" in found._repr_html_()


def test_teams_are_a_list_also_after_pickle_and_copy() -> None:
    with sh.Team(0):
        found = sh.teams()
        for other in (pickle.loads(pickle.dumps(found)), copy.copy(found)):
            assert type(other) is type(found)
            assert other == found
        assert isinstance(found, list)
        assert type(found[:]) is list
        assert repr(found).count("\n") == len(found) - 1


def test_no_team_is_an_empty_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "find_blocks", lambda _: iter([]))
    assert repr(sh.teams()) == "[]"
    assert sh.teams()._repr_html_() is None


# -- names that anybody chose ---------------------------------------------------


def test_a_name_is_no_markup_and_no_command() -> None:
    a = sh.zeros(3)
    with sh.Team(1, name=HOSTILE) as team:
        team.run(add_one, a)
        [found] = own_teams()
        assert found.name == HOSTILE
        shown = [repr(team), repr(found), repr(sh.inspect(a)), call("top").out]
        for text in shown:
            assert "<b>&\\x1b[2J" in text
            assert not {"\x1b", "\u202e"} & set(text)
        for html in (found._repr_html_(), sh.inspect(a)._repr_html_()):
            assert html.isprintable()
            assert "<b>" not in html
        assert "\x1b[2J" not in call("top", "--once", columns=200).out


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_block_says_is_shown_or_passed_over(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any program of this user may write such a block."""
    words = np.random.default_rng(seed).integers(-(2**63), 2**63, at.size(3), "i8")
    words[at.CALLER] = processes.own_stamp()
    if seed % 2:  # numbers near zero get further
        words[at.FIRST_MEMBER : at.slots_start(3)] %= 5
        words[at.LENGTH] = seed % 3
    fd = os.memfd_create(LABEL)
    try:
        os.write(fd, words.tobytes())
        monkeypatch.setattr(memory, "find_blocks", lambda _: iter([fd]))
        [found] = sh.teams()
        assert len(found.members) == 3
        assert repr(found).isprintable()
        assert found._repr_html_().isprintable()
        assert call("top").code == 0
        assert call("top", "--json", "--once").json["teams"][0]["pid"] == os.getpid()
    finally:
        os.close(fd)
