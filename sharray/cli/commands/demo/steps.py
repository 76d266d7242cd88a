"""The progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class Steps:
    """The steps of a longer piece of work, one bar each."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def add(self, name: str, total: int) -> Callable[[int], None]:
        """Begin a step; call what is returned to say how much of it was done."""
        return partial(
            self._progress.advance, self._progress.add_task(name, total=total)
        )


@contextmanager
def show_steps() -> Iterator[Steps]:
    """Show steps while the block runs, on stderr and only in a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<24}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield Steps(progress)
