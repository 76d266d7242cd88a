"""One of numba's tests of prange, by a team; `make test-peers` runs them all."""

from __future__ import annotations

import os
import subprocess
import sys

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
