"""Arrays larger than memory: all is right, little is read, nobody is killed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness import groups
from benchmarks.topics.larger import ROW, make_file, measure
from benchmarks.topics.larger_process import CHANGE, READS
from sharray.system import file_systems

pytestmark = pytest.mark.slow

ROWS = 512
LIMIT = ROWS * ROW // 4


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        if file_systems.is_volatile(file.fileno(), os.fstat(file.fileno()).st_dev):
            pytest.skip("the directory for temporary files is in RAM: needs a disk")
    yield tmp_path / "larger.npy"
    (tmp_path / "larger.npy").unlink(missing_ok=True)  # pytest would keep it


def test_a_file_of_four_times_the_memory_is_read_once_and_changed_in_place(
    path: Path,
) -> None:
    make_file(path, ROWS)
    expected = np.load(path, mmap_mode="r")[0].sum() * ROWS
    with groups.limited(LIMIT) as group:
        if group is None:
            pytest.skip("no control group can be made: needs root and its controller")
        for way in READS:
            found = measure(group, path, way)
            assert found["sum"] == pytest.approx(expected, rel=1e-9), way
            assert found["bytes_read"] > ROWS * ROW * 0.7, way  # it was not in memory
            # Less than twice. What the system has read ahead, a busy machine drops in
            # part, and reads again. No bound for columns: it reads ahead what other
            # members use, and may have dropped that when they come.
            if "columns" not in way:
                assert found["bytes_read"] < 2 * ROWS * ROW, way
        measure(group, path, CHANGE)
        assert measure(group, path, "rows")["sum"] == pytest.approx(
            expected + ROWS * ROW // 8, rel=1e-9
        )
