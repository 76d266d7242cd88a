"""A process that dies at any step leaves nothing half-done.

It is killed before and after each call to the operating system, and before each
line of the library. After each death: what is visible is complete, no lock
remains, ``sharray.gc()`` removes what is anonymous, who still held the array
keeps it, and the next process can use the same names.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from repository import PYTHON_PATH
from torture.deaths import lives_to_end
from torture.dying import MOMENTS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("moment", MOMENTS)
def test_death_at_each_step_leaves_nothing_half_done(
    moment: str, tmp_ram: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARRAY_RAM_DIR", tmp_ram)
    monkeypatch.setenv("PYTHONPATH", PYTHON_PATH, prepend=":")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # no threads before a fork
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "torture.deaths", moment],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    found = json.loads(done.stdout)
    print(f"{sum(found['deaths'].values())} deaths:", found["deaths"])
    assert found["wrong"] == []
    assert list(found["deaths"]) == lives_to_end(moment)
    assert min(found["deaths"].values()) > 10
