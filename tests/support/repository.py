"""Where the repository is, and where programs find the modules of the tests."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
SUPPORT = TESTS / "support"
PYTHON_PATH = os.pathsep.join(map(str, (SUPPORT, TESTS, ROOT)))
