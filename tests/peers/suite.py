"""A suite of tests, and the outcomes of its tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Records that describe the whole process, not one test.
END = "its end"
ENVIRONMENT = "its environment"


@dataclass(frozen=True)
class Suite:
    """Tests that one process runs.

    Attributes
    ----------
    name : str
        For the user, and for the names of log files.
    program : str
        Module to run with ``python -m``.
    options : mapping
        Further members of the order that the program reads; see `peers.running`.
    directory : Path or None
        Working directory. None: an empty one.
    path : tuple of Path
        For PYTHONPATH.
    environment : mapping
        Further environment variables.
    """

    name: str
    program: str
    options: Mapping[str, Any] = field(default_factory=dict)
    directory: Path | None = None
    path: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def of_pytest(
    name: str,
    arguments: Sequence[str],
    directory: Path,
    *,
    imports: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Suite:
    """Return a suite that pytest runs, in its own order.

    Parameters
    ----------
    name : str
        See `Suite`.
    arguments : sequence of str
        Files or directories with tests, and options of pytest.
    directory : Path
        Where the files are.
    imports : sequence of str
        Modules to import before sharray is installed: it installs itself in packages
        that have been imported.
    environment : mapping
        See `Suite`.
    """
    # Nobody's configuration but the suite's own conftest.py, and no cache.
    more = ["--config-file=/dev/null", "--rootdir=.", "--confcutdir=."]
    more += ["-p", "no:cacheprovider", "-v"]
    options = {
        "imports": list(imports),
        "arguments": [*arguments, *more],
        "shuffle": False,
    }
    program = "peers.pytest_program"
    return Suite(name, program, options, directory, environment=environment or {})


@dataclass(frozen=True)
class Record:
    """The outcome of a test: passed, skipped, failed, hung or died."""

    outcome: str
    detail: str = ""
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether the test did not fail in any way."""
        return self.outcome in ("passed", "skipped")


Records = dict[str, Record]
