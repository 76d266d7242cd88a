"""The test modules of CPython's that there are, and those that can be made."""

from __future__ import annotations

import importlib.util
import pkgutil
import sys
from pathlib import Path
from typing import Any

from ..suite import Suite

METHODS = ("fork", "spawn", "forkserver")
NAMES = (*METHODS, "futures")

# The packages of CPython 3.13; distributors remove some, and older versions have
# fewer. All the tests of multiprocessing itself are in `test._test_multiprocessing`.
_PACKAGES = {method: f"test_multiprocessing_{method}" for method in METHODS}
_PACKAGES["futures"] = "test_concurrent_futures"
_PARTS = {
    "test_manager": "only_type='manager'",
    "test_misc": "exclude_types=True",
    "test_processes": "only_type='processes'",
    "test_threads": "only_type='threads'",
}
_MADE = """\
from test._test_multiprocessing import install_tests_in_module_dict

install_tests_in_module_dict(globals(), {method!r}, {options})
"""
_PROBE = "peers.cpython.probe"
_MENDED = {(3, 12): (3, 12, 8), (3, 13): (3, 13, 1)}
VERSION = f"Python {sys.version.split()[0]} in {sys.base_prefix}"


def futures_deadlock() -> bool:
    """Whether this version hangs in its own tests of executors, also without sharray.

    An executor that shuts down while a task cannot be pickled may wait for ever
    (gh-125451): some 200 runs of test_processes_terminate are enough to see it.
    """
    version = sys.version_info[:3]
    return version < _MENDED.get(version[:2], version)


def find(name: str, directory: Path) -> tuple[Suite | None, str]:
    """Return a suite, and what the user should know about it.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    directory : Path
        Where modules are made that the interpreter lacks.
    """
    package = _PACKAGES[name]
    modules, said = _shipped(f"test.{package}"), ""
    if not modules and name != "futures" and _exists("test._test_multiprocessing"):
        modules = _make(name, package, directory)
        said = f"{VERSION} lacks test.{package}: made from test._test_multiprocessing"
    if not modules:
        return None, f"{VERSION} DOES NOT SHIP test.{package}: NOT RUN"
    options: dict[str, Any] = {
        "modules": [_PROBE, *modules],
        "methods": METHODS if name == "futures" else (name,),
        # Forked children inherit it. The other suites run as programs do.
        "every_message": name == "fork",
    }
    suite = Suite(name, "peers.unittest_program", options, path=(directory,))
    return suite, said


def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False  # not even the package


def _shipped(name: str) -> list[str]:
    if not _exists(name):
        return []
    spec = importlib.util.find_spec(name)
    assert spec is not None
    if spec.submodule_search_locations is None:
        return [name]
    inside = pkgutil.iter_modules(spec.submodule_search_locations)
    return [f"{name}.{module.name}" for module in inside if module.name[:5] == "test_"]


def _make(method: str, package: str, directory: Path) -> list[str]:
    place = directory / package
    place.mkdir(exist_ok=True)
    (place / "__init__.py").touch()
    for part, options in _PARTS.items():
        text = _MADE.format(method=method, options=options)
        (place / f"{part}.py").write_text(text)
    return [f"{package}.{part}" for part in _PARTS]
