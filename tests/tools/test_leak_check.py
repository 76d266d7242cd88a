"""The leak check of every test, and the mappings that it counts as arrays."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np
import pytest
from belongings import mapped_arrays

import sharray as sh
from sharray.system import memory

# Possible names of folders of a checkout, or of an environment in it.
FOLDERS = ["sharray", "sharray-0", "sharray-tests-1", "x.npy", "field.npy-sharray"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_library_in_a_folder_of_any_name_is_no_array(
    folder: str, tmp_path: Path
) -> None:
    library = tmp_path / folder / "lib" / "sharray" / "numbers.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(bytes(mmap.PAGESIZE))
    before = set(mapped_arrays())
    with library.open("rb") as file:
        # The loader maps libraries like this.
        mapping = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
    assert set(mapped_arrays()) == before
    mapping.close()


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_array_file_is_one_in_each_mode(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros(3))
    before = set(mapped_arrays())
    array = sh.open(path, mode=mode)
    assert set(mapped_arrays()) - before == {str(path)}
    path.unlink()
    assert set(mapped_arrays()) - before == {f"{path} (deleted)"}
    del array
    assert set(mapped_arrays()) == before


@pytest.mark.parametrize("parent", ["", "sharray"])
def test_arrays_in_ram_are_ones_wherever_that_is(
    parent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if parent:
        (tmp_path / parent).mkdir()
        monkeypatch.setenv("SHARRAY_RAM_DIR", str(tmp_path / parent))
    before = set(mapped_arrays())
    arrays = [sh.zeros(3), sh.create("shm://no/suffix", 3)]
    sh.unlink("shm://no/suffix")
    assert len(set(mapped_arrays()) - before) == len(arrays)
    del arrays
    assert set(mapped_arrays()) == before


def test_memory_of_a_team_is_looked_at() -> None:
    before = set(mapped_arrays())
    # Its own name, because this process may have a team.
    fd = memory.create_block(mmap.PAGESIZE, "sharray-team-of-a-test")
    mapping = memory.map_file(fd, mmap.PAGESIZE, writable=True, private=False)
    memory_of_team = set(mapped_arrays()) - before
    mapping.close()
    os.close(fd)
    assert len(memory_of_team) == 1
