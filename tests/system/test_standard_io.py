"""Programs whose standard input, output and error are closed, as in some daemons."""

from __future__ import annotations

import sys

import pytest
from team_tools import LONG, program

CODE = """
import os, subprocess, sys, traceback
closed, report = [int(one) for one in sys.argv[1]], os.fdopen(os.dup(2), "w")
for one in closed:
    os.close(one)
import sharray as sh

def say(x):
    for one in (1, 2):
        try:
            os.write(one, b"x" * 4096)
        except OSError:  # closed
            pass
    x += 1

try:
    x = sh.zeros(1000)
    say(x)
    subprocess.run(["sh", "-c", "echo one; echo two >&2"])
    with sh.Team(2, caller_works=False) as team:
        os.closerange(1, 3)
        os.kill(team.pids()[0], 9)
        team.run(say, x, chunk=100, schedule="static", timeout=100)
    assert x.tolist() == [2] * 1000
    for one in closed:
        assert os.readlink(f"/proc/self/fd/{one}") == os.devnull
except BaseException:
    traceback.print_exc(file=report)
report.close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("closed", ["0", "1", "2", "12", "012"])
def test_no_array_takes_their_place(closed: str) -> None:
    with program(CODE, closed) as process:
        errors = process.communicate(timeout=LONG)[1]
    assert errors.strip("xtwo\n") == ""
