"""Publish results: ``python -m benchmarks.report.publish FILE``.

FILE is what ``python -m benchmarks --json FILE`` has written. The results are copied
into the repository, their plot drawn, and the pages that show them rewritten between
these lines, where NAME is one of `SECTIONS`::

    <!-- benchmarks: NAME -->
    <!-- end of benchmarks -->
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from ..harness import results
from ..harness.errors import BenchmarkError
from ..harness.results import Results
from . import plots
from .markdown import SECTIONS

REPOSITORY = Path(__file__).parents[2]
PAGES = ("README.md", "docs/performance.md")
IMAGES = "docs/images/benchmarks"
RESULTS = "benchmarks/results/results.json"

_BEGIN, _END = "<!-- benchmarks: {} -->", "<!-- end of benchmarks -->"
_SECTION = re.compile(
    f"{_BEGIN.format('(?P<name>.*?)')}\n(?P<text>.*?){_END}", re.DOTALL
)


def publish(source: Path, repository: Path) -> list[Path]:
    """Copy, draw and rewrite; returns the pages that were rewritten.

    Parameters
    ----------
    source : Path
        The file of a run.
    repository : Path
        The checkout.
    """
    found = results.read(source)
    pages = rewritten(found, repository)
    copy, images = repository / RESULTS, repository / IMAGES
    for directory in (copy.parent, images):
        directory.mkdir(parents=True, exist_ok=True)
    results.write(found, copy)
    plots.draw(found, images)
    for page, text in pages.items():
        page.write_text(text, encoding="utf-8")
    return list(pages)


def rewritten(found: Results, repository: Path) -> dict[Path, str]:
    """Return the new text of each page that exists."""
    pages = [repository / page for page in PAGES if (repository / page).exists()]
    if not pages:
        raise BenchmarkError(
            f"{repository} has none of {', '.join(PAGES)}: results are published from "
            "a checkout"
        )
    return {page: _fill(page, found, repository / IMAGES) for page in pages}


def _fill(page: Path, found: Results, images: Path) -> str:
    text = page.read_text(encoding="utf-8")
    seen = os.path.relpath(images, page.parent)

    def section(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in SECTIONS:
            raise BenchmarkError(
                f"{page} asks for benchmarks named {name!r}: there are "
                f"{', '.join(SECTIONS)}"
            )
        return f"{_BEGIN.format(name)}\n{SECTIONS[name](found, seen)}\n{_END}"

    filled, number = _SECTION.subn(section, text)
    if number != text.count(_BEGIN.partition("{")[0]) or number != text.count(_END):
        raise BenchmarkError(
            f"{page} has a line <!-- benchmarks: NAME --> without a line {_END}, or "
            "the other way round"
        )
    return filled


def main() -> None:
    """Do what the command line says."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m {__package__}.publish FILE")
    try:
        for page in publish(Path(sys.argv[1]), REPOSITORY):
            print(f"rewrote {page}")
    except (BenchmarkError, OSError) as error:
        sys.exit(f"benchmarks: {error}")


if __name__ == "__main__":
    main()
