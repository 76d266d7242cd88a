"""The bar of a run in a real notebook, as it is saved."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
import team_tools
from repository import ROOT

pytestmark = [pytest.mark.slow, team_tools.needs_jit]

SETUP = """
import sharray as sh, tqdm

@sh.kernel
def step(x, at):
    for i in range(x.shape[0]):
        if x[i, 0] == at:
            1 // int(x[i, 0] - at)

x = sh.zeros((100, 2))
x[60] = 7
team = sh.Team(1)
"""
CELLS = [
    SETUP,
    "team.run(step, x, 8.0, chunk=10, progress=True)",
    "team.run(step, x, 7.0, chunk=10, progress=True)",
    "team.submit(step, x, 8.0, chunk=10, progress=True).result(); team.close(); del x",
]
# In a process of its own, since a kernel's client keeps sockets open.
EXECUTE = """
import json, sys, nbclient, nbformat
notebook = nbformat.v4.new_notebook()
notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in json.load(sys.stdin)]
client = nbclient.NotebookClient(
    notebook, timeout=500, kernel_name="python3", allow_errors=True)
client.execute()
print(json.dumps([cell.outputs for cell in notebook.cells]))
"""


@pytest.fixture(scope="module")
def outputs() -> list[Any]:
    pytest.importorskip("tqdm")
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE],
        input=json.dumps(CELLS),
        capture_output=True,
        text=True,
        timeout=500,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    found: list[Any] = json.loads(done.stdout)
    return found


def test_the_saved_bar_is_the_last_one(outputs: list[Any]) -> None:
    (bar,) = outputs[1]
    assert "100/100 " in bar["data"]["text/plain"]
    assert "100 of 100 rows" in bar["data"]["text/html"]
    assert "width:100%;height:.7em" in bar["data"]["text/html"]


def test_a_run_that_fails_ends_red_with_the_kind_of_its_error(
    outputs: list[Any],
) -> None:
    bar, error = outputs[2]
    assert "ZeroDivisionError]" in bar["data"]["text/plain"]
    assert "ZeroDivisionError" in bar["data"]["text/html"]
    assert error["ename"] == "ZeroDivisionError"
    text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error["traceback"]))
    assert "sharray/" not in text
    assert "Cell In[1], line 7, in step()" in text
    assert "----> 7             1 // int(x[i, 0] - at)" in text
    assert "kernel 'step' (step, Cell In[1], line 7), in rows 60" in text
    assert "in rows 60 to 69 of 100 (index 0" in text


def test_a_submitted_run_shows_its_bar(outputs: list[Any]) -> None:
    (bar,) = outputs[3]
    assert "100 of 100 rows" in bar["data"]["text/html"]
