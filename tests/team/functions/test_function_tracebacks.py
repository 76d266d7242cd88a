"""Tracebacks of functions in workers: they name the file, or the cell of a notebook."""

from __future__ import annotations

import notebook_kernel
import pytest
import team_tools
from notebook_kernel import kernel
from team_tools import team_of

import sharray as sh

settled = team_tools.settled
event_loop_of_clients = notebook_kernel.event_loop_of_clients
team = team_of(1, caller_works=False)

CELL = """\
import sharray as sh

def refuse(x):
    raise ValueError("refused")

with sh.Team(1) as team:
    try:
        team.run(refuse, sh.ones(3))
    except ValueError as error:
        print(error.__notes__[0])
"""


def test_a_function_by_value_keeps_its_file(team: sh.Team) -> None:
    def refuse(x: object) -> None:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused") as caught:
        team.run(refuse, sh.ones(3))
    [note] = caught.value.__notes__
    line = refuse.__code__.co_firstlineno + 1
    assert f'File "{__file__}", line {line}, in refuse\n' in note
    assert '    raise ValueError("refused")\n' in note


@pytest.mark.slow
def test_a_function_of_a_cell_shows_the_cell_and_the_line() -> None:
    with kernel() as notebook:
        shown = notebook.run(CELL).stdout
    assert "  Cell In[1], line 4, in refuse\n" in shown, shown
    assert '    raise ValueError("refused")\n' in shown
