"""numba's own tests of prange, by a team: see `peers.numba_prange`."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import team_tools
from repository import TESTS

pytestmark = team_tools.needs_jit
RUN = TESTS / "peers" / "numba_prange" / "run.py"


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(RUN), *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(RUN.parents[3])},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_some_are_right() -> None:
    found = run("-k", "TestPrangeBasic.test_prange0[35]")
    assert found.endswith("3 right, 2 refused, 0 wrong\n5 passed, 0 failed\n")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_none_is_wrong() -> None:
    last = run().splitlines()[-2]
    right, refused, wrong = map(int, re.findall(r"\d+", last))
    assert (wrong, right >= 20, right + refused > 50) == (0, True, True), last
