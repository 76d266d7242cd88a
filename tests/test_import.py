"""Modules that importing the library imports."""

from __future__ import annotations

import builtins
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import workers
from repository import ROOT, needs_sources

import sharray as sh

OPTIONAL = ["numba", "llvmlite", "joblib", "matplotlib", "rich", "typer", "dask"]


def test_no_name_is_a_module_as_well() -> None:
    # Python would set the module as an attribute of the package when it is imported.
    modules = {path.stem for path in (ROOT / "sharray").iterdir()}
    assert modules.isdisjoint({*sh.__all__, *sh._LATE})


def test_arrays_load_nothing_optional_and_no_multiprocessing() -> None:
    names = [*OPTIONAL, "multiprocessing", "dataclasses", "uuid", "tempfile"]
    names += ["socket", "select", "glob", "sharray.storage.messages.inbox"]
    code = f"""
import sys, numpy
before = set(sys.modules)
import sharray
sharray.zeros
print([n for n in {names} if n in set(sys.modules) - before])
"""
    assert workers.run_python(code).strip() == "[]"


def test_arrays_work_without_anything_optional() -> None:
    block = "".join(f"sys.modules[{name!r}] = None\n" for name in OPTIONAL)
    workers.run_python(f"import sys\n{block}import sharray\nsharray.zeros(3).flush()")


def test_import_touches_no_files_and_no_ram(
    tmp_ram: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARRAY_RAM_DIR", tmp_ram)  # no other test has used it
    workers.run_python("import sharray; sharray.zeros; sharray.list")
    assert os.listdir(tmp_ram) == []


def test_public_names_are_all_there_and_all_documented() -> None:
    import sharray as sh

    assert sorted(sh.__all__) == sh.__all__
    for name in sh.__all__:
        assert (getattr(sh, name).__doc__ or "").strip(), name


def test_the_tables_of_packages_name_all_their_modules() -> None:
    import sharray as sh

    for path in Path(sh.__path__[0]).rglob("__init__.py"):
        found = path.read_text()
        if "\nmodule " not in found:
            continue
        for inside in path.parent.iterdir():
            is_module = inside.suffix == ".py" and inside.stem != "__init__"
            if is_module or (inside / "__init__.py").exists():
                assert f"{inside.stem}`" in found, (path, inside.stem)


def test_import_of_all_names_hides_no_built_in() -> None:
    names: dict[str, Any] = {}
    exec("from sharray import *", names)
    hidden = set(names) & set(vars(builtins)) - {"__builtins__"}
    assert {name for name in hidden if not name.startswith("__")} == set()


def check_types(path: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_user_code_type_checks() -> None:
    done = check_types("tests/typing_example.py")
    assert done.returncode == 0, done.stdout


IN_PLACE = """
from typing import Any
import numpy as np, sharray as sh

def add(a: {name}[Any, np.dtype[np.int64]]) -> None:
    a += 1
"""


def test_changes_in_place_type_check_as_those_of_a_memmap(tmp_path: Path) -> None:
    # The types of NumPy 2.0 refuse them for every subclass of ndarray.
    answers = []
    for name in ("sh.SharedArray", "np.memmap"):
        path = tmp_path / "in_place.py"
        path.write_text(IN_PLACE.format(name=name))
        answers.append(check_types(path).stdout)
    assert answers[0] == answers[1]


@needs_sources
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_wheel_has_the_package_and_its_types(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {str(p.relative_to(ROOT)) for p in (ROOT / "sharray").rglob("*.py")}
    assert {"sharray/py.typed", *sources} <= names
    assert not any(re.search(r"\b(tests|benchmarks)\b", name) for name in names)
