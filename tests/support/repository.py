"""Where the repository is, and where programs find the modules of the tests."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
SUPPORT = TESTS / "support"
# Programs may import the module of a test as well, from its folder.
_FOLDERS = sorted({path.parent for path in TESTS.glob("*/test_*.py")})
PYTHON_PATH = os.pathsep.join(map(str, (SUPPORT, TESTS, ROOT, *_FOLDERS)))
