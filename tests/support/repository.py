"""Paths of the repository, and of the modules that test programs import."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
SUPPORT = TESTS / "support"
needs_sources = pytest.mark.skipif(
    not (ROOT / "sharray").is_dir(),
    reason="no folder sharray beside the tests, which run against an installed wheel: "
    "run this one in a checkout, with make suite",
)
# A program may also import the module of a test, from its folder.
_FOLDERS = sorted({path.parent for path in TESTS.glob("*/test_*.py")})
PYTHON_PATH = os.pathsep.join(map(str, (SUPPORT, TESTS, ROOT, *_FOLDERS)))
