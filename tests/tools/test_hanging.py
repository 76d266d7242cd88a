"""A test that goes on although its time is over ends its process, and says where."""

from __future__ import annotations

from pathlib import Path

from repository import ROOT, SUPPORT
from workers import start_python

HANGING = """
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

def test_that_hangs():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(Event().wait)
        time.sleep(1000)
"""
PROGRAM = f"""
import sys, tempfile
sys.path[:0] = {[str(ROOT), str(SUPPORT)]!r}
import conftest, pytest
tempfile.mkdtemp = lambda **_: sys.argv[1]  # this process does not remove it
conftest._PATIENCE = 0.5
options = ["--timeout=5", "-otimeout_func_only=true"]
pytest.main([*options, "-c/dev/null", "-pconftest", "test_that_hangs.py"])
print("the program goes on")
"""


def test_a_pool_that_waits_after_the_timeout_ends_its_process(
    tmp_path: Path, tmp_ram: str
) -> None:
    (tmp_path / "test_that_hangs.py").write_text(HANGING)
    done = start_python(PROGRAM, tmp_ram)
    assert done.returncode == 1
    assert "goes on" not in done.stdout
    assert "in shutdown" in done.stderr
    assert "in test_that_hangs" in done.stderr
