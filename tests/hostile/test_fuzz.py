"""Twenty thousand damaged files and handles each give an array or an error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import ROOT, SUPPORT

CASES = {"files": 12_000, "handles": 8_000}
# The cases are the same each time; another number gives others.
SEED = os.environ.get("SHARRAY_FUZZ_SEED", "0")


@pytest.fixture
def memory() -> Iterator[Path]:
    """Yield a directory in RAM, where thousands of files cost nothing."""
    found = tempfile.mkdtemp(dir=os.environ["SHARRAY_RAM_DIR"])
    yield Path(found)
    shutil.rmtree(found)


def _fuzz(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", str(SUPPORT / "fuzz_child.py"), *arguments],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), CASES.items())
def test_whatever_the_damage_there_is_an_array_or_an_error(
    kind: str, count: int, memory: Path
) -> None:
    ended = _fuzz(memory, kind, str(count), SEED)
    case = (memory / "case").read_bytes()[-5000:]
    assert ended.returncode == 0, (
        f"ended with {ended.returncode} (negative: a signal) at seed {SEED}, "
        f"last case: {case!r}\n{ended.stderr[-5000:]}"
    )
    found = json.loads(ended.stdout)
    print(f"{kind}: {found}")
    assert sum(found.values()) >= count
    assert found["arrays"] > count / 10, "the damage is too heavy to find much"
    assert found["errors"] > count / 10, "the damage is too light to find much"


def test_the_fuzz_notices_when_bounds_are_not_checked(memory: Path) -> None:
    ended = _fuzz(memory, "handles", "500", SEED, "without-bounds")
    assert ended.returncode != 0
    assert ended.returncode < 0 or "assert_lies_within" in ended.stderr
