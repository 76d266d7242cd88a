"""Run a torture test in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def run(module: str, *arguments: str) -> dict[str, Any]:
    """Run a module of this folder; return its counts."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"torture.{module}", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    print(done.stdout)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
