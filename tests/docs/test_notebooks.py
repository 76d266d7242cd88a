"""Every notebook runs from a clean kernel, and keeps outputs for its readers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import notebook_kernel
import pytest
from belongings import files_in_ram
from notebook_kernel import kernel
from repository import ROOT
from team_tools import needs_jit, until

event_loop_of_clients = notebook_kernel.event_loop_of_clients

DIRECTORY = ROOT / "notebooks"
NOTEBOOKS = sorted(DIRECTORY.glob("*.ipynb"))
NUMBERS = sorted({path.name[0] for path in NOTEBOOKS})
MOST_BYTES_OF_A_PICTURE = 150_000
MACHINE_PATH = re.compile(r"(?<![\w.:])/(dev|home|mnt|opt|root|tmp|usr|var|work)/")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def kinds_of_outputs(path: Path) -> list[list[tuple[str, list[str]]]]:
    """Return the kinds of outputs of each cell, without values."""
    return [
        [(one["output_type"], sorted(one.get("data", ()))) for one in cell["outputs"]]
        for cell in code_cells(path)
    ]


def check_outputs(path: Path) -> None:
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert sum(bool(cell["outputs"]) for cell in cells) > len(cells) / 3
    for output in (one for cell in cells for one in cell["outputs"]):
        shown = output.get("data", {})
        picture = shown.get("image/png", "")
        assert len(picture) < MOST_BYTES_OF_A_PICTURE
        assert output["output_type"] != "error"
        assert output.get("name") != "stderr", output["text"]
        texts = [output.get("text", ""), *(v for v in shown.values() if v != picture)]
        assert MACHINE_PATH.search(json.dumps(texts)) is None


def processes_with(variable: str) -> list[str]:
    """Return the command lines of processes with this text in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if variable.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue  # ended meanwhile, or another user's
    return found


def test_there_are_notebooks() -> None:
    assert NUMBERS == ["1", "2", "3", "4", "5"]


@each_notebook
def test_notebook_keeps_its_outputs(path: Path) -> None:
    check_outputs(path)


@each_notebook
def test_notebook_tells_neither_when_nor_where_it_ran(path: Path) -> None:
    found = json.loads(path.read_text("utf-8"))
    assert sorted(found["metadata"]) == ["kernelspec", "language_info"]
    assert found["metadata"]["kernelspec"]["name"] == "python3"
    assert [cell for cell in found["cells"] if cell["metadata"]] == []


@pytest.mark.slow
@needs_jit
@pytest.mark.parametrize("number", NUMBERS)
def test_notebook_runs_from_a_clean_kernel_and_leaves_nothing(
    number: str, tmp_path: Path, tmp_ram: str
) -> None:
    temporary, output = tmp_path / "temporary", tmp_path / "output"
    temporary.mkdir()
    output.mkdir()
    variables = {
        "SHARRAY_RAM_DIR": tmp_ram,
        "TMPDIR": str(temporary),
        "JOBLIB_TEMP_FOLDER": tmp_ram,
    }
    done = subprocess.run(
        [sys.executable, DIRECTORY / "execute.py", number, "--output", output],
        capture_output=True,
        text=True,
        env=os.environ | variables,
    )
    assert done.returncode == 0, done.stderr
    executed = sorted(output.glob("*.ipynb"))
    assert [path.name for path in executed] == [
        path.name for path in NOTEBOOKS if path.name[0] == number
    ]
    for path in executed:
        check_outputs(path)
        assert kinds_of_outputs(path) == kinds_of_outputs(DIRECTORY / path.name)
    until(lambda: processes_with(f"SHARRAY_RAM_DIR={tmp_ram}") == [])
    assert files_in_ram() == []
    assert os.listdir(temporary) == []


# -- the two notebooks of a simulation, each alone ---------------------------


def cells_of(name: str, constant: str, value: int) -> list[str]:
    """Return the code of a notebook, with another number of seconds."""
    sources = ["".join(c["source"]) for c in code_cells(DIRECTORY / f"{name}.ipynb")]
    pattern = re.compile(rf"^{constant} = \d+", re.MULTILINE)
    assert sum(len(pattern.findall(source)) for source in sources) == 1
    return [pattern.sub(f"{constant} = {value}", source) for source in sources]


@pytest.mark.slow
@needs_jit
def test_simulation_that_nobody_watches_ends_by_itself() -> None:
    with kernel() as notebook:
        printed = [
            notebook.run(source).stdout
            for source in cells_of("3a-simulation", "LASTS", 1)
        ]
    assert "nobody said stop" in "".join(printed)


@pytest.mark.slow
def test_watching_without_a_simulation_says_so() -> None:
    with kernel() as notebook:
        begin, attach, *_ = cells_of("3b-watching", "PATIENCE", 0)
        notebook.run(begin)
        name, message, _ = notebook.start(attach).finish().error
    assert name == "RuntimeError"
    assert "run 3a-simulation.ipynb in another tab" in message
