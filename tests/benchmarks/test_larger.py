"""Arrays larger than memory: all is right, little is read, nobody is killed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness import groups
from benchmarks.topics.larger import ROW, make_file, measure
from benchmarks.topics.larger_process import CHANGE, READS

pytestmark = pytest.mark.slow

ROWS = 512
LIMIT = ROWS * ROW // 4


def test_a_file_of_four_times_the_memory_is_read_once_and_changed_in_place(
    tmp_path: Path,
) -> None:
    path = tmp_path / "larger.npy"
    make_file(path, ROWS)
    expected = np.load(path, mmap_mode="r")[0].sum() * ROWS
    with groups.limited(LIMIT) as group:
        if group is None:
            pytest.skip("no control group can be made: needs root and its controller")
        for way in READS:
            found = measure(group, path, way)
            assert found["sum"] == pytest.approx(expected, rel=1e-9), way
            assert found["bytes_read"] > ROWS * ROW * 0.7, way  # it was not in memory
            # Each member may read whole rows for its columns, as the disk reads ahead.
            most = os.cpu_count() or 1 if "columns" in way else 1
            assert found["bytes_read"] <= ROWS * ROW * (most + 0.3), way
        measure(group, path, CHANGE)
        assert measure(group, path, "rows")["sum"] == pytest.approx(
            expected + ROWS * ROW // 8, rel=1e-9
        )
    path.unlink()
