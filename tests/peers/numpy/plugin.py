"""A plugin of pytest: other arrays in test modules, and outcomes to a file.

``SHARRAY_NUMPY_KIND`` is a key of `arrays.KINDS`, ``SHARRAY_NUMPY_ORDER`` the path of a
JSON file: ``report`` is where to write, ``skip`` the tests not to run, and ``only``
those to run (null for all). A line of the report is a test, and its outcome or null
when it begins.
"""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from . import arrays

_order: dict[str, Any] = {}


def pytest_configure() -> None:
    """Read the order, and allow as many mapped files as there can be."""
    path = Path(os.environ["SHARRAY_NUMPY_ORDER"])
    _order.update(json.loads(path.read_text("utf-8")))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Choose tests, and replace the arrays that their modules make."""
    only, skip = _order["only"], set(_order["skip"])
    chosen = {item.nodeid for item in items} if only is None else set(only)
    items[:] = [item for item in items if item.nodeid in chosen - skip]
    kind = arrays.KINDS[os.environ["SHARRAY_NUMPY_KIND"]]
    if kind is not None:
        modules = {id(item.module): item.module for item in items}
        arrays.replace_in(list(modules.values()), kind)


def pytest_runtest_logstart(nodeid: str) -> None:
    """Tell which test would be to blame for the end of the process."""
    _write(nodeid, None)


def pytest_runtest_logreport(report: Any) -> None:
    """Tell the outcome, and the last line of what went wrong."""
    if report.failed:
        _write(report.nodeid, "failed: " + _reason(report))
    elif report.skipped:
        _write(report.nodeid, "skipped")
    elif report.when == "call":
        _write(report.nodeid, "passed")


def _reason(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(report.longrepr) if crash is None else crash.message
    return " ".join(text.split())[:300]


def _write(nodeid: str, outcome: str | None) -> None:
    with open(_order["report"], "a", encoding="utf-8") as file:
        print(json.dumps([nodeid, outcome]), file=file)
