"""A progress bar for a run, in terminals and notebooks."""

from __future__ import annotations

import html
from contextlib import suppress
from importlib import import_module
from types import TracebackType
from typing import Any, Protocol, Self

from ..errors import TeamError, WorkerDied
from ..notebook.html import BLUE, GREEN, RED, bar
from ..notebook.ipython import is_notebook
from ..system import clock
from .units import Unit

_INTERVAL = 0.1  # seconds between two displays, as in tqdm
_FIRST = 0.05
_COLUMNS = 100
_LARGE = 100_000
_FRAME = "overflow:hidden"  # the bar has a margin beyond its full width
_LINE = (
    "display:flex;justify-content:space-between;gap:1em;flex-wrap:wrap;"
    "font-variant-numeric:tabular-nums"
)


class ShowProgress(Protocol):
    """Called with the number of rows, elements or iterations done, and of all."""

    def __call__(self, done: int, total: int, /) -> object:
        """Show the progress."""


class Bar:
    """A bar that counts in the units of a run, in a terminal or a notebook.

    Parameters
    ----------
    name : str
        Name of the kernel.
    unit : Unit
        The things that it counts.

    Raises
    ------
    TeamError
        tqdm is not installed.
    """

    def __init__(self, name: str, unit: Unit) -> None:
        self._kind = _Cell if is_notebook() else _Terminal
        # tqdm.auto in a notebook warns about widgets, which this does not need.
        module = "tqdm.std" if is_notebook() else "tqdm.auto"
        try:
            self._tqdm: Any = import_module(module).tqdm
        except ImportError as error:
            raise TeamError(
                "progress=True needs tqdm; run pip install tqdm, or install sharray as "
                "sharray[progress]"
            ) from error
        self._name, self._unit = name, unit
        self._shown: _Cell | _Terminal | None = None

    def show(self, done: int, total: int) -> None:
        """Show how much is done."""
        if self._shown is None:
            self._shown = self._kind(self._tqdm, self._name, self._unit, total)
        self._shown.show(done)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown is None:
            return
        if error is None:
            self._shown.end("")
        else:
            with suppress(Exception):  # the error of the run counts
                self._shown.end(_end_of(error))


class _Terminal:
    def __init__(self, tqdm: Any, name: str, unit: Unit, total: int) -> None:
        self._bar = tqdm(desc=name, total=total, **_options(unit, total))

    def show(self, done: int) -> None:
        self._bar.update(done - self._bar.n)

    def end(self, problem: str) -> None:
        if problem:
            self._bar.set_postfix_str(problem, refresh=False)
        self._bar.refresh()
        self._bar.close()


class _Cell:
    """The output of a cell, as HTML and as a line of tqdm.

    It is one output that is replaced, so a saved notebook has the last state. It needs
    no widgets. A run shorter than `_FIRST` displays it only once.
    """

    def __init__(self, tqdm: Any, name: str, unit: Unit, total: int) -> None:
        self._tqdm = tqdm
        self._name, self._unit, self._total = name, unit, total
        self._done = 0
        self._begun = clock.monotonic()
        self._next = self._begun + _FIRST
        self._handle: Any = None

    def show(self, done: int) -> None:
        self._done = done
        now = clock.monotonic()
        if now >= self._next:
            self._next = now + _INTERVAL
            self._display("", BLUE)

    def end(self, problem: str) -> None:
        self._display(problem, RED if problem else GREEN)

    def _display(self, problem: str, colour: str) -> None:
        seconds = clock.monotonic() - self._begun
        text = self._tqdm.format_meter(
            self._done,
            self._total,
            seconds,
            prefix=self._name,
            postfix=problem,
            ncols=_COLUMNS,
            **_options(self._unit, self._total),
        )
        numbers = self._speed(seconds)
        if problem:
            numbers = f"<span style='color:{RED}'>{html.escape(problem)}</span>"
        part = f"{self._done:,} of {self._total:,} {self._unit.many}"
        bundle = {
            "text/plain": text,
            "text/html": (
                f"<div class='sharray-progress' style='{_FRAME}'><div style='{_LINE}'>"
                f"<strong>{html.escape(self._name)}</strong>"
                f"<span>{part}</span><span>{numbers}</span></div>"
                f"{bar(self._done / self._total, colour=colour, width='100%')}</div>"
            ),
        }
        if self._handle is None:
            display: Any = import_module("IPython.display").display
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def _speed(self, seconds: float) -> str:
        """Return the rate, and the time that remains or has passed."""
        if not self._done or not seconds:
            return f"{self._time(seconds)} passed"
        rate = self._done / seconds
        digits = 0 if rate >= 10 else 2
        speed = f"{rate:,.{digits}f} {self._unit.many}/s"
        if self._done == self._total:
            return f"{speed}, {self._time(seconds)} in all"
        return f"{speed}, {self._time((self._total - self._done) / rate)} left"

    def _time(self, seconds: float) -> str:
        if seconds < 60:
            return f"{seconds:.1f} s"
        return str(self._tqdm.format_interval(seconds))


def _options(unit: Unit, total: int) -> dict[str, Any]:
    """Return how tqdm shows numbers: large ones as 1.5M."""
    return {"unit": f" {unit.many}", "unit_scale": total >= _LARGE}


def _end_of(error: BaseException) -> str:
    """Return how a run ended that raised an error."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, TimeoutError):
        return "timeout"
    return "worker died" if isinstance(error, WorkerDied) else type(error).__name__
