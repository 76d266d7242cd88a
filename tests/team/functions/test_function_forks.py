"""Functions that fork: a child must not take part in the run of its parent."""

from __future__ import annotations

import pytest
from team_tools import LONG, program

CODE = """
import os, sys
import numpy as np
import sharray as sh

def add_up(x, way):
    if x[0] == 0:
        pid = os.fork()
        if pid == 0 and way == "exit":
            sys.exit()
        if pid == 0 and way == "raise":
            raise ValueError("in the child")
        if pid > 0:
            os.waitpid(pid, 0)
    return x.sum()

workers, caller_works, way = int(sys.argv[1]), sys.argv[2] == "True", sys.argv[3]
x = sh.array(np.arange(100.0))
with sh.Team(workers, caller_works=caller_works) as team:
    for _ in range(2):
        value = team.run(add_up, x, way, chunk=1, reduce="sum", timeout=100)
        print(value, flush=True)
"""


@pytest.mark.parametrize("way", ["return", "exit", "raise"])
@pytest.mark.parametrize(("workers", "caller"), [(1, False), (1, True), (0, True)])
def test_a_child_that_comes_back_takes_no_part(
    workers: int, caller: bool, way: str
) -> None:
    with program(CODE, str(workers), str(caller), way) as process:
        out, errors = process.communicate(timeout=LONG)
    assert out.split() == ["4950.0"] * 2, errors
    assert process.returncode == 0
    reasons = {"return": "os._exit()", "raise": "ValueError: in the child", "exit": ""}
    assert reasons[way] in errors
