"""Running: topic after topic, with each table shown as soon as it is there."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from . import machine, report, results, topics
from .children import stoppable
from .errors import BenchmarkError
from .harness import FULL, QUICK
from .results import Result, Results
from .scratch import scratch

DISK = Path("/var/tmp")


def run(
    *,
    quick: bool = False,
    only: Sequence[str] = (),
    output: Path | None = None,
    disk: Path = DISK,
    as_json: bool = False,
) -> None:
    """Measure, show, and write what was found.

    Parameters
    ----------
    quick : bool, default False
        Small arrays and few rounds.
    only : sequence of str, optional
        The topics; all without.
    output : Path, optional
        A directory for results.json, tables.md and the plots.
    disk : Path, optional
        A directory on the disk to measure.
    as_json : bool, default False
        Print what results.json has, at the end, instead of tables.
    """
    chosen = topics.choose(only)
    if output is not None:
        _prepare(output)
    console = report.console()
    found = Results(machine.describe(), quick, [])
    if not as_json:
        report.show_machine(console, found.machine)
    with stoppable(), _progress(len(chosen)) as progress:
        for table in _measure(chosen, quick, disk, progress):
            found.tables.append(table)
            if as_json:
                continue
            # The bar is away while the table is printed, whoever reads which stream.
            progress.stop()
            report.show(console, table)
            progress.start()
    if as_json:
        print(results.to_json(found))
    if output is not None:
        _write(found, output)


def _measure(
    chosen: list[str], quick: bool, disk: Path, progress: Progress
) -> Iterator[Result]:
    task = progress.task_ids[0]
    for topic in chosen:
        progress.update(task, description=topic)
        progress.refresh()
        # One for each topic, so that none finds the files of another.
        with scratch(disk) as places:
            for table in topics.measure(topic, places, QUICK if quick else FULL):
                yield results.summarize(topic, table)
        progress.advance(task)


@contextmanager
def _progress(total: int) -> Iterator[Progress]:
    """A bar on stderr, if that is a terminal.

    It is drawn between tables only: a thread that draws it while something is
    measured would be measured as well.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<12}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns,
        console=console,
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not console.is_terminal,
    ) as progress:
        progress.add_task("", total=total)
        yield progress


def _prepare(output: Path) -> None:
    """Refuse what could not be written, before the work is done."""
    if importlib.util.find_spec("matplotlib") is None:
        raise BenchmarkError(
            "the plots need matplotlib, which is not installed: "
            "pip install 'sharray[bench]'"
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchmarkError(
            f"cannot write into {output} ({error.strerror}): expected a directory"
        ) from error


def _write(found: Results, output: Path) -> None:
    from . import markdown, plots  # matplotlib is not for those who want no plots

    results.write(found, output / "results.json")
    (output / "tables.md").write_text(markdown.whole(found), encoding="utf-8")
    plots.draw(found, output)
