"""``sharray bench``: how fast sharray is here, beside its peers."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from ..output import Json
from ..problem import ProblemError

# Beside the package in a checkout, in it in a wheel.
_NAMES = ("sharray.benchmarks", "benchmarks")
_PACKAGE = Path(__file__).parents[2]

EXAMPLES = """
Examples:
  sharray bench --quick              whether it works
  sharray bench --only passing       one topic; others are named when this is none
  sharray bench --output results     with tables and plots in a directory
"""


def bench(
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Small arrays and few rounds: shows that it works, not how fast.",
        ),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC", help="Measure this topic; may be repeated."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write results.json, tables.md and plots there."
        ),
    ] = None,
    disk: Annotated[
        Path, typer.Option(metavar="DIR", help="A directory on the disk to measure.")
    ] = Path("/var/tmp"),
    as_json: Json = False,
) -> None:
    """Measure against the bare system calls, NumPy, and the peers that are installed.

    It takes some minutes. Where a peer is faster, the tables show it.
    """
    name = _find()
    errors = importlib.import_module(f"{name}.errors")
    try:
        running = importlib.import_module(f"{name}.running")
        running.run(
            quick=quick, only=only or (), output=output, disk=disk, as_json=as_json
        )
    except errors.BenchmarkError as error:
        raise ProblemError(str(error)) from error
    except ModuleNotFoundError as error:
        raise ProblemError(
            f"the benchmarks need {error.name}, which is not installed: "
            "pip install 'sharray[bench]'"
        ) from error


def _find() -> str:
    """The name of the package of benchmarks that belongs to this package."""
    for name in _NAMES:
        found = importlib.util.find_spec(name)
        places = found.submodule_search_locations if found else None
        # Others have packages of this name, too.
        for place in map(Path, places or ()):
            if place.parent in (_PACKAGE, _PACKAGE.parent):
                return name
    raise ProblemError(
        "the benchmarks are not part of this installation: expected the package "
        f"{_NAMES[0]}, or {_NAMES[1]} beside sharray in a checkout"
    )
